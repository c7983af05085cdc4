"""The index of dispersion that a law has in theory: of its gaps, and of the bursts that multiply its rate."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.special import comb

Floats = npt.NDArray[np.float64]
Burstiness = tuple[float, float]
"""A two-state modulation: the variance of its level, whose mean is 1, and the time in seconds that it remembers."""

_COUNTS = np.geomspace(1e-3, 1e5, 81)
_EULER_A, _EULER_TERMS, _EULER_MEANS = 18.4, 15, 11


def gap_dispersion(scv: float, counts: Floats) -> Floats:
    """Return the index of dispersion of a renewal process with gamma gaps in windows that hold so many on average.

    It grows (or falls) from 1 in short windows to the scv of the gaps in long ones. With f the Laplace transform of
    gaps of mean 1, the variance of the count in a window of a process that has been running for ever has the transform
    2 f / (s² (1 − f)) + 1 / s² − 2 / s³ (Cox, "Renewal Theory", 1962, section 4.5). It is inverted by the method EULER
    of Abate & Whitt, "Numerical inversion of Laplace transforms of probability distributions", ORSA Journal on
    Computing 1995, for 81 counts from 0.001 to 100,000; values between are interpolated, beyond them stay.

    Parameters
    ----------
    scv
        Squared coefficient of variation of the gaps, above 0.
    counts
        Any shape, float64, above 0: rate times window.

    >>> gap_dispersion(4, np.array([0.001, 10, 1e5])).round(2).tolist()
    [1.25, 3.75, 4.0]
    >>> gap_dispersion(1, np.array([0.3, 30])).round(6).tolist()
    [1.0, 1.0]
    """
    return np.exp(np.interp(np.log(counts), np.log(_COUNTS), _log_dispersion(float(scv))))


@lru_cache(maxsize=256)
def _log_dispersion(scv: float) -> Floats:
    order = np.arange(_EULER_TERMS + _EULER_MEANS + 1)
    s = (_EULER_A + 2j * np.pi * order) / (2 * _COUNTS[:, None])
    exponent = -np.log1p(scv * s) / scv
    transform = 2 * np.exp(exponent) / (s**2 * -np.expm1(exponent)) + 1 / s**2 - 2 / s**3
    terms = np.exp(_EULER_A / 2) / _COUNTS[:, None] * (-1.0) ** order * transform.real
    terms[:, 0] /= 2
    weights = comb(_EULER_MEANS, np.arange(_EULER_MEANS + 1)) / 2.0**_EULER_MEANS
    variance = np.cumsum(terms, axis=1)[:, _EULER_TERMS:] @ weights
    return np.asarray(np.log(np.maximum(variance / _COUNTS, 1e-6)))


def memory(windows_s: Floats, time_s: float) -> Floats:
    """Return ∫∫ exp(−|t − u| / τ) dt du over a window: what a modulation that remembers for τ adds, for variance 1.

    It is 2 τ² (w / τ − 1 + exp(−w / τ)) (Fischer & Meier-Hellstern, "The Markov-modulated Poisson process cookbook",
    Performance Evaluation 1993, for two states).
    """
    ratio = windows_s / time_s
    return np.asarray(2 * time_s**2 * np.where(ratio < 1e-4, ratio**2 / 2, ratio + np.expm1(-ratio)))


def burst_variance(windows_s: Floats, bursts: Sequence[Burstiness]) -> Floats:
    """Return the variance of the integral of independent modulations' product over windows, all of mean 1.

    The covariance of the product is ∏ (1 + s² exp(−u / τ)) − 1: a sum of exponentials, one for each set of modulations.
    """
    total = np.zeros(windows_s.shape)
    for size in range(1, len(bursts) + 1):
        for chosen in combinations(bursts, size):
            strength = float(np.prod([variance for variance, _ in chosen]))
            total += strength * memory(windows_s, 1 / sum(1 / time_s for _, time_s in chosen))
    return total
