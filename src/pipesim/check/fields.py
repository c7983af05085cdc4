"""Field types of baselines and of reports of checks."""

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator, PlainSerializer, StringConstraints
from pydantic import WithJsonSchema as JsonSchema

from pipesim.errors import invalid

Part = Literal["pipeline", "profiles", "prices", "traffic", "slo", "space"]
"""What a scenario is made of, as far as an answer depends on it."""
PARTS: tuple[Part, ...] = ("pipeline", "profiles", "prices", "traffic", "slo", "space")
Verdict = Literal["pass", "warn", "fail", "infeasible"]
"""From good to bad."""
UPDATE = "run pipesim baseline update"
"""What to do about a baseline that does not fit."""
VERDICTS: tuple[Verdict, ...] = ("pass", "warn", "fail", "infeasible")

# No exponents: the text of 1e999999999 would fill the memory.
_USD_PATTERN = r"^-?[0-9]{1,18}(\.[0-9]{1,400})?$"


def _usd(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not re.fullmatch(_USD_PATTERN, value):
        raise invalid("", value, "is not an amount of money", "write it as '0.35'")
    return Decimal(value)


Usd = Annotated[
    Decimal,
    BeforeValidator(_usd),
    PlainSerializer(lambda amount: format(amount, "f"), return_type=str),
    JsonSchema({"type": "string", "pattern": _USD_PATTERN}),
]
"""US dollars an hour, with all decimals; text in files, so that no reader rounds it."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
