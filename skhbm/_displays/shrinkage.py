"""Shrinkage: where each group is between no pooling and complete pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skhbm._displays import axis_labels as names
from skhbm._displays import drawing
from skhbm._displays.of_groups import shrinkage
from skhbm._displays.terms import draw_terms

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["ShrinkageDisplay"]

#: Parameters that have an entry for each coefficient, if there are several.
BY_TERM = ("no_pooling", "partial_pooling", "pooling", "complete_pooling")

#: Places and texts on the axis of the pooling factor.
TICKS = (
    [0, 0.25, 0.5, 0.75, 1],
    ["0\nno pooling", "0.25", "0.5", "0.75", "1\ncomplete pooling"],
)


@dataclass(kw_only=True, eq=False, repr=False)
class ShrinkageDisplay:
    """Visualization of the shrinkage of groups to their population.

    Each group has a line from its estimate without pooling to the estimate of complete
    pooling, which all groups share. The group's point lies where its pooling factor puts it
    between the two [1]_, at the estimate of partial pooling, the posterior mean.

    Use :meth:`from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    groups : array-like of shape (n_groups,)
        Labels of the groups.
    no_pooling, partial_pooling : array-like of shape (n_groups,) or (n_terms, n_groups)
        Estimates in units of the coefficient: from the group's rows alone, NaN if they are too
        few, and posterior means.
    complete_pooling : float or array-like of shape (n_terms,)
        Estimate from all rows, groups ignored.
    pooling : array-like of shape (n_groups,) or (n_terms, n_groups)
        Pooling factors, between 0 and 1.
    coefficient : str or list of str of length n_terms
        Name of the varying term, "intercept" or that of a feature; or of several, each of
        which has a panel.
    factor : str
        Name of the grouping factor.

    Attributes
    ----------
    lines_ : matplotlib LineCollection
        A line for each group, in the order of `groups`.
    no_pooling_, partial_pooling_, complete_pooling_ : matplotlib PathCollection
        The three kinds of estimates.
    texts_ : list of matplotlib Text
        The names of the groups, if there is room for all.
    ax_ : matplotlib Axes
        Axes with the plot. For several terms, this is an array of the panels, and the artists
        above are lists of those of each.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    GroupEffectsDisplay : The effects of all groups with intervals.
    HierarchicalNormalRegressor : Its ``shrinkage_`` is the table that is shown.

    References
    ----------
    .. [1] A. Gelman and J. Hill (2007). Data Analysis Using Regression and
       Multilevel/Hierarchical Models. Cambridge University Press. Section 12.2.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skhbm import HierarchicalNormalRegressor, ShrinkageDisplay
    >>> from skhbm.datasets import load_radon
    >>> X, y, county = load_radon(return_X_y=True, as_frame=True)
    >>> model = HierarchicalNormalRegressor(random_state=0).fit(X, y, groups=county)
    >>> display = ShrinkageDisplay.from_estimator(model)
    >>> plt.show()
    """

    groups: ArrayLike
    no_pooling: ArrayLike
    partial_pooling: ArrayLike
    complete_pooling: Any
    pooling: ArrayLike
    coefficient: Any
    factor: str

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        factor: str | None = None,
        coefficient: str | None = None,
        ax: Any = None,
        line_kwargs: Any = None,
        scatter_kwargs: Any = None,
    ) -> Self:
        """Plot the shrinkage of one coefficient, or of all, of a fitted estimator.

        Parameters
        ----------
        estimator : estimator instance
            Fitted :class:`HierarchicalNormalRegressor`, or a fitted Pipeline or search that
            ends in one.
        factor : str, default=None
            Name of the grouping factor; None if there is only one.
        coefficient : str, default=None
            Name of the varying term, "intercept" or that of a feature; None shows all, in
            small multiples.
        ax, line_kwargs, scatter_kwargs
            As in :meth:`plot`.

        Returns
        -------
        ShrinkageDisplay
            With the computed values, drawn.

        Raises
        ------
        ImportError
            Without matplotlib.
        TypeError, ValueError
            If the estimator has no groups, or it is not clear which coefficient to show.
        """
        drawing.check_matplotlib(f"{cls.__name__}.from_estimator")
        display = cls(**shrinkage(estimator, cls.__name__, factor, coefficient))
        return display.plot(ax, line_kwargs=line_kwargs, scatter_kwargs=scatter_kwargs)

    def plot(
        self, ax: Any = None, *, line_kwargs: Any = None, scatter_kwargs: Any = None
    ) -> Self:
        """Draw lines from no pooling to complete pooling.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Axes to draw on, to divide into panels of several terms, or one for each of these.
            None makes a new figure.
        line_kwargs : dict, default=None
            Keywords for the lines, passed to a ``LineCollection``.
        scatter_kwargs : dict, default=None
            Keywords for the estimates of partial pooling, passed to ``scatter``.

        Returns
        -------
        ShrinkageDisplay
            With the artists as attributes.
        """
        drawing.check_matplotlib(f"{type(self).__name__}.plot")
        keywords = {"line_kwargs": line_kwargs, "scatter_kwargs": scatter_kwargs}
        if not isinstance(self.coefficient, str):
            draw_terms(self, ax, BY_TERM, **keywords)
        else:
            self._draw(drawing.new_axes(ax), **keywords)
        return self

    def _draw(self, ax: Any, line_kwargs: Any, scatter_kwargs: Any) -> None:
        """Draw the lines of one coefficient."""
        no, partial = np.asarray(self.no_pooling), np.asarray(self.partial_pooling)
        pooling, n = np.asarray(self.pooling), len(no)
        color, size = drawing.foreground(), drawing.marker_size(ax, n / 7)
        x = np.stack([np.zeros(n), pooling, np.ones(n)], axis=1)
        y = np.stack([no, partial, np.full(n, self.complete_pooling)], axis=1)
        line = {"color": color, "linewidth": 0.7, "alpha": np.clip(25 / n, 0.04, 0.4)}
        line = drawing.styled("LineCollection", line | {"zorder": 1}, line_kwargs)
        self.lines_ = drawing.polylines(ax, x, y, **line)
        rings = {"facecolor": "none", "edgecolor": "C0", "s": size**2, "linewidth": 0.8}
        self.no_pooling_ = ax.scatter(x[:, 0], no, zorder=2, **rings)
        dots = {"color": "C0", "s": size**2, "linewidth": 0, "label": "partial pooling"}
        dots = drawing.styled("PathCollection", dots | {"zorder": 3}, scatter_kwargs)
        self.partial_pooling_ = ax.scatter(pooling, partial, **dots)
        diamond = {"marker": "D", "color": "C1", "zorder": 3}
        self.complete_pooling_ = ax.scatter([1.0], [self.complete_pooling], **diamond)
        low, high = _limits(no, np.append(partial, self.complete_pooling))
        # Lines converge to the right, where there is room above or below them.
        corner = "upper right" if 2 * self.complete_pooling < low + high else "lower right"
        ax.legend(loc=corner, markerscale=max(1, 4 / size))
        ax.set(xlim=(-0.05, 1.05), ylim=(low, high))
        ax.set_xticks(*TICKS)
        title = names.title_of(self.coefficient, self.factor)
        names.set_titles(ax, "Pooling factor", title)
        self.texts_ = names.name_ends(ax, no, self.groups, color)
        self.ax_, self.figure_ = ax, ax.figure


def _limits(no_pooling: Any, others: Any) -> tuple[float, float]:
    """Return limits that include all values except outlying estimates without pooling.

    Groups with next to no information have these. An estimate is outlying if it is farther
    from the quartiles than three times their distance.
    """
    finite = no_pooling[np.isfinite(no_pooling)]
    if len(finite):
        first, third = np.quantile(finite, [0.25, 0.75])
        fence = 3 * (third - first)
        within = (finite >= first - fence) & (finite <= third + fence)
        others = np.append(others, finite[within])
    low, high = others.min(), others.max()
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin
