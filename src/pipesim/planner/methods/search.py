"""The default planner: it looks for the cheapest plan, and for the certainty that there is no cheaper one.

1. The *bound* (:mod:`pipesim.planner.bound`) says, before any simulation, what no feasible plan escapes: the fewest
   replicas of each setting, a cost that no plan undercuts, and what a plan with a given setting costs at least.
2. The *tree* (:mod:`pipesim.planner.methods.tree`) tests plans and parts of plans, cheapest first, among those that the
   bound leaves. It looks a little above the bound first, then higher. Where it ends, the plan is optimal.
3. If that takes too long, *seeds* give a feasible plan to begin with: the bound's own choice mended, the whole pipeline
   sized for its peak, and InferLine's greedy plan. *Exchanges* then improve it: of one stage, hardware, replicas and
   batch limit together, then of two stages at once, each with a tree over what those stages may be set to; then
   *neighbourhoods* of more stages, drawn at random. In between the tree over all stages goes on, and raises the bound.
4. Of optimal plans, the one whose worst objective has most room is taken, as far as one exchange leads.

Nothing assumes that more replicas or larger batches are better. The search depends on the scenario, its seed and the
number of tests allowed, not on threads; a time limit ends it wherever it is.
"""

import itertools
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import pandas as pd

from pipesim.engine import simulate
from pipesim.model import Plan, StagePlan
from pipesim.planner.evaluator import Evaluator, StopSearchError
from pipesim.planner.explain import (
    describe_bound,
    describe_ceiling,
    describe_queueing_limit,
    describe_service_limit,
)
from pipesim.planner.finding import Finding, Obstacle, Proof
from pipesim.planner.methods.choices import choices_below, sift
from pipesim.planner.methods.coarse import coarse_grained_plan
from pipesim.planner.methods.greedy import plan_greedily
from pipesim.planner.methods.tree import Choice, Tree
from pipesim.streams import stream

if TYPE_CHECKING:
    from pipesim.planner.bound import Bound

FIRST_TESTS = 1500
"""Tests after which the tree makes way for seeds and exchanges."""
TURN_TESTS = 500
"""Tests of the tree, and then of a neighbourhood, while they take turns."""
_FIRST_MARGIN = 1.2
_GROWTH = 1.4
"""How far above the bound the tree looks first, and how much higher each time it finds nothing."""
_GREEDY_SHARE = 0.2
"""Of the tests, what the greedy seed may take."""


class History:
    """What a search did, one row each time that the best plan or the bound changed, or a phase began."""

    COLUMNS = ("phase", "stages", "evaluations", "best_usd_per_hour", "bound_usd_per_hour")

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._rows: list[tuple[object, ...]] = []

    def add(self, phase: str, stages: Sequence[str] = ()) -> None:
        """Note where the search stands."""
        evaluator = self._evaluator
        best, bound = evaluator.best_usd_per_hour, evaluator.bound_usd_per_hour
        row = phase, ", ".join(stages), evaluator.evaluations, _float(best), _float(bound)
        if not self._rows or (self._rows[-1][0], *self._rows[-1][3:]) != (row[0], *row[3:]):
            self._rows.append(row)

    def frame(self) -> pd.DataFrame:
        """Return one row for each."""
        return pd.DataFrame(self._rows, columns=list(self.COLUMNS))


def _float(usd: Decimal | None) -> float:
    return float("nan") if usd is None else float(usd)


def search(evaluator: Evaluator) -> Finding:
    """Return the cheapest plan found, and what is certain of it."""
    from pipesim.planner.bound import Bound  # here, because numba takes its time to import

    history = History(evaluator)
    too_slow = evaluator.too_slow(evaluator.largest)
    if too_slow is not None:
        why = describe_service_limit(too_slow, evaluator.largest)
        return Finding(None, history.frame(), obstacle=Obstacle(True, *why))
    bound = Bound(evaluator.question.workloads, evaluator.money, evaluator.pool)
    if bound.units is None:
        return Finding(
            None, history.frame(), obstacle=Obstacle(True, *describe_bound(evaluator.workload, bound.dead_stages()))
        )
    return _Search(evaluator, bound, history).run()


class _Search:
    """One search: what is known, and how it goes on."""

    def __init__(self, evaluator: Evaluator, bound: "Bound", history: History) -> None:
        self._evaluator, self._bound, self._history = evaluator, bound, history
        self._money = evaluator.money
        assert bound.units is not None
        self._least = bound.units
        self._most = evaluator.too_dear()
        """No plan of the space costs as much."""
        self._exchanged, self._exchanged_of = 0, evaluator.best
        """k, and the plan of which no cheaper one that differs in up to k stages is feasible."""
        self._complete = True
        self._raise_bound(bound.units)
        history.add("bound")

    @property
    def _best(self) -> Plan | None:
        return self._evaluator.best

    @property
    def _below(self) -> int:
        """Return the cost that a plan must undercut to be of interest."""
        cost = self._evaluator.best_usd_per_hour
        return self._most if cost is None else min(self._most, self._money.units(cost))

    def run(self) -> Finding:
        """Search, and return what was found."""
        try:
            self._search()
        except StopSearchError:
            self._complete = False
            self._history.add("stopped")
        if self._best is None and self._least >= self._most:
            return Finding(None, self._history.frame(), obstacle=Obstacle(True, *self._why_not()))
        if self._best is None and self._complete:
            return Finding(None, self._history.frame(), obstacle=Obstacle(False, *self._why_not()))
        excluded = self._best is not None and self._least >= self._below
        exchanged = self._exchanged if self._exchanged_of is self._best else 0
        proof = Proof(len(self._evaluator.order) if excluded else exchanged, excluded)
        return Finding(self._best, self._history.frame(), complete=self._complete, proof=proof)

    def _search(self) -> None:
        self._grow_tree(FIRST_TESTS)
        if self._least < self._below:
            self._plant()
            self._improve()
            self._take_turns()
        if self._best is not None and self._least >= self._below:
            self._keep_the_roomiest(self._best)  # of others, what was exchanged is worth more

    def _grow_tree(self, tests: int) -> None:
        """Search all plans, a little above the bound first and then higher, until all are or the tests are used up."""
        ceiling = max(self._least, 1)
        last = self._evaluator.evaluations + tests
        factor = _FIRST_MARGIN
        while self._least < self._below and self._evaluator.evaluations < last:
            ceiling = min(max(int(ceiling * factor), ceiling + 1), self._below)
            factor = _GROWTH
            if not self._exclude_below(ceiling, last - self._evaluator.evaluations):
                return

    def _exclude_below(self, ceiling: int, tests: int) -> bool:
        """Search all plans below a cost; return whether that ended, with the cheapest of them or without any."""
        choices = self._sifted(ceiling)
        if choices is None:
            self._raise_bound(ceiling)
            return True
        tree = Tree(self._evaluator, choices, ceiling)
        while not tree.exhausted and tests > 0:
            before = self._evaluator.evaluations
            tree.run(min(tests, TURN_TESTS))
            tests -= max(1, self._evaluator.evaluations - before)
            self._raise_bound(tree.bound)
            self._history.add("tree")
        return tree.exhausted

    def _sifted(self, below: int) -> list[list[Choice]] | None:
        """Return the choices for plans below a cost, without those that are known to fail alone."""
        choices = choices_below(self._evaluator, self._bound, below)
        while choices is not None and sift(self._evaluator, self._bound, choices):
            if self._bound.units is None:
                return None
            self._raise_bound(self._bound.units)
            choices = choices_below(self._evaluator, self._bound, below)
        return choices

    def _plant(self) -> None:
        """Test plans to begin with."""
        evaluator = self._evaluator
        self._mend(self._bound.cheapest_plan())
        self._history.add("seed: bound")
        coarse = coarse_grained_plan(evaluator.workload, "peak")
        if coarse is not None:
            evaluator.feasible(coarse)
            self._history.add("seed: cg-peak")
        with evaluator.at_most(_GREEDY_SHARE):
            plan_greedily(evaluator)
        self._history.add("seed: greedy")

    def _mend(self, plan: Plan | None) -> None:
        """Add replicas, where they help most for their price, until a plan is feasible or nothing helps."""
        if plan is None:
            return
        excess = self._evaluator.excess(plan)
        while excess:
            options = [
                plan.with_stage(name, replicas=chosen.replicas + 1)
                for name, chosen in plan.stages.items()
                if chosen.replicas < self._evaluator.space[name].max_replicas
            ]
            measured = [(self._evaluator.excess(option), turn) for turn, option in enumerate(options)]
            price = [float(self._evaluator.cost(option) - self._evaluator.cost(plan)) or 1e-9 for option in options]
            better = [(left, turn) for left, turn in measured if left < excess]
            if not better:
                return
            left, turn = max(better, key=lambda one: ((excess - one[0]) / price[one[1]], -one[1]))
            plan, excess = options[turn], left

    def _improve(self) -> None:
        """Exchange one stage, then two, until no cheaper plan differs in so few."""
        improved = self._best is not None
        while improved:
            start = self._best
            for count in (1, 2):
                for stages in itertools.combinations(range(len(self._evaluator.order)), count):
                    self._exchange(stages)
                    if self._best is not start:
                        break
                if self._best is not start:
                    break
                if self._exchanged_of is not start or count > self._exchanged:
                    self._exchanged, self._exchanged_of = count, start
            improved = self._best is not start

    def _exchange(self, stages: Sequence[int], tests: int | None = None) -> bool:
        """Search the plans that differ from the best one in these stages; return whether all cheaper ones were."""
        evaluator = self._evaluator
        if self._best is None:
            return False
        choices = choices_below(evaluator, self._bound, self._below)
        if choices is None:
            return True
        for stage, name in enumerate(evaluator.order):
            if stage not in stages:
                chosen = self._best.stages[name]
                choices[stage] = [Choice(self._money.stage(name, chosen), chosen)]
        tree = Tree(evaluator, choices, self._below)
        tree.run(tests if tests is not None else 10**9)
        self._history.add(f"exchange of {len(stages)}", [evaluator.order[stage] for stage in stages])
        return tree.exhausted

    def _take_turns(self) -> None:
        """Let the tree over all stages and neighbourhoods take turns until the budget is used up or all is excluded."""
        choices = self._sifted(self._below)
        if choices is None:
            self._raise_bound(self._below)
            return
        tree = Tree(self._evaluator, choices, self._below)
        neighbourhoods = self._neighbourhoods()
        while True:
            before = self._best
            tree.lower(self._below)
            tree.run(TURN_TESTS)
            self._raise_bound(tree.bound)
            self._history.add("tree")
            if tree.exhausted:
                return
            if len(self._evaluator.order) > 3:
                self._exchange(next(neighbourhoods), TURN_TESTS)
            if self._best is not before:
                self._improve()

    def _neighbourhoods(self) -> Iterator[tuple[int, ...]]:
        """Yield stages to exchange: three or more, drawn at random, more of them as time goes on."""
        rng = stream(self._evaluator.scenario.seed, "planner", "neighbourhoods")
        stages = len(self._evaluator.order)
        for turn in itertools.count():
            count = min(stages - 1, 3 + turn // (2 * stages))  # the tree takes all of them
            yield tuple(sorted(rng.choice(stages, count, replace=False).tolist()))

    def _keep_the_roomiest(self, plan: Plan) -> None:
        """Go to the plan of equal cost whose worst objective has most room, stage by stage, while tests are left."""
        evaluator = self._evaluator
        room = evaluator.room(plan)
        for name in evaluator.space:
            for setting in self._equals(name, plan.stages[name]):
                other = Plan.model_construct(stages={**plan.stages, name: setting})
                if not evaluator.is_affordable(other):
                    continue
                try:
                    is_feasible = evaluator.feasible(other)
                except StopSearchError:
                    evaluator.prefer(plan)
                    raise
                if is_feasible and (more := evaluator.room(other)) > room:
                    plan, room = other, more
        evaluator.prefer(plan)

    def _equals(self, name: str, chosen: StagePlan) -> list[StagePlan]:
        """Return other settings of a stage that cost the same."""
        money, space = self._money, self._evaluator.space[name]
        cost = money.stage(name, chosen)
        found = []
        for option in space.options:
            price = money.price(name, option.hardware)
            counts = {chosen.replicas}
            if price:  # with the change counted, or without one
                counts |= {cost // price, (cost - money.whole_change) // price}
            for replicas in sorted(counts):
                for size in option.batch_sizes:
                    setting = option.setting(replicas, size)
                    fits = space.min_replicas <= replicas <= space.max_replicas
                    if fits and setting != chosen and money.stage(name, setting) == cost:
                        found.append(setting)
        return found

    def _raise_bound(self, units: int) -> None:
        self._least = max(self._least, min(units, self._most))
        self._evaluator.bound_usd_per_hour = self._money.usd(self._least)

    def _why_not(self) -> tuple[str, tuple[str, ...]]:
        """Return why no plan was found: the ceiling, or what the largest plan does."""
        ceiling = self._evaluator.scenario.max_cost_usd_per_hour
        if ceiling is not None:
            return describe_ceiling(self._evaluator.scenario, ceiling, proved=self._least >= self._most)
        if self._evaluator.scenario.quota or self._evaluator.question.confident:
            return describe_bound(self._evaluator.workload, [])
        stages = {}
        for name, space in self._evaluator.space.items():
            largest = [one.setting(space.max_replicas, one.batch_sizes[-1]) for one in space.options]
            throughput = [self._evaluator.throughput_qps(name, setting) for setting in largest]
            stages[name] = largest[throughput.index(max(throughput))]
        plan = Plan.model_construct(stages=stages)
        return describe_queueing_limit(simulate(self._evaluator.workload, plan))
