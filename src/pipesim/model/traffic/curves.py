"""Rate curves: arrivals per second as a function of time, as a scenario file draws them."""

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, Tag, model_validator

from pipesim.errors import invalid
from pipesim.model.fields import MAX_QPS, Duration, Listed, Model, PositiveDuration, Qps, form_by_key, sequence
from pipesim.units import NS_PER_S, format_duration

MAX_KNOTS = 4_000_000
"""The most corners that a curve may have, its repetitions counted."""
_SINE_KNOTS = 288
_S_PER_DAY = 86_400

Rate = Annotated[float, Field(ge=0, le=MAX_QPS)]
Knot = Annotated[tuple[Duration, Rate], BeforeValidator(sequence)]


def _in_order(knots: tuple[tuple[int, float], ...]) -> tuple[tuple[int, float], ...]:
    times = [time for time, _ in knots]
    if times[0] != 0:
        raise invalid("0", format_duration(times[0]), "is the first time", "begin at 0s")
    for index in range(1, len(times)):
        if times[index] < times[index - 1]:
            shown = format_duration(times[index])
            raise invalid(str(index), shown, "is earlier than the time before it", "sort the list by time")
    if not times[-1]:
        raise invalid(str(len(times) - 1), "0s", "is the last time", "say at which later time the curve ends")
    return knots


Knots = Annotated[Listed[Knot], Field(min_length=2, max_length=MAX_KNOTS), AfterValidator(_in_order)]


@dataclass(frozen=True, slots=True)
class RateCurve:
    """A rate that is linear between knots; two knots of one time are a jump. The last rate holds from the last knot on.

    Parameters
    ----------
    times_ns
        Ascending; the first is 0.
    rates_qps
        The rate at each knot, at least 0.
    """

    times_ns: tuple[int, ...]
    rates_qps: tuple[float, ...]

    @property
    def length_ns(self) -> int:
        """Return the time of the last knot."""
        return self.times_ns[-1]

    def mean_qps(self, duration_ns: int) -> float:
        """Return the mean rate from 0 to `duration_ns`, which must be above 0.

        >>> RateCurve((0, 10, 10, 20), (0.0, 4.0, 1.0, 1.0)).mean_qps(20)
        1.5
        """
        cut = self.until(duration_ns)
        times, rates = cut.times_ns, cut.rates_qps
        return math.fsum(
            (rates[i] + rates[i + 1]) / 2 * (times[i + 1] - times[i]) / duration_ns for i in range(len(times) - 1)
        )

    def until(self, duration_ns: int) -> "RateCurve":
        """Return the curve with its last knot at `duration_ns`: cut there, or drawn on at the last rate."""
        times, rates = self.times_ns, self.rates_qps
        if times[-1] < duration_ns:
            return RateCurve((*times, duration_ns), (*rates, rates[-1]))
        if times[-1] == duration_ns:
            return self
        after = bisect_right(times, duration_ns)
        share = (duration_ns - times[after - 1]) / (times[after] - times[after - 1])
        last = rates[after - 1] + (rates[after] - rates[after - 1]) * share
        return RateCurve((*times[:after], duration_ns), (*rates[:after], last))

    def repeated(self, duration_ns: int) -> "RateCurve":
        """Return the curve again and again until `duration_ns`.

        Raises
        ------
        InvalidInputError
            If it would have too many knots.
        """
        times = -(-duration_ns // self.length_ns)
        if times * len(self.times_ns) > MAX_KNOTS:
            rule = f"with its repetitions has more than {MAX_KNOTS:,} corners"
            raise invalid("curve", format_duration(self.length_ns), rule, "use a longer curve or a shorter duration")
        knots = [
            (start + time, rate)
            for start in range(0, times * self.length_ns, self.length_ns)
            for time, rate in zip(self.times_ns, self.rates_qps, strict=True)
        ]
        return RateCurve(tuple(time for time, _ in knots), tuple(rate for _, rate in knots)).until(duration_ns)


class _Form(Model):
    repeat: bool = False
    """Begin again where the curve ends; without it the last rate holds."""

    def knots(self) -> Iterator[tuple[int, float]]:
        raise NotImplementedError

    @model_validator(mode="after")
    def _is_a_curve(self) -> Self:
        once = self._once
        if not (once.mean_qps(once.length_ns) or (once.rates_qps[-1] and not self.repeat)):
            raise invalid("", 0, "is its rate everywhere", "use a rate above 0 somewhere")
        return self

    @cached_property
    def _once(self) -> RateCurve:
        knots = list(self.knots())
        return RateCurve(tuple(time for time, _ in knots), tuple(rate for _, rate in knots))

    @property
    def length_ns(self) -> int:
        """Return how long the curve is, once."""
        return self._once.length_ns

    def over(self, duration_ns: int) -> RateCurve:
        """Return the curve from 0 to `duration_ns`.

        Raises
        ------
        InvalidInputError
            If it repeats too often.
        """
        once = self._once
        return once.repeated(duration_ns) if self.repeat else once.until(duration_ns)


class Steps(_Form):
    """A rate that jumps: ``[[0s, 50], [10min, 120], [20min, 0]]``; the last time is where the curve ends."""

    steps: Knots

    def knots(self) -> Iterator[tuple[int, float]]:
        """Return the knots of the curve."""
        for (start, rate), (end, _) in zip(self.steps, self.steps[1:], strict=False):
            yield from ((start, rate), (end, rate))
        yield self.steps[-1]


class Points(_Form):
    """A rate that is linear between points: ``[[0s, 50], [10min, 120]]``; two points of one time are a jump."""

    points: Knots

    def knots(self) -> Iterator[tuple[int, float]]:
        """Return the knots of the curve."""
        return iter(self.points)


class BinRates(Model):
    """Rates of consecutive bins of one width."""

    width: PositiveDuration
    rates_qps: Annotated[Listed[Rate], Field(max_length=MAX_KNOTS // 2)]


class Bins(_Form):
    """A rate that is constant in each of many bins."""

    bins: BinRates

    def knots(self) -> Iterator[tuple[int, float]]:
        """Return the knots of the curve."""
        for index, rate in enumerate(self.bins.rates_qps):
            yield from ((index * self.bins.width, rate), ((index + 1) * self.bins.width, rate))


class Sine(Model):
    """A daily swing around a mean."""

    mean_qps: Qps
    peak_qps: Qps
    peak_at: Duration = 14 * 3600 * NS_PER_S
    period: PositiveDuration = _S_PER_DAY * NS_PER_S

    @model_validator(mode="after")
    def _is_a_swing(self) -> Self:
        if not self.mean_qps <= self.peak_qps <= 2 * self.mean_qps:
            remedy = f"use mean_qps to twice mean_qps, {self.mean_qps:g} to {2 * self.mean_qps:g}"
            raise invalid("peak_qps", self.peak_qps, "is not allowed", remedy)
        return self


class Diurnal(_Form):
    """A cosine with its peak at a time of day, again every day; 288 straight lines a period."""

    diurnal: Sine
    repeat: Literal[True] = True

    def knots(self) -> Iterator[tuple[int, float]]:
        """Return the knots of the curve."""
        sine, swing = self.diurnal, self.diurnal.peak_qps - self.diurnal.mean_qps
        for index in range(_SINE_KNOTS + 1):
            time = sine.period * index // _SINE_KNOTS
            angle = 2 * math.pi * ((time - sine.peak_at) % sine.period) / sine.period
            yield time, max(0.0, sine.mean_qps + swing * math.cos(angle))


class RampRates(Model):
    """From one rate to another."""

    from_qps: Rate
    to_qps: Rate
    start: Duration = 0
    length: PositiveDuration


class Ramp(_Form):
    """One rate until a start, then a straight line to another, which stays."""

    ramp: RampRates

    def knots(self) -> Iterator[tuple[int, float]]:
        """Return the knots of the curve."""
        ramp = self.ramp
        yield from ((0, ramp.from_qps), (ramp.start, ramp.from_qps), (ramp.start + ramp.length, ramp.to_qps))


class Crowd(Model):
    """A crowd that comes, stays and goes."""

    base_qps: Rate
    peak_qps: Qps
    start: Duration
    rise: Duration = 0
    hold: PositiveDuration
    fall: Duration = 0


class FlashCrowd(_Form):
    """A base rate with one flash crowd: it rises in a straight line, holds, and falls."""

    flash_crowd: Crowd

    def knots(self) -> Iterator[tuple[int, float]]:
        """Return the knots of the curve."""
        crowd, time = self.flash_crowd, self.flash_crowd.start
        yield from ((0, crowd.base_qps), (time, crowd.base_qps), (time := time + crowd.rise, crowd.peak_qps))
        yield from ((time := time + crowd.hold, crowd.peak_qps), (time + crowd.fall, crowd.base_qps))


class Swing(Model):
    """Between which rates a shape moves, and how long it is."""

    low_qps: Rate
    peak_qps: Qps
    length: PositiveDuration

    @model_validator(mode="after")
    def _has_its_peak_above(self) -> Self:
        if self.peak_qps < self.low_qps:
            raise invalid("peak_qps", self.peak_qps, "is below low_qps", f"use at least {self.low_qps:g}")
        return self


_SHAPES: dict[str, tuple[tuple[float, float], ...]] = {
    "big_spike": ((0, 0.1), (0.45, 0.1), (0.5, 1), (0.55, 0.1), (1, 0)),
    "dual_phase": ((0, 0), (0.45, 0.05), (0.55, 0.95), (1, 1)),
    "slowly_varying": ((0, 0.3), (0.2, 0.75), (0.4, 1), (0.6, 0.7), (0.8, 0.25), (1, 0)),
    "large_variation": (
        *((0, 0.2), (0.1, 0.9), (0.2, 0.3), (0.3, 1), (0.4, 0.1), (0.5, 0.6)),
        *((0.6, 0), (0.7, 0.8), (0.8, 0.15), (0.9, 0.7), (1, 0.25)),
    ),
}
"""Shares of the length, and of the way from the low rate to the peak.

Four of the demand shapes that Gandhi et al., "AutoScale", TOCS 2012, name and InferLine's evaluation uses. The traces
themselves were never published as files: these are lines of the same names and characters, not copies.
"""


class _Shape(_Form):
    def _drawn(self, name: str, swing: Swing) -> Iterator[tuple[int, float]]:
        for time, level in _SHAPES[name]:
            yield round(time * swing.length), swing.low_qps + level * (swing.peak_qps - swing.low_qps)


class BigSpike(_Shape):
    """Low load with one steep peak in the middle."""

    big_spike: Swing

    def knots(self) -> Iterator[tuple[int, float]]:
        """Return the knots of the curve."""
        return self._drawn("big_spike", self.big_spike)


class DualPhase(_Shape):
    """A low phase, then a high one."""

    dual_phase: Swing

    def knots(self) -> Iterator[tuple[int, float]]:
        """Return the knots of the curve."""
        return self._drawn("dual_phase", self.dual_phase)


class SlowlyVarying(_Shape):
    """One slow rise and fall."""

    slowly_varying: Swing

    def knots(self) -> Iterator[tuple[int, float]]:
        """Return the knots of the curve."""
        return self._drawn("slowly_varying", self.slowly_varying)


class LargeVariation(_Shape):
    """Five rises and falls of different height."""

    large_variation: Swing

    def knots(self) -> Iterator[tuple[int, float]]:
        """Return the knots of the curve."""
        return self._drawn("large_variation", self.large_variation)


Curve = Annotated[
    Annotated[Steps, Tag("<steps>")]
    | Annotated[Points, Tag("<points>")]
    | Annotated[Bins, Tag("<bins>")]
    | Annotated[Diurnal, Tag("<diurnal>")]
    | Annotated[Ramp, Tag("<ramp>")]
    | Annotated[FlashCrowd, Tag("<flash_crowd>")]
    | Annotated[BigSpike, Tag("<big_spike>")]
    | Annotated[DualPhase, Tag("<dual_phase>")]
    | Annotated[SlowlyVarying, Tag("<slowly_varying>")]
    | Annotated[LargeVariation, Tag("<large_variation>")],
    form_by_key("steps", "points", "bins", "diurnal", "ramp", "flash_crowd", *_SHAPES),
]
