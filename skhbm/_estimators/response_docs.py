"""What the docstrings of all estimators of other responses have in common."""

from __future__ import annotations

from inspect import cleandoc

__all__ = ["complete"]

PARAMETERS = """Parameters
    ----------
    group_features : str, int, or array-like of str, int or bool, default=None
        The columns of X that hold the group labels, by name, index or mask: one for each
        grouping factor. The other way to give labels is ``groups`` in :meth:`fit` and
        :meth:`predict`; this one works everywhere in scikit-learn.
    varying_slopes : {"all"}, array-like of str or int, or dict, default=None
        Features whose coefficients vary between groups, by name or index, or a dict from the
        name of a factor to those. None lets intercepts vary only.
    varying_intercept : bool or dict, default=True
        Whether intercepts vary, of all factors or, by a dict, of each.
    correlated : bool or dict, default=True
        Whether a group's effects are correlated; False makes them independent.
    priors : dict, default=None
        From a name to a :class:`Prior`: "intercept", "coef", "tau", "corr"{dispersion_keys},
        on the scale of the link. For "coef" and "tau" also a dict from an entry to a Prior.
        "tau" is for all factors, "tau_f" for the factor named f. A prior that is given for an
        intercept, for the tau of intercepts or for corr holds at x = 0. See Notes for the
        defaults.
    fit_intercept : bool, default=True
        Whether the population has an intercept.
    solver : {"auto", "nuts", "laplace"}, default="auto"
        How the posterior is computed. "nuts" samples it, in Markov chains. "laplace" draws from
        Student-t distributions about its mode, and weights the draws by the posterior. Pareto k
        in ``diagnostics_`` says whether the weights can be trusted. "auto" is "nuts" if the
        chains are predicted to take less than a second of CPU, and "laplace" otherwise; should
        its weights not be trusted, it is "nuts" if that takes less than a minute.
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
        What a label gets in predictions that was not seen in fit, or is missing: an average
        over the groups of the population, or an error.
    n_jobs : int, default=None
        Number of chains that run at once. None uses the CPUs there are, one within a joblib
        worker; -1 all of them.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws. An int gives the same draws at every call and in every process.
    verbose : int, default=0
        1 shows a line with the progress of sampling in a terminal or a notebook, and
        everywhere what came of it.
"""

ATTRIBUTES = """Attributes
    ----------
    coef_ : ndarray of shape (n_coef,)
        Posterior means of the population's coefficients, on the scale of the link as all that
        follows.
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
    {dispersion_attributes}shrinkage_ : DataFrame
        For each group and varying term of each factor: number of rows, the estimate from the
        group's rows alone (``no_pooling``; NaN if they do not determine it, as events of one
        kind only), the posterior mean (``partial_pooling``), standard deviation (``sd``) and
        90 % interval (``lower``, ``upper``), maximum likelihood of all rows
        (``complete_pooling``), and the share of the population in the posterior mean
        (``pooling``, with a 90 % interval): the diagonal of (A_j + Sigma^-1)^-1 Sigma^-1, A_j
        being the information of the group's rows at the posterior mean.{response_columns}
    variance_components_ : DataFrame
        For each factor's varying terms and the distribution of a row: standard deviation with a
        90 % interval, variance, intraclass correlation [1]_ with a 90 % interval, and pooling
        factor.
    variance_partition_ : DataFrame
        Parts of the variance of a row on the scale of the link, indexed by component, with
        their ``variance`` and ``share`` and 90 % intervals.
    bayesian_r2_ : DataFrame
        Bayesian R^2: ``mean``, ``sd`` and 90 % interval. Row "conditional": the variance of the
        fitted means, group effects included, over that plus the variance of rows about them
        [2]_; of binomial responses rows are trials, of counts they have the mean exposure. Row
        "marginal": of x'beta, over that plus the variances between groups and of a row, on the
        scale of the link [1]_.
    posterior_ : xarray.DataTree
        All draws, the groups' effects included: `intercept`, `coef`, `tau_f`, `corr_f`,
        `effect_f`{dispersion_draws}, where f is the name of a grouping factor.
    diagnostics_ : dict
        "solver" that made the draws; largest R-hat, smallest effective sample size, number of
        divergences, seconds; "pareto_k" of the weights of "laplace" or of
        :meth:`condition_on`, or None, and the number "n_points" of weights of "laplace".
    model_ : pymc.Model
        The model as a PyMC model of rows, rows that are alike taken together, with the effects
        of all groups, which a fit integrates out if it can.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns of X, if it has any.
"""

REFERENCES = """References
    ----------
    .. [1] S. Nakagawa, P. C. D. Johnson and H. Schielzeth (2017). The coefficient of
       determination R2 and intra-class correlation coefficient from generalized linear
       mixed-effects models revisited and expanded. Journal of the Royal Society Interface
       14(134), 20170213. https://doi.org/10.1098/rsif.2017.0213
    .. [2] A. Gelman, B. Goodrich, J. Gabry and A. Vehtari (2019). R-squared for Bayesian
       regression models. The American Statistician 73(3), 307-309.
       https://doi.org/10.1080/00031305.2018.1549100
    .. [3] A. Gelman, A. Jakulin, M. G. Pittau and Y.-S. Su (2008). A weakly informative default
       prior distribution for logistic and other regression models. Annals of Applied Statistics
       2(4), 1360-1383. https://doi.org/10.1214/08-AOAS191
    .. [4] J. C. Pinheiro and D. M. Bates (1995). Approximations to the log-likelihood function
       in the nonlinear mixed-effects model. Journal of Computational and Graphical Statistics
       4(1), 12-35. https://doi.org/10.1080/10618600.1995.10474663
"""

DISPERSION = {
    "alpha": "Posterior mean of alpha; the variance of a count of mean m is m + m^2 / alpha.",
    "sigma": "Posterior mean of sigma, the scale of y about its group's line.",
    "nu": "Posterior mean of nu, the degrees of freedom: small for many outliers.",
}
RESPONSE_COLUMNS = """
        ``response`` is the {what} of the group at the means of the features, with a 90 %
        interval."""


def complete(doc: str, dispersion: tuple[str, ...], link: str) -> str:
    """Put what all have in common into the docstring of a class."""
    what = {"logit": "probability", "log": "rate"}.get(link)
    listed = "".join(f"{n}_ : float\n        {DISPERSION[n]}\n    " for n in dispersion)
    attributes = ATTRIBUTES.format(
        dispersion_attributes=listed,
        dispersion_draws="".join(f", `{name}`" for name in dispersion),
        response_columns="" if what is None else RESPONSE_COLUMNS.format(what=what),
    )
    keys = "".join(f', "{name}"' for name in dispersion)
    parts = {
        "<parameters>\n": PARAMETERS.replace("{dispersion_keys}", keys),
        "<attributes>\n": attributes,
        "<references>\n": REFERENCES,
    }
    doc = cleandoc(doc)
    for placeholder, text in parts.items():
        doc = doc.replace(placeholder, f"{cleandoc(text)}\n")
    return f"{doc}\n"
