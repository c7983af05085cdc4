"""A document as Markdown: for a pull request or a wiki. No HTML, and no text is taken as markup."""

import re

from pipesim.errors import printable
from pipesim.report.parts import Block, Chart, Document, Items, Paragraph, Table

MOST_ROWS = 24
"""Numbers of a chart with more rows than these are left out: they are for the picture."""

_MARKUP = re.compile(r"[\\`*_{}\[\]<>#|~$&@!]")
_AT_START = re.compile(r"^([-+=](?=[-+=\s]|$)|\d{1,9}[.)](?=\s|$))")
_LINK = re.compile(r":(?=//|[a-z0-9_+-]+:)|(?<=www)\.", re.IGNORECASE)


def markdown(document: Document) -> str:
    """Return a document as GitHub-flavoured Markdown; a chart is its numbers, if they are few."""
    mark = "✓" if document.good else "✗"
    parts = [f"# {escaped(document.title)}", f"**{mark} {escaped(document.verdict)}**"]
    parts.append("\n".join(f"- **{escaped(name)}:** {escaped(value)}" for name, value in document.facts))
    for section in document.sections:
        parts.append(f"## {escaped(section.title)}")
        parts += [text for text in map(_block, section.blocks) if text]
    parts.append(escaped(document.origin))
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    r"""Return a text as Markdown shows it, whatever it holds: in one line, no letter of it markup, nothing a link.

    >>> escaped("<b>|*a*|"), escaped("- see http://x"), escaped("1. p99 is 1.2 s (k80-gpu)")
    ('\\<b\\>\\|\\*a\\*\\|', '\\- see http\\://x', '1\\. p99 is 1.2 s (k80-gpu)')
    """
    text = _LINK.sub(r"\\\g<0>", _MARKUP.sub(r"\\\g<0>", printable(" ".join(text.split()))))
    return _AT_START.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", text)


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return escaped(block.text)
    if isinstance(block, Items):
        return "\n".join(f"- {escaped(text)}" for text in block.texts)
    if isinstance(block, Table):
        return _table(block)
    return _chart(block)


def _table(table: Table) -> str:
    head = [escaped(name) or " " for name in table.head]
    rule = [":---" if table.is_left(column) else "---:" for column in range(len(head))]
    rows = [head, rule, *([escaped(cell) for cell in row] for row in table.rows)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    caption = [f"{escaped(table.caption)}:", ""] if table.caption else []
    return "\n".join([*caption, *lines])


def _chart(chart: Chart) -> str:
    few = chart.numbers is not None and len(chart.numbers.rows) <= MOST_ROWS
    return _table(chart.numbers) if few and chart.numbers is not None else ""
