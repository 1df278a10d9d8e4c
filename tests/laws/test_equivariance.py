"""What must not matter does not: units, order of rows, names of groups, channels.

Default priors move with the data, so that the density of the unconstrained parameters only
shifts, which is tested to rounding for every structure. With one `random_state` the sampler
then does the same steps, and draws agree to what rounding grows to in NUTS, see
`assert_equal_to_rounding`. With correlations the density is not log-concave and trajectories
that differ by rounding part in time, so there posterior means and sds must agree within 5
Monte Carlo standard errors.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from internals import build, evaluate_density
from reference import Structure, Table, assert_equal_to_rounding, mcse

from skhbm import HierarchicalNormalRegressor

N_GROUPS = 9


@dataclass
class Data:
    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray
    sample_weight: np.ndarray | None = None

    def fit(self, **parameters):
        model = HierarchicalNormalRegressor(random_state=3, **parameters)
        return model.fit(self.X, self.y, groups=self.groups, sample_weight=self.sample_weight)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(31)
    codes = np.repeat(np.arange(N_GROUPS), [4, 7, 9, 12, 15, 8, 20, 6, 11])
    X = np.array([2.0, -1.0]) + rng.standard_normal((len(codes), 2)) * [1.0, 3.0]
    slopes = rng.normal([1.0, -0.5], 0.6, size=(N_GROUPS, 2))
    noise = np.linspace(0.5, 1.5, N_GROUPS)[codes] * rng.standard_normal(len(codes))
    y = 5 + rng.standard_normal(N_GROUPS)[codes] + np.sum(slopes[codes] * X, axis=1) + noise
    return Data(X, y, codes)


STRUCTURES = {
    "intercepts": {},
    "correlated slopes": {"varying_slopes": "all"},
    "independent slope": {"varying_slopes": [1], "correlated": False},
    "by group": {"residual_scale": "by_group"},
    "no intercept": {"fit_intercept": False, "varying_intercept": False, "varying_slopes": [0]},
}


@pytest.fixture(scope="module", params=STRUCTURES, ids=str)
def structure(request):
    return STRUCTURES[request.param]


@pytest.fixture(scope="module")
def model(data, structure):
    return data.fit(**structure)


@pytest.fixture(scope="module")
def intercepts(data):
    return data.fit()


def variables(model, *, effects=False):
    """Draws of all hyperparameters and population coefficients."""
    posterior = model.posterior_["posterior"].to_dataset()
    kept = {k: v.to_numpy() for k, v in posterior.data_vars.items()}
    return {k: v for k, v in kept.items() if effects or not k.startswith("effect")}


def is_correlated(draws):
    return any(name.startswith("corr") for name in draws)


def summaries(model):
    """Posterior means and sds of the groups, averaged exactly over draws."""
    return {
        "group_intercept_": model.group_intercept_,
        "group_coef_": model.group_coef_,
        "sd": model.shrinkage_["sd"].to_numpy(),
        "pooling": model.shrinkage_["pooling"].to_numpy(),
    }


def assert_same_draws(actual, expected):
    assert list(actual) == list(expected)
    compare = assert_equal_within_mcse if is_correlated(expected) else assert_equal_to_rounding
    for name, values in expected.items():
        for i in np.ndindex(values.shape[2:]):
            compare(actual[name][:, :, *i], values[:, :, *i])


def assert_equal_within_mcse(actual, expected):
    if np.ptp(expected) <= 1e-12:
        # A diagonal of correlations.
        assert_equal_to_rounding(actual, expected)
        return
    error = 5 * np.hypot(mcse(actual), mcse(expected))
    assert abs(actual.mean() - expected.mean()) <= error
    error = 5 * np.hypot(mcse(actual, "sd"), mcse(expected, "sd"))
    assert abs(actual.std() - expected.std()) <= error


def assert_same_results(actual, expected):
    correlated = is_correlated(variables(expected))
    assert_same_draws(
        variables(actual, effects=correlated), variables(expected, effects=correlated)
    )
    if not correlated:
        for name, value in summaries(expected).items():
            assert_equal_to_rounding(summaries(actual)[name], value)


def scaled(values, b, a):
    """Transform draws as y -> a + b y does."""
    log_b = np.log(b)
    shift = {"intercept": a, "log_sigma_mean": log_b}
    factor = {"log_sigma_mean": 1.0, "log_sigma_sd": 1.0}
    return {
        name: v if name.startswith("corr") else shift.get(name, 0.0) + factor.get(name, b) * v
        for name, v in values.items()
    }


@pytest.mark.parametrize(
    ("a", "b"), [(0.0, 2.5), (100.0, 0.3), (0.0, 1e8), (0.0, 1e-8), (-3e8, 1e8)], ids=str
)
def test_draws_follow_an_affine_change_of_y(data, structure, model, a, b):
    a = a if structure.get("fit_intercept", True) else 0.0
    changed = replace(data, y=a + b * data.y).fit(**structure)
    assert_same_draws(variables(changed), scaled(variables(model), b, a))


@pytest.mark.parametrize("structure", [k for k in STRUCTURES if k != "correlated slopes"])
@pytest.mark.parametrize("b", [1e8, 1e-8])
def test_predictions_follow_the_unit_of_y(data, structure, b):
    model = data.fit(**STRUCTURES[structure])
    changed = replace(data, y=b * data.y).fit(**STRUCTURES[structure])
    groups = np.array([0, 3, 99, 8])
    for actual, expected in zip(
        changed.predict(data.X[:4], groups, return_std=True),
        model.predict(data.X[:4], groups, return_std=True),
        strict=True,
    ):
        assert_equal_to_rounding(actual, b * expected)


def test_hyperparameters_do_not_see_the_sign_of_y(data, structure, model):
    names = ("tau", "corr", "sigma", "log_sigma")
    changed = variables(replace(data, y=-data.y).fit(**structure))
    actual, expected = (
        {k: v for k, v in draws.items() if k.startswith(names)}
        for draws in (changed, variables(model))
    )
    assert_same_draws(actual, expected)


@pytest.mark.parametrize("scale", [(2.0, 0.5), (1e6, 1e-6)], ids=str)
def test_draws_follow_the_units_of_features(data, structure, model, scale):
    scale = np.array(scale)
    changed = variables(replace(data, X=data.X * scale).fit(**structure))
    expected = variables(model)
    expected["coef"] = expected["coef"] / scale
    terms = model.posterior_["posterior"]["group_term"].to_numpy()
    units = dict(zip(["intercept", "x0", "x1"], [1.0, *scale], strict=True))
    expected["tau_group"] = expected["tau_group"] / [units[term] for term in terms]
    assert_same_draws(changed, expected)


@pytest.mark.parametrize("by_group", [False, True])
def test_draws_follow_a_shift_of_features_that_do_not_vary(data, by_group):
    parameters = {"residual_scale": "by_group"} if by_group else {}
    shift = np.array([30.0, -4.0])
    expected = variables(data.fit(**parameters))
    expected["intercept"] = expected["intercept"] - expected["coef"] @ shift
    changed = variables(replace(data, X=data.X + shift).fit(**parameters))
    assert_same_draws(changed, expected)


def test_the_order_of_rows_does_not_matter(data, structure, model):
    order = np.random.default_rng(1).permutation(len(data.y))
    shuffled = Data(data.X[order], data.y[order], data.groups[order]).fit(**structure)
    assert_same_results(shuffled, model)


def test_duplicated_rows_are_rows_of_weight_two(data, structure):
    counts = 1 + np.arange(len(data.y)) % 2
    repeated = Data(*(np.repeat(a, counts, axis=0) for a in (data.X, data.y, data.groups)))
    weighted = replace(data, sample_weight=counts)
    assert_same_results(weighted.fit(**structure), repeated.fit(**structure))


@pytest.mark.parametrize("structure", ["intercepts", "independent slope", "no intercept"])
def test_names_of_groups_do_not_matter(data, structure):
    """Effects of groups are drawn in another order, so their exact moments are compared."""
    parameters = STRUCTURES[structure]
    code_of = np.random.default_rng(2).permutation(N_GROUPS)
    model = data.fit(**parameters)
    renamed = replace(data, groups=code_of[data.groups]).fit(**parameters)
    assert_same_draws(variables(renamed), variables(model))
    for name in ("group_intercept_", "group_coef_"):
        assert_equal_to_rounding(getattr(renamed, name)[code_of], getattr(model, name))
    q = len(model.group_scale_)
    sds = [m.shrinkage_["sd"].to_numpy().reshape(N_GROUPS, q) for m in (renamed, model)]
    assert_equal_to_rounding(sds[0][code_of], sds[1])


def test_names_of_groups_do_not_matter_with_correlated_slopes(data):
    code_of = np.random.default_rng(2).permutation(N_GROUPS)
    first, other = (
        variables(replace(data, groups=groups).fit(varying_slopes="all"), effects=True)
        for groups in (data.groups, code_of[data.groups])
    )
    other["effect_group"] = other["effect_group"][:, :, code_of]
    assert_same_draws(other, first)


def test_names_of_groups_do_not_matter_where_each_has_its_residual_scale(data):
    """Here the sampler's coordinates are permuted, and so draws differ: within 5 MCSE."""
    code_of = np.random.default_rng(2).permutation(N_GROUPS)
    first, other = (
        replace(data, groups=groups).fit(residual_scale="by_group")
        for groups in (data.groups, code_of[data.groups])
    )
    for name, order in {
        "sigma": code_of,
        "tau_group": slice(None),
        "coef": slice(None),
    }.items():
        a, b = variables(first)[name], variables(other)[name][:, :, order]
        error = 5 * np.hypot(mcse(a), mcse(b))
        assert np.all(np.abs(a.mean(axis=(0, 1)) - b.mean(axis=(0, 1))) <= error)
        error = 5 * np.hypot(mcse(a, "sd"), mcse(b, "sd"))
        assert np.all(np.abs(a.std(axis=(0, 1)) - b.std(axis=(0, 1))) <= error)


def test_float32_features_are_their_float64_values(data, structure):
    single = data.X.astype(np.float32)
    first = replace(data, X=single).fit(**structure)
    other = replace(data, X=single.astype(np.float64)).fit(**structure)
    for name, expected in variables(other).items():
        assert np.array_equal(variables(first)[name], expected)


LABELS = {
    "strings": lambda codes: np.array([f"g{c}" for c in codes]),
    "objects": lambda codes: np.array([f"g{c}" for c in codes], dtype=object),
    "a list": lambda codes: [f"g{c}" for c in codes],
    "small integers": lambda codes: codes.astype(np.int8),
    "floats": lambda codes: codes / 2,
    "categories": lambda codes: pd.Series(pd.Categorical([f"g{c}" for c in codes])),
    "nullable integers": lambda codes: pd.Series(codes, dtype="Int64"),
    "pandas strings": lambda codes: pd.Series([f"g{c}" for c in codes], dtype="string"),
    "dates": lambda codes: np.datetime64("2020-01-01") + codes,
    "tuples": lambda codes: [(1, int(c)) for c in codes],
    "pairs of equal text": lambda codes: pd.Series(
        pd.Categorical.from_codes(codes, [f"g{c}" for c in range(N_GROUPS)])
    ),
}


@pytest.mark.parametrize("kind", LABELS)
def test_the_kind_of_labels_does_not_matter(data, intercepts, kind):
    labelled = replace(data, groups=LABELS[kind](data.groups)).fit()
    for name, expected in variables(intercepts).items():
        assert np.array_equal(variables(labelled)[name], expected)
    assert np.array_equal(labelled.group_intercept_, intercepts.group_intercept_)


@pytest.mark.parametrize("kind", LABELS)
def test_predictions_find_labels_of_any_kind(data, intercepts, kind):
    labels = LABELS[kind](data.groups)
    predicted = replace(data, groups=labels).fit().predict(data.X, groups=labels)
    assert np.array_equal(predicted, intercepts.predict(data.X, groups=data.groups))


def test_order_of_categories_does_not_matter(data, intercepts):
    names = [f"g{c}" for c in range(N_GROUPS)]
    reverse = pd.Categorical([names[c] for c in data.groups], categories=names[::-1])
    model = replace(data, groups=pd.Series(reverse)).fit()
    assert np.array_equal(variables(model)["sigma"], variables(intercepts)["sigma"])


@pytest.mark.parametrize("at", [0, 1, 2])
def test_labels_in_a_column_of_x_are_labels_given_as_groups(data, intercepts, at):
    X = np.insert(data.X, at, data.groups, axis=1)
    model = HierarchicalNormalRegressor(group_features=[at], random_state=3).fit(X, data.y)
    for name, expected in variables(intercepts).items():
        assert np.array_equal(variables(model)[name], expected)
    expected = intercepts.predict(data.X, groups=data.groups)
    assert_equal_to_rounding(model.predict(X), expected, rtol=1e-12)


def test_labels_in_a_column_of_a_frame_are_labels_given_as_groups(data, intercepts):
    frame = pd.DataFrame(data.X, columns=["a", "b"])
    frame.insert(1, "school", [f"g{c}" for c in data.groups])
    model = HierarchicalNormalRegressor(group_features="school", random_state=3)
    model.fit(frame, data.y)
    assert np.array_equal(variables(model)["tau_school"], variables(intercepts)["tau_group"])
    expected = intercepts.predict(data.X, groups=data.groups)
    assert_equal_to_rounding(model.predict(frame), expected, rtol=1e-12)


def test_the_order_of_varying_slopes_does_not_matter(data):
    first, other = (data.fit(varying_slopes=slopes) for slopes in ([0, 1], [1, 0]))
    assert np.array_equal(variables(first)["tau_group"], variables(other)["tau_group"])


MODELS = {
    "shared": Structure(),
    "correlated slopes": Structure((0, 1)),
    "by group": Structure((1,), by_group=True),
    "no intercept": Structure((0,), intercept=False, varying_intercept=False),
}


@pytest.mark.parametrize("b", [2.5, 1e8, 1e-8])
@pytest.mark.parametrize("name", MODELS)
def test_density_shifts_with_the_units_of_y_and_features(data, name, b):
    """Values differ by a constant, as n log b: compared with that at another point."""
    structure = MODELS[name]
    scale = np.array([1e3, 0.01])
    _, _, density = build(structure, Table(data.X, data.y, data.groups))
    _, _, changed = build(structure, Table(data.X * scale, b * data.y, data.groups))
    q, r = structure.q, structure.n_correlations
    units = [1.0] * structure.varying_intercept + [scale[k] for k in structure.slopes]
    shift = np.zeros(density.n_dim)
    shift[:q] = np.log(b) - np.log(units)
    if not structure.hierarchical:
        # Otherwise residual scales are standardised themselves.
        shift[q + r] = np.log(b)
    points = np.random.default_rng(4).standard_normal((4, density.n_dim))
    points[:, : q + r + 1] *= 0.5
    before = [evaluate_density(density, x) for x in points]
    after = [evaluate_density(changed, x + shift) for x in points]
    values = np.array([[u[0] for u in before], [v[0] for v in after]])
    differences = values[1] - values[0]
    assert np.ptp(differences) <= 1e-9 * np.abs(values).max()
    for u, v in zip(before, after, strict=True):
        np.testing.assert_allclose(v[1], u[1], rtol=1e-9, atol=1e-9 * np.abs(u[1]).max())
