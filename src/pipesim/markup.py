"""HTML for notebooks: small tables that take their colours from the page, light or dark, without scripts.

Every text is escaped, whatever it holds.
"""

from collections.abc import Iterable, Sequence
from html import escape

_TABLE = "border-collapse: collapse; margin: 0.3em 0; font-variant-numeric: tabular-nums"
_CELL = "padding: 0.15em 0.7em; border-bottom: 1px solid rgba(128, 128, 128, 0.35); background: none"
_MARKS = {True: ("✓", "#2e8b57"), False: ("✗", "#cc4b4b")}


def html(text: object) -> str:
    """Return a value as the text of a page.

    >>> html("<b> & co")
    '&lt;b&gt; &amp; co'
    """
    return escape(str(text))


def card(title: str, parts: Iterable[str], *, good: bool | None = None) -> str:
    """Return one answer: a title, with a mark if it is good or not, and the parts below it, which are HTML."""
    mark = ""
    if good is not None:
        sign, colour = _MARKS[good]
        mark = f'<span style="color: {colour}">{sign}</span> '
    return f'<div style="max-width: 70em">{mark}<strong>{html(title)}</strong>{"".join(parts)}</div>'


def line(text: str) -> str:
    """Return a line of text."""
    return f'<div style="margin: 0.2em 0">{html(text)}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, left: int = 1) -> str:
    """Return a table; the first columns are set to the left, others to the right.

    >>> "&lt;i&gt;" in table(["stage"], [["<i>"]])
    True
    """

    def cells(tag: str, values: Sequence[object]) -> str:
        return "".join(
            f'<{tag} style="{_CELL}; text-align: {"left" if index < left else "right"}">{html(value)}</{tag}>'
            for index, value in enumerate(values)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<table style="{_TABLE}"><thead><tr>{cells("th", head)}</tr></thead><tbody>{body}</tbody></table>'
