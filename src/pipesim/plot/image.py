"""Figures as files: the same bytes for the same picture."""

from io import BytesIO
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

_NO_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Creator": None, "Date": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}
IMAGE_FORMATS = tuple(_NO_METADATA)
"""The formats that :func:`image` knows, which are also the endings of their files."""


def image(figure: Figure, format: str, dpi: int = 120) -> bytes:
    """Return a figure as the content of a file; no clock, host or version is in it.

    Parameters
    ----------
    figure
        The figure.
    format
        One of `IMAGE_FORMATS`.
    dpi
        Pixels to the inch, of a PNG.
    """
    content = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "pipesim"}):
        figure.savefig(content, format=format, dpi=dpi, metadata=_NO_METADATA[format])
    return content.getvalue()
