"""Small classic data sets with grouped rows, shipped with the package.

The loaders work as those of :mod:`sklearn.datasets`, and give the rows' groups as well. They
need pandas only for ``as_frame=True``.
"""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import Bunch

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "load_baseball",
    "load_contraception",
    "load_eight_schools",
    "load_epilepsy",
    "load_pumps",
    "load_radon",
    "load_sleepstudy",
    "load_three_groups",
]

DATA_MODULE = "skhbm.datasets.data"


def load_radon(
    *, return_X_y: bool = False, as_frame: bool = False
) -> Bunch | tuple[Any, Any, Any]:
    """Load radon in 919 homes of 85 counties in Minnesota.

    The target is the logarithm of the radon activity (log pCi/L), the features are the floor
    (0 basement, 1 first floor) and the logarithm of the county's soil uranium (log ppm).

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(data, target, groups)`` instead of a Bunch.
    as_frame : bool, default=False
        Whether data is a DataFrame, and target and groups are Series.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like, with the attributes

        - data : {ndarray, DataFrame} of shape (919, 2)
        - target : {ndarray, Series} of shape (919,)
        - groups : {ndarray, Series} of shape (919,), names of the counties
        - feature_names, target_names : list of str
        - group_name : str, "county"
        - frame : DataFrame of groups, data and target; None unless ``as_frame=True``
        - DESCR : str, the columns, their units, the source and the licence
        - filename, data_module : str, where the data are

    (data, target, groups) : tuple if ``return_X_y=True``
        Unlike scikit-learn's loaders this returns the groups as well.

    References
    ----------
    .. [1] A. Gelman and J. Hill (2007). Data Analysis Using Regression and
       Multilevel/Hierarchical Models. Cambridge University Press. Chapter 12.

    Examples
    --------
    >>> X, y, county = load_radon(return_X_y=True, as_frame=True)
    >>> X.shape
    (919, 2)
    >>> county.name, county.nunique()
    ('county', 85)
    """
    return _load("radon", ["floor", "log_uranium"], "log_radon", "county", return_X_y, as_frame)


def load_baseball(
    *, return_X_y: bool = False, as_frame: bool = False
) -> Bunch | tuple[Any, Any, Any]:
    """Load batting averages of 18 baseball players early in the season of 1970, and late.

    The target is the average in a player's first 45 times at bat, hits per time. There is no
    feature.

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(data, target, groups)`` instead of a Bunch. The rest of the season
        is in the Bunch only.
    as_frame : bool, default=False
        Whether data is a DataFrame, and the others are Series.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As from :func:`load_radon`: data (18, 0), target and groups (18,), and

        - hits, at_bats : {ndarray, Series} of shape (18,), counts; target is hits / at_bats
        - remainder_average : {ndarray, Series} of shape (18,), hits per time at bat in the
          rest of the season
        - remainder_at_bats : {ndarray, Series} of shape (18,), counts

    (data, target, groups) : tuple if ``return_X_y=True``
        Unlike scikit-learn's loaders this returns the groups as well.

    References
    ----------
    .. [1] B. Efron and C. Morris (1975). Data analysis using Stein's estimator and its
       generalizations. Journal of the American Statistical Association 70(350), 311-319.
       https://doi.org/10.1080/01621459.1975.10479864

    Examples
    --------
    >>> baseball = load_baseball(as_frame=True)
    >>> baseball.frame[["player", "average", "remainder_average"]].head(2).round(3)
                 player  average  remainder_average
    0  Roberto Clemente    0.400              0.346
    1    Frank Robinson    0.378              0.298
    """
    extras = ["hits", "at_bats", "remainder_average", "remainder_at_bats"]
    return _load("baseball", [], "average", "player", return_X_y, as_frame, extras)


def load_contraception(
    *, return_X_y: bool = False, as_frame: bool = False
) -> Bunch | tuple[Any, Any, Any]:
    """Load the use of contraception by 1,934 women of 60 districts of Bangladesh.

    The target is 1 for women who use contraception and 0 for others. The features are the age
    (years, from the mean), whether the woman lives in a city (0, 1), and the number of her
    living children (0 to 3, where 3 is three or more).

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(data, target, groups)`` instead of a Bunch.
    as_frame : bool, default=False
        Whether data is a DataFrame, and target and groups are Series.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As from :func:`load_radon`: data (1934, 3), target and groups (1934,).
    (data, target, groups) : tuple if ``return_X_y=True``
        Unlike scikit-learn's loaders this returns the groups as well.

    References
    ----------
    .. [1] N. M. Huq and J. Cleland (1990). Bangladesh Fertility Survey 1989. Dhaka: National
       Institute of Population Research and Training.

    Examples
    --------
    >>> load_contraception(as_frame=True).frame.head(2)
       district      age  urban  children  use
    0         1  18.4400    1.0       3.0  0.0
    1         1  -5.5599    1.0       0.0  0.0
    """
    features = ["age", "urban", "children"]
    return _load("contraception", features, "use", "district", return_X_y, as_frame)


def load_eight_schools(
    *, return_X_y: bool = False, as_frame: bool = False
) -> Bunch | tuple[Any, Any, Any]:
    """Load effects of coaching in eight schools, with their standard errors.

    The target is the estimated effect in each school, in points of the SAT-V test. There is
    no feature.

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(data, target, groups)`` instead of a Bunch. The standard errors
        are in the Bunch only.
    as_frame : bool, default=False
        Whether data is a DataFrame, and target, groups and y_err are Series.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As from :func:`load_radon`: data (8, 0), target and groups (8,), and

        - y_err : {ndarray, Series} of shape (8,), standard errors in points of the test

    (data, target, groups) : tuple if ``return_X_y=True``
        Unlike scikit-learn's loaders this returns the groups as well.

    References
    ----------
    .. [1] D. B. Rubin (1981). Estimation in parallel randomized experiments. Journal of
       Educational Statistics 6(4), 377-401. https://doi.org/10.3102/10769986006004377

    Examples
    --------
    >>> schools = load_eight_schools()
    >>> schools.target
    array([28.,  8., -3.,  7., -1.,  1., 18., 12.])
    >>> schools.y_err
    array([15., 10., 16., 11.,  9., 11., 10., 18.])
    """
    extras = ["y_err"]
    return _load("eight_schools", [], "effect", "school", return_X_y, as_frame, extras)


def load_epilepsy(
    *, return_X_y: bool = False, as_frame: bool = False
) -> Bunch | tuple[Any, Any, Any]:
    """Load numbers of seizures of 59 patients with epilepsy in four periods of two weeks.

    The target is the number of seizures in the two weeks before a visit. The features are the
    number in the eight weeks before the trial, the treatment (0 placebo, 1 progabide), the age
    (years) and the visit (1 to 4).

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(data, target, groups)`` instead of a Bunch.
    as_frame : bool, default=False
        Whether data is a DataFrame, and target and groups are Series.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As from :func:`load_radon`: data (236, 4), target and groups (236,).
    (data, target, groups) : tuple if ``return_X_y=True``
        Unlike scikit-learn's loaders this returns the groups as well.

    References
    ----------
    .. [1] P. F. Thall and S. C. Vail (1990). Some covariance models for longitudinal count
       data with overdispersion. Biometrics 46(3), 657-671. https://doi.org/10.2307/2532086

    Examples
    --------
    >>> load_epilepsy(as_frame=True).frame.head(2)
       patient  baseline  progabide   age  visit  seizures
    0        1      11.0        0.0  31.0    1.0       5.0
    1        1      11.0        0.0  31.0    2.0       3.0
    """
    features = ["baseline", "progabide", "age", "visit"]
    return _load("epilepsy", features, "seizures", "patient", return_X_y, as_frame)


def load_pumps(
    *, return_X_y: bool = False, as_frame: bool = False
) -> Bunch | tuple[Any, Any, Any]:
    """Load numbers of failures of ten pumps of a power plant, and how long they ran.

    The target is the number of failures of each pump. There is no feature.

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(data, target, groups)`` instead of a Bunch. The times are in
        the Bunch only.
    as_frame : bool, default=False
        Whether data is a DataFrame, and target, groups and hours are Series.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As from :func:`load_radon`: data (10, 0), target and groups (10,), and

        - hours : {ndarray, Series} of shape (10,), times of operation in thousands of hours

    (data, target, groups) : tuple if ``return_X_y=True``
        Unlike scikit-learn's loaders this returns the groups as well.

    References
    ----------
    .. [1] D. P. Gaver and I. G. O'Muircheartaigh (1987). Robust empirical Bayes analyses of
       event rates. Technometrics 29(1), 1-15. https://doi.org/10.1080/00401706.1987.10488178

    Examples
    --------
    >>> pumps = load_pumps()
    >>> pumps.target
    array([ 5.,  1.,  5., 14.,  3., 19.,  1.,  1.,  4., 22.])
    >>> pumps.hours[:4]
    array([ 94.3,  15.7,  62.9, 126. ])
    """
    return _load("pumps", [], "failures", "pump", return_X_y, as_frame, ["hours"])


def load_sleepstudy(
    *, return_X_y: bool = False, as_frame: bool = False
) -> Bunch | tuple[Any, Any, Any]:
    """Load reaction times of 18 subjects on ten days of sleep restriction.

    The target is the average reaction time (ms), the feature the day of the study, 0 to 9.

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(data, target, groups)`` instead of a Bunch.
    as_frame : bool, default=False
        Whether data is a DataFrame, and target and groups are Series.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As from :func:`load_radon`: data (180, 1), target and groups (180,).
    (data, target, groups) : tuple if ``return_X_y=True``
        Unlike scikit-learn's loaders this returns the groups as well.

    References
    ----------
    .. [1] G. Belenky et al. (2003). Patterns of performance degradation and restoration
       during sleep restriction and subsequent recovery: a sleep dose-response study. Journal
       of Sleep Research 12(1), 1-12. https://doi.org/10.1046/j.1365-2869.2003.00337.x

    Examples
    --------
    >>> load_sleepstudy(as_frame=True).frame.head(2)
       subject  Days  Reaction
    0      308   0.0  249.5600
    1      308   1.0  258.7047
    """
    return _load("sleepstudy", ["Days"], "Reaction", "subject", return_X_y, as_frame)


def load_three_groups(
    *, return_X_y: bool = False, as_frame: bool = False
) -> Bunch | tuple[Any, Any, Any]:
    """Load simulated groups of 20, 40 and 60 values that differ in mean and spread.

    There is no feature, so that X may be None in fit.

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(data, target, groups)`` instead of a Bunch.
    as_frame : bool, default=False
        Whether data is a DataFrame, and target and groups are Series.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As from :func:`load_radon`: data (120, 0), target and groups (120,), and

        - true_mean, true_sd : ndarray of shape (3,), that the values were simulated with
        - posterior : dict from a parameter to its posterior mean and standard deviation, by
          quadrature under the priors in DESCR: "mu", "tau", "mean[0]", "sd[0]", ...

    (data, target, groups) : tuple if ``return_X_y=True``
        Unlike scikit-learn's loaders this returns the groups as well.

    Examples
    --------
    >>> three = load_three_groups()
    >>> three.true_mean
    array([3., 5., 7.])
    >>> np.bincount(three.groups)
    array([20, 40, 60])
    """
    loaded = _load("three_groups", [], "y", "group", return_X_y, as_frame)
    if return_X_y:
        return loaded
    loaded.true_mean = np.array([3.0, 5.0, 7.0])
    loaded.true_sd = np.array([1.0, 2.0, 3.0])
    exact = _read("three_groups_posterior.csv")
    figures = zip(_numbers(exact["mean"]), _numbers(exact["sd"]), strict=True)
    loaded.posterior = dict(zip(exact["parameter"], figures, strict=True))
    return loaded


def _load(
    name: str,
    features: list[str],
    target: str,
    group: str,
    return_X_y: bool,
    as_frame: bool,
    extras: Sequence[str] = (),
) -> Any:
    """Return the data set `name`; `extras` are columns that are neither X, y nor groups."""
    columns = _read(f"{name}.csv")
    numbers = {key: np.array(_numbers(columns[key])) for key in [*features, target, *extras]}
    labels = np.array(columns[group])
    if np.char.isdigit(labels).all():
        labels = labels.astype(np.int64)
    values = np.empty((len(labels), len(features)))
    for at, feature in enumerate(features):
        values[:, at] = numbers[feature]
    data = Bunch(
        data=values,
        target=numbers[target],
        groups=labels,
        frame=None,
        feature_names=features,
        target_names=[target],
        group_name=group,
        DESCR=_description(name),
        filename=f"{name}.csv",
        data_module=DATA_MODULE,
        **{key: numbers[key] for key in extras},
    )
    if as_frame:
        import pandas as pd

        data.frame = pd.DataFrame({group: labels, **numbers})
        data.update(data=data.frame[features], target=data.frame[target])
        data.update(groups=data.frame[group], **{key: data.frame[key] for key in extras})
    return (data.data, data.target, data.groups) if return_X_y else data


def _read(file: str) -> dict[str, tuple[str, ...]]:
    """Return the columns of a file."""
    with (files(DATA_MODULE) / file).open(encoding="utf-8") as lines:
        header, *rows = csv.reader(lines)
    return dict(zip(header, zip(*rows, strict=True), strict=True))


def _numbers(texts: Sequence[str]) -> list[float]:
    return [float(text) for text in texts]


def _description(name: str) -> str:
    """Return the section of the data sets' README on `name`."""
    _, *sections = (files(DATA_MODULE) / "README.md").read_text(encoding="utf-8").split("\n## ")
    return next(text for text in sections if text.startswith(f"{name}\n")).strip() + "\n"
