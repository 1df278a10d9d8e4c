"""Several grouping factors and known errors, as users see them."""

import pickle
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from reference import assert_equal_to_rounding, mcse
from scipy import stats
from sklearn.base import clone

from skhbm import GroupedStatistics, HierarchicalNormalRegressor, Prior

SCHOOLS = np.array(["ash", "elm", "fir", "oak", "yew"])
YEARS = np.array([2020, 2021, 2022, 2023, 2024])
SHORT = {"draws": 30, "tune": 60, "chains": 2}

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*R-hat:sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*diverged:sklearn.exceptions.ConvergenceWarning"),
]


@dataclass
class Data:
    X: np.ndarray
    y: np.ndarray
    school: np.ndarray
    year: np.ndarray
    errors: np.ndarray

    @property
    def groups(self):
        return {"school": SCHOOLS[self.school], "year": YEARS[self.year]}

    def __getitem__(self, at):
        return Data(self.X[at], self.y[at], self.school[at], self.year[at], self.errors[at])


def simulate(seed=59, n=110):
    rng = np.random.default_rng(seed)
    school, year = rng.integers(0, 5, n), np.minimum(rng.geometric(0.4, n) - 1, 4)
    X = np.array([0.5, 1.0]) + rng.standard_normal((n, 2))
    y = 3 + X @ [1.0, -0.5] + rng.normal(0, [1.0, 0.6], (5, 2))[school, 0]
    y += 0.8 * rng.standard_normal(5)[year] + 0.5 * rng.standard_normal(5)[school] * X[:, 0]
    errors = np.exp(rng.normal(-0.3, 0.4, n))
    return Data(X, y + errors * rng.standard_normal(n), school, year, errors)


@pytest.fixture(scope="module")
def data():
    return simulate()


def fit(data, groups=None, **parameters):
    known = parameters.get("residual_scale") == "known"
    model = HierarchicalNormalRegressor(**{"random_state": 0, **parameters})
    groups = data.groups if groups is None else groups
    return model.fit(data.X, data.y, groups=groups, y_err=data.errors if known else None)


def dataset(model):
    return model.posterior_["posterior"].to_dataset()


def assert_same_posterior(one, other, *, names=None, slack=0.0):
    """Compare means and sds within five standard errors of both.

    `names` maps variables of the first to those of the other, dims in the same order.
    """
    first, second = dataset(one), dataset(other)
    for name in names or first.data_vars:
        a, b = first[name].to_numpy(), second[(names or {}).get(name, name)].to_numpy()
        error = np.hypot(mcse(a), mcse(b))
        difference = np.abs(a.mean(axis=(0, 1)) - b.mean(axis=(0, 1)))
        assert np.all(difference <= 5 * error + slack), name
        # The diagonal of a matrix of correlations has no sd, and no error of it.
        varies = a.std(axis=(0, 1)) > 1e-12
        if not varies.all():
            a, b = a[:, :, varies], b[:, :, varies]
        error = np.hypot(mcse(a, "sd"), mcse(b, "sd"))
        difference = np.abs(a.std(axis=(0, 1)) - b.std(axis=(0, 1)))
        assert np.all(difference <= 5 * error + slack), name


# Channels and names


CHANNELS = {
    "data frame": lambda d: pd.DataFrame(d.groups),
    "dict": lambda d: d.groups,
    "dict of lists": lambda d: {k: v.tolist() for k, v in d.groups.items()},
    "array": lambda d: np.column_stack([v.astype(object) for v in d.groups.values()]),
    "list of rows": lambda d: [list(row) for row in zip(*d.groups.values(), strict=True)],
}


@pytest.fixture(scope="module")
def short(data):
    return fit(data, **SHORT)


@pytest.mark.parametrize("channel", CHANNELS)
def test_labels_mean_the_same_in_every_form(data, short, channel):
    groups = CHANNELS[channel](data)
    model = fit(data, groups, **SHORT)
    names = ["group0", "group1"] if channel in ("array", "list of rows") else [*data.groups]
    assert [*model.n_groups_] == names
    expected = short.predict(data.X, data.groups)
    assert np.array_equal(model.predict(data.X, groups), expected)


@pytest.mark.parametrize("at", [[0, 3], [3, 1], [0, 1]], ids=str)
def test_labels_in_columns_of_x_are_labels_given_as_groups(data, short, at):
    frame = pd.DataFrame(data.X, columns=["x0", "x1"])
    for position, name in sorted(zip(at, data.groups, strict=True)):
        frame.insert(position, name, data.groups[name])
    model = HierarchicalNormalRegressor(random_state=0, group_features=[*data.groups], **SHORT)
    model.fit(frame, data.y)
    assert [*model.n_groups_] == [*data.groups]
    # The features lie in memory in another order: sums are equal to rounding.
    expected = short.predict(data.X, data.groups)
    np.testing.assert_allclose(model.predict(frame), expected, rtol=1e-10)


def test_labels_in_unnamed_columns_of_x_are_labels_given_as_an_array(data):
    codes = np.column_stack([data.school, data.year]).astype(float)
    columns = HierarchicalNormalRegressor(random_state=0, group_features=[2, 3], **SHORT)
    columns.fit(np.hstack([data.X, codes]), data.y)
    array = fit(data, codes, **SHORT)
    assert [*columns.groups_] == [*array.groups_] == ["group0", "group1"]
    actual = columns.predict(np.hstack([data.X, codes]))
    np.testing.assert_allclose(actual, array.predict(data.X, codes), rtol=1e-10)


def test_predict_finds_factors_by_their_names(data, short):
    expected = short.predict(data.X, data.groups)
    backwards = dict(reversed(data.groups.items()))
    assert np.array_equal(short.predict(data.X, backwards), expected)
    assert np.array_equal(short.predict(data.X, pd.DataFrame(backwards)), expected)
    # Arrays have no names: columns are in the order of fit.
    array = CHANNELS["array"](data)
    assert np.array_equal(short.predict(data.X, array), expected)


STRUCTURES = {
    "intercepts": {},
    "slopes in one": {"varying_slopes": {"school": ["x0"]}},
    "slopes in both": {
        "varying_slopes": {"school": "all", "year": [1]}, "correlated": {"school": False},
    },
    "slopes alone in one": {
        "varying_slopes": {"year": [0]}, "varying_intercept": {"year": False},
    },
    "by group": {"residual_scale": "by_group"},
    "by group, independent": {
        "residual_scale": "by_group", "varying_slopes": {"year": [1]},
        "priors": {"sigma": Prior("HalfNormal", sigma=2)},
    },
    "known": {"residual_scale": "known"},
    "known, slopes": {"residual_scale": "known", "varying_slopes": [0]},
}  # fmt: skip
TERMS = {
    "slopes in one": {"school": ["intercept", "x0"]},
    "slopes in both": {"school": ["intercept", "x0", "x1"], "year": ["intercept", "x1"]},
    "slopes alone in one": {"year": ["x0"]},
    "by group, independent": {"year": ["intercept", "x1"]},
    "known, slopes": {"school": ["intercept", "x0"], "year": ["intercept", "x0"]},
}


@pytest.fixture(scope="module", params=STRUCTURES)
def structure(request):
    return request.param


@pytest.fixture(scope="module")
def model(data, structure):
    parameters = STRUCTURES[structure]
    frame = pd.DataFrame(data.X, columns=["x0", "x1"])
    named = Data(frame, data.y, data.school, data.year, data.errors)
    return fit(named, **parameters)


@pytest.fixture(scope="module")
def terms(structure):
    return {f: TERMS.get(structure, {}).get(f, ["intercept"]) for f in ("school", "year")}


def test_posterior_names_every_factor(model, structure, terms):
    posterior = dataset(model)
    dims = {"intercept": (), "coef": ("feature",)}
    for f, names in terms.items():
        dims[f"tau_{f}"] = (f"{f}_term",)
        dims[f"effect_{f}"] = (f, f"{f}_term")
        independent = structure == "slopes in both" and f == "school"
        if len(names) > 1 and not independent:
            dims[f"corr_{f}"] = (f"{f}_term", f"{f}_term_bis")
        assert posterior[f"{f}_term"].to_numpy().tolist() == names
    if structure.startswith("by group"):
        dims["sigma"] = ("school",)
    elif not structure.startswith("known"):
        dims["sigma"] = ()
    if structure == "by group":
        dims |= {"log_sigma_mean": (), "log_sigma_sd": ()}
    assert {k: v.dims[2:] for k, v in posterior.data_vars.items()} == dims
    assert posterior["school"].to_numpy().tolist() == SCHOOLS.tolist()
    assert posterior["year"].to_numpy().tolist() == YEARS.tolist()


def test_attributes_are_dicts_by_factor(model, terms):
    posterior = dataset(model)
    assert {k: v.tolist() for k, v in model.groups_.items()} == {
        "school": SCHOOLS.tolist(), "year": YEARS.tolist(),
    }  # fmt: skip
    assert model.n_groups_ == {"school": 5, "year": 5}
    for f, names in terms.items():
        scale = posterior[f"tau_{f}"].mean(["chain", "draw"]).to_numpy()
        np.testing.assert_allclose(model.group_scale_[f], scale, rtol=1e-12)
        effect = posterior[f"effect_{f}"]
        for k, term in enumerate(["intercept", "x0", "x1"]):
            population = posterior["intercept"] if k == 0 else posterior["coef"][..., k - 1]
            draws = np.repeat(population.to_numpy()[..., None], 5, axis=2)
            if term in names:
                draws += effect.sel({f"{f}_term": term}).to_numpy()
            actual = model.group_intercept_[f] if k == 0 else model.group_coef_[f][:, k - 1]
            error = np.abs(actual - draws.mean(axis=(0, 1)))
            assert np.all(error <= 5 * mcse(draws) + 1e-12)


def test_data_of_the_tree_are_those_of_the_cells(data, model):
    constant = model.posterior_["constant_data"].to_dataset()
    cells = pd.DataFrame({**data.groups, "y": data.y, "w": 1.0})
    if "known" in model.residual_scale:
        cells["w"] = data.errors**-2.0
    cells["y"] *= cells["w"]
    found = cells.groupby(["school", "year"]).agg(
        n=("y", "size"), y=("y", "sum"), w=("w", "sum")
    )
    index = pd.MultiIndex.from_arrays(
        [constant[f"{f}_of_cell"].to_numpy() for f in ("school", "year")]
    )
    assert sorted(index) == sorted(found.index)
    assert np.array_equal(constant["n"], found.loc[index, "n"])
    observed = model.posterior_["observed_data"]["y_mean"].to_numpy()
    expected = (found["y"] / found["w"]).loc[index]
    np.testing.assert_allclose(observed, expected, rtol=1e-12)


# Predictions

#: Each factor known, new and missing. Rows 3 and 4 share a new school, 4 and 5 a new year.
LABELS = {
    "school": np.array(
        ["ash", "ash", "oak", "new", "new", "other", None, None, "fir", "yew", "ash"], object
    ),
    "year": np.array(
        [2020, 2023, 2023, 2021, 1999, 1999, 2022, None, 1998, None, 2020], object
    ),
}
PROBABILITIES = np.array([0.02, 0.25, 0.5, 0.9, 0.995])


class BruteForce:
    """Predictions from the draws in `posterior_`: effects of new groups are drawn."""

    def __init__(self, model, X, labels):
        posterior, rng = dataset(model), np.random.default_rng(47)
        draws = {name: values.to_numpy() for name, values in posterior.data_vars.items()}
        shape = draws["intercept"].shape
        self.mean = draws["intercept"][..., None] + draws["coef"] @ X.T
        for f in labels:
            terms = posterior[f"{f}_term"].to_numpy()
            Z = np.column_stack(
                [np.ones(len(X)) if t == "intercept" else X[:, int(t[1])] for t in terms]
            )
            tau, corr = draws[f"tau_{f}"], draws.get(f"corr_{f}", np.eye(len(terms)))
            cov = corr * tau[..., :, None] * tau[..., None, :]
            root = np.linalg.cholesky(cov)
            known = {label: j for j, label in enumerate(posterior[f].to_numpy().tolist())}
            new = {}
            for i, label in enumerate(labels[f]):
                key = f"missing {i}" if label is None else label
                if key in known:
                    effect = draws[f"effect_{f}"][:, :, known[key]]
                else:
                    z = rng.standard_normal((*shape, len(terms), 1))
                    effect = new.setdefault(key, (root @ z)[..., 0])
                self.mean[..., i] += effect @ Z[i]
        self.sigma = self.scales(draws, labels["school"], shape, rng)
        self.y = self.mean + self.sigma * rng.standard_normal(self.mean.shape)

    @staticmethod
    def scales(draws, schools, shape, rng):
        if "sigma" not in draws:
            return np.zeros((*shape, len(schools)))
        sigma = draws["sigma"]
        if sigma.ndim == 2:
            return np.repeat(sigma[..., None], len(schools), axis=2)
        if "log_sigma_mean" in draws:
            z = rng.standard_normal(shape)
            new = np.exp(draws["log_sigma_mean"] + draws["log_sigma_sd"] * z)
        else:
            new = np.abs(2 * rng.standard_normal(shape))
        known = {label: j for j, label in enumerate(SCHOOLS.tolist())}
        return np.stack([sigma[..., known[s]] if s in known else new for s in schools], axis=2)

    def below(self, x):
        """Probability of less than x in each draw; a known value is or is not less."""
        with np.errstate(divide="ignore", invalid="ignore"):
            smooth = stats.norm.cdf((x - self.mean) / self.sigma)
        return np.where(self.sigma > 0, smooth, self.mean <= x)


def average(values):
    """Mean over draws and its Monte Carlo error, that of the package's own draws included."""
    return values.mean(axis=(0, 1)), np.sqrt(2) * mcse(values)


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(43).normal(0.5, 1.5, size=(len(LABELS["school"]), 2))


@pytest.fixture(scope="module")
def brute(model, rows):
    return BruteForce(model, rows, LABELS)


@pytest.fixture(scope="module")
def predict(model, rows):
    frame = pd.DataFrame(rows, columns=["x0", "x1"])
    return lambda method, *args, **kwargs: getattr(model, method)(
        frame, *args, groups=LABELS, **kwargs
    )


def test_mean_is_that_of_brute_force(predict, brute):
    expected, error = average(brute.mean)
    assert np.all(np.abs(predict("predict") - expected) <= 5 * error)


def test_std_is_that_of_brute_force(predict, brute):
    mean, std = predict("predict", return_std=True)
    expected, error = average((brute.mean - mean) ** 2 + brute.sigma**2)
    assert np.all(np.abs(std**2 - expected) <= 5 * error)


def test_covariance_is_that_of_brute_force(predict, brute):
    mean, cov = predict("predict", return_cov=True)
    deviation = brute.mean - mean
    for i in range(len(mean)):
        expected, error = average(deviation[..., i, None] * deviation[..., :i])
        assert np.all(np.abs(cov[i, :i] - expected) <= 5 * error)


def test_moments_are_the_same_whatever_is_asked_for(predict):
    """They are averaged in different orders: equal to rounding."""
    mean, std = predict("predict", return_std=True)
    same, cov = predict("predict", return_cov=True)
    np.testing.assert_allclose(mean, predict("predict"), rtol=1e-10)
    np.testing.assert_allclose(same, mean, rtol=1e-10)
    np.testing.assert_allclose(np.diag(cov), std**2, rtol=1e-9)
    assert np.array_equal(cov, cov.T)


def test_rows_that_share_new_groups_covary(data, model):
    """Only what they share adds to the covariance that the population gives all rows."""
    X = pd.DataFrame(np.tile([0.4, -0.2], (4, 1)), columns=["x0", "x1"])
    groups = {"school": ["new", "new", "other", "third"], "year": [1, 2, 1, 3]}
    _, cov = model.predict(X, groups, return_cov=True)
    posterior = dataset(model)
    for f, (i, j) in {"school": (0, 1), "year": (0, 2)}.items():
        terms = posterior[f"{f}_term"].to_numpy().tolist()
        z = np.array([1.0 if t == "intercept" else X[t][0] for t in terms])
        tau = posterior[f"tau_{f}"].to_numpy()
        corr = posterior[f"corr_{f}"] if f"corr_{f}" in posterior else np.eye(len(terms))
        shared = np.einsum("a,cda,cdab,cdb,b->cd", z, tau, np.broadcast_to(
            corr, (*tau.shape, len(terms))), tau, z)  # fmt: skip
        np.testing.assert_allclose(cov[i, j] - cov[0, 3], shared.mean(), rtol=1e-9)


def test_mixture_has_its_probability_below_each_quantile(predict, brute):
    quantiles = predict("predict_quantiles", quantiles=PROBABILITIES)
    for k, p in enumerate(PROBABILITIES):
        share, error = average(brute.below(quantiles[:, k]))
        assert np.all(np.abs(share - p) <= 5 * error)


def test_log_density_is_the_derivative_of_the_probability(predict):
    """Quantiles of p and p + dp lie dp / density apart, to second order in dp."""
    p, dp = 0.4, 1e-4
    middle, low, high = predict("predict_quantiles", quantiles=[p, p - dp, p + dp]).T
    density = np.exp(predict("log_predictive_density", middle))
    # Where errors are known a mixture over draws may have no noise but that of its effects.
    np.testing.assert_allclose(2 * dp / (high - low), density, rtol=1e-4)


def test_samples_have_the_predicted_moments(model, predict):
    n_samples = 3000
    samples = predict("sample_y", n_samples=n_samples)
    mean, cov = predict("predict", return_cov=True)
    n_effective = min(n_samples, model.diagnostics_["min_ess"])
    std = np.sqrt(np.diag(cov))
    assert np.all(np.abs(samples.mean(axis=1) - mean) <= 5 * std / np.sqrt(n_effective))
    deviation = samples - mean[:, None]
    products = deviation[:, None] * deviation[None, :]
    error = products.std(axis=2) / np.sqrt(n_effective)
    assert np.all(np.abs(products.mean(axis=2) - cov) <= 5 * error)


@pytest.mark.parametrize("absent", ["school", "year"])
def test_a_factor_that_is_not_given_is_missing(model, rows, absent):
    X = pd.DataFrame(rows, columns=["x0", "x1"])
    given = {f: labels for f, labels in LABELS.items() if f != absent}
    missing = {**LABELS, absent: np.full(len(rows), None)}
    for some, all_ in zip(
        model.predict(X, given, return_cov=True),
        model.predict(X, missing, return_cov=True),
        strict=True,
    ):
        assert np.array_equal(some, all_)
    named = pd.Series(given[min(given)], name=min(given))
    assert np.array_equal(model.predict(X, named), model.predict(X, missing))


# Shrinkage


def table_of(model, f):
    table = model.shrinkage_
    return table[table["factor"] == f].set_index(["group", "coefficient"])


def test_shrinkage_has_a_row_per_factor_group_and_term(data, model, terms):
    table = model.shrinkage_
    expected = [
        (f, group, term)
        for f in terms
        for group in model.groups_[f].tolist()
        for term in terms[f]
    ]
    assert [
        *zip(table["factor"], table["group"], table["coefficient"], strict=True)
    ] == expected
    counts = {"school": np.bincount(data.school), "year": np.bincount(data.year)}
    for f, names in terms.items():
        n = table_of(model, f)["n"].to_numpy().reshape(5, len(names))
        assert np.all(n == counts[f][:, None])


def test_pooling_is_that_of_the_formula(data, model, structure, terms):
    """diag((A / sigma^2 + Sigma^-1)^-1 Sigma^-1), averaged over draws."""
    posterior = dataset(model)
    codes = {"school": data.school, "year": data.year}
    sigma = posterior["sigma"].to_numpy() if "sigma" in posterior else np.ones((4, 1000))
    for f, names in terms.items():
        Z = np.column_stack(
            [np.ones(len(data.y)) if t == "intercept" else data.X[:, int(t[1])] for t in names]
        )
        tau = posterior[f"tau_{f}"].to_numpy()
        corr = posterior.get(f"corr_{f}", np.eye(len(names)))
        cov = np.asarray(corr) * tau[..., :, None] * tau[..., None, :]
        inverse = np.linalg.inv(cov)
        table = table_of(model, f)["pooling"].to_numpy().reshape(5, len(names))
        for j in range(5):
            own = codes[f] == j
            weight = np.ones(own.sum())
            if structure.startswith("known"):
                weight = data.errors[own] ** -2.0
            precision = sigma**-2.0
            if sigma.ndim == 3 and f == "school":
                precision = precision[..., j]
            elif sigma.ndim == 3:
                # Rows of a year have several scales: their mean precisions.
                weight = np.mean(precision, axis=(0, 1))[data.school[own]]
                precision = np.ones(sigma.shape[:2])
            A = (Z[own].T * weight) @ Z[own]
            total = np.linalg.inv(A * precision[..., None, None] + inverse) @ inverse
            # Beside correlated terms the diagonal may leave [0, 1] in a draw: it is cut off.
            each = np.clip(np.einsum("cdaa->cda", total), 0.0, 1.0)
            expected = each.mean(axis=(0, 1))
            np.testing.assert_allclose(table[j], expected, rtol=1e-7)


def test_estimates_and_sds_are_those_of_the_draws(model, terms):
    posterior = dataset(model)
    for f, names in terms.items():
        table = table_of(model, f)
        for term in names:
            population = (
                posterior["intercept"]
                if term == "intercept"
                else posterior["coef"].sel(feature=term)
            )
            draws = posterior[f"effect_{f}"].sel({f"{f}_term": term}).to_numpy()
            draws = draws + population.to_numpy()[..., None]
            own = table.xs(term, level="coefficient")
            error = np.abs(own["partial_pooling"] - draws.mean(axis=(0, 1)))
            assert np.all(error <= 5 * mcse(draws) + 1e-12)
            error = np.abs(own["sd"] - draws.std(axis=(0, 1)))
            assert np.all(error <= 5 * mcse(draws, "sd") + 1e-12)


def test_no_pooling_is_least_squares_of_what_the_rest_leaves(data, model, structure, terms):
    """All that does not vary by the factor is at its posterior mean."""
    weight = data.errors**-1.0 if structure.startswith("known") else np.ones(len(data.y))
    if structure.startswith("by group"):
        # Rows of a year have several residual scales; those of a school have one.
        sigma = dataset(model)["sigma"].to_numpy()
        weight = np.sqrt(np.mean(sigma**-2.0, axis=(0, 1)))[data.school]
    fitted = {}
    for f, codes in (("school", data.school), ("year", data.year)):
        own = np.column_stack([model.group_intercept_[f], model.group_coef_[f]])
        own -= np.append(model.intercept_, model.coef_)
        fitted[f] = own[codes, 0] + np.sum(own[codes, 1:] * data.X, axis=1)
    for f, other, codes in (("school", "year", data.school), ("year", "school", data.year)):
        positions = [["intercept", "x0", "x1"].index(t) for t in terms[f]]
        H = np.column_stack([np.ones(len(data.y)), data.X])
        population = np.append(model.intercept_, model.coef_)
        table = table_of(model, f)["no_pooling"].to_numpy().reshape(5, -1)
        fixed = [k for k in range(3) if k not in positions]
        rest = data.y - fitted[other] - H[:, fixed] @ population[fixed]
        for j in range(5):
            own = codes == j
            A = H[own][:, positions] * weight[own, None]
            expected = np.linalg.lstsq(A, rest[own] * weight[own], rcond=None)[0]
            np.testing.assert_allclose(table[j], expected, rtol=1e-6, atol=1e-8)


# Laws of the whole fit


@pytest.mark.parametrize("parameters", [{}, {"varying_slopes": {"school": ["x0"]}}], ids=str)
def test_order_of_factors_does_not_matter(data, parameters):
    """Both have five groups: the first is integrated out, the other one's effects sampled."""
    frame = pd.DataFrame(data.X, columns=["x0", "x1"])
    named = Data(frame, data.y, data.school, data.year, data.errors)
    one = fit(named, **parameters)
    other = fit(named, dict(reversed(data.groups.items())), **parameters)
    assert [*other.groups_] == ["year", "school"]
    assert_same_posterior(one, other)


def known_scale(value, precision=1e-3):
    """A prior that leaves a positive parameter little doubt."""
    return Prior("LogNormal", mu=float(np.log(value)), sigma=precision)


def test_an_outer_factor_without_variance_is_none(data):
    """Priors are explicit: those of one factor are those of the other fit."""
    wide = {"tau_year": Prior("HalfNormal", sigma=2.0)}
    nested = {"area": np.array(["n", "s", "s", "n", "s"])[data.year], "year": data.year}
    both = fit(data, nested, priors={**wide, "tau_area": known_scale(1e-5)})
    alone = fit(data, {"year": data.year}, priors=wide)
    shared = ["intercept", "coef", "sigma", "tau_year", "effect_year"]
    # Effects of 1e-5 move estimates by as much.
    assert_same_posterior(alone, both, names={name: name for name in shared}, slack=1e-4)
    assert np.abs(dataset(both)["effect_area"].to_numpy()).max() < 1e-4


def test_a_factor_without_variance_between_groups_is_shrunk_away(data):
    rng = np.random.default_rng(3)
    model = fit(data, {**data.groups, "dice": rng.integers(0, 6, len(data.y))})
    dice = table_of(model, "dice")["pooling"]
    assert np.all(dice > table_of(model, "school")["pooling"].max())


@pytest.mark.parametrize("parameters", [{}, {"residual_scale": "known"}], ids=str)
def test_a_weight_is_how_often_a_row_counts(data, parameters):
    weight = np.random.default_rng(5).integers(1, 4, len(data.y))
    model = HierarchicalNormalRegressor(random_state=0, **parameters, **SHORT)
    known = bool(parameters)
    errors = data.errors if known else None
    model.fit(data.X, data.y, groups=data.groups, sample_weight=weight, y_err=errors)
    repeated = fit(data[np.repeat(np.arange(len(data.y)), weight)], **parameters, **SHORT)
    for name, values in dataset(repeated).data_vars.items():
        assert_equal_to_rounding(dataset(model)[name], values)
    for f in data.groups:
        assert np.array_equal(table_of(model, f)["n"], table_of(repeated, f)["n"])


@pytest.mark.parametrize("parameters", [{}, {"residual_scale": "known"}], ids=str)
def test_batches_are_one_fit(data, parameters):
    """The second batch has groups and combinations that the first has not, by other order."""
    whole = fit(data, **parameters, **SHORT)
    late = (data.school == 2) | (data.year == 3)
    model = HierarchicalNormalRegressor(random_state=0, **parameters, **SHORT)
    for at in (~late, late):
        batch = data[at]
        errors = batch.errors if parameters else None
        groups = batch.groups if at is not late else dict(reversed(batch.groups.items()))
        model.partial_fit(batch.X, batch.y, groups=groups, y_err=errors)
    for name, values in dataset(whole).data_vars.items():
        assert_equal_to_rounding(dataset(model)[name], values)


@pytest.mark.parametrize("parameters", [{}, {"residual_scale": "known"}], ids=str)
def test_statistics_of_parts_are_one_fit(data, parameters):
    whole = fit(data, **parameters, **SHORT)
    parts = [
        GroupedStatistics.from_arrays(
            part.X, part.y, part.groups, y_err=part.errors if parameters else None
        )
        for part in (data[:40], data[40:70], data[70:])
    ]
    model = HierarchicalNormalRegressor(random_state=0, **parameters, **SHORT)
    model.fit_statistics(parts[2] + (parts[0] + parts[1]))
    for name, values in dataset(whole).data_vars.items():
        assert_equal_to_rounding(dataset(model)[name], values)


def test_order_of_rows_does_not_matter(data, structure):
    parameters = {**STRUCTURES[structure], **SHORT}
    order = np.random.default_rng(7).permutation(len(data.y))
    frame = pd.DataFrame(data.X, columns=["x0", "x1"])
    one = fit(Data(frame, data.y, data.school, data.year, data.errors), **parameters)
    shuffled = data[order]
    frame = pd.DataFrame(shuffled.X, columns=["x0", "x1"])
    other = fit(Data(frame, shuffled.y, shuffled.school, shuffled.year, shuffled.errors),
                **parameters)  # fmt: skip
    for name, values in dataset(one).data_vars.items():
        assert_equal_to_rounding(dataset(other)[name], values, rtol=1e-5)


@pytest.mark.parametrize("parameters", [{}, {"residual_scale": "known"}], ids=str)
@pytest.mark.parametrize("scale", [1e-6, 250.0])
def test_draws_follow_the_unit_of_y(data, parameters, scale):
    """The errors are in the same unit."""
    one = fit(data, **parameters, **SHORT)
    moved = Data(data.X, scale * data.y, data.school, data.year, scale * data.errors)
    other = fit(moved, **parameters, **SHORT)
    for name, values in dataset(one).data_vars.items():
        assert_equal_to_rounding(dataset(other)[name], scale * values)


@pytest.mark.parametrize("parameters", [{}, {"residual_scale": "known"}], ids=str)
def test_draws_follow_a_shift_of_y(data, parameters):
    one = fit(data, **parameters, **SHORT)
    shifted = Data(data.X, data.y + 1e3, data.school, data.year, data.errors)
    other = fit(shifted, **parameters, **SHORT)
    for name, values in dataset(one).data_vars.items():
        moved = values + 1e3 * (name == "intercept")
        assert_equal_to_rounding(dataset(other)[name], moved)


# Known errors


def test_known_errors_predict_the_effect_itself(data):
    """There is no residual noise in a prediction: it is of what was measured."""
    model = fit(data, residual_scale="known")
    posterior = dataset(model)
    assert "sigma" not in posterior
    assert model.residual_scale_ is None
    X = np.zeros((5, 2))
    groups = {"school": SCHOOLS, "year": YEARS}
    _, std = model.predict(X, groups, return_std=True)
    draws = posterior["intercept"].to_numpy()[..., None]
    draws = draws + posterior["effect_school"].to_numpy()[..., 0]
    draws = draws + posterior["effect_year"].to_numpy()[..., 0]
    assert np.all(np.abs(std - draws.std(axis=(0, 1))) <= 5 * mcse(draws, "sd"))


WIDE = {
    "intercept": Prior("Normal", mu=0, sigma=10), "tau": Prior("HalfNormal", sigma=2),
}  # fmt: skip


@pytest.fixture(scope="module")
def measured():
    """Several measurements of each of twelve trials, with their errors."""
    rng = np.random.default_rng(61)
    trial = np.repeat(np.arange(12), rng.integers(1, 5, 12))
    errors = np.exp(rng.normal(-0.5, 0.5, len(trial)))
    y = 1 + 0.7 * rng.standard_normal(12)[trial] + errors * rng.standard_normal(len(trial))
    return y, trial, errors


def fit_known(y, groups, errors, **parameters):
    model = HierarchicalNormalRegressor(
        **{"random_state": 0, "residual_scale": "known", "priors": WIDE, **parameters}
    )
    return model.fit(None, y, groups=groups, y_err=errors)


def test_measurements_of_a_group_are_one_of_their_weighted_mean(measured):
    y, trial, errors = measured
    weight = np.bincount(trial, errors**-2.0)
    mean = np.bincount(trial, y * errors**-2.0) / weight
    rows = fit_known(y, trial, errors)
    means = fit_known(mean, np.arange(12), weight**-0.5)
    assert_same_posterior(rows, means)
    _, std = rows.predict(None, np.arange(12), return_std=True)
    sd = rows.shrinkage_["sd"].to_numpy()
    np.testing.assert_allclose(std, sd, rtol=1e-9)


@pytest.mark.parametrize("unit", [1e3, 1e-10])
def test_draws_of_known_errors_follow_their_unit(measured, unit):
    """The sum of 1 / y_err^2, some 1e21 in the smallest unit, has no place in the density."""
    y, trial, errors = measured
    priors = {
        "intercept": Prior("Normal", mu=0, sigma=10 * unit),
        "tau": Prior("HalfNormal", sigma=2 * unit),
    }
    one = fit_known(y, trial, errors, **SHORT)
    other = fit_known(unit * y, trial, unit * errors, priors=priors, **SHORT)
    for name, values in dataset(one).data_vars.items():
        assert_equal_to_rounding(dataset(other)[name], unit * values)


def test_equal_known_errors_are_a_shared_scale_that_is_known(measured):
    y, trial, _ = measured
    known = fit_known(y, trial, np.full(len(y), 0.8))
    shared = HierarchicalNormalRegressor(
        random_state=0, priors={**WIDE, "sigma": known_scale(0.8, 1e-4)}
    ).fit(None, y, groups=trial)
    names = ["intercept", "tau_group", "effect_group"]
    assert_same_posterior(known, shared, names={n: n for n in names}, slack=1e-3)
    one, other = (m.shrinkage_.set_index("group") for m in (known, shared))
    np.testing.assert_allclose(one["no_pooling"], other["no_pooling"], rtol=1e-9)


def test_equal_known_errors_are_a_known_scale_with_several_factors(data):
    priors = {"tau": Prior("HalfNormal", sigma=2)}
    equal = Data(data.X, data.y, data.school, data.year, np.full(len(data.y), 0.9))
    known = fit(equal, residual_scale="known", priors=priors)
    shared = fit(equal, priors={**priors, "sigma": known_scale(0.9, 1e-4)})
    names = list(dataset(known).data_vars)
    assert_same_posterior(known, shared, names={n: n for n in names}, slack=1e-3)


def test_a_row_of_infinite_error_says_nothing(measured):
    """An error of 1e8 leaves a group with its prior."""
    y, trial, errors = measured
    model = fit_known(np.append(y, 1e3), np.append(trial, 99), np.append(errors, 1e8))
    without = fit_known(y, trial, errors)
    names = ["intercept", "tau_group"]
    assert_same_posterior(model, without, names={n: n for n in names}, slack=1e-6)
    last = model.shrinkage_.set_index("group").loc[99]
    assert last["pooling"] > 1 - 1e-9
    assert last["partial_pooling"] == pytest.approx(model.intercept_, rel=1e-9)


# The life of an estimator


def test_pickle_predicts_the_same(model, predict):
    copy = pickle.loads(pickle.dumps(model))
    X = pd.DataFrame(np.zeros((11, 2)), columns=["x0", "x1"])
    for method in ("predict", "predict_interval", "sample_y"):
        one, other = (getattr(m, method)(X, groups=LABELS) for m in (model, copy))
        assert np.array_equal(one, other)
    assert model.posterior_["posterior"].equals(copy.posterior_["posterior"])


def test_clone_is_not_fitted_and_fits_the_same(data, short):
    copy = clone(short)
    assert not hasattr(copy, "groups_")
    copy.fit(data.X, data.y, groups=data.groups)
    assert dataset(copy).equals(dataset(short))


def test_parameters_by_factor_survive_a_clone():
    parameters = STRUCTURES["slopes in both"]
    copy = clone(HierarchicalNormalRegressor(**parameters))
    assert {k: copy.get_params()[k] for k in parameters} == parameters


def test_model_names_what_the_posterior_does(model, structure):
    built = model.model_
    names = set(dataset(model).data_vars)
    # The effects of one factor are integrated out.
    missing = names - set(built.named_vars)
    assert len(missing) == 1
    assert missing < {"effect_school", "effect_year"}
    for f in ("school", "year"):
        assert list(built.coords[f]) == model.groups_[f].tolist()


def test_fit_without_problems_gives_no_warning(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit(data)
    assert model.diagnostics_["n_divergences"] == 0
    assert model.diagnostics_["max_rhat"] < 1.01


# Mistakes


def pair(data, **other):
    return {**data.groups, **other}


N_ROWS = 110
BAD_FITS = {
    "one level": (
        {"groups": lambda d: pair(d, year=np.zeros(N_ROWS, int))},
        r"The grouping factor 'year' has one level only \(0\), so .* \(tau_year\) is not "
        "identified",
    ),
    "as many levels as rows": (
        {"groups": lambda d: pair(d, year=np.arange(N_ROWS))},
        r"'year' has as many levels as there are rows \(110\).*\(tau_year\) and the residual",
    ),
    "slopes of an unknown factor": (
        {"varying_slopes": {"yaer": [0]}},
        r"`varying_slopes` has entries for \['yaer'\], but the grouping factors are "
        r"\['school', 'year'\]",
    ),
    "an intercept of an unknown factor": (
        {"varying_intercept": {"class": False}}, r"`varying_intercept` has entries for",
    ),
    "independence of an unknown factor": (
        {"correlated": {"class": False}}, r"`correlated` has entries for \['class'\]",
    ),
    "a prior of an unknown factor": (
        {"priors": {"tau_class": Prior("HalfNormal", sigma=1)}},
        r"`priors` has unknown keys: \['tau_class'\]. .*'tau_school', 'tau_year'",
    ),
    "a prior of a term that does not vary by the factor": (
        {
            "priors": {"tau_year": {"x0": Prior("HalfNormal", sigma=1)}},
            "varying_slopes": {"school": [0]},
        },
        r"`priors\['tau_year'\]` has unknown entries: \['x0'\]",
    ),
    "a prior of a term that varies by none": (
        {"priors": {"tau": {"x1": Prior("HalfNormal", sigma=1)}}},
        r"`priors\['tau'\]` has unknown entries: \['x1'\]",
    ),
    "nothing varies by one": (
        {"varying_intercept": {"year": False}}, "Nothing varies by 'year'",
    ),
    "an intercept that is no bool": (
        {"varying_intercept": {"year": 0}}, "must be a bool or a dict from a factor to a bool",
    ),
    "an unknown feature": ({"varying_slopes": {"year": [7]}}, "has the index 7, but X has 2"),
    "a missing label": (
        {"groups": lambda d: pair(d, year=[None, *d.groups["year"][1:]])}, "1 missing label",
    ),
    "too few labels": (
        {"groups": lambda d: pair(d, year=d.groups["year"][1:])}, "109 entries .* 110 rows",
    ),
    **{
        f"a factor named {name}": (
            {"groups": lambda d, name=name: pair(d, **{name: d.school % 2})},
            f"The labels are named '{name}', which cannot be the name of a dimension",
        )
        for name in (
            "intercept", "coef", "sigma", "chain", "feature", "cell", "tau_year",
            "effect_school", "corr_year", "year_term", "school_term_bis", "year_of_cell", "a/b",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FITS)
def test_mistakes_of_factors_are_named(data, case):
    parameters, message = BAD_FITS[case]
    parameters = dict(parameters)
    groups = parameters.pop("groups", lambda d: d.groups)(data)
    unfitted = HierarchicalNormalRegressor(random_state=0, **parameters, **SHORT)
    with pytest.raises(ValueError, match=message):
        unfitted.fit(data.X, data.y, groups=groups)
    assert not hasattr(unfitted, "groups_")


@pytest.mark.parametrize("name", ["intercept", "year_term", "cell"])
def test_statistics_cannot_have_such_names_either(data, name):
    statistics = GroupedStatistics.from_arrays(data.X, data.y, pair(data, **{name: data.year}))
    with pytest.raises(ValueError, match=f"named '{name}', which cannot be the name"):
        HierarchicalNormalRegressor(**SHORT).fit_statistics(statistics)


@pytest.mark.parametrize("name", ["cell", "tau_year", "a_term"])
def test_a_lone_factor_may_have_the_name_that_another_would_give(data, name):
    model = fit(data, {name: data.school}, **SHORT)
    assert dataset(model)[f"effect_{name}"].dims[2:] == (name, f"{name}_term")


BAD_ROWS = {
    "labels without a name": (
        lambda d: d.groups["school"],
        r"fitted with the grouping factors \['school', 'year'\]. Got 1 factor",
    ),
    "a factor too many": (
        lambda d: pair(d, town=d.school), r"Got 3 factors named .*'town'",
    ),
    "another factor": (
        lambda d: {"school": d.groups["school"], "town": d.school},
        r"Got 2 factors named .*'town'",
    ),
    "three columns": (
        lambda _: np.zeros((N_ROWS, 3)), "fitted with the grouping factors .* Got 3 factors",
    ),
    "too few labels": (
        lambda d: pair(d, year=d.groups["year"][1:]), "109 entries .* 110 rows",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ROWS)
@pytest.mark.parametrize("method", ["predict", "sample_y", "predict_interval"])
def test_factors_to_predict_that_are_not_those_of_fit_are_named(data, short, case, method):
    groups, message = BAD_ROWS[case]
    with pytest.raises(ValueError, match=message):
        getattr(short, method)(data.X, groups=groups(data))


@pytest.mark.parametrize("case", ["labels without a name", "another factor", "three columns"])
def test_batches_of_other_factors_are_refused(data, case):
    model = fit(data, **SHORT)
    before = pickle.dumps(model)
    groups, message = BAD_ROWS[case]
    with pytest.raises(ValueError, match=message):
        model.partial_fit(data.X, data.y, groups=groups(data))
    assert pickle.dumps(model) == before


@pytest.mark.parametrize("groups", [{}, {"year": None}, None], ids=str)
def test_a_batch_needs_the_labels_of_every_factor(data, groups):
    model = fit(data, **SHORT)
    if groups is not None:
        groups = {"school": data.groups["school"], **groups}
    with pytest.raises(ValueError, match=r"labels of .*'year'\] are missing"):
        model.partial_fit(data.X, data.y, groups=groups)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"year": [1999] * 110}, r"1 of 1 groups of 'year' were not seen in fit: \[1999\]"),
        ({"school": ["x", "y"] * 55}, r"2 of 2 groups of 'school' were not seen in fit: \['x'"),
        ({"year": [None] * 110}, "110 of 110 labels of 'year' are missing"),
    ],
)
def test_groups_that_were_not_seen_are_an_error_if_asked_for(data, changed, message):
    strict = fit(data, new_groups="error", **SHORT)
    strict.predict(data.X, data.groups)
    with pytest.raises(ValueError, match=message):
        strict.predict(data.X, {**data.groups, **changed})
    if changed.get("year") == [None] * 110:
        with pytest.raises(ValueError, match=message):
            strict.predict(data.X, {"school": data.groups["school"]})


MERGES = {
    "other names": ({"school": "a", "town": "b"}, {"school": "a", "year": "b"}),
    "another order": ({"school": "a", "year": "b"}, {"year": "b", "school": "a"}),
    "more factors": ({"school": "a", "year": "b"}, {"school": "a"}),
    "none": ({"school": "a", "year": "b"}, None),
}


@pytest.mark.parametrize("case", MERGES)
def test_statistics_of_other_factors_do_not_merge(case):
    X, y = np.zeros((3, 1)), np.arange(3.0)
    one, other = (
        GroupedStatistics.from_arrays(
            X, y, None if g is None else {name: [label] * 3 for name, label in g.items()}
        )
        for g in MERGES[case]
    )
    with pytest.raises(ValueError, match="same grouping factors, in the same order"):
        one + other


def test_statistics_with_errors_do_not_merge_with_those_without(data):
    one, other = (
        GroupedStatistics.from_arrays(data.X, data.y, data.groups, y_err=errors)
        for errors in (None, data.errors)
    )
    with pytest.raises(ValueError, match="Give `y_err` for all rows or for none"):
        one + other


def test_factors_of_the_same_groups_are_an_error():
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 6, 60)
    groups = pd.DataFrame({"id": codes, "name": [f"store {c}" for c in codes]})
    model = HierarchicalNormalRegressor(random_state=0)
    with pytest.raises(ValueError, match=r"'id' and 'name' have the same groups .* Leave one"):
        model.fit(None, rng.standard_normal(60), groups=groups)
