"""What displays do with matplotlib, which only this module imports, in functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skhbm._types import Float


__all__ = [
    "check_matplotlib",
    "foreground",
    "marker_size",
    "new_axes",
    "points",
    "polylines",
    "styled",
]


def check_matplotlib(caller: str) -> None:
    """Raise ImportError, naming the pip command, if matplotlib is not installed."""
    try:
        import matplotlib as mpl  # noqa: F401  # all that is asked is whether it is there
    except ImportError as error:
        msg = f"{caller} requires matplotlib. Install it with `pip install skhbm[plot]`."
        raise ImportError(msg) from error


def new_axes(ax: Any) -> Any:
    """Return the axes, or the axes of a new figure if there are none."""
    if ax is None:
        import matplotlib.pyplot as plt

        return plt.subplots(layout="constrained")[1]
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        msg = f"`ax` must be matplotlib Axes or None. Got {ax!r}."
        raise TypeError(msg)
    return ax


def styled(artist: str, defaults: Mapping[str, Any], given: Any) -> Any:
    """Return the keywords of an artist of matplotlib, given ones in place of defaults.

    `artist` is "Line2D" or the name of a collection. Aliases such as lw and ls are understood.
    """
    from matplotlib import cbook, collections, lines

    if given is not None and not isinstance(given, dict):
        msg = f"Keywords of an artist must be a dict or None. Got {given!r}."
        raise TypeError(msg)
    kind = lines.Line2D if artist == "Line2D" else getattr(collections, artist)
    given = cbook.normalize_kwargs(given or {}, kind)
    if not given.keys().isdisjoint(("c", "colors")):
        defaults = {k: v for k, v in defaults.items() if k != "color"}
    return {**defaults, **given}


def foreground() -> Any:
    """Return the colour that axes have in the style that is in use."""
    from matplotlib import rcParams

    return rcParams["axes.edgecolor"]


def polylines(ax: Any, x: Float, y: Float, **style: Any) -> Any:
    """Draw one line through the points of each row of x and y, and return the collection."""
    from matplotlib.collections import LineCollection

    lines = LineCollection(list(np.stack([x, y], axis=2)), **style)
    ax.add_collection(lines)
    ax.autoscale_view()
    return lines


def marker_size(ax: Any, n_rows: float) -> float:
    """Return the diameter of markers in points: the default, or less to tell rows apart."""
    from matplotlib import rcParams

    return float(np.clip(1.2 * points(ax)[1] / n_rows, 1.0, rcParams["lines.markersize"]))


def points(ax: Any) -> tuple[float, float]:
    """Return width and height of the axes in points, as they were laid out last."""
    box, inch = ax.get_window_extent(), ax.figure.dpi
    return 72 * box.width / inch, 72 * box.height / inch
