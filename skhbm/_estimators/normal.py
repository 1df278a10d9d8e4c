"""`HierarchicalNormalRegressor`: its parameters, and the model of a normal response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, final

from sklearn.base import BaseEstimator, RegressorMixin

from skhbm._design.design import make_design
from skhbm._design.identifiability import warn_of_columns, warn_of_far_slopes
from skhbm._design.specification import make_terms
from skhbm._estimators.comparing import Comparing
from skhbm._estimators.fitting import Fitting
from skhbm._estimators.formats import NORMAL
from skhbm._estimators.predicting import Predicting
from skhbm._estimators.saving import Saving
from skhbm._estimators.tables import OnTables
from skhbm._priors.defaults import hold_at_means, resolve_priors
from skhbm._priors.propriety import check_residual_scales

if TYPE_CHECKING:
    from skhbm._design.design import Design
    from skhbm._posterior.posterior import Posterior
    from skhbm._priors.prior import Priors
    from skhbm._sampling.draws import Draws
    from skhbm._sampling.solvers import Settings
    from skhbm._statistics.grouped import GroupedStatistics


__all__ = ["HierarchicalNormalRegressor"]


@final
class HierarchicalNormalRegressor(
    Saving, OnTables, Fitting, Predicting, Comparing, RegressorMixin, BaseEstimator
):
    r"""Hierarchical (multilevel, mixed-effects) Bayesian normal regression.

    Rows belong to groups whose intercepts, and slopes if asked for, vary about those of a
    population. With one grouping factor f or several, nested or crossed:

    .. math::
        y_i &= \alpha + x_i'\beta + \sum_f z_i^{f\prime} u^f_{g_f(i)} + \varepsilon_i \\
        u^f_j &\sim \mathrm{Normal}(0, \Sigma_f), \quad
        \Sigma_f = \mathrm{diag}(\tau_f)\,\Omega_f\,\mathrm{diag}(\tau_f), \quad
        \Omega_f \sim \mathrm{LKJ}(2) \\
        \varepsilon_i &\sim \mathrm{Normal}(0, \sigma)

    where z is 1 and the features named in `varying_slopes`. How much groups are pooled
    is learned from the data. The effects u, and normally distributed coefficients, are
    integrated out; what is left is sampled, at a cost that does not depend on the number of
    rows.

    Parameters
    ----------
    group_features : str, int, or array-like of str, int or bool, default=None
        The columns of X that hold the group labels, by name, index or mask: one for each
        grouping factor. The other way to give labels is ``groups`` in :meth:`fit` and
        :meth:`predict`; this one works everywhere in scikit-learn.
    varying_slopes : {"all"}, array-like of str or int, or dict, default=None
        The features whose coefficients vary by group, by name or index in X; or a dict from
        the name of a factor to those. None varies intercepts only.
    varying_intercept : bool or dict, default=True
        Whether the intercept varies, by all factors or each.
    correlated : bool or dict, default=True
        Whether a group's effects are correlated; False makes them independent.
    residual_scale : {"shared", "by_group", "known"}, default="shared"
        Whether residuals have one standard deviation, or one in each group of the first
        factor, or known ones: ``y_err`` in :meth:`fit`, as in a meta-analysis. Predictions
        are then of the linear predictor itself, without residual noise.
    priors : dict, default=None
        From a name to a :class:`Prior`, on the natural scale of X and y: "intercept",
        "coef", "tau", "corr", "sigma". For "coef" and "tau" also a dict from an entry
        to a Prior. "tau" is for all factors, "tau_f" for the factor named f. A prior that is
        given for an intercept, for the tau of intercepts or for corr holds at x = 0. See Notes
        for the defaults.
    fit_intercept : bool, default=True
        Whether the population has an intercept.
    solver : {"auto", "nuts", "laplace"}, default="auto"
        How the posterior is computed. "nuts" samples it, in Markov chains. "laplace" draws from
        a Student-t distribution about its mode, and weights the draws by the posterior
        [6]_ [7]_: a fraction of the time, for searches and for very many groups. Pareto k in
        ``diagnostics_`` says whether the weights can be trusted; `tune` and `target_accept`
        have no effect. "auto" is "nuts" with one grouping factor. With several it is "nuts" if
        the chains are predicted to take less than a second of CPU, and "laplace" otherwise;
        should its weights not be trusted, it is "nuts" if that takes less than a minute.
        ``diagnostics_["solver"]`` says which one it was.
    draws : int, default=1000
        Posterior draws per chain.
    tune : int, default=1000
        Draws per chain before these that tune the sampler; they are not kept.
    chains : int, default=4
        Number of chains.
    target_accept : float, default=0.9
        Acceptance probability that the sampler's step size is tuned to. With fewer than ten
        groups, 1 - target_accept is scaled by their number over ten.
    new_groups : {"population", "error"}, default="population"
        What a label gets in predictions that was not seen in fit, or is missing: the mean of
        the population, its spread between groups in the standard deviation; or an error.
    n_jobs : int, default=None
        Number of chains that run at once. None uses the CPUs there are, one within a joblib
        worker; -1 all of them.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws. An int gives the same draws at every call and in every process.
    verbose : int, default=0
        1 shows a line with the progress of sampling in a terminal or a notebook, and
        everywhere what came of it. See Notes for each chain's.

    Attributes
    ----------
    coef_ : ndarray of shape (n_coef,)
        Posterior means of the population's coefficients.
    intercept_ : float
        Posterior mean of the population's intercept at x = 0.
    groups_ : ndarray of shape (n_groups,), or dict
        Labels of the groups, sorted. With several factors, this and the following four are
        dicts from the name of a factor.
    n_groups_ : int, or dict
        Number of groups; 0 if the model was fitted without.
    group_coef_ : ndarray of shape (n_groups, n_coef), or dict
        Posterior means of the coefficients in each group, population + effect.
    group_intercept_ : ndarray of shape (n_groups,), or dict
        Posterior means of the intercepts in each group, population + effect.
    group_scale_ : ndarray of shape (n_varying_terms,), or dict
        Posterior means of tau, the standard deviations between groups at x = 0: of
        intercepts, then of slopes in the order of the columns of X.
    residual_scale_ : float, ndarray of shape (n_groups,), or None
        Posterior mean of sigma; None if it is known.
    shrinkage_ : DataFrame
        For each group and varying term of each factor: number of rows, the estimate from the
        group's rows alone (``no_pooling``; NaN if they are too few), the posterior mean
        (``partial_pooling``), standard deviation (``sd``) and 90 % interval (``lower``,
        ``upper``), least squares of all rows (``complete_pooling``), and the share of the
        population in the posterior mean (``pooling``, with a 90 % interval):
        1 - tau^2 / (tau^2 + se^2) for an intercept, the diagonal of
        (A_j / sigma^2 + Sigma^-1)^-1 Sigma^-1 in general [1]_, of lines about the means of
        the features if the priors of tau and corr hold there.
    variance_components_ : DataFrame
        For each factor's varying terms and the residual: standard deviation with a 90 %
        interval, variance, intraclass correlation with a 90 % interval, and pooling factor
        [2]_. With known errors there is no residual, and the intraclass correlation is the
        I^2 of meta-analysis [5]_.
    variance_partition_ : DataFrame
        Parts of the variance of a row, indexed by component: "population", the variance of
        x'beta over rows; each grouping factor, the mean of z'Sigma z over rows [3]_; and
        "residual", which is the typical variance [5]_ of known errors. Their ``variance`` and
        ``share``, with 90 % intervals.
    bayesian_r2_ : DataFrame
        Bayesian R^2 [4]_: ``mean``, ``sd`` and 90 % interval. Row "conditional": the
        variance of the fitted values, group effects included, over that plus the residual
        one. Row "marginal": of x'beta, over that plus the variance between groups and the
        residual one, as for rows of new groups.
    posterior_ : xarray.DataTree
        All draws, the groups' effects included: `intercept`, `coef`, `tau_f`, `corr_f`,
        `effect_f`, `sigma`, where f is the name of a grouping factor: that of its Series or
        column, or "group", or "group0", "group1", ... of several without names. Intercepts
        and correlations are those at x = 0, terms come in the order of the columns of X.
    diagnostics_ : dict
        "solver" that made the draws; largest R-hat, smallest effective sample size, number of
        divergences, seconds; "pareto_k" of the weights of "laplace" or of
        :meth:`condition_on`, or None, and the number "n_points" of weights of "laplace".
    model_ : pymc.Model
        The model that is sampled, as a PyMC model of the groups' statistics.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns of X, if it has any.

    See Also
    --------
    Prior : A prior for one of the parameters.
    GroupedStatistics : All that a fit needs to know of its rows.

    Notes
    -----
    Default priors, with s_y and s_k the standard deviations of y and of feature k over rows,
    and s_f the larger of s_y and the standard deviation of y between the groups of factor f:

    - intercept, at the mean of X: Normal(mean of y, 2.5 times the largest s_f)
    - coef[k]: Normal(0, 2.5 s_y / s_k)
    - tau of a slope: HalfNormal(2.5 s_f / s_k)
    - tau of the intercept, at the mean of X: HalfNormal(2.5 s_f)
    - corr, at the mean of X: LKJCorr(2)
    - sigma: HalfNormal(2.5 s_y); there is none where errors are known
    - sigma_j with ``residual_scale="by_group"``: log sigma_j ~ Normal(m, s), m ~ Normal(log
      s_y, 1), s ~ HalfNormal(0.4). An explicit prior of sigma is independent for each group,
      and all that is known of a new one.

    They move with the units and origins of X and y: a shift of a feature changes nothing but
    what is reported at x = 0, which tau and corr of each draw are transformed to. If a prior is
    given for the intercept's tau or for corr, both hold at x = 0, and the default of that tau
    is wider by sqrt(1 + sum of (mean of x_k / s_k)^2) over varying slopes. They hold at x = 0
    without intercepts, too (``fit_intercept=False`` or ``varying_intercept=False``). With
    ``correlated=False`` effects are independent where the priors hold.

    With ``fit_intercept=False``, standard deviations are about zero. With known errors they,
    and means, are weighted by 1 / y_err^2.

    Labels that are numbered anew in each group of another factor (class 1, 2, ... of every
    school) would be taken for crossed. Make them unique first, as in
    ``groups["class"] = groups["school"].astype(str) + "/" + groups["class"].astype(str)``.

    ``set_callbacks(sklearn.callback.ProgressBar())``, of this estimator or of a grid search
    or pipeline around it, shows the progress of each chain. Callbacks are told of "fit", of
    each "chain" below it, and of at most 50 blocks of "draws" below each chain, tuning
    included. What they raise stops the chains; what they return does not, as a posterior needs
    the draws of all chains. Draws are the same with callbacks and without.

    References
    ----------
    .. [1] A. Gelman and J. Hill (2007). Data Analysis Using Regression and
       Multilevel/Hierarchical Models. Cambridge University Press. Chapters 12 and 13.
    .. [2] A. Gelman and I. Pardoe (2006). Bayesian measures of explained variance and
       pooling in multilevel (hierarchical) models. Technometrics 48(2), 241-251.
       https://doi.org/10.1198/004017005000000517

    .. [3] P. C. D. Johnson (2014). Extension of Nakagawa & Schielzeth's R2GLMM to random
       slopes models. Methods in Ecology and Evolution 5(9), 944-946.
       https://doi.org/10.1111/2041-210X.12225
    .. [4] A. Gelman, B. Goodrich, J. Gabry and A. Vehtari (2019). R-squared for Bayesian
       regression models. The American Statistician 73(3), 307-309.
       https://doi.org/10.1080/00031305.2018.1549100
    .. [5] J. P. T. Higgins and S. G. Thompson (2002). Quantifying heterogeneity in a
       meta-analysis. Statistics in Medicine 21(11), 1539-1558.
       https://doi.org/10.1002/sim.1186
    .. [6] L. Tierney and J. B. Kadane (1986). Accurate approximations for posterior moments
       and marginal densities. Journal of the American Statistical Association 81(393), 82-86.
       https://doi.org/10.1080/01621459.1986.10478240
    .. [7] A. Vehtari, D. Simpson, A. Gelman, Y. Yao and J. Gabry (2024). Pareto smoothed
       importance sampling. Journal of Machine Learning Research 25(72), 1-58.
       https://jmlr.org/papers/v25/19-556.html

    Examples
    --------
    >>> from skhbm import HierarchicalNormalRegressor
    >>> from skhbm.datasets import load_radon
    >>> radon = load_radon(as_frame=True)
    >>> model = HierarchicalNormalRegressor(random_state=0)
    >>> model = model.fit(radon.data[["floor"]], radon.target, groups=radon.groups)
    >>> print(f"{model.intercept_:.1f} {model.coef_[0]:.1f} {model.group_scale_[0]:.1f}")
    1.5 -0.7 0.3
    """

    _format = NORMAL

    def __init__(
        self,
        *,
        group_features: Any = None,
        varying_slopes: Any = None,
        varying_intercept: Any = True,
        correlated: Any = True,
        residual_scale: str = "shared",
        priors: Any = None,
        fit_intercept: bool = True,
        solver: str = "auto",
        draws: int = 1000,
        tune: int = 1000,
        chains: int = 4,
        target_accept: float = 0.9,
        new_groups: str = "population",
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.group_features = group_features
        self.varying_slopes = varying_slopes
        self.varying_intercept = varying_intercept
        self.correlated = correlated
        self.residual_scale = residual_scale
        self.priors = priors
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.draws = draws
        self.tune = tune
        self.chains = chains
        self.target_accept = target_accept
        self.new_groups = new_groups
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _make_design(
        self, fitted: Self, statistics: GroupedStatistics, *, more_to_come: bool
    ) -> Design:
        terms = make_terms(fitted, statistics, more_to_come=more_to_come)
        names = [levels.name for levels in statistics.factors]
        if names:
            centred = hold_at_means(self.priors, terms, names)
            terms = tuple(
                replace(of_factor, centred=at_means)
                for of_factor, at_means in zip(terms, centred, strict=True)
            )
        design = make_design(statistics, terms)
        warn_of_far_slopes(terms, design.scaling)
        given = self.priors if isinstance(self.priors, Mapping) else {}
        # One prior for all coefficients says what the data do not. A dict may leave some out.
        if not more_to_come and isinstance(given.get("coef", {}), Mapping):
            warn_of_columns(design)
        check_residual_scales(design, explicit="sigma" in given, more_to_come=more_to_come)
        return design

    def _make_priors(self, design: Design) -> Priors:
        return resolve_priors(self.priors, design)

    def _infer(
        self, design: Design, priors: Priors, settings: Settings
    ) -> tuple[Posterior, Draws]:
        from skhbm._priors.pytensor_folder import ensure_folder

        ensure_folder()
        from skhbm._estimators.inference import infer

        return infer(design, priors, self.solver, settings)

    def _set_response(self, posterior: Posterior) -> None:
        terms = posterior.design.terms
        scale = posterior.sigma.mean(axis=(0, 1))
        single = None if terms.known else float(scale[0])
        self.residual_scale_ = scale if terms.by_group else single
