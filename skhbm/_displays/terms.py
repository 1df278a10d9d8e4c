"""Displays of several coefficients: a panel for each."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from skhbm._displays import drawing

__all__ = ["draw_terms", "join_terms"]

#: Least width and height of a panel in inches.
PANEL = (4.2, 4.8)


def join_terms(parts: list[dict[str, Any]], by_term: tuple[str, ...]) -> dict[str, Any]:
    """Return parameters of a display of one coefficient, or of several as a display of all."""
    if len(parts) == 1:
        return parts[0]
    joined = {name: np.array([part[name] for part in parts]) for name in by_term}
    return {**parts[0], **joined, "coefficient": [part["coefficient"] for part in parts]}


def draw_terms(display: Any, ax: Any, by_term: tuple[str, ...], **keywords: Any) -> Any:
    """Draw each coefficient of a display in a panel; its artists are lists of those of panels.

    The parameters `by_term` have an entry for each coefficient.
    """
    terms = list(display.coefficient)
    axes, _ = drawing.panels(ax, len(terms), shared=False, size=PANEL)
    parts = []
    for i, (term, panel) in enumerate(zip(terms, axes, strict=True)):
        values = {name: np.asarray(getattr(display, name))[i] for name in by_term}
        part = dataclasses.replace(display, coefficient=term, **values)
        parts.append(part.plot(panel, **keywords))
    for name in vars(parts[0]):
        if name.endswith("_"):
            setattr(display, name, [getattr(part, name) for part in parts])
    display.ax_, display.figure_ = axes, axes[0].figure
    return display
