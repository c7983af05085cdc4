"""What every kind of traffic may say beside where its arrivals come from: a load, and attributes to draw."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from pipesim.errors import invalid
from pipesim.model.fields import Model, Name, Qps, sequence
from pipesim.model.traffic.attributes import DrawnAttribute
from pipesim.model.transforms import Transform

Load = Annotated[float, Field(gt=0, le=1e6)]


class ScaledTraffic(Model):
    """Base of all traffic: the load, and the attributes to draw."""

    transform: Annotated[tuple[Transform, ...], BeforeValidator(sequence), Field(max_length=100)] = ()
    """Transforms, applied in order, before all that follows."""
    load: Load | None = None
    """Compress time by this factor: twice the rate, the burst structure kept, the trace half as long."""
    compress_to_qps: Qps | None = None
    """Compress (or stretch) time so that the mean rate becomes this."""
    thin: Annotated[float, Field(gt=0, le=1)] | None = None
    """Keep each query with this probability: a lower rate, and bursts diluted."""
    attributes: dict[Name, DrawnAttribute] = {}
    """Attributes of queries to draw, such as a class or a size."""

    @property
    def is_changed(self) -> bool:
        """Return whether anything but the source is said: a transform, a load, thinning, or attributes to draw."""
        scaled = any(value is not None for value in (self.load, self.compress_to_qps, self.thin))
        return scaled or bool(self.transform or self.attributes)

    @model_validator(mode="after")
    def _has_one_load(self) -> Self:
        if self.load is not None and self.compress_to_qps is not None:
            raise invalid("load", self.load, "contradicts compress_to_qps", "keep one of them")
        return self
