"""Lines of groups over a feature, with the rows that they were fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skhbm._displays import axis_labels as names
from skhbm._displays import drawing
from skhbm._displays.of_lines import fitted_lines

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["FittedLinesDisplay"]

#: Least width and height of a panel in inches.
PANEL = (2.0, 1.7)


@dataclass(kw_only=True, eq=False, repr=False)
class FittedLinesDisplay:
    """Visualization of the lines of groups over one feature: what pooling does.

    Each group has a panel with three lines: the expectation of y in the group, partially
    pooled, with its posterior interval; the line by the group's rows alone, without pooling;
    and the line of the population, which is the same in all panels. Other features are held at
    their means, or as given. Rows are drawn behind the lines as they are, whatever values of
    other features they have.

    Use :meth:`from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    groups : array-like of shape (n_groups,)
        Labels of the groups that are shown.
    grid : array-like of shape (n_points,)
        Values of the feature.
    lines : array-like of shape (n_groups, n_points)
        Posterior means of the expectation of y in each group.
    lower, upper : array-like of shape (n_groups, n_points)
        Bounds of its posterior intervals.
    alone : array-like of shape (n_groups, n_points)
        Lines of least squares of the groups' rows alone, NaN if they are too few.
    population : array-like of shape (n_points,)
        Posterior mean of the line of the population.
    x : array-like of shape (n_samples,)
        The feature in the rows of these groups.
    y : array-like of shape (n_samples,) or None
        The target of these rows.
    positions : array-like of shape (n_samples,)
        The position of each row's group in `groups`.
    feature : str
        Name of the feature.
    factor : str
        Name of the grouping factor.
    ci_prob : float, default=0.9
        Probability of the intervals.
    target_name : str, default="y"
        What y is.

    Attributes
    ----------
    lines_, alone_, population_ : list of matplotlib Line2D
        The three lines of each panel, in the order of `groups`.
    bands_ : list of matplotlib PolyCollection
        The intervals.
    rows_ : list of matplotlib PathCollection
        The rows of each panel; none without y.
    axes_ : ndarray of matplotlib Axes of shape (n_groups,)
        The panels.
    bounding_ax_ : matplotlib Axes or None
        The axes that the panels divide, unless one was given for each.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    ShrinkageDisplay : How far each coefficient is pulled to the population.
    HierarchicalNormalRegressor.predict_interval : With ``kind="mean"``, the intervals.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skhbm import FittedLinesDisplay, HierarchicalNormalRegressor
    >>> from skhbm.datasets import load_sleepstudy
    >>> X, y, subject = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = HierarchicalNormalRegressor(varying_slopes=["Days"], random_state=0)
    >>> model = model.fit(X, y, groups=subject)
    >>> display = FittedLinesDisplay.from_estimator(model, X, y, subject, feature="Days")
    >>> plt.show()
    """

    groups: ArrayLike
    grid: ArrayLike
    lines: ArrayLike
    lower: ArrayLike
    upper: ArrayLike
    alone: ArrayLike
    population: ArrayLike
    x: ArrayLike
    y: ArrayLike | None
    positions: ArrayLike
    feature: str
    factor: str
    ci_prob: float = 0.9
    target_name: str = "y"

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        groups: Any = None,
        *,
        feature: str | None = None,
        shown: Any = None,
        factor: str | None = None,
        at: Any = None,
        ci_prob: float = 0.9,
        ax: Any = None,
        line_kwargs: Any = None,
        band_kwargs: Any = None,
        alone_kwargs: Any = None,
        population_kwargs: Any = None,
        scatter_kwargs: Any = None,
    ) -> Self:
        """Plot the lines of groups of a fitted estimator.

        Parameters
        ----------
        estimator : estimator instance
            Fitted :class:`HierarchicalNormalRegressor`, or a fitted Pipeline or search that
            ends in one.
        X : array-like of shape (n_samples, n_features)
            Rows, as in fit. They tell the range of the feature and the means of the others.
        y : array-like of shape (n_samples,), default=None
            Their target. None draws no rows. Lines of counts are of an exposure of 1, and of
            successes of one trial.
        groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
            Their labels, unless they are columns of X.
        feature : str, default=None
            Name of the feature; None if there is only one.
        shown : label or list of labels, default=None
            The groups to show, in this order. None is all groups, or twelve of them, spread
            evenly from the lowest line to the highest.
        factor : str, default=None
            Name of the grouping factor; None if there is only one. Labels of other factors are
            taken for missing.
        at : dict, default=None
            Values of other features, by their names. Those that are not named are held at
            their means over X.
        ci_prob : float, default=0.9
            Probability of the posterior intervals, which are equal-tailed.
        ax, line_kwargs, band_kwargs, alone_kwargs, population_kwargs, scatter_kwargs
            As in :meth:`plot`.

        Returns
        -------
        FittedLinesDisplay
            With the computed values, drawn.

        Raises
        ------
        ImportError
            Without matplotlib.
        TypeError, ValueError
            If the estimator has no groups or features, it is not clear what to show, or the
            rows are not like those of fit.
        """
        drawing.check_matplotlib(f"{cls.__name__}.from_estimator")
        computed = fitted_lines(
            estimator, X, y, groups, cls.__name__, feature, shown, factor, at, ci_prob
        )
        name = getattr(y, "name", None)
        return cls(**computed, target_name="y" if name is None else str(name)).plot(
            ax,
            line_kwargs=line_kwargs,
            band_kwargs=band_kwargs,
            alone_kwargs=alone_kwargs,
            population_kwargs=population_kwargs,
            scatter_kwargs=scatter_kwargs,
        )

    def plot(
        self,
        ax: Any = None,
        *,
        line_kwargs: Any = None,
        band_kwargs: Any = None,
        alone_kwargs: Any = None,
        population_kwargs: Any = None,
        scatter_kwargs: Any = None,
    ) -> Self:
        """Draw a panel for each group.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Axes to divide into panels, or one for each group. None makes a new figure.
        line_kwargs, band_kwargs : dict, default=None
            Keywords for the lines of groups, passed to ``plot``, and for their intervals,
            passed to ``fill_between``.
        alone_kwargs, population_kwargs : dict, default=None
            Keywords for the lines of groups alone and of the population, passed to ``plot``.
        scatter_kwargs : dict, default=None
            Keywords for the rows, passed to ``scatter``.

        Returns
        -------
        FittedLinesDisplay
            With the artists as attributes.
        """
        drawing.check_matplotlib(f"{type(self).__name__}.plot")
        color = drawing.foreground()
        band = {"color": "C0", "alpha": 0.2, "linewidth": 0, "zorder": 1}
        dots = {"color": color, "s": 9, "linewidth": 0, "alpha": 0.7, "zorder": 2}
        alone = {"color": "C7", "linestyle": "--", "linewidth": 1.2, "zorder": 3}
        population = {"color": "C1", "linewidth": 1.2, "zorder": 3}
        line = {"color": "C0", "linewidth": 1.8, "zorder": 4}
        styles = {
            "band": drawing.styled("PolyCollection", band, band_kwargs),
            "rows": drawing.styled("PathCollection", dots, scatter_kwargs),
            "alone": drawing.styled("Line2D", alone, alone_kwargs),
            "population": drawing.styled("Line2D", population, population_kwargs),
            "line": drawing.styled("Line2D", line, line_kwargs),
        }
        n = len(np.asarray(self.groups))
        self.axes_, self.bounding_ax_ = drawing.panels(ax, n, shared=True, size=PANEL)
        self.figure_ = self.axes_[0].figure
        self.lines_: list[Any] = []
        self.alone_: list[Any] = []
        self.population_: list[Any] = []
        self.bands_: list[Any] = []
        self.rows_: list[Any] = []
        for j, panel in enumerate(self.axes_):
            self._draw(panel, j, styles)
        self._set_axes(new_figure=ax is None)
        return self

    def _draw(self, panel: Any, j: int, styles: dict[str, Any]) -> None:
        """Draw the lines and rows of the j-th group."""
        grid, alone = np.asarray(self.grid), np.asarray(self.alone)[j]
        lower, upper = np.asarray(self.lower)[j], np.asarray(self.upper)[j]
        self.bands_.append(panel.fill_between(grid, lower, upper, **styles["band"]))
        if self.y is not None:
            of_group = np.asarray(self.positions) == j
            x, y = np.asarray(self.x)[of_group], np.asarray(self.y)[of_group]
            self.rows_.append(panel.scatter(x, y, **styles["rows"]))
        self.alone_ += panel.plot(grid, alone, **styles["alone"])
        self.population_ += panel.plot(grid, self.population, **styles["population"])
        self.lines_ += panel.plot(grid, np.asarray(self.lines)[j], **styles["line"])

    def _set_axes(self, *, new_figure: bool) -> None:
        """Set limits, titles and the legend of the panels."""
        for panel, label in zip(self.axes_, names.words(self.groups), strict=True):
            panel.set_title(label, fontsize="small", parse_math=False)
            bottom = panel.xaxis.get_tick_params()["labelbottom"]
            left = panel.yaxis.get_tick_params()["labelleft"]
            feature, target = names.words([self.feature, self.target_name])
            names.set_titles(panel, feature if bottom else "", target if left else "")
        # Lines of groups alone may be wild, and are cut.
        inside = (self.lower, self.upper, self.lines, self.population, self.y)
        every = np.concatenate([np.ravel(values) for values in inside if values is not None])
        margin = 0.05 * np.ptp(every) or 1.0
        for panel in self.axes_:
            panel.set_ylim(every.min() - margin, every.max() + margin)
        handles = [self.lines_[0], self.alone_[0], self.population_[0]]
        interval = f"partial pooling, {100 * self.ci_prob:g} % interval"
        texts = [interval, "group alone", "population"]
        if new_figure:
            self.figure_.legend(handles, texts, loc="outside upper center", ncols=3)
        else:
            texts[0] = texts[0].replace(", ", "\n")
            legend = self.axes_[0].legend(handles, texts, loc="best", fontsize="x-small")
            legend.set_in_layout(False)
