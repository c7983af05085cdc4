"""A document as one HTML file that opens from disk, asks no network for anything, and runs no script but its own.

The interactive charts are plotly.js (MIT licence), which the extra ``report`` brings and which is embedded. It was
chosen because it draws SVG, needs neither network nor ``eval``, and is maintained; it makes the file some 5 MB. Below
each chart is a picture of it, which is what is printed, and what shows where scripts do not run; and its numbers.
"""

import base64
import hashlib
import json
import re
from html import escape
from importlib.resources import files

from pipesim.errors import InvalidInputError, printable
from pipesim.report.parts import Block, Chart, Document, Items, Paragraph, Section, Table


def html_page(document: Document, *, interactive: bool = True) -> str:
    """Return a document as an HTML file.

    Parameters
    ----------
    document
        What it says.
    interactive
        Whether its charts can be zoomed and read off; if not, they are pictures, and there is no script in the file.

    Raises
    ------
    InvalidInputError
        If charts are interactive and plotly is not installed.
    """
    plots = {
        block.name: block.plot
        for section in document.sections
        for block in section.blocks
        if isinstance(block, Chart) and block.plot is not None
    }
    scripts = [_plotly(), _resource("page.js")] if interactive and plots else []
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts) or "'none'"
    # What is not named is forbidden: no request leaves the page, whatever a text in it may hold.
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    data = [f'<script type="application/json" id="plots">{_inert(plots)}</script>'] if scripts else []
    names = [(f"section-{number}", section) for number, section in enumerate(document.sections, 1)]
    contents = "".join(f'<li><a href="#{name}">{_text(section.title)}</a></li>' for name, section in names)
    facts = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in document.facts)
    mark, kind = ("✓", "good") if document.good else ("✗", "bad")
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{_text(document.title)}: {_text(document.verdict)}</title>",
        f"<style>\n{_resource('page.css')}</style>",
        "</head>",
        "<body>",
        '<a class="skip" href="#main">To the answer</a>',
        "<header>",
        f"<h1>{_text(document.title)}</h1>",
        f'<p class="verdict {kind}"><span aria-hidden="true">{mark}</span> {_text(document.verdict)}</p>',
        f"<dl>{facts}</dl>",
        "</header>",
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav>',
        '<main id="main">',
        *(_section(name, section) for name, section in names),
        "</main>",
        f"<footer><p>{_text(document.origin)}</p></footer>",
        *data,
        *(f"<script>{script}</script>" for script in scripts),
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _section(name: str, section: Section) -> str:
    blocks = "\n".join(map(_block, section.blocks))
    return f'<section aria-labelledby="{name}">\n<h2 id="{name}">{_text(section.title)}</h2>\n{blocks}\n</section>'


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return f"<p>{_text(block.text)}</p>"
    if isinstance(block, Items):
        return f"<ul>{''.join(f'<li>{_text(text)}</li>' for text in block.texts)}</ul>"
    return _table(block) if isinstance(block, Table) else _chart(block)


def _table(table: Table) -> str:
    def cell(tag: str, column: int, text: str, scope: str = "") -> str:
        side = "" if table.is_left(column) else ' class="number"'
        return f"<{tag}{scope}{side}>{_text(text)}</{tag}>"

    head = "".join(
        cell("th", column, name, ' scope="col"') if name else "<td></td>" for column, name in enumerate(table.head)
    )
    rows = []
    for row in table.rows:
        first = cell("th", 0, row[0], ' scope="row"')
        rows.append(f"<tr>{first}{''.join(cell('td', column, text) for column, text in enumerate(row[1:], 1))}</tr>")
    caption = f"<caption>{_text(table.caption)}</caption>" if table.caption else ""
    label = f' role="region" tabindex="0" aria-label="{_text(table.caption or "table")}"'
    return (
        f'<div class="table"{label}><table>{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _chart(chart: Chart) -> str:
    # An image runs no script, and its ids are its own.
    picture = chart.picture()
    kind = "png" if picture.startswith(b"\x89PNG") else "svg+xml"
    source = f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
    plot = ""
    if chart.plot is not None:
        plot = f'<div class="plot" id="plot-{chart.name}" role="img" aria-label="{_text(chart.alt)}" hidden></div>'
    numbers = ""
    if chart.numbers is not None:
        numbers = f"<details><summary>The numbers of this chart</summary>{_table(chart.numbers)}</details>"
    return (
        f"<figure><figcaption><h3>{_text(chart.title)}</h3></figcaption>{plot}"
        f'<img src="{source}" alt="{_text(chart.alt)}">{numbers}</figure>'
    )


def _text(text: str) -> str:
    """Return a text as HTML, of an element or of an attribute; letters that do not print as their escapes."""
    return escape(printable(text))


def _inert(data: object) -> str:
    """Return data as JSON that no parser of HTML takes for a tag."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _resource(name: str) -> str:
    return (files("pipesim.report") / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _plotly() -> str:
    """Return plotly.js, as it can stand in an element of a page."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        reason = "needs the package plotly; pip install 'pipesim[report]', or pass --static for pictures alone"
        raise InvalidInputError(reason, "report") from None
    source = str(get_plotlyjs()).replace("\r\n", "\n")
    return re.sub(r"<(?=/script|!--|script)", r"\\x3c", source, flags=re.IGNORECASE)
