"""What a document says, whatever it is written in: headings, paragraphs, lists, tables and charts, all plain text.

A writer (:mod:`pipesim.report.page`, :mod:`pipesim.report.plain_text`) escapes every text that it writes, so nothing in
here is markup.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first columns (and, if `last`, the last one) are set to the left, others to the right.

    Parameters
    ----------
    caption
        What it shows; empty where the heading above says it.
    head
        Of each column; empty where a column needs none.
    rows
        Each as long as the head.
    left, last
        How many columns at the left are text, and whether the last one is.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    last: bool = False

    def is_left(self, column: int) -> bool:
        """Return whether a column is set to the left."""
        return column < self.left or (self.last and column == len(self.head) - 1)


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture that a reader may also get as numbers.

    Parameters
    ----------
    name
        Unique in the document, of letters and dashes.
    title
        What it shows.
    alt
        What it says, for who cannot see it.
    picture
        Draws it: an SVG or a PNG, called only if it is wanted.
    plot
        What plotly.js draws, as JSON can hold it: ``data`` and ``layout``; None if there is the picture alone. Colours
        are CSS variables, so that they follow the page. Texts are escaped, since plotly.js takes them as markup.
    numbers
        What is drawn, or the main points of it; None if a table nearby has it.
    """

    name: str
    title: str
    alt: str
    picture: Callable[[], bytes]
    plot: dict[str, Any] | None = None
    numbers: Table | None = None


Block = Paragraph | Items | Table | Chart


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what is below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A document.

    Parameters
    ----------
    title
        What it is about.
    verdict
        The answer, in a sentence.
    good
        Whether it is the one that was hoped for.
    facts
        The key numbers: what, and how much.
    sections
        The rest.
    origin
        What made it: the version, the seed.
    """

    title: str
    verdict: str
    good: bool
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    origin: str
