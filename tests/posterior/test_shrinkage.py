"""Tables of shrinkage and of variance components."""

import numpy as np
import pytest
from marks import FEW_DRAWS
from named_sites import SITES, SIZE
from posteriors import dataset
from scipy.special import ndtr
from structures import fit, rows_of

from skhbm import HierarchicalNormalRegressor

pytestmark = [
    # PyTensor warns when it simulates from a model.
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS:UserWarning"),
    pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning"),
    *FEW_DRAWS,
]


SHRINKAGE = [
    "factor", "group", "coefficient", "n", "no_pooling", "partial_pooling", "complete_pooling",
    "sd", "lower", "upper", "pooling", "pooling_lower", "pooling_upper",
]  # fmt: skip


def test_shrinkage_has_a_row_per_group_and_term(site_model, site_terms):
    table = site_model.shrinkage_
    assert list(table.columns) == SHRINKAGE
    assert list(zip(table["group"], table["coefficient"], strict=True)) == [
        (site, term) for site in SITES for term in site_terms
    ]
    assert set(table["factor"]) == {"site"}
    assert table["n"].tolist() == [SIZE] * len(table)


def test_shrinkage_is_a_share(site_model):
    table = site_model.shrinkage_
    assert np.all((table["pooling_lower"] >= 0) & (table["pooling_upper"] <= 1))
    assert np.all(table["pooling_lower"] <= table["pooling"])
    assert np.all(table["pooling"] <= table["pooling_upper"])


def test_shrinkage_names_the_group_coefficients(site_model):
    table = site_model.shrinkage_.set_index(["coefficient", "group"])["partial_pooling"]
    for term in table.index.levels[0]:
        k = ["age", "dose"].index(term) if term != "intercept" else None
        expected = site_model.group_intercept_ if k is None else site_model.group_coef_[:, k]
        assert np.array_equal(table[term].loc[list(SITES)], expected)


def test_interval_of_an_intercept_is_that_of_the_mean_of_its_group():
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(6), [1, 2, 3, 5, 8, 13])
    y = rng.standard_normal(6)[groups] + rng.standard_normal(len(groups))
    model = HierarchicalNormalRegressor(draws=100, tune=200, random_state=0)
    table = model.fit(None, y, groups=groups).shrinkage_
    interval = model.predict_interval(None, table["group"], kind="mean")
    np.testing.assert_allclose(table[["lower", "upper"]], interval, rtol=1e-9)
    posterior = dataset(model)
    alpha, sigma, tau = (
        posterior[k].to_numpy().ravel()[:, None] for k in ("intercept", "sigma", "tau_group")
    )
    share = tau**2 / (tau**2 + sigma**2 / table["n"].to_numpy())
    mean = alpha + share * (table["no_pooling"].to_numpy() - alpha)
    below = ndtr((table["lower"].to_numpy() - mean) / (tau * np.sqrt(1 - share)))
    np.testing.assert_allclose(below.mean(axis=0), 0.05, atol=1e-9)


def test_variance_components_have_a_row_per_term_and_the_residual(site_model, site_terms):
    table = site_model.variance_components_
    assert list(table.columns) == [
        "factor", "coefficient", "sd", "sd_lower", "sd_upper", "variance", "icc", "icc_lower",
        "icc_upper", "pooling",
    ]  # fmt: skip
    assert table["factor"].tolist() == ["site"] * len(site_terms) + ["residual"]
    assert table["coefficient"].tolist() == [*site_terms, ""]
    np.testing.assert_allclose(
        table["sd"][: len(site_terms)], site_model.group_scale_, rtol=1e-9
    )


def test_moments_of_groups_alike_are_those_of_each_alone():
    """Groups of equal size share the roots of their covariances; single groups do not."""
    rows = rows_of(5, sizes=(4, 7, 4, 4, 2, 7, 70))
    model = fit(rows, draws=50, tune=50, chains=2)
    posterior = model._posterior
    effects, center = posterior.conditional_effects(), posterior.coefficients().mean(axis=0)
    together = effects.posterior_moments(np.arange(7), center)
    for group in range(7):
        alone = effects.posterior_moments(np.array([group]), center)
        for found, expected in zip(together, alone, strict=True):
            np.testing.assert_allclose(found[group], expected[0], rtol=1e-10, atol=1e-12)
