"""The observed target against replicates from the predictive distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skhbm._displays import axis_labels as names
from skhbm._displays import drawing
from skhbm._displays.curves import central_range, densities, distributions
from skhbm._displays.of_predictions import replicated_target
from skhbm._inputs.parameters import check_choice

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["PosteriorPredictiveDisplay"]

#: What is drawn of each sample, and the title of its axis.
KINDS = {"kde": (densities, "Density"), "ecdf": (distributions, "Empirical distribution")}


@dataclass(kw_only=True, eq=False, repr=False)
class PosteriorPredictiveDisplay:
    """Visualization of a posterior predictive check.

    It shows the distribution of the observed y over rows, and the distribution of each of some
    replicates. In a replicate all rows are drawn anew, in the groups that they have, from the
    posterior predictive distribution [1]_. Where the observed distribution leaves the
    replicates, the model misses something of the data. If few values are so far out that the
    rest could not be seen, the axis ends before them, and its title has their number.

    Use :meth:`from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Observed target.
    y_samples : array-like of shape (n_samples, n_replicates)
        Replicates, as from :meth:`HierarchicalNormalRegressor.sample_y`.
    target_name : str, default="y"
        What y is.

    Attributes
    ----------
    line_ : matplotlib Line2D
        The observed distribution.
    replicated_ : list of matplotlib Line2D
        The distributions of the replicates.
    ax_ : matplotlib Axes
        Axes with the plot.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    CalibrationDisplay : Whether each row is predicted as well as the model says.
    HierarchicalNormalRegressor.sample_y : The draws.

    References
    ----------
    .. [1] J. Gabry, D. Simpson, A. Vehtari, M. Betancourt and A. Gelman (2019).
       Visualization in Bayesian workflow. Journal of the Royal Statistical Society A 182(2),
       389-402. https://doi.org/10.1111/rssa.12378

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skhbm import HierarchicalNormalRegressor, PosteriorPredictiveDisplay
    >>> from skhbm.datasets import load_radon
    >>> X, y, county = load_radon(return_X_y=True, as_frame=True)
    >>> model = HierarchicalNormalRegressor(random_state=0).fit(X, y, groups=county)
    >>> display = PosteriorPredictiveDisplay.from_estimator(model, X, y, county)
    >>> plt.show()
    """

    y_true: ArrayLike
    y_samples: ArrayLike
    target_name: str = "y"

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        *,
        y_err: ArrayLike | None = None,
        n_samples: int = 50,
        random_state: Any = 0,
        kind: str = "kde",
        ax: Any = None,
        line_kwargs: Any = None,
        replicated_kwargs: Any = None,
    ) -> Self:
        """Plot y against replicates of it.

        Parameters
        ----------
        estimator : estimator instance
            Fitted :class:`HierarchicalNormalRegressor`, another estimator with a method
            ``sample_y``, or a fitted Pipeline or search that ends in one of them.
        X : array-like of shape (n_samples, n_features) or None
            Rows to predict, those of fit or others.
        y : array-like of shape (n_samples,)
            Their target.
        groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
            Their labels, unless they are columns of X.
        y_err : array-like of shape (n_samples,), default=None
            Known standard errors of y, if ``residual_scale="known"``.
        n_samples : int, default=50
            Number of replicates.
        random_state : int, RandomState instance or None, default=0
            Seed of the replicates.
        kind, ax, line_kwargs, replicated_kwargs
            As in :meth:`plot`.

        Returns
        -------
        PosteriorPredictiveDisplay
            With the computed values, drawn.

        Raises
        ------
        ImportError
            Without matplotlib.
        TypeError, ValueError
            If the estimator draws no samples, or the rows are not like those of fit.
        """
        drawing.check_matplotlib(f"{cls.__name__}.from_estimator")
        check_choice("kind", kind, KINDS)
        target, drawn = replicated_target(
            estimator, X, y, groups, y_err, n_samples, random_state
        )
        name = getattr(y, "name", None)
        name = "y" if name is None else str(name)
        display = cls(y_true=target, y_samples=drawn, target_name=name)
        return display.plot(
            ax, kind=kind, line_kwargs=line_kwargs, replicated_kwargs=replicated_kwargs
        )

    def plot(
        self,
        ax: Any = None,
        *,
        kind: str = "kde",
        line_kwargs: Any = None,
        replicated_kwargs: Any = None,
    ) -> Self:
        """Draw the observed distribution over the distributions of the replicates.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        kind : {"kde", "ecdf"}, default="kde"
            Kernel densities, which ArviZ estimates, or empirical distribution functions, which
            are the better choice for few rows, rounded values or bounded ones.
        line_kwargs : dict, default=None
            Keywords for the observed distribution, passed to ``plot``.
        replicated_kwargs : dict, default=None
            Keywords for the distributions of the replicates, passed to ``plot``.

        Returns
        -------
        PosteriorPredictiveDisplay
            With the artists as attributes.

        Raises
        ------
        ValueError
            If there is no such kind.
        """
        drawing.check_matplotlib(f"{type(self).__name__}.plot")
        check_choice("kind", kind, KINDS)
        curves, title = KINDS[kind]
        samples = np.column_stack([self.y_true, self.y_samples]).T
        x, height = curves(samples)
        ax = drawing.new_axes(ax)
        steps = {"drawstyle": "steps-post" if kind == "ecdf" else "default"}
        lines = {"color": "C0", "linewidth": 0.8, "alpha": 0.3, "zorder": 1, **steps}
        lines = drawing.styled("Line2D", lines, replicated_kwargs)
        self.replicated_ = ax.plot(x[1:].T, height[1:].T, **lines)
        line = {"color": drawing.foreground(), "linewidth": 2.0, "zorder": 2, **steps}
        line = drawing.styled("Line2D", line, line_kwargs)
        (self.line_,) = ax.plot(x[0], height[0], **line)
        legend = ax.legend(
            [self.line_, self.replicated_[0]], ["observed", "replicated"], loc="best"
        )
        legend.legend_handles[1].set_alpha(None)
        names.set_titles(ax, names.words([self.target_name])[0] + _view(ax, samples), title)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _view(ax: Any, samples: Any) -> str:
    """Let the x axis show the central range of the samples; return what it leaves out."""
    low, high = central_range(samples)
    beyond = (samples < low) | (samples > high)
    if not beyond.any():
        return ""
    margin = 0.15 * (high - low)
    ax.set_xlim(low - margin, high + margin)
    return f" ({beyond[0].sum():,} of {len(samples[0]):,} observed values are beyond the axis)"
