"""The search for a law: theory proposes, simulation corrects."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from pipesim.errors import invalid
from pipesim.model.fields import MAX_QPS, MIN_QPS
from pipesim.model.traffic import GeneratedTraffic
from pipesim.model.traffic.laws import GapFamily
from pipesim.model.traffic.recipe import Recipe
from pipesim.model.validation import validated_fields
from pipesim.streams import check_seed
from pipesim.traces.arrivals import ArrivalTrace
from pipesim.traces.dispersion import Floats
from pipesim.traces.fit.attributes import attribute_documents
from pipesim.traces.fit.document import law_document
from pipesim.traces.fit.explain import SCVS, Explanation, Question, candidates, explain, plain, scvs, strangeness
from pipesim.traces.fit.measure import Windows, measured, replicas_of
from pipesim.traces.fit.result import Fit
from pipesim.traces.fit.slow import SlowRate, bin_width_ns
from pipesim.traces.fit.ties import Ties, ties_of
from pipesim.traces.statistics import peak_count
from pipesim.units import NS_PER_S, format_duration

LEAST_QUERIES = 100
MOST_BURSTS = 16
MOST_REPLICAS = 1_000
_MOST_BINS = 10_000
_LEAST_WINDOWS = 3
_SILENCE = 0.01
_BURST_SHARES = (0.2, 0.5, 0.05)
_FIRST_SHARE = 0.2
_ENVELOPE_S = (1, 10, 60)
_ROUNDS, _LAST_ROUNDS = 3, 5
_GOOD = 0.08
_PER_BURST, _PER_FINER = 0.01, 0.02
_ACCEPTED = 0.1
_FINER, _MOST_FINE_BINS, _TICKS_PER_BIN = 12, 1_500, 10
_STANDARD_ERROR, _MOST_DRAWS = 0.02, 100
_ENOUGH_QUERIES, _FEWEST_REPLICAS = 4_000_000, 6
_DEVIATIONS = 3.5
_CORRECTIONS = (0.3, 3.0)
_WEIGHT_STEP, _MOST_STEPS = 0.05, 4


def fit(
    trace: ArrivalTrace,
    *,
    max_bursts: int = 5,
    resolution_ns: int | None = None,
    family: GapFamily = "gamma",
    replicas: int = 20,
    seed: int = 0,
) -> Fit:
    """Return a law that has the rate curve of a trace and its index of dispersion in windows of all lengths.

    The law is a curve of bins times bursts (two-state modulations of several time scales), with gamma or Weibull gaps,
    and ticks or batches where queries share instants. Fitted are windows from 0.1 s (shorter where 0.1 s holds more
    than ten queries) to 600 s, or a thirtieth of the trace, if that is less. A renewal process alone, whatever the
    variability of its gaps, has no bursts that last.

    1. If the trace cannot be told from a Poisson process of constant rate (no window's index is 3.5 standard deviations
       from that of replicas), it is one.
    2. Else :func:`~pipesim.traces.fit.explain.candidates` proposes laws by theory.
    3. Each is drawn some twenty times, always with the same luck; what simulation finds over what theory says corrects
       the theory, and the law is solved for anew. This is done three times; the best of all is kept, by its largest
       error, and fewer bursts where errors are small.
    4. If the largest error is above 10 %, the trace may be too short to say more: if it cannot be told from a renewal
       process of constant rate, it is one. Else a curve of bins a twelfth as wide is tried, which has long bursts where
       they were.
    5. The share of time that bursts take is that of a few with which peaks in 1, 10 and 60 s are most like the trace's.

    Parameters
    ----------
    trace
        At least 100 queries.
    max_bursts
        The most modulations, 0 to 16.
    resolution_ns
        The width of the curve's bins; when not given, a round one near a sixtieth of the trace, at most 10 minutes.
    family
        Of the gaps.
    replicas
        How many traces are drawn to measure a law, at most; fewer, but 6, if they would hold more than
        four million queries together.
    seed
        Of all that is drawn.

    Raises
    ------
    InvalidInputError
        If the trace is too short or an option is not allowed.
    """
    _check(trace, max_bursts, resolution_ns, family, replicas, seed)
    whole, trace = trace, _without_silence(trace)
    windows = Windows.of(trace)
    if sum(windows.fitted) < _LEAST_WINDOWS:
        raise invalid("trace", f"{trace.duration_s:g} s", "is too short a span to fit", "use a longer trace")
    observed, ties = windows.dispersion(trace), ties_of(trace.times_ns)
    fitted = np.array(windows.fitted) & ~ties.resonant(windows.seconds)
    width_ns = resolution_ns or bin_width_ns(trace.duration_s, len(trace))
    question = _question(trace, windows.seconds[fitted], observed[fitted], width_ns, ties)
    count = min(replicas, max(_FEWEST_REPLICAS, _ENOUGH_QUERIES // len(trace)))
    search = _Search(question, windows, observed, fitted, trace, family, count, seed)
    chosen = search.unrefuted(1.0)
    if chosen is None:
        found = search.best(max_bursts)
        if found.worst > _ACCEPTED:
            chosen = search.unrefuted(search.likeliest_scv())
    is_plain = chosen is not None
    if chosen is None:
        finer_ns = width_ns // _FINER
        possible = finer_ns >= _TICKS_PER_BIN * (ties.tick_ns or 0) and trace.duration_ns < _MOST_FINE_BINS * finer_ns
        if resolution_ns is None and possible and found.worst > _ACCEPTED:
            finer = _question(trace, windows.seconds[fitted], observed[fitted], finer_ns, ties)
            other = replace(search, question=finer)
            found_finer = other.best(max_bursts)
            if found_finer.score + _PER_FINER < found.score:
                search, found = other, found_finer
        chosen = search.polished(found)
    attributes, left_out = attribute_documents(trace)
    traffic = _traffic(chosen, attributes)
    is_fine = search.question is not question
    silent = trace is not whole
    notes = _notes(search.question, traffic, left_out, is_plain=is_plain, is_fine=is_fine, silent=silent)
    slow = search.question.slow
    return measured(
        trace, traffic, windows, fitted, observed, slow, replicas_of(traffic.law, count, seed, "check"), notes
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """A law that was simulated: its largest error, and the median coefficient of variation of a replica's index."""

    explanation: Explanation
    document: dict[str, Any]
    worst: float
    spread: float
    price: float

    @property
    def score(self) -> float:
        """Return the largest error, as far as it matters, and a price for what is less likely."""
        return max(self.worst, _GOOD) + self.price


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    question: Question
    windows: Windows
    observed: Floats
    fitted: Any
    trace: ArrivalTrace
    family: GapFamily
    replicas: int
    seed: int

    def unrefuted(self, scv: float) -> dict[str, Any] | None:
        """Return a renewal process of constant rate if the trace cannot be told from it, in any window."""
        document = self._document(plain(self.question, scv), _FIRST_SHARE)
        drawn = np.array([self.windows.dispersion(one) for one in self._drawn(document)])
        mean = np.nanmean(drawn, axis=0)
        deviation = np.maximum(np.nanstd(drawn, axis=0, ddof=1), mean * self.windows.relative_errors(self.trace))
        return None if (np.abs(self.observed - mean) > _DEVIATIONS * deviation).any() else document

    def likeliest_scv(self) -> float:
        """Return the variability of gaps with which a renewal process of constant rate is closest to the trace."""
        errors = self.windows.relative_errors(self.trace)[self.fitted]

        def distance(scv: float) -> float:
            return float((((plain(self.question, scv).dispersion / self.question.dispersion - 1) / errors) ** 2).sum())

        return min(scvs(self.question), key=distance)

    def best(self, max_bursts: int) -> "_Tried":
        """Return the law that fits best when it is simulated, of a few that theory proposes."""
        proposed = candidates(self.question, max_bursts)
        return min((self._refined(each, _FIRST_SHARE, _ROUNDS) for each in proposed), key=lambda each: each.score)

    def polished(self, found: "_Tried") -> dict[str, Any]:
        """Return a law with the share of time in bursts that peaks ask for, refined with as many draws as it needs."""
        explanation, share = found.explanation, _FIRST_SHARE
        if explanation.bursts:
            peaks = self._peaks(self.trace)
            errors = []
            for each in _BURST_SHARES:
                drawn = np.mean([self._peaks(one) for one in self._drawn(self._document(explanation, each))], axis=0)
                errors.append(float(np.abs(np.log(np.maximum(drawn, 1) / peaks)).mean()))
            share = _BURST_SHARES[int(np.argmin(errors))]
        needed = int(np.clip((found.spread / _STANDARD_ERROR) ** 2, self.replicas, _MOST_DRAWS))
        affordable = max(self.replicas, _ENOUGH_QUERIES // len(self.trace))
        careful = replace(self, replicas=min(needed, affordable))
        return careful._refined(explanation, share, _LAST_ROUNDS).document

    def _refined(self, start: Explanation, share: float, rounds: int) -> "_Tried":
        """Return the best of a few rounds in which simulation corrects the theory."""
        question, explanation = self.question, start
        times = [time for _, time in start.bursts]
        tried: list[_Tried] = []
        for _ in range(rounds):
            document = self._document(explanation, share)
            drawn = [self.windows.dispersion(one)[self.fitted] for one in self._drawn(document)]
            simulated = np.nanmean(drawn, axis=0)
            errors = np.abs(simulated / question.dispersion - 1)
            spread = float(np.median(np.nanstd(drawn, axis=0) / simulated))
            price = _PER_BURST * len(explanation.bursts) + strangeness(question, explanation.scv)
            tried.append(_Tried(explanation, document, float(errors.max()), spread, price))
            correction = np.clip(simulated / explanation.dispersion, *_CORRECTIONS)
            weights = 1 + np.minimum(errors / _WEIGHT_STEP, _MOST_STEPS) / 2
            explanation = explain(question, start.scv, times, correction, weights)
        return min(tried, key=lambda each: each.score)

    def _document(self, explanation: Explanation, share: float) -> dict[str, Any]:
        return law_document(self.question, explanation, self.trace.duration_ns, self.family, share)

    def _drawn(self, document: dict[str, Any]) -> Iterable[ArrivalTrace]:
        return replicas_of(_traffic(document, {}).law, self.replicas, self.seed, "search")

    def _peaks(self, trace: ArrivalTrace) -> Floats:
        return np.array([peak_count(trace, seconds * NS_PER_S) for seconds in _ENVELOPE_S], dtype=np.float64)


def _without_silence(trace: ArrivalTrace) -> ArrivalTrace:
    """Return the trace from its first query to its last, if it has much time before or after them."""
    first_ns, last_ns = int(trace.times_ns[0]), int(trace.times_ns[-1])
    if max(first_ns, trace.duration_ns - last_ns) <= _SILENCE * trace.duration_ns:
        return trace
    epoch_ns = trace.epoch_ns + first_ns if trace.epoch_ns else 0
    return ArrivalTrace(trace.times_ns - first_ns, last_ns - first_ns, epoch_ns, trace.attributes, trace.inputs)


def _question(trace: ArrivalTrace, windows_s: Floats, observed: Floats, width_ns: int, ties: Ties) -> Question:
    slow = SlowRate.of(trace, width_ns)
    span_s = int(trace.times_ns[-1] - trace.times_ns[0]) / NS_PER_S
    dispersion = np.maximum(observed, SCVS[0])
    return Question(windows_s, dispersion, span_s, slow.stretched_gap_scv(trace), slow, ties)


def _check(
    trace: ArrivalTrace, max_bursts: int, resolution_ns: int | None, family: str, replicas: int, seed: int
) -> None:
    check_seed(seed)
    if not 0 <= max_bursts <= MOST_BURSTS:
        raise invalid("max_bursts", max_bursts, "is not allowed", f"use 0 to {MOST_BURSTS}")
    if not 2 <= replicas <= MOST_REPLICAS:
        raise invalid("replicas", replicas, "is not allowed", f"use 2 to {MOST_REPLICAS}")
    if family not in get_args(GapFamily):
        raise invalid("family", family, "is not a family of gaps", f"use one of {', '.join(get_args(GapFamily))}")
    if len(trace) < LEAST_QUERIES:
        raise invalid("trace", len(trace), "queries are too few to fit", f"use at least {LEAST_QUERIES}")
    if trace.times_ns[0] == trace.times_ns[-1]:
        raise invalid("trace", 0, "s is its span: all queries arrive at once", "use a trace that takes time")
    if not MIN_QPS <= trace.mean_rate_qps <= MAX_QPS:
        rate = f"{trace.mean_rate_qps:.3g}"
        raise invalid("trace", rate, "queries a second cannot be drawn", f"scale time to {MIN_QPS:g} to {MAX_QPS:g}")
    if resolution_ns is not None and not 0 < resolution_ns <= trace.duration_ns:
        shown = f"use up to {format_duration(trace.duration_ns)}, the trace's length"
        raise invalid("resolution", resolution_ns / NS_PER_S, "s is not allowed", shown)
    if resolution_ns is not None and trace.duration_ns > _MOST_BINS * resolution_ns:
        least = format_duration(-(-trace.duration_ns // _MOST_BINS))
        raise invalid("resolution", format_duration(resolution_ns), "gives too many bins", f"use at least {least}")


def _traffic(document: dict[str, Any], attributes: dict[str, Any]) -> GeneratedTraffic:
    fields = document | ({"attributes": attributes} if attributes else {})
    return validated_fields(Recipe, "recipe", {"traffic": fields}).traffic


def _notes(
    question: Question, traffic: GeneratedTraffic, left_out: list[str], *, is_plain: bool, is_fine: bool, silent: bool
) -> tuple[str, ...]:
    """Return what was assumed."""
    ties, longest = question.ties, format_duration(question.windows_s[-1] * NS_PER_S)
    notes = []
    if is_plain:
        process = "Poisson" if traffic.law.gap_scv == 1 else "renewal"
        notes.append(f"The trace cannot be told from a {process} process of constant rate, so it is taken as one.")
    elif traffic.law.curve is not None:
        width = format_duration(question.slow.width_ns)
        notes.append(
            f"The rate curve of {width} bins is taken as it was, less the variation that gaps and bursts make anyway: "
            "every draw has the same slow course, and another luck on it."
        )
    if is_fine:
        notes.append(
            "Its bins are narrow, as random bursts alone were more than 10 % off: bursts that are longer than a bin "
            "come in every draw where they came in the trace."
        )
    if silent:
        notes.append("The time before the first query and after the last is left out.")
    if traffic.law.bursts:
        notes.append("Bursts come and go at random and do not depend on one another.")
    notes.append(f"Windows longer than {longest} were not fitted; the curve and what was fitted say how they are.")
    if ties.tick_ns is not None:
        tick = format_duration(ties.tick_ns)
        notes.append(f"The clock of the trace ticks every {tick}; the law is rounded down to it, as the trace is.")
        if not ties.tick_is_exact:
            notes.append("That clock jitters: windows of one to three ticks see it, and were not fitted.")
    if ties.batch_mean > 1:
        notes.append(f"An arrival brings {ties.batch_mean:.3g} queries on average, independent of all else.")
    if traffic.attributes:
        notes.append("Attributes are drawn independently of each other and of time.")
    if left_out:
        names = ", ".join(left_out)
        notes.append(f"Attributes that are not in it, as they have too many values or cannot be written: {names}.")
    return tuple(notes)
