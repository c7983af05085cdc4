"""Transforms of recorded or generated arrivals, as a scenario file lists them or a command line names them."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, Tag, model_validator

from pipesim.errors import InvalidInputError, invalid
from pipesim.model.fields import Duration, Model, PositiveDuration, Qps, form_by_key
from pipesim.model.validation import validated_fields
from pipesim.units import NUMBER, format_duration, parse_duration_ns

MAX_COPIES = 100_000
MAX_RATE_FACTOR = 1e6
MAX_BURST_FACTOR = 100.0
MAX_SWING_EXPONENT = 10.0
_NAMES = (
    "slice",
    "compress",
    "compress_to_qps",
    "thin",
    "multiply_rate",
    "superpose",
    "amplify_bursts",
    "amplify_swing",
    "resample_blocks",
    "spread",
)


def _shift(value: object) -> int | str:
    if value == "random":
        return "random"
    try:
        return parse_duration_ns(value)
    except InvalidInputError as error:
        raise InvalidInputError(f"{error.reason}, or random") from None


class TimeSlice(Model):
    """From when to before when."""

    start_ns: Duration = Field(0, alias="start")
    end_ns: PositiveDuration | None = Field(None, alias="end")
    """Without it, the part lasts to the end of the trace."""

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.end_ns is not None and self.start_ns >= self.end_ns:
            remedy = f"start before the end, {format_duration(self.end_ns)}"
            raise invalid("start", format_duration(self.start_ns), "is not allowed", remedy)
        return self


class Copies(Model):
    """How many copies of a trace, and how they are shifted against each other."""

    copies: Annotated[int, Field(ge=1, le=MAX_COPIES)]
    shift_ns: Annotated[
        int | Literal["random"],
        BeforeValidator(_shift, json_schema_input_type=str),
    ] = Field("random", alias="shift")
    """How much later each copy is than the one before it, round a circle; or ``random``."""


class BurstFactor(Model):
    """How much stronger bursts become, and what is too slow to be one."""

    factor: Annotated[float, Field(ge=0, le=MAX_BURST_FACTOR)]
    window_ns: PositiveDuration = Field(alias="window")


class SwingExponent(Model):
    """The power to which the slow rate is raised, and what is slow."""

    exponent: Annotated[float, Field(ge=0, le=MAX_SWING_EXPONENT)]
    window_ns: PositiveDuration = Field(alias="window")


class Tick(Model):
    """What an instant of a coarse clock stands for, and how its arrivals are spread over that."""

    window_ns: PositiveDuration = Field(alias="window")
    how: Literal["uniformly", "evenly"] = "uniformly"


class Blocks(Model):
    """How long a block of the trace is."""

    length_ns: PositiveDuration = Field(alias="length")


class Slice(Model):
    """A part of the trace, its times counted from its start."""

    slice: TimeSlice


class Compress(Model):
    """Time divided by a factor: the rate times the factor, the burst structure kept, the trace shorter."""

    compress: Annotated[float, Field(gt=0, le=1e6)]


class CompressToRate(Model):
    """Time compressed or stretched so that the mean rate becomes this."""

    compress_to_qps: Qps


class Thin(Model):
    """Each query kept with this probability."""

    thin: Annotated[float, Field(gt=0, le=1)]


class MultiplyRate(Model):
    """The rate multiplied at every time, by leaving out queries or by copies of them nearby."""

    multiply_rate: Annotated[float, Field(gt=0, le=MAX_RATE_FACTOR)]


class Superpose(Model):
    """More users: copies of the trace, shifted and merged."""

    superpose: Copies


class AmplifyBursts(Model):
    """The rate's deviation from its moving average multiplied."""

    amplify_bursts: BurstFactor


class AmplifySwing(Model):
    """The moving average of the rate raised to a power, at the same mean."""

    amplify_swing: SwingExponent


class ResampleBlocks(Model):
    """Blocks of the trace, drawn with replacement."""

    resample_blocks: Blocks


class Spread(Model):
    """Simultaneous arrivals of a coarse clock spread over its tick: an assumption."""

    spread: Tick


Transform = Annotated[
    Annotated[Slice, Tag("<slice>")]
    | Annotated[Compress, Tag("<compress>")]
    | Annotated[CompressToRate, Tag("<compress_to_qps>")]
    | Annotated[Thin, Tag("<thin>")]
    | Annotated[MultiplyRate, Tag("<multiply_rate>")]
    | Annotated[Superpose, Tag("<superpose>")]
    | Annotated[AmplifyBursts, Tag("<amplify_bursts>")]
    | Annotated[AmplifySwing, Tag("<amplify_swing>")]
    | Annotated[ResampleBlocks, Tag("<resample_blocks>")]
    | Annotated[Spread, Tag("<spread>")],
    form_by_key(*_NAMES),
]


class _Named(Model):
    transform: Transform


_SHAPES = {
    "slice": (r"(?P<start>.*?)\.\.(?P<end>.*)", "START..END, such as slice=10min..20min"),
    "superpose": (r"(?P<copies>[^@]+)(@(?P<shift>.+))?", "COPIES or COPIES@SHIFT, such as superpose=3"),
    "amplify_bursts": (r"(?P<factor>[^@]+)@(?P<window>.+)", "FACTOR@WINDOW, such as amplify_bursts=2@60s"),
    "amplify_swing": (r"(?P<exponent>[^@]+)@(?P<window>.+)", "EXPONENT@WINDOW, such as amplify_swing=2@1h"),
    "resample_blocks": (r"(?P<length>.+)", "LENGTH, such as resample_blocks=5min"),
    "spread": (r"(?P<window>[^@]+)(@(?P<how>.+))?", "WINDOW or WINDOW@HOW, such as spread=3s@evenly"),
}
"""How the transforms with several fields are written on one line."""


def parse_transform(text: str, where: str = "--transform") -> Transform:
    """Return the transform that a line such as ``thin=0.5`` names.

    What follows the name is the value, where there is one: ``thin=0.5``, ``compress=2``, ``compress_to_qps=150``,
    ``multiply_rate=3``, ``resample_blocks=5min``. Where there are several: ``slice=10min..20min``, of which either may
    be left out, ``superpose=3`` or ``superpose=3@10min`` (the shift), ``amplify_bursts=2@60s`` and
    ``amplify_swing=2@1h`` (the window), ``spread=3s`` or ``spread=3s@evenly``.

    Raises
    ------
    InvalidInputError
        With `where`, if the text names no transform, or its values are not allowed.

    >>> parse_transform("amplify_bursts=2@60s")
    AmplifyBursts(amplify_bursts=BurstFactor(factor=2.0, window_ns=60000000000))
    """
    name, _, rest = text.partition("=")
    if name not in _NAMES or not rest:
        raise invalid(where, text, "is not a transform", f"write NAME=VALUE with one of {', '.join(_NAMES)}")
    value: Any = _value(rest)
    if name in _SHAPES:
        pattern, shape = _SHAPES[name]
        match = re.fullmatch(pattern, rest)
        if match is None or not any(match.groupdict().values()):
            raise invalid(where, text, "is not written as it should be", f"write {name}={shape}")
        value = {field: _value(given) for field, given in match.groupdict().items() if given}
    try:
        return validated_fields(_Named, where, {"transform": {name: value}}).transform
    except InvalidInputError as error:
        raise InvalidInputError(str(error).removeprefix(f"{where}: transform."), where) from None


def _value(text: str) -> int | float | str:
    """Return a number where the text is one, as a YAML file would have it."""
    if not NUMBER.fullmatch(text):
        return text
    return int(text) if re.fullmatch(r"[+-]?\d{1,40}", text) else float(text)
