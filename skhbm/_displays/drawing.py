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
    "panels",
    "points",
    "polylines",
    "styled",
]


#: So many panels are in one row.
MOST_SIDE_BY_SIDE = 3


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


def panels(ax: Any, n: int, *, shared: bool, size: tuple[float, float]) -> tuple[Any, Any]:
    """Return axes (n,) of small multiples, and the axes that they divide, if these are one.

    `ax` is None, for a new figure with panels of at least a size in inches, axes to divide, or
    as many axes as there are panels. Panels that share their scales show them at the left and
    at the bottom alone.
    """
    if isinstance(ax, list | tuple | np.ndarray):
        given = np.ravel(np.array(ax, dtype=object))
        if len(given) != n:
            msg = f"`ax` must be one Axes or {n}, one for each panel. Got {len(given)}."
            raise ValueError(msg)
        return np.array([new_axes(axes) for axes in given], dtype=object), None
    n_rows = 1 if n <= MOST_SIDE_BY_SIDE else round(float(np.sqrt(0.75 * n)))
    n_columns = -(-n // n_rows)
    whole = new_axes(ax)
    if ax is None:
        least = np.array([size[0] * n_columns, size[1] * n_rows])
        whole.figure.set_size_inches(np.maximum(whole.figure.get_size_inches(), least))
    whole.set_axis_off()
    grid = whole.get_subplotspec().subgridspec(-(-n // n_columns), n_columns)
    made = np.empty(n, dtype=object)
    for i in range(n):
        first = made[0] if shared and i else None
        made[i] = whole.figure.add_subplot(grid[i], sharex=first, sharey=first)
        if shared:
            at_the_bottom, at_the_left = i + n_columns >= n, i % n_columns == 0
            made[i].tick_params(labelbottom=at_the_bottom, labelleft=at_the_left)
    return made, whole


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
