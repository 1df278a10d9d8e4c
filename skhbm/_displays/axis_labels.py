"""Names and titles on axes, as far as there is room for them."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.isotonic import isotonic_regression

from skhbm._displays.drawing import points

if TYPE_CHECKING:
    from skhbm._types import Float


__all__ = [
    "headroom",
    "name_ends",
    "name_rows",
    "set_titles",
    "spread",
    "title_of",
    "words",
]

#: Longest name on an axis, in letters.
LONGEST = 28
#: Width of a letter in units of the size of the font, somewhat generous.
WIDTH = 0.6
#: Distance of lines of text, in units of the size of the font.
LEADING = 1.1
#: At least one row in so many must have a name: with less room, rows are counted instead.
SPARSEST = 5
#: Largest share of the width of axes that names within them may take.
WIDEST = 0.45


def set_titles(ax: Any, x: str, y: str) -> None:
    """Write the titles of the axes, broken into lines where axes are too short for them."""
    for axis, text, length in zip((ax.xaxis, ax.yaxis), (x, y), points(ax), strict=True):
        letters = int(length / (WIDTH * axis.label.get_fontsize()))
        axis.set_label_text(textwrap.fill(text, max(letters, 10)), parse_math=False)


def title_of(coefficient: str, factor: str | None = None) -> str:
    """Return the title of the axis of a coefficient, and of the factor that it varies by."""
    name, group = words([coefficient, str(factor)])
    what = "Intercept" if coefficient == "intercept" else f"Coefficient of {name}"
    return what if factor is None else f"{what} by {group}"


def words(labels: Any) -> list[str]:
    """Return labels of any kind as text, long ones cut."""
    import pandas as pd

    return [_cut(text) for text in pd.Index(labels, tupleize_cols=False).astype(str)]


def name_rows(ax: Any, labels: Any, x: str, y: str) -> None:
    """Name the rows 0, 1, ... as far as there is room, or count them if there is none.

    The titles of the axes, x and y, are written as well: that of y says if not all rows are
    named.
    """
    set_titles(ax, x, y)
    _lay_out(ax)
    texts = words(labels)
    step = -(-len(texts) // max(_rows_that_fit(ax), 1))
    if step > SPARSEST:
        ax.set_yticks([])
        note = f" ({len(texts):,} groups)"
    else:
        ax.set_yticks(range(0, len(texts), step), texts[::step], parse_math=False)
        every = {2: "2nd", 3: "3rd"}.get(step, f"{step}th")
        note = f" (every {every} label)"
    if step > 1:
        # Names and a longer title leave the axes less room than they had.
        ax.set_ylabel(f"{y}{note}", parse_math=False)
        _lay_out(ax)
        set_titles(ax, x, f"{y}{note}")


def name_ends(ax: Any, y: Float, labels: Any, color: Any) -> list[Any]:
    """Name the points at x = 0, left of them, if there is room for all; return the texts.

    x goes from 0 to 1. Names that would touch are moved apart, and tied to their points.
    """
    _lay_out(ax)
    texts, at = words(labels), np.flatnonzero(np.isfinite(y))
    size, (width, height) = _font_size(ax), points(ax)
    share = WIDTH * size * max(map(len, texts)) / width
    if len(at) > _rows_that_fit(ax) or share > WIDEST:
        return []
    ax.set_xlim(-(0.08 + 1.05 * share) / (1 - share), 1.05)
    low, high = ax.get_ylim()
    gap, margin = np.array([LEADING, 0.5 * LEADING]) * size * (high - low) / height
    tie = {
        "arrowstyle": "-",
        "color": color,
        "linewidth": 0.5,
        "alpha": 0.5,
        "shrinkB": 3,
        "relpos": (1, 0.5),
    }
    return [
        ax.annotate(
            texts[j], (0.0, y[j]), (-0.06, place), ha="right", va="center", size=size,
            arrowprops=tie, parse_math=False,
        )
        for j, place in zip(at, spread(y[at], gap, low + margin, high - margin), strict=True)
    ]  # fmt: skip


def headroom(ax: Any, n_lines: int) -> float:
    """Return the share of the height of the axes that a legend of some lines takes."""
    _lay_out(ax)
    return min(0.5, (1.4 * n_lines + 1.2) * _font_size(ax) / points(ax)[1])


def spread(values: Float, gap: float, low: float, high: float) -> Float:
    """Return the values nearest to these, in the same order, `gap` apart within the bounds."""
    order = np.argsort(values, kind="stable")
    steps = gap * np.arange(len(values))
    out = np.empty(len(values))
    out[order] = steps + isotonic_regression(
        values[order] - steps, y_min=low, y_max=max(low, high - steps[-1])
    )
    return out


def _rows_that_fit(ax: Any) -> int:
    """Return how many lines of text, as large as tick labels, the axes are high."""
    return int(points(ax)[1] / (LEADING * _font_size(ax)))


def _font_size(ax: Any) -> float:
    """Return the size of tick labels in points."""
    return float(ax.yaxis.get_major_ticks(1)[0].label1.get_fontsize())


def _lay_out(ax: Any) -> None:
    """Give the axes the place that they have when drawn, if the figure has a layout engine."""
    figure = ax.get_figure(root=True)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)


def _cut(text: str) -> str:
    """Return a text on one line, with an ellipsis if it is longer than names may be."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rstrip()}…"
