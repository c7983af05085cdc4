"""InferLine's baselines CG-Mean and CG-Peak: the whole pipeline as one black box that is replicated as a whole.

Source: Crankshaw et al., "InferLine: ML prediction pipeline provisioning and management for tight latency objectives",
arXiv 1812.01776, the coarse-grained baseline of the evaluation. There the pipeline is profiled as one box to find the
one largest batch size that meets the SLO, and the box is replicated until it serves the rate wanted: the mean rate of
the trace (CG-Mean), or its peak, found with a sliding window as long as the SLO (CG-Peak). What is taken here where the
paper leaves it open, or has another aim:

* The latency of a box at a batch size is the longest path of mean full-batch times and network delays, over the edges
  that any query takes; its throughput is that of its slowest stage, one replica of each, items per query counted. A
  fan-out that overfills a batch is in the throughput, and not in the latency.
* A stage runs the largest batch limit of its search space that the one batch size allows; hardware that has none so
  small is left out at that batch size.
* The paper does not search for hardware, and takes the largest batch. Here the cheapest is taken over both, of those
  that meet the bound: the baseline is given the same choices as the planners that it is compared with.
* Boxes = ⌈rate / throughput⌉. Every stage gets as many replicas as there are boxes, at least its `min_replicas`; more
  boxes than any stage's `max_replicas` are not available. The replicas of a stage share its queue, where each of the
  paper's boxes has its own, which flatters the baseline.

The search is exact without trying every combination of hardware. Given a batch size b and n boxes, the cost is a sum
over stages, each of which may use any hardware with n · throughput ≥ rate that is not too slow with all others at their
fastest; beyond that only the bound on the longest path joins them. And only those n matter at which some hardware
becomes enough. So every (b, n) is a round with a least conceivable cost, that of each stage's cheapest; rounds are
settled in this order until none can win (:func:`_cheapest_in_time`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Literal

import numpy as np

from pipesim.engine import Workload
from pipesim.engine.routing import Routes
from pipesim.model import Plan, StagePlan, StageSpace
from pipesim.planner.methods.ceiling import Setting, mean_rate_qps, replicas_for, settings_of, tightest_bound_ns
from pipesim.traces import ArrivalTrace, peak_count
from pipesim.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class _Choice:
    """A setting of one stage, and what its replicas cost in all boxes of a round."""

    cost: Decimal
    setting: Setting


@dataclass(frozen=True)
class _Round:
    """What each stage may use in a number of boxes of one batch size.

    Parameters
    ----------
    boxes, size
        The boxes, and the batch size of the pipeline.
    choices
        For each stage those that no other one beats, by ascending cost and descending batch time; the fastest of each
        together meet the bound, and so does each with the fastest of the other stages.
    """

    boxes: int
    size: int
    choices: Mapping[str, Sequence[_Choice]]

    @cached_property
    def least(self) -> Decimal:
        """Return a cost below which the round has nothing."""
        return sum((some[0].cost for some in self.choices.values()), Decimal(0))

    @cached_property
    def fastest(self) -> Decimal:
        """Return what its fastest choices cost."""
        return sum((some[-1].cost for some in self.choices.values()), Decimal(0))

    @property
    def rank(self) -> tuple[Decimal, int, int]:
        """Return the place of the round in the order of search."""
        return self.least, self.boxes, self.size


@dataclass(frozen=True, slots=True)
class _Partial:
    """A choice for the stages decided so far.

    Parameters
    ----------
    cost
        What they cost.
    start_ns
        When each stage that they feed and that is not decided yet can start at the earliest.
    settings
        What was chosen, in the order of decision.
    """

    cost: Decimal
    start_ns: tuple[int, ...]
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class _Paths:
    """The pipeline as its longest paths see it.

    Parameters
    ----------
    order
        The stages in the order of decision: each after those that feed it, and so that few are open at a time.
    after
        For each stage those that it feeds, with the network delay in nanoseconds.
    """

    order: tuple[str, ...]
    after: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, routes: Routes) -> "_Paths":
        """Return the paths over the edges that any query takes."""
        after: dict[str, dict[str, int]] = {stage: {} for stage in routes.names}
        for edge in routes.edges:
            if edge.fan_out.any():
                after[routes.names[edge.upstream]][routes.names[edge.downstream]] = edge.delay_ns
        order: list[str] = []
        opened: set[str] = set()
        while len(order) < len(after):
            left = [stage for stage in after if stage not in order]
            fed = {downstream for stage in left for downstream in after[stage]}
            ready = [stage for stage in left if stage not in fed]
            stage = min(ready, key=lambda one: len((opened | after[one].keys()) - {one}))
            opened = (opened | after[stage].keys()) - {stage}
            order.append(stage)
        return cls(tuple(order), after)

    def before_ns(self, batch_ns: Mapping[str, int]) -> dict[str, int]:
        """Return when each stage can start, for given batch times."""
        starts = dict.fromkeys(self.order, 0)
        for stage in self.order:
            for following, delay in self.after[stage].items():
                starts[following] = max(starts[following], starts[stage] + batch_ns[stage] + delay)
        return starts

    def after_ns(self, batch_ns: Mapping[str, int]) -> dict[str, int]:
        """Return how long after the end of each stage the last that follows it ends, for given batch times."""
        longest: dict[str, int] = {}
        for stage in reversed(self.order):
            ways = (delay + batch_ns[name] + longest[name] for name, delay in self.after[stage].items())
            longest[stage] = max(ways, default=0)
        return longest


def coarse_grained_plan(workload: Workload, rate: Literal["mean", "peak"]) -> Plan | None:
    """Return the cheapest plan of whole boxes that the baseline allows, or None if no box meets the tightest bound.

    It is None too if no number of boxes that `max_replicas` allows keeps up with the rate. Nothing is simulated: the
    plan may miss the objectives. Limits on a plan as a whole, such as a quota, are not looked at. Of equal costs the
    one with fewer boxes is taken, then the smaller batch size.

    Parameters
    ----------
    workload
        The scenario and its traffic.
    rate
        What the boxes must keep up with: ``mean`` is CG-Mean, ``peak`` is CG-Peak.
    """
    space, bound_ns = workload.scenario.space, tightest_bound_ns(workload)
    rate_qps = mean_rate_qps(workload.trace) if rate == "mean" else peak_rate_qps(workload.trace, bound_ns)
    paths = _Paths.of(workload.routes)
    rounds = sorted(_rounds(settings_of(workload), space, rate_qps, paths, bound_ns), key=lambda one: one.rank)
    enough = min((round_.fastest for round_ in rounds), default=Decimal(0))
    best: tuple[tuple[Decimal, int, int], Mapping[str, Setting]] | None = None
    for round_ in rounds:
        if best is not None and round_.rank > best[0]:
            break
        found = _cheapest_in_time(round_, paths, bound_ns, enough if best is None else best[0][0])
        if found is not None and (best is None or (found.cost, round_.boxes, round_.size) < best[0]):
            best = (found.cost, round_.boxes, round_.size), dict(zip(paths.order, found.settings, strict=True))
    if best is None:
        return None
    (_, boxes, _), chosen = best
    return Plan(
        stages={
            stage: StagePlan(
                hardware=chosen[stage].hardware,
                replicas=max(boxes, limits.min_replicas),
                max_batch_size=chosen[stage].max_batch_size,
            )
            for stage, limits in space.items()
        }
    )


def peak_rate_qps(trace: ArrivalTrace, window_ns: int) -> float:
    """Return the most arrivals in any window [t, t + w), over its length w: the rate of CG-Peak, where w is the SLO.

    >>> peak_rate_qps(ArrivalTrace(np.array([0, 400_000_000, 900_000_000, 1_000_000_000]), 1_000_000_000), NS_PER_S)
    3.0
    """
    return peak_count(trace, window_ns) * NS_PER_S / window_ns


def _rounds(
    settings: Mapping[str, Sequence[Setting]],
    space: Mapping[str, StageSpace],
    rate_qps: float,
    paths: _Paths,
    bound_ns: int,
) -> Iterable[_Round]:
    """Yield the rounds in which there is a choice that keeps up with the rate and meets the bound."""
    most_boxes = min(limits.max_replicas for limits in space.values())
    for size in sorted({setting.max_batch_size for some in settings.values() for setting in some}):
        enough = {stage: _by_boxes(some, size, rate_qps, most_boxes) for stage, some in settings.items()}
        for boxes in sorted({needed for some in enough.values() for needed, _ in some}):
            choices = {
                stage: _undominated(
                    _Choice(max(boxes, space[stage].min_replicas) * setting.price_usd_per_hour, setting)
                    for needed, setting in some
                    if needed <= boxes
                )
                for stage, some in enough.items()
            }
            if all(choices.values()):
                choices = _in_time(choices, paths, bound_ns)
            if all(choices.values()):
                yield _Round(boxes, size, choices)


def _by_boxes(settings: Sequence[Setting], size: int, rate_qps: float, most: int) -> list[tuple[int, Setting]]:
    """Return the hardware of which `most` boxes or fewer are enough: how many, at the largest limit up to `size`."""
    largest = {setting.hardware: setting for setting in settings if setting.max_batch_size <= size}  # limits ascend
    counted = [(replicas_for(rate_qps, setting.throughput_qps), setting) for setting in largest.values()]
    return [(needed, setting) for needed, setting in counted if needed is not None and needed <= most]


def _undominated(choices: Iterable[_Choice]) -> list[_Choice]:
    """Return the choices that no other one beats in both cost and batch time; of equals the first name."""
    kept: list[_Choice] = []
    for choice in sorted(choices, key=lambda one: (one.cost, one.setting.batch_ns, one.setting.hardware)):
        if not kept or choice.setting.batch_ns < kept[-1].setting.batch_ns:
            kept.append(choice)
    return kept


def _in_time(choices: Mapping[str, list[_Choice]], paths: _Paths, bound_ns: int) -> dict[str, list[_Choice]]:
    """Return the choices with which the bound is met if all other stages are at their fastest."""
    fastest = {stage: some[-1].setting.batch_ns for stage, some in choices.items()}
    before, after = paths.before_ns(fastest), paths.after_ns(fastest)
    return {
        stage: [choice for choice in some if before[stage] + choice.setting.batch_ns + after[stage] <= bound_ns]
        for stage, some in choices.items()
    }


def _cheapest_in_time(round_: _Round, paths: _Paths, bound_ns: int, limit: Decimal) -> _Partial | None:
    """Return the cheapest choice of the round whose longest path is within the bound, if it costs no more than a limit.

    Stages are decided one after the other. What is still to be decided sees of a partial choice only its cost and when
    the stages that it feeds can start, so one that another beats in all of that is dropped; so is one that the fastest
    choices cannot bring within the bound, or the cheapest within the limit. A start so early that even the slowest
    choices meet the bound is as good as any other such, and counts as the latest of them: where time is no matter, one
    partial choice is left. The work grows with the stages that are open at a time (one in a chain), not with all.
    """
    choices = round_.choices
    slowest_after = paths.after_ns({stage: some[0].setting.batch_ns for stage, some in choices.items()})
    fastest = {stage: some[-1].setting.batch_ns for stage, some in choices.items()}
    fastest_before, fastest_after = paths.before_ns(fastest), paths.after_ns(fastest)
    harmless = {
        stage: max(fastest_before[stage], bound_ns - some[0].setting.batch_ns - slowest_after[stage])
        for stage, some in choices.items()
    }
    opened: tuple[str, ...] = ()
    partials, left = [_Partial(Decimal(0), (), ())], round_.least
    for stage in paths.order:
        left -= choices[stage][0].cost
        following = tuple(name for name in dict.fromkeys((*opened, *paths.after[stage])) if name != stage)
        reached = []
        for partial in partials:
            starts = harmless | dict(zip(opened, partial.start_ns, strict=True))
            for choice in choices[stage]:
                cost, end_ns = partial.cost + choice.cost, starts[stage] + choice.setting.batch_ns
                if end_ns + fastest_after[stage] > bound_ns or cost + left > limit:
                    continue
                fed = {name: max(starts[name], end_ns + delay) for name, delay in paths.after[stage].items()}
                start_ns = tuple(fed.get(name, starts[name]) for name in following)
                reached.append(_Partial(cost, start_ns, (*partial.settings, choice.setting)))
        opened, partials = following, _unbeaten(reached)
    return partials[0] if partials else None


def _unbeaten(partials: Sequence[_Partial]) -> list[_Partial]:
    """Return the partial choices that no other one beats in cost and every start, by ascending cost; of equals one."""
    kept: list[_Partial] = []
    starts_ns = np.empty((len(partials), len(partials[0].start_ns) if partials else 0), dtype=np.int64)
    for partial in sorted(partials, key=lambda one: (one.cost, one.start_ns)):
        if not (starts_ns[: len(kept)] <= partial.start_ns).all(axis=1).any():
            starts_ns[len(kept)] = partial.start_ns
            kept.append(partial)
    return kept
