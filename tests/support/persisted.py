"""Fitted estimators of every structure, and all that can be asked of them."""

import warnings
from functools import cache

import numpy as np
import pandas as pd
from structures import crossed_rows

from skhbm import HierarchicalNormalRegressor, Prior

N = 48
RNG = np.random.default_rng(11)
X = RNG.normal([0.5, 0.0], 1.0, size=(N, 2))
SITE = np.arange(N) % 6
Y = 2 + X @ [1.0, -0.5] + RNG.standard_normal(6)[SITE] + 0.8 * RNG.standard_normal(N)
FRAME = pd.DataFrame(X, columns=["dose", "age"])
WORDS = pd.Series(np.array(["ash", "bay", "fir", "oak", "yew", "Zeder ä"])[SITE], name="site")
ERRORS = RNG.uniform(0.4, 1.2, N)
BY_GROUP = {"residual_scale": "by_group"}
CUSTOM = {
    "intercept": Prior("Normal", mu=1, sigma=3),
    "coef": {"dose": Prior("StudentT", nu=4, mu=0, sigma=2.5)},
    "tau": {"intercept": Prior("Exponential", lam=1), "age": Prior("HalfNormal", sigma=2)},
    "corr": Prior("LKJCorr", eta=4),
    "sigma": Prior("HalfCauchy", beta=2),
}

_, _, SCHOOL_AND_TOWN = crossed_rows(3, N, 5, 4)
ONE = {"X": FRAME, "groups": WORDS}
TWO = {"X": X, "groups": SCHOOL_AND_TOWN}

#: Parameters, and what fit is given but y.
STRUCTURES = {
    "no groups": ({}, {"X": X}),
    "intercepts": ({}, ONE),
    "no features": ({}, {"X": None, "groups": SITE}),
    "slopes": ({"varying_slopes": ["dose", "age"]}, ONE),
    "independent slopes": ({"varying_slopes": "all", "correlated": False}, ONE),
    "slopes without intercepts": (
        {"varying_slopes": (1,), "varying_intercept": False, "fit_intercept": False},
        {"X": X, "groups": SITE.astype("M8[D]")},
    ),
    "by group": (BY_GROUP, ONE),
    "by group, explicit prior": (
        {**BY_GROUP, "priors": {"sigma": Prior("HalfNormal", sigma=2)}},
        {"X": X, "groups": SITE / 2},
    ),
    "known errors": ({"residual_scale": "known"}, {**ONE, "y_err": ERRORS}),
    "custom priors": ({"varying_slopes": np.array(["age"]), "priors": CUSTOM}, ONE),
    "group column": (
        {"group_features": ["site"], "varying_slopes": {"site": ["age"]}},
        {"X": pd.concat([FRAME, WORDS], axis=1)},
    ),
    "weights": ({}, {**ONE, "sample_weight": np.linspace(0, 2, N)}),
    "two factors": ({"varying_slopes": {"school": [0], "town": "all"}}, TWO),
    "two factors, a sampled coefficient": (
        {"priors": {"coef": {"x0": Prior("StudentT", nu=4, mu=0, sigma=2.5)}}},
        TWO,
    ),
    "two factors, known errors": ({"residual_scale": "known"}, {**TWO, "y_err": ERRORS}),
}

#: Structures that are conditioned on rows of known and new groups, once or more often.
CONDITIONED = {
    "conditioned": ("slopes", 1),
    "conditioned twice": ("intercepts", 2),
    "conditioned, by group": ("by group", 1),
    "conditioned, known errors": ("known errors", 1),
    "conditioned, no groups": ("no groups", 1),
    "conditioned, two factors": ("two factors", 2),
    "conditioned, two factors, a sampled coefficient": (
        "two factors, a sampled coefficient",
        1,
    ),
}

EVERY = [*STRUCTURES, *CONDITIONED]


@cache
def fitted(name):
    """Return an estimator, the same at every call: for tests that leave it as it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in CONDITIONED:
            structure, times = CONDITIONED[name]
            model = fitted(structure)
            for time in range(times):
                model = model.condition_on(**more_rows(structure, time))
            return model
        parameters, data = STRUCTURES[name]
        model = HierarchicalNormalRegressor(
            draws=50, tune=100, chains=2, random_state=0, **parameters
        )
        return model.fit(y=Y, **data)


def structure_of(name):
    return CONDITIONED[name][0] if name in CONDITIONED else name


def some(data, rows):
    """Return the given rows of what fit takes."""
    take = {
        k: v.iloc[rows] if hasattr(v, "iloc") else v[rows]
        for k, v in data.items()
        if v is not None
    }
    return {**{"X": None}, **take}


def more_rows(name, time=0):
    """Return rows of a new group, and of a known one."""
    rows = np.array([0, 1, 2 + time])
    data = some({"y": Y + 0.5, **STRUCTURES[name][1]}, rows)
    data.pop("sample_weight", None)
    groups = data.get("groups")
    if isinstance(groups, pd.DataFrame):
        data["groups"] = groups.assign(school=["a", f"new {time}", f"new {time}"])
    elif isinstance(groups, pd.Series):
        data["groups"] = pd.Series(["ash", f"new {time}", f"new {time}"], name="site")
    elif groups is not None:
        unit = np.array(1 + time).astype(groups.dtype) - np.array(0).astype(groups.dtype)
        data["groups"] = np.array(
            [groups[0], *[np.max(STRUCTURES[name][1]["groups"]) + unit] * 2]
        )
    elif name == "group column":
        data["X"] = data["X"].assign(site=["ash", f"new {time}", f"new {time}"])
    return data


def new_rows(name):
    """Return rows to predict: of known groups, of a new one, and without a label."""
    data = some(STRUCTURES[name][1], np.arange(4))
    data = {key: data[key] for key in ("X", "groups") if key in data}
    groups = data.get("groups")
    if isinstance(groups, pd.DataFrame):
        data["groups"] = groups.assign(town=[groups["town"].iloc[0], "new", "new", None])
    elif isinstance(groups, pd.Series):
        data["groups"] = [groups.iloc[0], "new", None, groups.iloc[3]]
    return data


def same_rows(name):
    """Return all rows that a structure was fitted to, as `loo` takes them."""
    data = {"y": Y, **STRUCTURES[name][1]}
    data.pop("sample_weight", None)
    return data


def predictions(model, name):
    """Return what the estimator says of new rows, by name."""
    rows = new_rows(structure_of(name))
    mean, std = model.predict(**rows, return_std=True)
    return {
        "mean": mean,
        "std": std,
        "cov": model.predict(**rows, return_cov=True)[1],
        "interval": model.predict_interval(**rows),
        "quantiles": model.predict_quantiles(**rows),
        "samples": model.sample_y(**rows, n_samples=3),
        "density": model.log_predictive_density(y=Y[:4], **rows),
        "score": model.score(y=Y[:4], **rows),
    }


def tables(model):
    """Return what the estimator says of itself, by name."""
    names = ("coef_", "intercept_", "groups_", "n_groups_", "group_coef_", "group_intercept_")
    names += ("group_scale_", "residual_scale_", "diagnostics_", "n_features_in_")
    said = {name: getattr(model, name) for name in names}
    frames = ("shrinkage_", "variance_components_", "variance_partition_", "bayesian_r2_")
    said |= {name: getattr(model, name).to_dict("list") for name in frames}
    said["feature_names_in_"] = getattr(model, "feature_names_in_", None)
    said["metadata"] = str(model.get_metadata_routing())
    for group, tree in model.posterior_.children.items():
        dataset = tree.to_dataset()
        variables = {**dataset.data_vars, **dataset.coords}
        said |= {f"{group}.{k}": np.asarray(v) for k, v in variables.items()}
    return said


def assert_same(first, other, path=""):
    """Assert equality to the last bit, in types too."""
    assert type(first) is type(other), path
    if isinstance(first, dict):
        assert list(first) == list(other), path
        for key in first:
            assert_same(first[key], other[key], f"{path}/{key}")
    elif isinstance(first, np.ndarray):
        assert first.dtype == other.dtype, path
        assert first.shape == other.shape, path
        assert first.tobytes() == other.tobytes() or first.dtype == object, path
        if first.dtype == object:
            assert_same(first.tolist(), other.tolist(), path)
    elif isinstance(first, list | tuple):
        assert len(first) == len(other), path
        for i, (a, b) in enumerate(zip(first, other, strict=True)):
            assert_same(a, b, f"{path}/{i}")
    else:
        assert first == other or (first != first and other != other), path
