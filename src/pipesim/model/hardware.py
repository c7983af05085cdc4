"""Hardware that is paid for, the bundles of it that replicas occupy, and what they cost."""

from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipesim.errors import invalid
from pipesim.files import decode_text
from pipesim.model.csv_rows import csv_rows
from pipesim.model.fields import Model, Money, Name, Text
from pipesim.model.validation import validated
from pipesim.model.yaml_document import YamlDocument, parse_yaml
from pipesim.units import parse_number

Kind = Literal["cpu", "gpu", "tpu"]
_ACCELERATORS_FIRST: tuple[Kind, ...] = ("tpu", "gpu", "cpu")
_PRICE = "price_usd_per_hour"
_REQUIRED = ("name", "kind", "unit", _PRICE)
_CLASS_PREFIX = f"{_PRICE}:"


class Hardware(Model):
    """A unit that is paid for, with its price and where and when that price was found."""

    kind: Kind
    unit: Literal["core", "gpu", "chip", "instance"]
    price_usd_per_hour: Money
    """The price on demand."""
    prices: dict[Name, Money] = {}
    """Other prices an hour by the name of their class, such as ``spot`` or ``reserved-1y``."""
    cloud: Text = "unknown"
    region: Text = "unknown"
    date: Text = "unknown"
    source: Text = "unknown"
    memory_gb: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Memory that the unit brings for a model."""


class Catalogue(Model):
    """Hardware units with prices, and the bundles of units that a replica can occupy.

    Profiles and plans name a bundle. A unit that no bundle is named after is itself a bundle of one.
    """

    units: Annotated[dict[Name, Hardware], Field(min_length=1)]
    bundles: dict[Name, dict[Name, Annotated[int, Field(ge=1, le=1024)]]] = {}

    @model_validator(mode="after")
    def _bundles_hold_known_units(self) -> Self:
        for name, bundle in self.bundles.items():
            if not bundle:
                raise invalid(f"bundles.{name}", bundle, "is empty", "list the units that a replica occupies")
            for unit in bundle:
                if unit not in self.units:
                    raise invalid(f"bundles.{name}", unit, "is not a unit", f"use one of {', '.join(self.units)}")
        return self

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names that profiles and plans may use: bundles, then the units that are bundles of one."""
        return (*self.bundles, *(unit for unit in self.units if unit not in self.bundles))

    @property
    def price_classes(self) -> tuple[str, ...]:
        """Return the names of the classes that any unit has a price of, sorted."""
        return tuple(sorted({name for unit in self.units.values() for name in unit.prices}))

    def at_prices_of(self, price_class: str) -> "Catalogue":
        """Return the catalogue with the prices of one class; units that have none of it keep the price on demand.

        >>> core = Hardware(kind="cpu", unit="core", price_usd_per_hour=0.5, prices={"spot": 0.2})
        >>> catalogue = Catalogue(units={"core": core}, bundles={"quad": {"core": 4}})
        >>> catalogue.at_prices_of("spot").price_usd_per_hour("quad")
        Decimal('0.8')
        """
        units = {
            name: unit.model_copy(update={_PRICE: unit.prices.get(price_class, unit.price_usd_per_hour)})
            for name, unit in self.units.items()
        }
        return self.model_copy(update={"units": units})

    def bundle(self, name: str) -> dict[str, int]:
        """Return the units that one replica on `name` occupies, with their counts."""
        return self.bundles.get(name, {name: 1})

    def price_usd_per_hour(self, name: str) -> Decimal:
        """Return what one replica on `name` costs an hour."""
        prices = (self.units[unit].price_usd_per_hour * count for unit, count in self.bundle(name).items())
        return sum(prices, Decimal(0))

    def kind(self, name: str) -> Kind:
        """Return the kind of the bundle: that of its accelerator, if it has one."""
        kinds = {self.units[unit].kind for unit in self.bundle(name)}
        return next(kind for kind in _ACCELERATORS_FIRST if kind in kinds)

    def memory_gb(self, name: str) -> float | None:
        """Return the memory that the bundle's units bring for a model, or None if a price list does not say."""
        units = [(self.units[unit], count) for unit, count in self.bundle(name).items()]
        main = [(unit, count) for unit, count in units if unit.kind == self.kind(name)]
        known = [unit.memory_gb * count for unit, count in main if unit.memory_gb is not None]
        return sum(known) if len(known) == len(main) else None


def parse_catalogue(content: bytes, name: str) -> Catalogue:
    """Return the catalogue in a YAML file, or in a CSV file of units (a bundle of one each).

    A column ``price_usd_per_hour:spot`` holds the prices of the class ``spot``, of those units that have one.

    Raises
    ------
    FileFormatError, InvalidInputError
        If `content` is neither, with the line and field of the first problem.
    """
    if not name.endswith(".csv"):
        return validated(Catalogue, parse_yaml(decode_text(content, name), name))
    table = csv_rows(content, name, _REQUIRED)
    units: dict[str, dict[str, object]] = {}
    lines: dict[tuple[str | int, ...], int] = {(): 1, ("units",): 1}
    for line, row in table.rows:
        fields = dict(zip(table.header, row, strict=True))
        unit = fields.pop("name")
        if unit in units:
            raise invalid(f"{name}:{line}", unit, "occurs twice", "keep one of the rows")
        cells = {field: _cell(field, text, f"{name}:{line}: {field}") for field, text in fields.items() if text}
        of_class = {field.removeprefix(_CLASS_PREFIX): field for field in cells if field.startswith(_CLASS_PREFIX)}
        prices = {price_class: cells.pop(field) for price_class, field in of_class.items()}
        units[unit] = {**cells, "prices": prices}
        places = [(), *((field,) for field in (*cells, "prices")), *(("prices", price_class) for price_class in prices)]
        lines |= {("units", unit, *place): line for place in places}
    return validated(Catalogue, YamlDocument(name, {"units": units}, lines))


def _cell(column: str, text: str, where: str) -> str | float | Decimal:
    if column == _PRICE or column.startswith(_CLASS_PREFIX):
        return parse_number(text, where)
    return float(parse_number(text, where)) if column == "memory_gb" else text
