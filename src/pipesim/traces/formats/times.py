"""Arrival times as files write them, as whole nanoseconds: exact, whatever the number of digits."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipesim.errors import InvalidInputError, invalid
from pipesim.traces.arrivals import Nanoseconds
from pipesim.units import NS_PER_S, parse_number

MAX_NS = 1 << 62
_DECIMALS = {"s": 9, "ms": 6, "us": 3, "ns": 0}
"""How many decimals of a unit a nanosecond has."""
_LONG = pa.decimal128(37, 18)
"""Numbers with more decimals than nanoseconds; the difference of two still fits 38 digits."""
_END_NS = 9_214_646_400 * NS_PER_S
"""2262-01-01: int64 nanoseconds since 1970 hold the whole years 1970 to 2261."""
_BIN_S = 900
_FLOAT_STEPS = (
    (9, 0.0, 2.0**23),
    (6, 0.0, 2.0**33),
    (7, 2.0**30, 2.0**31),
    (3, 0.0, 2.0**43),
    (4, 2.0**40, 2.0**41),
    (0, 0.0, 2.0**53),
)
"""Decimals to try for floats of a range, in this order."""
_DATE = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[ T](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}(?::?\d{2})?)?)?", re.ASCII
)
_HAS_ZONE = re.compile(r".{10,}(Z|[+-]\d{2}(:?\d{2})?)", re.ASCII)


class Clock(Protocol):
    """What turns one or two columns of a file into arrival times."""

    def types(self) -> tuple[pa.DataType, ...]:
        """Return the types to read the columns as, the quickest first."""
        ...

    def block(self, columns: list[pa.Array]) -> Nanoseconds | None:
        """Return the times of many rows, or None if one of them needs a closer look."""
        ...

    def row(self, texts: list[str]) -> int:
        """Return the time of one row; an error says what is wrong with the value, and names no place."""
        ...

    @property
    def dated(self) -> bool:
        """Return whether the times count from 1970."""
        ...

    @property
    def assumed_zone(self) -> str | None:
        """Return the zone that dates without one were taken in."""
        ...


@dataclass(slots=True)
class Counts:
    """Numbers of a unit since any origin; of two columns, the first less the second.

    Parameters
    ----------
    unit
        ``s``, ``ms``, ``us`` or ``ns``.
    signed
        Whether times before the origin are allowed.
    text
        Whether the numbers are text, of which floats are only one reading.
    """

    unit: str
    signed: bool = False
    text: bool = True
    _need: int = 0
    dated: bool = False
    assumed_zone: str | None = None

    def types(self) -> tuple[pa.DataType, ...]:
        """Return floats, decimals of whole nanoseconds and longer ones, but none that was too short for rows before."""
        if self.signed:
            return (_LONG,)
        return (pa.float64(), pa.decimal128(28, _DECIMALS[self.unit]), _LONG)[self._need :]

    def block(self, columns: list[pa.Array]) -> Nanoseconds | None:
        """Return the times of many rows, rounded half to even, or None if one of them needs a closer look."""
        try:
            times = self._times(columns)
        except pa.ArrowException:
            return None
        if times is None:
            return None
        low = -MAX_NS if self.signed else 0
        return times if not times.size or (int(times.min()) >= low and int(times.max()) < MAX_NS) else None

    def _times(self, columns: list[pa.Array]) -> Nanoseconds | None:
        digits = _DECIMALS[self.unit]
        if self.text and columns[0].type == pa.float64():
            self._need = 1
            times = _near_floats_ns(columns[0], digits)
            self._need = int(times is None)
            return times
        if len(columns) == 1 and not pa.types.is_decimal(columns[0].type):
            return _numbers_ns(columns[0], digits)
        if any(column.null_count for column in columns):
            return None
        if len(columns) == 2:
            columns = [pc.subtract(*(pc.cast(column, _LONG) for column in columns))]
        column = columns[0]
        if column.type.scale > digits:
            self._need = 2
            column = pc.round(pc.cast(column, pa.decimal128(38, 18)), digits, "half_to_even")
        return _unscaled(pc.cast(column, pa.decimal128(28, digits)))

    def row(self, texts: list[str]) -> int:
        """Return the time of one row, rounded half to even."""
        context = Context(prec=sum(map(len, texts)) + 40)
        number = parse_number(texts[0])
        if len(texts) == 2:
            other = parse_number(texts[1])
            for value, text in ((number, texts[0]), (other, texts[1])):
                if value.copy_abs() >= MAX_NS:
                    raise invalid("", text, "is too large", f"use less than {MAX_NS:.3g}")
            number = context.subtract(number, other)
        largest = Decimal(MAX_NS).scaleb(-_DECIMALS[self.unit])
        if not (-largest if self.signed else 0) <= number < largest:
            rule = "is negative" if number < 0 else "is too large"
            raise invalid("", " less ".join(texts), rule, f"use 0 to {largest:.3g} {self.unit}")
        return _rounded(number, _DECIMALS[self.unit], context)


def _unscaled(column: pa.Array) -> Nanoseconds | None:
    """Return the digits of a decimal column as int64, or None if one has more of them."""
    buffer = column.buffers()[1]
    words = np.frombuffer(buffer, dtype="<i8", count=2 * (len(column) + column.offset)).reshape(-1, 2)[column.offset :]
    low, high = words[:, 0], words[:, 1]
    if not np.array_equal(high, low >> 63):
        return None
    return np.ascontiguousarray(low)


def _numbers_ns(column: pa.Array, digits: int) -> Nanoseconds | None:
    """Return integers, floats and texts of a unit with so many decimals to a nanosecond as nanoseconds."""
    if column.null_count:
        return None
    kind = column.type
    if pa.types.is_integer(kind):
        return _integers_ns(column, 10**digits)
    if pa.types.is_floating(kind):
        return _floats_ns(column.to_numpy(zero_copy_only=False), kind, digits)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            return _unscaled(pc.cast(column, pa.decimal128(28, digits)))
        except pa.ArrowException:
            long = pc.round(pc.cast(column, pa.decimal128(38, 18)), digits, "half_to_even")
            return _unscaled(pc.cast(long, pa.decimal128(28, digits)))
    return None


def _integers_ns(column: pa.Array, factor: int) -> Nanoseconds | None:
    values = column.to_numpy(zero_copy_only=False)
    if values.size and (int(values.max()) > (MAX_NS - 1) // factor or int(values.min()) < 0):
        return None
    return np.asarray(values.astype(np.int64) * factor)


def _near_floats_ns(column: pa.Array, digits: int) -> Nanoseconds | None:
    """Return numbers that were read as floats as nanoseconds, or None if floats are too coarse for one of them.

    Below 2^22, 2^32, 2^42 and 2^52 neighbouring floats are at most half a unit of the 9th, 6th, 3rd and last digit
    apart. A text that is read as the float x, and a decimal m / 10^k that is, are both within half of that from x, so
    the text is within half a unit from m / 10^k, and is rounded to it.
    """
    values = column.to_numpy(zero_copy_only=False)
    if column.null_count or (values.size and not (values.min() >= 0 and values.max() < 2.0 ** (52 - digits * 10 // 3))):
        return None
    rounded = np.rint(values * 10.0**digits)
    return rounded.astype(np.int64) if np.array_equal(rounded / 10.0**digits, values) else None


def _floats_ns(values: Any, kind: pa.DataType, digits: int) -> Nanoseconds | None:
    """Return the shortest decimal that is read back as each float, as nanoseconds.

    So a file of floats has the times of the text that most programs write of them. Where floats are nearer to each
    other than decimals of k digits, m / 10^k == x holds for the decimal next to x or for none, and a shorter decimal
    that is read back as x is the same: below 2^23 for k = 9, 2^33 for 6, 2^43 for 3, 2^53 for 0. Where they are wider
    apart, up to 5 times, any decimal next to x is read back as x, and is the shortest if there is none of k - 1 digits:
    the seconds and milliseconds since 1970 of our days. The rest, among them float32, is written as text and read.
    """
    if not np.isfinite(values).all():
        return None
    times = np.empty(values.size, dtype=np.int64)
    left = np.ones(values.size, dtype=bool)
    if kind == pa.float64():
        for decimals, low, high in _FLOAT_STEPS:
            if decimals > digits or not left.any():
                continue
            chosen = np.flatnonzero(left & (values >= low) & (values < high))
            floats = values[chosen]
            whole = np.floor(floats)
            parts = (floats - whole) * 10.0**decimals  # exact where low is not 0
            rounded = np.rint(parts)
            same = (
                (whole * 10.0**decimals + rounded) / 10.0**decimals == floats if not low else abs(parts % 1 - 0.5) > 0
            )
            factor = 10 ** (digits - decimals)
            found = whole[same].astype(np.int64) * 10**decimals + rounded[same].astype(np.int64)
            if found.size and int(found.max()) > (MAX_NS - 1) // factor:
                return None
            times[chosen[same]] = found * factor
            left[chosen[same]] = False
    if left.any():
        texts = pc.cast(pa.array(values[left], kind), pa.string())
        try:
            rest = _numbers_ns(texts, digits)
        except pa.ArrowException:  # small numbers have more than 18 decimals
            rest = _rounded_all(texts.to_pylist(), digits)
        if rest is None:
            return None
        times[left] = rest
    return times


def _rounded_all(texts: list[str], digits: int) -> Nanoseconds | None:
    numbers = [Decimal(text) for text in texts]
    if any(abs(number) >= MAX_NS for number in numbers):
        return None
    return np.array([_rounded(number, digits, Context(prec=60)) for number in numbers], dtype=np.int64)


def _rounded(number: Decimal, digits: int, context: Context) -> int:
    """Return a number of so many decimals to a nanosecond in nanoseconds, rounded half to even."""
    return int(context.multiply(number, Decimal(10**digits)).to_integral_value(ROUND_HALF_EVEN))


def zone_named(name: str | None, where: str) -> ZoneInfo | None:
    """Return the time zone of dates that name none; None is UTC.

    Raises
    ------
    InvalidInputError
        With `where`, if there is no such zone.
    """
    if name is None or name == "UTC":
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # a folder, a name that leads elsewhere, no such zone
        raise invalid(where, name, "is not a time zone", "use a name such as Europe/Berlin") from None


@dataclass(slots=True)
class Dates:
    """Dates of ISO 8601, with a zone in each or in none.

    Parameters
    ----------
    zone
        The zone of dates that name none; None is UTC, for which no data base of zones is needed.
    """

    zone: ZoneInfo | None
    dated: bool = True
    _zoned: bool | None = None

    @property
    def assumed_zone(self) -> str | None:
        """Return the zone, if dates had none."""
        if self._zoned is not False:
            return None
        return "UTC" if self.zone is None else self.zone.key

    def types(self) -> tuple[pa.DataType, ...]:
        """Return text."""
        return (pa.string(),)

    def block(self, columns: list[pa.Array]) -> Nanoseconds | None:
        """Return the times of many dates, or None if one of them needs a closer look."""
        (column,) = columns
        if column.null_count or not len(column):
            return None if column.null_count else np.empty(0, dtype=np.int64)
        try:
            if pa.types.is_timestamp(column.type):
                zoned, times = column.type.tz is not None, _timestamps_ns(column)
            elif pa.types.is_date(column.type):
                zoned, times = False, _timestamps_ns(pc.cast(column, pa.timestamp("s")))
            elif pa.types.is_string(column.type) and _names_minutes(column):
                zoned = _HAS_ZONE.fullmatch(column[0].as_py()) is not None
                times = pc.cast(column, pa.timestamp("ns", "UTC" if zoned else None)).cast(pa.int64()).to_numpy()
            else:
                return None
        except pa.ArrowException:
            return None
        if times is None or int(times.min()) < 0 or int(times.max()) >= _END_NS or self._zoned is (not zoned):
            return None
        if not zoned and self.zone is not None:
            times = _in_zone(times, self.zone)
        if times is not None:
            self._zoned = zoned
        return times

    def row(self, texts: list[str]) -> int:
        """Return the time of one date."""
        (text,) = texts
        match = _DATE.fullmatch(text)
        if match is None:
            remedy = "write 2023-11-16 18:15:46.68, or 2023-11-16T18:15:46.68Z or +02:00 with a zone"
            raise invalid("", text, "is not a date and time", remedy)
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
        if second == 60:
            raise invalid("", text, "is a leap second, which has no time since 1970", "use :59 or the next minute")
        try:
            local = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            raise invalid("", text, "is not a date that exists", "correct or remove the row") from None
        zoned = match[8] is not None
        offset_s = 0
        if zoned:
            offset_s = _offset_s(match[8], text)
        elif self.zone is not None:
            offset_s = _local_offset_s(local, self.zone, text)
        seconds = int(local.timestamp()) - offset_s
        if not 0 <= seconds < _END_NS // NS_PER_S:
            raise invalid("", text, "is out of range", "use the years 1970 to 2261")
        if self._zoned is (not zoned):
            found, others = ("a zone", "none") if zoned else ("no zone", "one")
            raise MixedZonesError(f"{text!r} has {found}, the dates before have {others}; write all in one way")
        self._zoned = zoned
        return seconds * NS_PER_S + int((match[7] or "").ljust(9, "0"))


class MixedZonesError(InvalidInputError):
    """Some dates of a column name a zone and others do not, which no row alone can be blamed for."""


def _names_minutes(column: pa.Array) -> bool:
    """Return whether every text that is longer than a date has minutes, which pyarrow does not insist on."""
    offsets = np.frombuffer(column.buffers()[1], dtype=np.int32)[column.offset : column.offset + len(column) + 1]
    long = np.flatnonzero(np.diff(offsets) > 10)
    if not long.size:
        return True
    if int(np.diff(offsets)[long].min()) < 16:
        return False
    letters = np.frombuffer(column.buffers()[2], dtype=np.uint8)
    return bool((letters[offsets[long] + 13] == ord(":")).all())


def _timestamps_ns(column: pa.Array) -> Nanoseconds | None:
    factor = {"s": NS_PER_S, "ms": 10**6, "us": 10**3, "ns": 1}[column.type.unit]
    values = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
    if values.size and not 0 <= int(values.min()) <= int(values.max()) < _END_NS // factor:
        return None
    return np.asarray(values * factor, dtype=np.int64)


def _offset_s(text: str, whole: str) -> int:
    if text == "Z":
        return 0
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise invalid("", whole, "has a zone that does not exist", "use -23:59 to +23:59")
    return (hours * 3600 + minutes * 60) * (-1 if text[0] == "-" else 1)


def _offsets_s(local: datetime, zone: ZoneInfo) -> tuple[int, int]:
    """Return how far a zone is ahead of UTC at a local time, by the rule before a change and after it."""
    wall = local.replace(tzinfo=zone)
    return _seconds(wall.utcoffset()), _seconds(wall.replace(fold=1).utcoffset())


def _seconds(offset: timedelta | None) -> int:
    assert offset is not None
    return offset.days * 86_400 + offset.seconds


def _local_offset_s(local: datetime, zone: ZoneInfo, text: str) -> int:
    before, after = _offsets_s(local, zone)
    if before < after:
        raise invalid(
            "", text, f"does not exist in {zone.key}, where clocks were set forward", "write dates with zones"
        )
    if before > after:
        raise invalid("", text, f"is ambiguous in {zone.key}, where clocks were set back", "write dates with zones")
    return before


def _in_zone(local_ns: Nanoseconds, zone: ZoneInfo) -> Nanoseconds | None:
    """Return local times as UTC, or None if one of them is ambiguous or does not exist.

    A quarter of an hour whose first and last second have one offset has no change inside, as no two changes of a zone
    are so near; one with two offsets is looked at second by second.
    """
    seconds = local_ns // NS_PER_S
    bins, which = np.unique(seconds // _BIN_S, return_inverse=True)
    offsets = np.empty(bins.size, dtype=np.int64)
    mixed = []
    for index, start in enumerate((bins * _BIN_S).tolist()):
        found = {*_offsets_s(_utc(start), zone), *_offsets_s(_utc(start + _BIN_S - 1), zone)}
        offsets[index] = min(found)
        if len(found) > 1:
            mixed.append(index)
    shift = offsets[which]
    rows = np.flatnonzero(np.isin(which, mixed))
    for second in np.unique(seconds[rows]).tolist():
        before, after = _offsets_s(_utc(second), zone)
        if before != after:
            return None
        shift[rows[seconds[rows] == second]] = before
    times = local_ns - shift * NS_PER_S
    return times if int(times.min()) >= 0 and int(times.max()) < _END_NS else None


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
