"""Counts per bin less what chance makes of them: the rates with which a law draws counts as scattered as these."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pipesim.traces.dispersion import Floats, gap_dispersion

_MOST_CHANCE = 9.0
_FEWEST_FOR_A_PARABOLA = 4
_NO_COUNT = 1e-12


def expected_counts(counts: Floats, known: npt.NDArray[np.bool_], scv: float) -> Floats:
    """Return what bins expect, so that gaps of this variability scatter about it as much as the counts do already.

    Bins are summed by twos, fours, eights, … Then, from the whole down to the bins, each block is split into its
    halves: as parabolas through the blocks around it foresee, and as far from that as the counts are, less chance. What
    chance adds to the square of such a difference is known (:func:`gap_dispersion`); as much is taken from the squares
    of each scale together. So draws have at each scale the variance that the counts have, and with it their index of
    dispersion, while no block moves to another time: the sum over all bins stays, and none falls below 0.

    A block loses at most so many times what chance adds to it, the same for all blocks of a scale, and at most nine
    times: what is beyond three standard deviations, such as a crowd that comes within a bin, is no chance.

    Blocks whose halves are foreseen by parabolas of averages: Donoho, "Smooth wavelet decompositions with blocky
    coefficient kernels", 1993. Differences shrunk by a variance that follows their sum: Fryzlewicz & Nason, "A
    Haar-Fisz algorithm for Poisson intensity estimation", Journal of Computational and Graphical Statistics 2004; they
    seek the rates that are most likely, which would have too little variance on the scales where both are mixed. (The
    octaves of a cosine transform, as :mod:`pipesim.traces.fit` has them, would bend the ends of a series that rises or
    falls there, and ring around a crowd.) The theory is that of gamma gaps; counts of very variable Weibull gaps, of
    scv 30 with 300 in a bin, scatter a tenth less.

    Parameters
    ----------
    counts
        Shape ``(bins,)``, at least 0; where a count is not known, what is taken for it.
    known
        Shape ``(bins,)``: where it is; elsewhere chance has added nothing yet.
    scv
        Squared coefficient of variation of the gaps, above 0.

    Returns
    -------
    Floats
        Shape ``(bins,)``.
    """
    scales = [np.stack([counts, known, np.ones(counts.size)])]  # counts, known bins and all bins of blocks
    while scales[-1].shape[1] > 1:
        scales.append(np.add.reduceat(scales[-1], np.arange(0, scales[-1].shape[1], 2), axis=1))
    expected: Floats = scales[-1][0]
    for whole, halves in pairwise(reversed(scales)):
        expected = _split(expected, whole, halves, scv)
    return expected


def _split(expected: Floats, whole: Floats, halves: Floats, scv: float) -> Floats:
    """Return what halves of blocks expect; a last block without a second half stays.

    The variance of the difference of two halves with h queries each is 4 V(h) − V(2 h), if V is that of the count in a
    window; that of one half, about its share of the block, is a quarter of it.
    """
    pairs = halves.shape[1] // 2
    first, second = halves[2, : 2 * pairs : 2], halves[2, 1::2]
    (counts, known, bins), both = whole[:, :pairs], expected[:pairs]
    leverage = first * second / bins**2
    foreseen = -_slopes(expected, whole[2])[:pairs] * first * second / 2
    found = halves[0, : 2 * pairs : 2] - counts * first / bins
    chance = leverage * both * (2 * _dispersion(scv, both / 2) - _dispersion(scv, both))
    kept = _without_chance(found - foreseen, np.maximum(chance, 0), known / bins)
    split = np.repeat(expected, 2)[: halves.shape[1]]
    split[: 2 * pairs : 2] = np.clip(both * first / bins + foreseen + kept, 0, both)
    split[1::2] = both - split[: 2 * pairs : 2]
    return split


def _slopes(expected: Floats, bins: Floats) -> Floats:
    """Return by how much the count of a bin grows from bin to bin in the middle of each block; 0 among a few blocks."""
    if bins.size < _FEWEST_FOR_A_PARABOLA:
        return np.zeros(bins.size)
    return np.asarray(np.gradient(expected / bins, np.cumsum(bins) - bins / 2, edge_order=2))


def _dispersion(scv: float, counts: Floats) -> Floats:
    return gap_dispersion(scv, np.maximum(counts, _NO_COUNT))


def _without_chance(differences: Floats, chance: Floats, known: Floats) -> Floats:
    """Return differences whose squares together lose what chance adds, each at most λ times what it adds to it.

    What is lost grows with λ in straight lines from one ratio of a square to its chance to the next.
    """
    may = chance > 0
    ratios = differences[may] ** 2 / chance[may]
    order = np.argsort(ratios)
    ratios, adds = ratios[order], chance[may][order]
    lost = np.cumsum(ratios * adds) + ratios * (adds.sum() - np.cumsum(adds))
    most = np.interp(chance @ known, [0.0, *lost], [0.0, *ratios], right=_MOST_CHANCE)
    left = np.maximum(differences**2 - min(float(most), _MOST_CHANCE) * chance, 0)
    return np.asarray(np.sign(differences) * np.sqrt(left))
