"""Traffic that is drawn from a law."""

from pipesim.model.traffic.laws import ConstantLaw, GammaLaw, Law, MmppLaw, OnOffLaw, PoissonLaw, WeibullLaw
from pipesim.model.traffic.scaling import ScaledTraffic


class GeneratedTraffic(ScaledTraffic):
    """Base of the traffic that is drawn from a law."""

    @property
    def law(self) -> Law:
        """Return the law, whatever its name."""
        raise NotImplementedError


class PoissonTraffic(GeneratedTraffic):
    """Traffic drawn from a Poisson process."""

    poisson: PoissonLaw

    @property
    def law(self) -> Law:
        """Return the law."""
        return self.poisson


class GammaTraffic(GeneratedTraffic):
    """Traffic drawn from a gamma renewal process."""

    gamma: GammaLaw

    @property
    def law(self) -> Law:
        """Return the law."""
        return self.gamma


class WeibullTraffic(GeneratedTraffic):
    """Traffic drawn from a Weibull renewal process."""

    weibull: WeibullLaw

    @property
    def law(self) -> Law:
        """Return the law."""
        return self.weibull


class ConstantTraffic(GeneratedTraffic):
    """Traffic at even gaps."""

    constant: ConstantLaw

    @property
    def law(self) -> Law:
        """Return the law."""
        return self.constant


class MmppTraffic(GeneratedTraffic):
    """Traffic drawn from a Markov-modulated Poisson process."""

    mmpp: MmppLaw

    @property
    def law(self) -> Law:
        """Return the law."""
        return self.mmpp


class OnOffTraffic(GeneratedTraffic):
    """Traffic drawn from a source that is on and off in turn."""

    on_off: OnOffLaw

    @property
    def law(self) -> Law:
        """Return the law."""
        return self.on_off
