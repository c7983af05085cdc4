"""Plain data as the text of a YAML file, which every version of YAML reads back as it is."""

import re
from typing import Any

import yaml

# A word that no version of YAML reads as anything but text, the few that PyYAML quotes by itself aside. A hash is none:
# so all look alike, whether they begin with a letter or a digit.
_WORD = re.compile(r"(?![0-9a-f]{64}$)[A-Za-z_][A-Za-z0-9_./-]*")


class TextDumper(yaml.SafeDumper):
    """Quotes all text that could be read as anything else: ``1e3``, which is a number in YAML 1.2 and text in 1.1."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal parts again: readers refuse aliases."""
        return True


def yaml_text(data: Any, **layout: Any) -> str:
    """Return data as YAML, keys in their order.

    Parameters
    ----------
    layout
        As for :func:`yaml.dump`.

    >>> yaml_text({"1e3": [2, "a b"], "t4": "x"}, default_flow_style=True).strip()
    '{"1e3": [2, "a b"], t4: x}'
    """
    text: str = yaml.dump(data, Dumper=TextDumper, sort_keys=False, **layout)
    return text


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if _WORD.fullmatch(text) else '"')


TextDumper.add_representer(str, _text)
