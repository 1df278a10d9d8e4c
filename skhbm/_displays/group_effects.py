"""The effects of groups, in order, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skhbm._displays import axis_labels as names
from skhbm._displays import drawing
from skhbm._displays.of_groups import group_effects
from skhbm._displays.terms import draw_terms

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["GroupEffectsDisplay"]

#: Parameters that have an entry for each coefficient, if there are several.
BY_TERM = ("estimate", "lower", "upper", "population")


@dataclass(kw_only=True, eq=False, repr=False)
class GroupEffectsDisplay:
    """Visualization of the effects of groups: a caterpillar plot.

    There is a row for each group, from the least to the largest posterior mean, with its
    posterior interval. By default it shows the effect itself, the deviation from the
    population, as is the custom [1]_: where an interval lies to one side of zero, the group
    differs from the population. Whether two groups differ from each other is another question,
    which these intervals do not answer.

    Use :meth:`from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    groups : array-like of shape (n_groups,)
        Labels of the groups.
    estimate : array-like of shape (n_groups,) or (n_terms, n_groups)
        Posterior means, in units of the coefficient.
    lower, upper : array-like of shape (n_groups,) or (n_terms, n_groups)
        Bounds of the posterior intervals.
    population : float or array-like of shape (n_terms,)
        Where the population is: 0 for effects.
    coefficient : str or list of str of length n_terms
        Name of the varying term, "intercept" or that of a feature; or of several, each of
        which has a panel.
    factor : str
        Name of the grouping factor.
    kind : {"effect", "coefficient"}, default="effect"
        Whether these are deviations from the population, or population + effect.
    ci_prob : float, default=0.9
        Probability of the intervals.

    Attributes
    ----------
    scatter_ : matplotlib PathCollection
        The posterior means, from below.
    intervals_ : matplotlib LineCollection
        The intervals, from below.
    line_ : matplotlib Line2D
        The population.
    ax_ : matplotlib Axes
        Axes with the plot. For several terms, this is an array of the panels, and the three
        above are lists of the artists of each.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    ShrinkageDisplay : How far each group is pulled to the population.
    HierarchicalNormalRegressor : Its ``shrinkage_`` has the coefficients in a table.

    References
    ----------
    .. [1] H. Goldstein and D. J. Spiegelhalter (1996). League tables and their limitations:
       statistical issues in comparisons of institutional performance. Journal of the Royal
       Statistical Society A 159(3), 385-443. https://doi.org/10.2307/2983325

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skhbm import GroupEffectsDisplay, HierarchicalNormalRegressor
    >>> from skhbm.datasets import load_sleepstudy
    >>> X, y, subject = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = HierarchicalNormalRegressor(varying_slopes=["Days"], random_state=0)
    >>> model = model.fit(X, y, groups=subject)
    >>> display = GroupEffectsDisplay.from_estimator(model, coefficient="Days")
    >>> plt.show()
    """

    groups: ArrayLike
    estimate: ArrayLike
    lower: ArrayLike
    upper: ArrayLike
    population: Any
    coefficient: Any
    factor: str
    kind: str = "effect"
    ci_prob: float = 0.9

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        factor: str | None = None,
        coefficient: str | None = None,
        kind: str = "effect",
        ci_prob: float = 0.9,
        ax: Any = None,
        scatter_kwargs: Any = None,
        interval_kwargs: Any = None,
        line_kwargs: Any = None,
    ) -> Self:
        """Plot the effects of the groups of a fitted estimator.

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
        kind : {"effect", "coefficient"}, default="effect"
            Whether to show deviations from the population, or population + effect.
        ci_prob : float, default=0.9
            Probability of the posterior intervals, which are equal-tailed.
        ax, scatter_kwargs, interval_kwargs, line_kwargs
            As in :meth:`plot`.

        Returns
        -------
        GroupEffectsDisplay
            With the computed values, drawn.

        Raises
        ------
        ImportError
            Without matplotlib.
        TypeError, ValueError
            If the estimator has no groups, or it is not clear which coefficient to show.
        """
        drawing.check_matplotlib(f"{cls.__name__}.from_estimator")
        shown = group_effects(estimator, cls.__name__, factor, coefficient, kind, ci_prob)
        return cls(**shown).plot(
            ax,
            scatter_kwargs=scatter_kwargs,
            interval_kwargs=interval_kwargs,
            line_kwargs=line_kwargs,
        )

    def plot(
        self,
        ax: Any = None,
        *,
        scatter_kwargs: Any = None,
        interval_kwargs: Any = None,
        line_kwargs: Any = None,
    ) -> Self:
        """Draw the caterpillar.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Axes to draw on, to divide into panels of several terms, or one for each of these.
            None makes a new figure. Groups are named as far as there is room: higher axes
            name more.
        scatter_kwargs, interval_kwargs, line_kwargs : dict, default=None
            Keywords for the posterior means, passed to ``scatter``; for the intervals, a
            ``LineCollection``; and for the line at the population, passed to ``axvline``.

        Returns
        -------
        GroupEffectsDisplay
            With the artists as attributes.
        """
        drawing.check_matplotlib(f"{type(self).__name__}.plot")
        keywords = {
            "scatter_kwargs": scatter_kwargs,
            "interval_kwargs": interval_kwargs,
            "line_kwargs": line_kwargs,
        }
        if not isinstance(self.coefficient, str):
            draw_terms(self, ax, BY_TERM, **keywords)
        else:
            self._draw(drawing.new_axes(ax), **keywords)
        return self

    def _draw(
        self, ax: Any, scatter_kwargs: Any, interval_kwargs: Any, line_kwargs: Any
    ) -> None:
        """Draw the caterpillar of one coefficient."""
        mean, lower, upper = map(np.asarray, (self.estimate, self.lower, self.upper))
        order = np.argsort(mean, kind="stable")
        rows, size = np.arange(len(order)), drawing.marker_size(ax, len(order))
        line = {"color": drawing.foreground(), "linewidth": 0.8, "linestyle": "--", "zorder": 1}
        self.line_ = ax.axvline(self.population, **drawing.styled("Line2D", line, line_kwargs))
        bars = {"color": "C0", "linewidth": 0.35 * size, "alpha": 0.5, "zorder": 2}
        self.intervals_ = drawing.polylines(
            ax,
            np.stack([lower, upper], axis=1)[order],
            np.stack([rows, rows], axis=1),
            **drawing.styled("LineCollection", bars, interval_kwargs),
        )
        dots = {"color": "C0", "s": size**2, "linewidth": 0, "zorder": 3}
        dots = drawing.styled("PathCollection", dots, scatter_kwargs)
        self.scatter_ = ax.scatter(mean[order], rows, **dots)
        margin = 0.7 + 0.01 * len(rows)
        ax.set_ylim(-margin, len(rows) - 1 + margin)
        what = names.title_of(self.coefficient)
        what = f"Effect on the {what[0].lower()}{what[1:]}" if self.kind == "effect" else what
        title = f"{what} (mean, {100 * self.ci_prob:g} % interval)"
        factor = names.words([self.factor])[0]
        names.name_rows(ax, np.asarray(self.groups)[order], title, factor)
        self.ax_, self.figure_ = ax, ax.figure
