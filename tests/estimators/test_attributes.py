"""Attributes of a fitted estimator: shapes, names and values."""

import numpy as np
import pytest
from marks import FEW_DRAWS
from named_sites import FRAME, SITE, SITES, J, Y, estimator
from sklearn.metrics import r2_score

pytestmark = [
    # PyTensor warns when it simulates from a model.
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS:UserWarning"),
    pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning"),
    *FEW_DRAWS,
]


def test_attributes_have_their_shapes(site_model, site_structure, site_terms):
    assert site_model.coef_.shape == (2,)
    assert isinstance(site_model.intercept_, float)
    assert site_model.group_coef_.shape == (J, 2)
    assert site_model.group_intercept_.shape == (J,)
    assert site_model.group_scale_.shape == (len(site_terms),)
    assert np.shape(site_model.residual_scale_) == (
        (J,) if "by group" in site_structure else ()
    )
    assert isinstance(
        site_model.residual_scale_, np.ndarray if "by group" in site_structure else float
    )


def test_groups_are_named(site_model):
    assert list(site_model.groups_) == list(SITES)
    assert site_model.n_groups_ == J


def test_features_are_named(site_model):
    assert list(site_model.feature_names_in_) == ["age", "dose"]
    assert site_model.n_features_in_ == 2


def test_point_estimates_are_posterior_means(site_model, site_structure):
    mean = site_model.posterior_["posterior"].to_dataset().mean(("chain", "draw"))
    np.testing.assert_allclose(site_model.coef_, mean["coef"], rtol=1e-9)
    np.testing.assert_allclose(site_model.group_scale_, mean["tau_site"], rtol=1e-9)
    np.testing.assert_allclose(site_model.residual_scale_, mean["sigma"], rtol=1e-9)
    if site_structure == "no intercept":
        assert site_model.intercept_ == 0
    else:
        np.testing.assert_allclose(site_model.intercept_, mean["intercept"], rtol=1e-9)


def test_group_coefficients_are_population_and_effect(site_model):
    """Conditional moments have a smaller error than the means over draws that they match."""
    posterior = site_model.posterior_["posterior"].to_dataset()
    effect = posterior["effect_site"]
    for term in effect["site_term"].to_numpy():
        population = (
            posterior.get("intercept", 0)
            if term == "intercept"
            else posterior["coef"].sel(feature=term)
        )
        draws = population + effect.sel(site_term=term)
        actual = (
            site_model.group_intercept_
            if term == "intercept"
            else site_model.group_coef_[:, ["age", "dose"].index(term)]
        )
        error = draws.std(("chain", "draw")) / np.sqrt(50)
        assert np.all(np.abs(actual - draws.mean(("chain", "draw"))) < 5 * error)


def test_terms_that_do_not_vary_are_those_of_the_population(site_model, site_terms):
    for k, name in enumerate(["age", "dose"]):
        if name not in site_terms:
            np.testing.assert_allclose(
                site_model.group_coef_[:, k], site_model.coef_[k], atol=0.05
            )
            assert np.ptp(site_model.group_coef_[:, k]) == 0


def test_fit_returns_the_estimator_itself():
    model = estimator()
    assert model.fit(FRAME, Y, groups=SITE) is model


def test_score_is_r2(simple_site_model):
    weight = np.arange(len(Y))
    mean = simple_site_model.predict(FRAME, SITE)
    assert simple_site_model.score(FRAME, Y, SITE) == r2_score(Y, mean)
    assert simple_site_model.score(FRAME, Y, SITE, weight) == r2_score(
        Y, mean, sample_weight=weight
    )


def test_model_without_groups_is_a_regression():
    with pytest.warns(UserWarning, match="Fitted without groups"):
        model = estimator().fit(FRAME, Y)
    assert (model.n_groups_, model.groups_.shape) == (0, (0,))
    assert (model.group_coef_.shape, model.group_intercept_.shape) == ((0, 2), (0,))
    assert len(model.shrinkage_) == 0
    assert set(model.posterior_["posterior"].data_vars) == {"intercept", "coef", "sigma"}


def test_model_without_features_has_intercepts_only():
    model = estimator().fit(None, Y, groups=SITE)
    assert model.coef_.shape == (0,)
    assert "coef" not in model.posterior_["posterior"]
    assert model.predict(None, groups=["east", "new"]).shape == (2,)
