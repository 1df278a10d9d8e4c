"""Calibration: how often y is where the predictive distribution puts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skhbm._displays import axis_labels as names
from skhbm._displays import drawing
from skhbm._displays.of_predictions import calibration, calibration_of_quantiles
from skhbm._inputs.parameters import as_count

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["CalibrationDisplay"]

#: The titles of the axes.
KINDS = {
    "coverage": ("Nominal coverage of central intervals", "Observed coverage"),
    "pit": ("Probability integral transform", "Empirical distribution"),
    "reliability": ("Predicted probability", "Observed share"),
}
#: Points of a curve that are marked, at most.
FEW = 25


@dataclass(kw_only=True, eq=False, repr=False)
class CalibrationDisplay:
    """Visualization of the calibration of predictive distributions.

    How often y is inside central predictive intervals of a given probability; or the
    distribution of the probability integral transform (PIT), the predictive probability of
    less than y, which also tells predictions that are too high from predictions that are too
    low. Both are the diagonal if predictions are calibrated [1]_, up to chance: a band holds
    the whole curve of as many calibrated, independent predictions with probability
    `envelope_prob` [2]_. Counts have their probability integral transform at random between
    those of less than y and of no more than y [3]_.

    Of predicted probabilities, kind="reliability" shows how often the second class, or success,
    occurs in bins of rows with similar probabilities.

    Use rows that were held out. Rows of fit are predicted from themselves as well, and look
    better calibrated than new rows will: if they are given, all of them and no others, the
    legend calls the curve "in-sample". Rows that are predicted from one fit share its error,
    and rows of one new group share its effect, so that curves of calibrated predictions leave
    the band somewhat more often than its probability says.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one. All parameters are
    stored as attributes.

    Parameters
    ----------
    nominal, observed : array-like of shape (n_points,)
        Probabilities, and shares of the rows.
    lower, upper : array-like of shape (n_points,)
        Bounds of the band.
    kind : {"coverage", "pit", "reliability"}, default="coverage"
        What they are probabilities of.
    envelope_prob : float, default=0.95
        Probability of the band.
    name : str, default="observed"
        Name of the curve in the legend.
    in_sample : bool, default=False
        Whether the rows are those of fit.

    Attributes
    ----------
    line_ : matplotlib Line2D
        The curve.
    band_ : matplotlib PolyCollection or None
        The band, if it is drawn.
    ref_line_ : matplotlib Line2D or None
        The diagonal, if it is drawn.
    ax_ : matplotlib Axes
        Axes with the plot.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    PosteriorPredictiveDisplay : The distribution of y over all rows against replicates.
    HierarchicalNormalRegressor.predict_interval : The intervals.

    References
    ----------
    .. [1] T. Gneiting, F. Balabdaoui and A. E. Raftery (2007). Probabilistic forecasts,
       calibration and sharpness. Journal of the Royal Statistical Society B 69(2), 243-268.
       https://doi.org/10.1111/j.1467-9868.2007.00587.x
    .. [2] T. Säilynoja, P.-C. Bürkner and A. Vehtari (2022). Graphical test for discrete
       uniformity and its applications in goodness-of-fit evaluation and multiple sample
       comparison. Statistics and Computing 32, 32. https://doi.org/10.1007/s11222-022-10090-6
    .. [3] C. Czado, T. Gneiting and L. Held (2009). Predictive model assessment for count
       data. Biometrics 65(4), 1254-1261. https://doi.org/10.1111/j.1541-0420.2009.01191.x

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.model_selection import train_test_split
    >>> from skhbm import CalibrationDisplay, HierarchicalNormalRegressor
    >>> from skhbm.datasets import load_radon
    >>> train, test = train_test_split(load_radon(as_frame=True).frame, random_state=0)
    >>> features = ["county", "floor", "log_uranium"]
    >>> model = HierarchicalNormalRegressor(group_features="county", random_state=0)
    >>> model = model.fit(train[features], train["log_radon"])
    >>> display = CalibrationDisplay.from_estimator(model, test[features], test["log_radon"])
    >>> plt.show()
    """

    nominal: ArrayLike
    observed: ArrayLike
    lower: ArrayLike
    upper: ArrayLike
    kind: str = "coverage"
    envelope_prob: float = 0.95
    name: str = "observed"
    in_sample: bool = False

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None,
        y: ArrayLike,
        groups: Any = None,
        *,
        y_err: ArrayLike | None = None,
        trials: ArrayLike | None = None,
        exposure: ArrayLike | None = None,
        kind: str = "coverage",
        envelope_prob: float = 0.95,
        n_bins: int = 10,
        name: str = "observed",
        difference: bool = False,
        ref_line: bool = True,
        ax: Any = None,
        line_kwargs: Any = None,
        band_kwargs: Any = None,
        ref_line_kwargs: Any = None,
    ) -> Self:
        """Plot the calibration of a fitted estimator on rows that were held out.

        Parameters
        ----------
        estimator : estimator instance
            Fitted estimator of this package; another estimator whose ``predict``
            has ``return_std``, taken for normal; or a fitted Pipeline or search that ends
            in one of them. For kind="reliability" any classifier of two classes.
        X : array-like of shape (n_samples, n_features) or None
            Rows to predict.
        y : array-like of shape (n_samples,)
            Their target.
        groups : array-like of shape (n_samples,) or (n_samples, n_factors), default=None
            Their labels, unless they are columns of X.
        y_err : array-like of shape (n_samples,), default=None
            Known standard errors of y, if ``residual_scale="known"``.
        trials, exposure : array-like of shape (n_samples,), default=None
            What y are successes of, or counted in, if the estimator takes either.
        kind : {"coverage", "pit", "reliability"}, default="coverage"
            What to show.
        envelope_prob : float, default=0.95
            Probability of the band.
        n_bins : int, default=10
            Bins of rows for kind="reliability", each with about as many.
        name : str, default="observed"
            Name of the curve in the legend.
        difference, ref_line, ax, line_kwargs, band_kwargs, ref_line_kwargs
            As in :meth:`plot`.

        Returns
        -------
        CalibrationDisplay
            With the computed values, drawn.

        Raises
        ------
        ImportError
            Without matplotlib.
        TypeError, ValueError
            If the estimator predicts no distribution, or the rows are not like those of fit.
        """
        drawing.check_matplotlib(f"{cls.__name__}.from_estimator")
        sizes = {"trials": trials, "exposure": exposure}
        n_bins = as_count(n_bins, "n_bins")
        shown = calibration(estimator, X, y, groups, y_err, sizes, kind, envelope_prob, n_bins)
        return cls(**shown, name=name).plot(
            ax,
            difference=difference,
            ref_line=ref_line,
            line_kwargs=line_kwargs,
            band_kwargs=band_kwargs,
            ref_line_kwargs=ref_line_kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_quantiles: ArrayLike,
        *,
        quantiles: ArrayLike = (0.05, 0.25, 0.5, 0.75, 0.95),
        kind: str = "coverage",
        envelope_prob: float = 0.95,
        name: str = "observed",
        difference: bool = False,
        ref_line: bool = True,
        ax: Any = None,
        line_kwargs: Any = None,
        band_kwargs: Any = None,
        ref_line_kwargs: Any = None,
    ) -> Self:
        """Plot the calibration of predicted quantiles, such as those of cross-validation.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Observed target.
        y_quantiles : array-like of shape (n_samples, n_quantiles)
            Quantiles of each row, as from ``predict_quantiles`` of the fit that the row was
            held out from.
        quantiles : array-like of shape (n_quantiles,)
            Their probabilities, increasing; by default those of `predict_quantiles`.
            For kind="coverage", in pairs p and 1 - p.
        kind, envelope_prob, name
            As in :meth:`from_estimator`.
        difference, ref_line, ax, line_kwargs, band_kwargs, ref_line_kwargs
            As in :meth:`plot`.

        Returns
        -------
        CalibrationDisplay
            With the computed values, drawn.

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If shapes do not fit together, or probabilities are not in pairs.
        """
        drawing.check_matplotlib(f"{cls.__name__}.from_predictions")
        shown = calibration_of_quantiles(y_true, y_quantiles, quantiles, kind, envelope_prob)
        return cls(**shown, name=name).plot(
            ax,
            difference=difference,
            ref_line=ref_line,
            line_kwargs=line_kwargs,
            band_kwargs=band_kwargs,
            ref_line_kwargs=ref_line_kwargs,
        )

    def plot(
        self,
        ax: Any = None,
        *,
        difference: bool = False,
        ref_line: bool = True,
        line_kwargs: Any = None,
        band_kwargs: Any = None,
        ref_line_kwargs: Any = None,
    ) -> Self:
        """Draw the observed shares against the nominal ones.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        difference : bool, default=False
            Whether to draw observed - nominal, which shows more where there are many rows.
        ref_line : bool, default=True
            Whether to draw the band and the diagonal; not for a second curve on the same axes.
        line_kwargs, band_kwargs, ref_line_kwargs : dict, default=None
            Keywords for the curve, passed to ``plot``; for the band, passed to
            ``fill_between``; and for the diagonal, passed to ``plot``.

        Returns
        -------
        CalibrationDisplay
            With the artists as attributes.
        """
        drawing.check_matplotlib(f"{type(self).__name__}.plot")
        ax = drawing.new_axes(ax)
        x, observed, *bounds = map(
            np.asarray, (self.nominal, self.observed, self.lower, self.upper)
        )
        color, ends = drawing.foreground(), np.array([0.0, 1.0])
        self.band_ = self.ref_line_ = None
        if ref_line:
            label = f"{100 * self.envelope_prob:g} % band"
            band = {"color": color, "alpha": 0.15, "linewidth": 0, "label": label}
            band = drawing.styled("PolyCollection", band, band_kwargs)
            low, high = (bound - difference * x for bound in bounds)
            self.band_ = ax.fill_between(x, low, high, **band)
            ref = {"color": color, "linestyle": "--", "linewidth": 0.8, "label": "calibrated"}
            ref = drawing.styled("Line2D", ref, ref_line_kwargs)
            (self.ref_line_,) = ax.plot(ends, ends - difference * ends, **ref)
        label = f"{self.name} (in-sample)" if self.in_sample else self.name
        line = {"marker": "o" if len(x) < FEW else "", "label": label}
        line = drawing.styled("Line2D", line, line_kwargs)
        (self.line_,) = ax.plot(x, observed - difference * x, **line)
        self._set_axes(ax, difference)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _set_axes(self, ax: Any, difference: bool) -> None:
        """Set limits, titles and legend of the axes."""
        xlabel, ylabel = KINDS[self.kind]
        ax.set_xlim(0, 1)
        if difference:
            # The legend is above the curves, as there is no room beside them.
            legend = ax.legend(loc="upper center", ncols=2)
            share = names.headroom(ax, -(-len(legend.get_texts()) // 2))
            reach = 1.1 * np.abs(ax.dataLim.intervaly).max()
            ax.set_ylim(-reach, reach * (1 + share) / (1 - share))
        else:
            ax.set(ylim=(0, 1), aspect="equal")
            ax.legend(loc="best")
        names.set_titles(ax, xlabel, f"{ylabel} minus nominal" if difference else ylabel)
