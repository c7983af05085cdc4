"""The bound: what no plan escapes at single stages, joined into a bound on the cost of the whole.

An integer program chooses for each stage one *column*: a hardware and a range of replica counts, at the cost of the
fewest. Its rows say what every feasible plan fulfils:

* each stage has one column;
* *slack*: hardware with longer least times at the other stages of a path leaves a stage less slack. A column can stand
  only so much loss before more queries are late than may be (:mod:`~pipesim.planner.bound.capacity`);
* *averages*: the average services of the columns on a path add up to no more than its budget
  (:mod:`~pipesim.planner.bound.averages`);
* *quotas*: the units that the columns occupy.

So every feasible plan is a choice of columns that fulfils the rows and costs no more than the plan; the least cost of
such a choice is a bound. HiGHS solves it. Its dual bound is taken, less a tolerance, and rounded up to the next amount
that prices can add up to.
"""

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from pipesim.engine import Workload
from pipesim.engine.inputs import Floats
from pipesim.model import HardwareOption, Plan, StagePlan
from pipesim.planner.bound.capacity import Batches
from pipesim.planner.bound.paths import paths_of
from pipesim.planner.bound.stands import Stand
from pipesim.planner.money import Money

MAX_NODES = 2000
"""Of the solver's tree; what it then has proved is a bound all the same."""
TOLERANCE = 2e-6
"""By how much the solver may be wrong, relative to a row's budget or to the cost; its own tolerances are 1e-6."""
_DEAREST = 1e6
"""Costs above so many times the least possible are taken for that."""
_GROWTH = 1.2
"""Of the replica counts at which columns begin."""


class Column(NamedTuple):
    """A hardware and a range of replica counts of one stage, and the least that they cost."""

    stage: int
    option: int
    fewest: int
    most: int
    cost: int


class Row(NamedTuple):
    """Columns with these weights may add up to no more than `most`."""

    weights: Floats
    most: float


class Bound:
    """What is known of all plans that are feasible on some workloads, before any is simulated.

    Parameters
    ----------
    workloads
        On each of which a plan must meet the objectives.
    money
        Costs in whole units.
    pool
        Runs parts of the work side by side.
    """

    def __init__(self, workloads: Sequence[Workload], money: Money, pool: Executor | None = None) -> None:
        self._workload, self._money = workloads[0], money
        self._names, scenario = workloads[0].routes.names, workloads[0].scenario
        self._space = [scenario.space[name] for name in self._names]
        self._option = {
            (stage, option.hardware): number
            for stage, space in enumerate(self._space)
            for number, option in enumerate(space.options)
        }
        run = map if pool is None else pool.map
        self._stands: list[Stand] = []
        limited: dict[tuple[int, int, int], list[tuple[Stand, Batches]]] = {}
        for workload in workloads:
            options = [
                [
                    self._batches(workload, stage, number, option.batch_sizes[-1])
                    for number, option in enumerate(space.options)
                ]
                for stage, space in enumerate(self._space)
            ]
            least_ns = [min(one.least_ns for one in some) for some in options]
            for path in paths_of(workload, workload.miss_limits(workload.scenario.slos), least_ns):
                for turn, stage in enumerate(path.stages):
                    stand = Stand.of(path, turn, options)
                    self._stands.append(stand)
                    for number, option in enumerate(self._space[stage].options):
                        for size in option.batch_sizes:
                            batches = self._batches(workload, stage, number, size)
                            limited.setdefault((stage, number, size), []).append((stand, batches))
        tasks = [(stand, number) for stand in self._stands for number in range(len(self._space[stand.stage].options))]
        found = run(lambda task: task[0].fewest(task[1], self._space[task[0].stage].max_replicas), tasks)
        self._fewest = {(id(stand), number): few for (stand, number), few in zip(tasks, found, strict=True)}
        self._least = {
            (stage, number, size): space.min_replicas
            for stage, space in enumerate(self._space)
            for number, option in enumerate(space.options)
            for size in option.batch_sizes
        }
        jobs = [(key, *one) for key, some in limited.items() for one in some]
        few = run(lambda job: job[1].fewest_with(job[2], self._space[job[0][0]].max_replicas), jobs)
        for (key, _, _), count in zip(jobs, few, strict=True):
            self._least[key] = max(self._least[key], count)
        self._failed: set[tuple[int, StagePlan]] = set()
        self._solved: dict[frozenset[int], int | None] = {}
        self._chosen: list[Column] = []
        self._take(list(self._columns()))
        self.rows = list(self._rows())
        self.units = self.cheapest()

    @property
    def usd_per_hour(self) -> Decimal | None:
        """Return a cost that no feasible plan is below; None if there is no feasible plan."""
        return None if self.units is None else self._money.usd(self.units)

    def fewest(self, stage: int, hardware: str, max_batch_size: int) -> int | None:
        """Return the fewest replicas that a feasible plan can have at a stage, None if it cannot have that setting."""
        number = self._option[stage, hardware]
        few = self._least[stage, number, max_batch_size]
        return None if few > self._space[stage].max_replicas else few

    def cheapest_plan(self) -> Plan | None:
        """Return what the cheapest choice of columns would be as a plan, with the largest batches, if it is known."""
        if len(self._chosen) != len(self._space):
            return None
        chosen = {}
        for column in self._chosen:
            option = self._option_of(column)
            chosen[self._names[column.stage]] = option.setting(column.fewest, option.batch_sizes[-1])
        return Plan(stages={name: chosen[name] for name in self._workload.scenario.space})

    def dead_stages(self) -> list[str]:
        """Return the stages of which no setting serves enough queries in time, whatever the others do."""
        return [name for stage, name in enumerate(self._names) if not any(one.stage == stage for one in self.columns)]

    def has_failed(self, stage: int, setting: StagePlan) -> bool:
        """Return whether a setting was found to be part of no feasible plan."""
        return (stage, setting) in self._failed

    def learn(self, failed: Iterable[tuple[int, StagePlan]]) -> None:
        """Take in settings of stages that no feasible plan has: columns without any other begin later, or go."""
        self._failed |= set(failed)
        columns = []
        for column in self.columns:
            option, few = self._option_of(column), column.fewest
            while few <= column.most and all(
                few < self._least[column.stage, column.option, size]
                or (column.stage, option.setting(few, size)) in self._failed
                for size in option.batch_sizes
            ):
                few += 1
            price = self._money.price(self._names[column.stage], option.hardware)
            raised = column._replace(fewest=few, cost=column.cost + (few - column.fewest) * price)
            columns.append(raised if few <= column.most else raised._replace(most=-1))
        self._take(columns)
        self.units = self.cheapest()

    def columns_below(self, stage: int, below: int) -> Iterable[tuple[Column, int]]:
        """Yield the columns of a stage that plans below a cost can have, and the most replicas that they then have."""
        for number, column in enumerate(self.columns):
            if column.stage != stage or column.most < 0 or column.cost + self.least_of_others(stage) >= below:
                continue
            least = self.cheapest(number)
            if least is None or least >= below:
                continue
            price = self._money.price(self._names[stage], self._option_of(column).hardware)
            # with each replica more the plan costs as much more, whatever else it has
            more = (below - 1 - least) // price if price else column.most
            yield column, min(column.most, column.fewest + more)

    def least_of_others(self, stage: int) -> int:
        """Return what the other stages cost at least, each by itself."""
        return sum(least for other, least in enumerate(self._least_costs) if other != stage)

    def _take(self, columns: list[Column]) -> None:
        """Let these be the columns; what was found with others is forgotten."""
        self.columns = columns
        self._least_costs = [
            min((column.cost for column in columns if column.stage == stage and column.most >= 0), default=0)
            for stage in range(len(self._space))
        ]
        self._solved.clear()

    def cheapest(self, *fixed: int) -> int | None:
        """Return the least cost of a choice of columns, some of which are fixed; None if there is none."""
        key = frozenset(fixed)
        if key not in self._solved:
            self._solved[key] = self._solve(key)
        return self._solved[key]

    def _solve(self, fixed: frozenset[int]) -> int | None:
        columns = self.columns
        if {column.stage for column in columns if column.most >= 0} != set(range(len(self._space))):
            return None
        units = np.array([float(column.cost) for column in columns])
        least = float(sum(self._least_costs)) or min(units[units > 0], default=1.0)
        # The solver's tolerances are absolute, so costs go to it relative to the least that is possible. It would take
        # differences for errors if others were too large; to make these cheaper is sound.
        cost = np.minimum(units / least, _DEAREST)
        one_each = np.zeros((len(self._space), len(columns)))
        for number, column in enumerate(columns):
            one_each[column.stage, number] = 1
        constraints = [LinearConstraint(one_each, 1, 1)]
        if self.rows:
            weights = np.array([row.weights / max(abs(row.most), 1.0) for row in self.rows])
            most = np.array([row.most / max(abs(row.most), 1.0) for row in self.rows])
            constraints.append(LinearConstraint(weights, -np.inf, most + TOLERANCE))
        lower = np.zeros(len(columns))
        lower[list(fixed)] = 1
        upper = np.array([float(column.most >= 0) for column in columns])
        found = milp(
            cost,
            integrality=np.ones(len(columns), dtype=np.int64),
            bounds=Bounds(lower, upper),
            constraints=constraints,
            options={"mip_rel_gap": 0.0, "node_limit": MAX_NODES},  # not seconds: the same everywhere
        )
        if found.status == 2:  # infeasible
            return None
        if not fixed and found.x is not None:
            self._chosen = [column for column, share in zip(columns, found.x, strict=True) if share > 0.5]
        dual = found.mip_dual_bound
        if dual is None or not math.isfinite(dual):
            dual = 0.0
        bound = math.ceil((dual * (1 - TOLERANCE) - TOLERANCE) * least)
        return max(sum(self._least_costs), bound)

    def _batches(self, workload: Workload, stage: int, option: int, max_batch_size: int) -> Batches:
        setting = self._space[stage].options[option].setting(1, max_batch_size)
        return Batches.of(workload.stage_inputs(self._names[stage], setting))

    def _columns(self) -> Iterable[Column]:
        """Yield for each stage and option ranges of replica counts, between which something changes."""
        for stage, space in enumerate(self._space):
            for number, option in enumerate(space.options):
                least = min(self._least[stage, number, size] for size in option.batch_sizes)
                if least > space.max_replicas:
                    continue
                begins = {
                    few for stand in self._stands if stand.stage == stage for few in self._fewest[id(stand), number]
                }
                grown: float = least
                while grown < min(4 * least + 4, space.max_replicas):
                    begins.add(math.ceil(grown))
                    grown = max(grown + 1, grown * _GROWTH)
                previous = self._workload.scenario.previous
                if previous is not None and previous.stages[self._names[stage]].hardware == option.hardware:
                    count = previous.stages[self._names[stage]].replicas
                    begins |= {count, count + 1}
                ordered = sorted({least, *(few for few in begins if least <= few <= space.max_replicas)})
                for fewest, following in zip(ordered, [*ordered[1:], space.max_replicas + 1], strict=True):
                    name = self._names[stage]
                    cost = fewest * self._money.price(name, option.hardware)
                    settings = [option.setting(fewest, size) for size in option.batch_sizes]
                    cost += min(self._money.change(name, setting) for setting in settings)
                    yield Column(stage, number, fewest, following - 1, cost)

    def _rows(self) -> Iterable[Row]:
        """Yield what every feasible plan fulfils."""
        by_path: dict[int, list[Stand]] = {}
        for stand in self._stands:
            by_path.setdefault(id(stand.path), []).append(stand)
        for stands in by_path.values():
            yield from self._slack_rows(stands)
            yield from self._average_rows(stands)
        scenario = self._workload.scenario
        for unit, most in scenario.quota.items():
            occupied = [
                scenario.catalogue.bundle(self._option_of(column).hardware).get(unit, 0) * column.fewest
                for column in self.columns
            ]
            yield Row(np.array(occupied, dtype=np.float64), float(most))

    def _option_of(self, column: Column) -> HardwareOption:
        return self._space[column.stage].options[column.option]

    def _slack_rows(self, stands: Sequence[Stand]) -> Iterable[Row]:
        """Yield for each stage of a path: the others' excess over their fastest is no more than it can stand."""
        excess_ns = {
            stand.stage: [one.least_ns - min(other.least_ns for other in stand.options) for one in stand.options]
            for stand in stands
        }
        for stand in stands:
            most_ns = float(sum(max(some) for stage, some in excess_ns.items() if stage != stand.stage))
            if not most_ns:
                continue
            weights = np.zeros(len(self.columns))
            for number, column in enumerate(self.columns):
                if column.stage == stand.stage:
                    fewest = self._fewest[id(stand), column.option]
                    too_much = next((place for place, few in enumerate(fewest) if few > column.most), None)
                    stands_ns = most_ns if too_much is None else stand.losses.below_ns[too_much]
                    weights[number] = most_ns - stands_ns  # shifted, as the budget is: a stage has one column
                elif column.stage in excess_ns:
                    weights[number] = excess_ns[column.stage][column.option]
            yield Row(weights, most_ns)

    def _average_rows(self, stands: Sequence[Stand]) -> Iterable[Row]:
        """Yield for each interval of a path: the average services add up to no more than its budget."""
        weights: Floats | None = None
        for stand in stands:
            for option in range(len(stand.options)):
                places = [
                    n for n, column in enumerate(self.columns) if (column.stage, column.option) == (stand.stage, option)
                ]
                if not places:
                    continue
                averages = stand.averages_ns(option, [self.columns[place].most for place in places])
                if weights is None:
                    weights = np.zeros((averages.shape[0], len(self.columns)))
                weights[:, places] = averages
        if weights is not None:
            for row in weights:
                yield Row(row, float(stands[0].path.budget_ns))
