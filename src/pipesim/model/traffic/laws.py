"""The laws that generated arrivals obey: a mean rate or a curve of it, bursts, and gaps or batches."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from pipesim.errors import InvalidInputError, invalid
from pipesim.limits import LIMITS
from pipesim.model.fields import MAX_SCV, MIN_QPS, Listed, Model, PositiveDuration, Qps, Scv, Share, sequence
from pipesim.model.traffic.curves import Curve, Rate, RateCurve
from pipesim.model.traffic.modulation import Burst, Modulation, Periods
from pipesim.units import MAX_DURATION_NS, NS_PER_S

MAX_QUERIES = LIMITS.queries
"""The most queries that a trace may hold in memory: 50 million."""
MAX_QUERIES_IN_PIECES = 10_000_000_000
"""The most queries that may be generated and simulated piece by piece."""
MAX_SWITCHES = 100_000_000
"""The most changes of state that the bursts of generated traffic may have."""
MAX_STATES = 100
_S_PER_DAY = 86_400
_MAX_DAYS = MAX_DURATION_NS // (NS_PER_S * _S_PER_DAY)

GapFamily = Literal["gamma", "weibull"]
"""Gamma with an scv of 1 is exponential, with 0 constant."""


def check_length(rate_qps: float, duration_s: float | None, queries: int | None) -> None:
    """Check where generated traffic ends, given by its duration or its number of queries.

    Raises
    ------
    InvalidInputError
        If not exactly one of them is given, or there are too many queries, or they last longer than 400 days.
    """
    if (duration_s is None) == (queries is None):
        found = "neither" if queries is None else "both"
        raise InvalidInputError(f"{found} of duration and queries is given; give exactly one of them")
    expected = duration_s * rate_qps if duration_s is not None else queries or 0
    if not 0 <= expected <= MAX_QUERIES_IN_PIECES:
        raise InvalidInputError(
            f"{expected:.0f} queries are not allowed; use 0 to {MAX_QUERIES_IN_PIECES}: change the rate or the length"
        )
    days = expected / rate_qps / _S_PER_DAY
    if days > _MAX_DAYS:
        raise InvalidInputError(
            f"{expected:.0f} queries at {rate_qps:g} a second would last {days:,.0f} days; use at most {_MAX_DAYS} days"
        )


class Batch(Model):
    """Arrivals that bring several queries at one instant."""

    mean: Annotated[float, Field(ge=1, le=1e6)]
    """Queries that an arrival brings, on average."""
    sizes: Literal["fixed", "geometric"] = "geometric"

    @model_validator(mode="after")
    def _fixed_is_whole(self) -> Self:
        if self.sizes == "fixed" and self.mean != int(self.mean):
            raise invalid("mean", self.mean, "is not a whole number", "use one, or geometric sizes")
        return self


class Law(Model):
    """What all laws share: how many arrive, for how long, how they come in bursts and batches.

    The rate at a time is the mean rate, or the curve there, times the level of every modulation. Gaps are drawn with
    mean 1 and stretched by that rate (a change of time), so a curve keeps its shape whatever the law of the gaps.
    """

    rate_qps: Qps | None = None
    """Mean queries per second."""
    curve: Curve | None = None
    """The rate as a function of time, instead."""
    duration_ns: PositiveDuration | None = Field(None, alias="duration")
    """How long the traffic lasts; of a curve, when not given, as long as the curve."""
    queries: Annotated[int, Field(ge=0, le=MAX_QUERIES_IN_PIECES)] | None = None
    """How many queries there are, instead."""
    bursts: Annotated[tuple[Burst, ...], BeforeValidator(sequence), Field(max_length=16)] = ()
    """Bursts, each on a time scale of its own."""
    batch: Batch | None = None
    """Queries that arrive together."""
    tick_ns: PositiveDuration | None = Field(None, alias="tick")
    """Times are rounded down to whole ticks of this length, as a log with coarse time stamps has them."""

    family: ClassVar[GapFamily] = "gamma"

    @property
    def gap_scv(self) -> float:
        """Return the squared coefficient of variation of the gaps at a constant rate."""
        return 1.0

    @property
    def own_modulation(self) -> Modulation | None:
        """Return the modulation that the law itself is made of, if it is."""
        return None

    @property
    def own_rate_qps(self) -> float | None:
        """Return the mean rate that follows from the law's own levels, if they are rates."""
        return None

    @model_validator(mode="after")
    def _has_a_rate_and_an_end(self) -> Self:
        given = [name for name in ("rate_qps", "curve") if getattr(self, name) is not None]
        if len(given) == 2 or (not given and self.own_rate_qps is None):
            found = "both" if given else "neither"
            raise InvalidInputError(f"{found} of rate_qps and curve is given; give exactly one of them")
        if self.curve is not None and self.queries is not None:
            raise invalid("queries", self.queries, "cannot be given with a curve", "give a duration")
        if self.curve is not None and not self.mean_rate_qps:
            raise invalid("duration", self.length_s, "s ends before the curve rises above 0", "use a longer duration")
        if self.mean_rate_qps < MIN_QPS:
            field = next(name for name in ("curve", "rates_qps") if getattr(self, name, None) is not None)
            raise invalid(field, self.mean_rate_qps, "is its mean rate", f"use at least {MIN_QPS:g} queries a second")
        if self.batch is not None and self.mean_rate_qps / self.batch.mean < MIN_QPS:
            rule = f"makes arrivals rarer than {MIN_QPS:g} a second"
            raise invalid("batch.mean", self.batch.mean, rule, f"use at most {self.mean_rate_qps / MIN_QPS:g}")
        check_length(self.mean_rate_qps, self.duration_s, self.queries)
        switches = sum(m.switches_per_ns for m in self.modulations) * self.length_s * NS_PER_S
        if switches > MAX_SWITCHES:
            raise InvalidInputError(
                f"the rate would change {switches:.3g} times; use at most {MAX_SWITCHES:,}: make bursts longer"
            )
        return self

    @cached_property
    def rate_curve(self) -> RateCurve | None:
        """Return the curve of the rate over the whole duration; None if the rate is constant."""
        return None if self.curve is None else self.curve.over(self.curve_end_ns)

    @property
    def curve_end_ns(self) -> int:
        """Return where a curve ends: the duration if it is given, else the length of the curve."""
        assert self.curve is not None
        return self.duration_ns if self.duration_ns is not None else self.curve.length_ns

    @property
    def modulations(self) -> tuple[Modulation, ...]:
        """Return all that multiplies the rate."""
        own = () if self.own_modulation is None else (self.own_modulation,)
        return (*own, *(burst.modulation for burst in self.bursts))

    @cached_property
    def mean_rate_qps(self) -> float:
        """Return the mean rate in queries per second."""
        if self.rate_qps is not None:
            return self.rate_qps
        if self.rate_curve is not None:
            return self.rate_curve.mean_qps(self.curve_end_ns)
        assert self.own_rate_qps is not None
        return self.own_rate_qps

    @property
    def duration_s(self) -> float | None:
        """Return the duration in seconds; None if the number of queries is given."""
        if self.curve is not None:
            return self.curve_end_ns / NS_PER_S
        return None if self.duration_ns is None else self.duration_ns / NS_PER_S

    @property
    def length_s(self) -> float:
        """Return how long the traffic lasts, on average."""
        return self.expected_queries / self.mean_rate_qps if self.duration_s is None else self.duration_s

    @property
    def expected_queries(self) -> float:
        """Return how many queries there are, on average."""
        return self.queries if self.queries is not None else self.mean_rate_qps * (self.duration_s or 0)


class PoissonLaw(Law):
    """Poisson arrivals: exponential gaps."""


class ConstantLaw(Law):
    """A metronome: gaps of one length."""

    @property
    def gap_scv(self) -> float:
        """Return 0."""
        return 0.0


class GammaLaw(Law):
    """A renewal process with gamma gaps of a given variability."""

    scv: Scv | None = None
    """Squared coefficient of variation of the gaps; what the InferLine paper calls CV."""
    cv: Annotated[float, Field(gt=0, le=MAX_SCV**0.5)] | None = None
    """Coefficient of variation of the gaps: the square root of `scv`."""

    @model_validator(mode="after")
    def _has_one_variability(self) -> Self:
        if (self.scv is None) == (self.cv is None):
            found = "neither" if self.cv is None else "both"
            raise InvalidInputError(f"{found} of scv and cv is given; give one (scv is the square of cv)")
        return self

    @property
    def gap_scv(self) -> float:
        """Return the squared coefficient of variation of the gaps, however it was given."""
        if self.scv is not None:
            return self.scv
        assert self.cv is not None
        return self.cv**2


class WeibullLaw(GammaLaw):
    """A renewal process with Weibull gaps of a given variability."""

    family: ClassVar[GapFamily] = "weibull"


class MmppLaw(Law):
    """A Markov-modulated Poisson process: Poisson arrivals whose rate depends on the state of a Markov chain."""

    rates_qps: Annotated[Listed[Rate], Field(min_length=2, max_length=MAX_STATES)]
    """The rate in each state; relative to each other, if `rate_qps` or `curve` gives the mean."""
    sojourns: Annotated[Listed[PositiveDuration], Field(min_length=2, max_length=MAX_STATES)]
    """How long each state lasts, on average."""
    transitions: (
        Annotated[Listed[Annotated[tuple[Share, ...], BeforeValidator(sequence)]], Field(max_length=MAX_STATES)] | None
    ) = None
    """The probabilities of each next state, a row for each state; without it all others are as likely."""

    @field_validator("sojourns")
    @classmethod
    def _one_for_each_rate(cls, sojourns: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        states = len(info.data.get("rates_qps", sojourns))
        if len(sojourns) != states:
            raise invalid("", len(sojourns), "is how many there are", f"give {states}, one for each of rates_qps")
        if "rates_qps" in info.data and not any(info.data["rates_qps"]):
            raise InvalidInputError("cannot help: all rates_qps are 0; use a rate above 0 somewhere")
        return sojourns

    @field_validator("transitions")
    @classmethod
    def _is_a_chain(
        cls, rows: tuple[tuple[float, ...], ...] | None, info: ValidationInfo
    ) -> tuple[tuple[float, ...], ...] | None:
        states = len(info.data.get("rates_qps", rows or ()))
        if rows is None:
            return None
        if len(rows) != states:
            raise invalid("", len(rows), "is how many rows there are", f"give {states}, one for each of rates_qps")
        for index, row in enumerate(rows):
            if len(row) != states or abs(sum(row) - 1) > 1e-9 or row[index]:
                remedy = f"give {states} probabilities that add up to 1, its own 0"
                raise invalid(str(index), list(row), "is not a row of the chain", remedy)
        reached = np.linalg.matrix_power(np.array(rows) + np.eye(states) > 0, states)
        if not reached.all():
            state = int(np.argwhere(~reached)[0, 0])
            raise invalid(str(state), list(rows[state]), "leads not to all states", "connect them, or leave some out")
        return rows

    @property
    def own_modulation(self) -> Modulation:
        """Return the chain."""
        return self._chain_and_mean[0]

    @property
    def own_rate_qps(self) -> float:
        """Return the mean of the rates over time."""
        return self._chain_and_mean[1]

    @property
    def _chain_and_mean(self) -> tuple[Modulation, float]:
        return Modulation.of(self.rates_qps, tuple(map(float, self.sojourns)), self.transitions)


class OnOffLaw(Law):
    """A source that is on and off in turn: a mean rate that comes in on-periods."""

    on: PositiveDuration
    """How long it is on, on average."""
    off: PositiveDuration
    """How long it is off, on average."""
    off_level: Annotated[Share, Field(lt=1)] = 0.0
    """The rate while it is off, as a share of that while it is on."""
    periods: Periods = "exponential"
    """The law of the on- and off-periods."""
    pareto_shape: Annotated[float, Field(gt=1, le=100)] = 1.5
    """Of Pareto periods: at most 2 gives bursts on all time scales."""
    scv: Scv = 1.0
    """Squared coefficient of variation of the (gamma) gaps while the rate is constant; 1 is Poisson."""

    @property
    def gap_scv(self) -> float:
        """Return the squared coefficient of variation of the gaps at a constant rate."""
        return self.scv

    @property
    def own_modulation(self) -> Modulation:
        """Return the chain of the two states: off, on."""
        lengths = (float(self.off), float(self.on))
        return Modulation.of((self.off_level, 1.0), lengths, None, self.periods, self.pareto_shape)[0]


LAWS: Mapping[str, type[Law]] = {
    "poisson": PoissonLaw,
    "gamma": GammaLaw,
    "weibull": WeibullLaw,
    "constant": ConstantLaw,
    "mmpp": MmppLaw,
    "on_off": OnOffLaw,
}
"""The fields of ``traffic`` that name a law, and what they hold."""
