"""Differential evolution on integers: a planner that knows nothing of pipelines, to compare the others with.

Source: Storn and Price, "Differential evolution: a simple and efficient heuristic for global optimization over
continuous spaces", Journal of Global Optimization 11, 1997, as :func:`scipy.optimize.differential_evolution` has it.
"""

from bisect import bisect_right
from collections.abc import Mapping
from decimal import Decimal
from itertools import product
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, differential_evolution

from pipesim.model import HardwareOption, Plan, StagePlan, StageSpace
from pipesim.streams import stream

_MUTATION, _RECOMBINATION = (0.3, 1.0), 0.3
"""The weight of differences, drawn anew for each generation, and the share of genes that a challenger changes.

Of the values tried on random spaces of four and six stages these, with the default population, came nearest to the
optimum: costs add up over stages, so it pays to change few genes at a time.
"""
_Genes = npt.NDArray[np.float64]


class PlanEvaluator(Protocol):
    """Whoever tests plans, and remembers the best."""

    @property
    def space(self) -> Mapping[str, StageSpace]:
        """Return what a plan may choose for each stage."""

    @property
    def best(self) -> Plan | None:
        """Return the cheapest feasible plan tested so far, if any was."""

    def cost(self, plan: Plan) -> Decimal:
        """Return what the plan costs an hour, no less than the prices of its replicas."""

    def feasible(self, plan: Plan) -> bool:
        """Return whether the plan meets all objectives."""

    def excess(self, plan: Plan) -> float:
        """Return how far the plan misses the objectives: above 0 if it is not feasible."""


def evolve(evaluator: PlanEvaluator, *, seed: int, max_generations: int = 150, population: int = 40) -> Plan | None:
    """Return the cheapest feasible plan that the evaluator knows once plans have evolved, or None if it knows none.

    A candidate has three genes for each stage, all integers: its hardware, its batch limit and its replicas. The batch
    limit is one of all that the stage's hardware knows; hardware that lacks it takes its next smaller one, or else its
    smallest. A feasible candidate is better than one that is not; of two feasible ones the cheaper is better, of two
    others the one with the smaller excess. Equal candidates are tested once.

    Spaces allow many more replicas than are needed. If a feasible plan is known, replicas are searched up to the number
    at which a stage, with all others at their cheapest, would cost more than that plan: no cheaper plan is lost. If
    none is known, one is sought with the same number of replicas everywhere, 1, 2, 4 and so on, on the dearest and the
    cheapest hardware with the smallest and the largest batches; if that finds none, the whole space is searched. Either
    way the replicas of the first candidates are drawn on a logarithmic scale, and a known plan is one of them.

    The search ends after `max_generations`, or when all candidates are equally good. It depends on nothing but the
    evaluator's space, answers and best plan, and the arguments.

    Parameters
    ----------
    evaluator
        Tests plans. If it raises, as when its budget is used up, the search ends and the caller gets the exception;
        what was found is the evaluator's best plan.
    seed
        0 … 2⁶³ − 1.
    max_generations
        How often each candidate is challenged; with 0 the first candidates are tested, and that is all.
    population
        How many candidates there are, at least 5.

    Raises
    ------
    InvalidInputError
        If `seed` is not in its range.
    """
    rng = stream(seed, "evolution")
    if evaluator.best is None:
        _seek_feasible(evaluator)
    genome = _Genome(evaluator)
    tested: dict[tuple[StagePlan, ...], float] = {}

    def badness(genes: _Genes) -> float:
        plan = genome.plan(genes)
        key = tuple(plan.stages.values())
        if key not in tested:  # only comparisons matter: what is feasible is below 0, what is not is above
            feasible = evaluator.feasible(plan)
            tested[key] = -1 / (1 + float(evaluator.cost(plan))) if feasible else evaluator.excess(plan)
        return tested[key]

    differential_evolution(
        badness,
        Bounds(genome.least - 0.49, genome.most + 0.49),  # scipy scales to these, then rounds: each value as likely
        maxiter=max_generations,
        mutation=_MUTATION,
        recombination=_RECOMBINATION,
        tol=0,
        seed=rng,  # called rng from scipy 1.15 on
        polish=False,
        init=genome.first(population, rng),
        integrality=np.ones(genome.least.size, dtype=bool),
    )
    return evaluator.best


def _seek_feasible(evaluator: PlanEvaluator) -> None:
    """Test plans with ever more replicas until some are feasible or every stage has its most."""
    space, count = evaluator.space, 1
    most = max(limits.max_replicas for limits in space.values())
    while True:
        plans = [_uniform(space, hardware, size, count) for hardware, size in product((0, -1), repeat=2)]
        feasible = [evaluator.feasible(plan) for plan in plans]  # all are tested, for the cheapest
        if any(feasible) or count >= most:
            return
        count *= 2


def _uniform(space: Mapping[str, StageSpace], hardware: int, size: int, count: int) -> Plan:
    """Return the plan with the dearest (0) or cheapest (-1) hardware and the smallest (0) or largest (-1) batches."""
    stages = {}
    for stage, limits in space.items():
        option = limits.options[hardware]
        replicas = min(max(count, limits.min_replicas), limits.max_replicas)
        stages[stage] = option.setting(replicas, option.batch_sizes[size])
    return Plan(stages=stages)


class _Genome:
    """What genes mean, and how far each may go.

    Parameters
    ----------
    evaluator
        Its space, and its best plan so far.

    Attributes
    ----------
    least, most
        Shape ``(3 · stages,)``, float64: the bounds of each gene.
    """

    def __init__(self, evaluator: PlanEvaluator) -> None:
        self._space, self._known = evaluator.space, evaluator.best
        spare = None
        if self._known is not None:
            spare = evaluator.cost(self._known) - sum(map(_least_cost, self._space.values()), Decimal(0))
        self._sizes, self._replicas = {}, {}
        least, most = [], []
        for stage, limits in self._space.items():
            self._sizes[stage] = sorted({size for option in limits.options for size in option.batch_sizes})
            self._replicas[stage] = [_most_replicas(limits, option, spare) for option in limits.options]
            least += [0, 0, limits.min_replicas]
            most += [len(limits.options) - 1, len(self._sizes[stage]) - 1, max(self._replicas[stage])]
        self.least, self.most = np.array(least, dtype=np.float64), np.array(most, dtype=np.float64)

    def plan(self, genes: _Genes) -> Plan:
        """Return the plan that genes stand for; replicas beyond what is searched on their hardware are cut."""
        stages = {}
        of_stages = np.rint(genes).astype(np.int64).reshape(-1, 3).tolist()
        for (stage, limits), (hardware, size, replicas) in zip(self._space.items(), of_stages, strict=True):
            option = limits.options[hardware]
            up_to = bisect_right(option.batch_sizes, self._sizes[stage][size])
            max_batch_size = option.batch_sizes[max(0, up_to - 1)]
            stages[stage] = option.setting(min(replicas, self._replicas[stage][hardware]), max_batch_size)
        return Plan(stages=stages)

    def first(self, population: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """Return the first candidates, shape ``(population, genes)``: the known plan, if it is in the space; draws."""
        genes = np.floor(rng.uniform(self.least, self.most + 1, (population, self.least.size)))
        low, high = np.log(self.least[2::3]), np.log(self.most[2::3] + 1)
        genes[:, 2::3] = np.floor(np.exp(rng.uniform(low, high, (population, low.size))))
        known = None if self._known is None else self._genes(self._known)
        if known is not None:
            genes[0] = known
        return np.clip(genes, self.least, self.most)

    def _genes(self, plan: Plan) -> list[int] | None:
        genes = []
        for stage, limits in self._space.items():
            chosen = plan.stages[stage]
            hardware = [option.hardware for option in limits.options]
            if chosen.hardware not in hardware or chosen.max_batch_size not in self._sizes[stage]:
                return None
            sizes = self._sizes[stage]
            genes += [hardware.index(chosen.hardware), sizes.index(chosen.max_batch_size), chosen.replicas]
        return genes


def _least_cost(limits: StageSpace) -> Decimal:
    return limits.min_replicas * limits.options[-1].price_usd_per_hour


def _most_replicas(limits: StageSpace, option: HardwareOption, spare: Decimal | None) -> int:
    """Return the most replicas on an option that a stage is searched with.

    Parameters
    ----------
    spare
        What the best plan costs more than the cheapest plan of the space; None if none is known.
    """
    if spare is None or not option.price_usd_per_hour:
        return limits.max_replicas
    affordable = int((_least_cost(limits) + spare) / option.price_usd_per_hour)
    return min(max(affordable, limits.min_replicas), limits.max_replicas)
