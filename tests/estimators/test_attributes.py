"""Attributes of a fitted estimator: shapes, names and values."""

import numpy as np
import pytest
from marks import FEW_DRAWS
from named_sites import FRAME, SITE, SITES, STRUCTURES, J, Y, estimator, fitted, terms_of
from sklearn.metrics import r2_score

pytestmark = [
    # PyTensor's own, at simulating from a model.
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS:UserWarning"),
    pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning"),
    *FEW_DRAWS,
]


@pytest.fixture(scope="module", params=STRUCTURES)
def structure(request):
    return request.param


@pytest.fixture(scope="module")
def model(structure):
    return fitted(structure)


@pytest.fixture(scope="module")
def terms(structure):
    return terms_of(structure)


@pytest.fixture(scope="module")
def simple():
    return fitted("intercepts")


def test_attributes_have_their_shapes(model, structure, terms):
    assert model.coef_.shape == (2,)
    assert isinstance(model.intercept_, float)
    assert model.group_coef_.shape == (J, 2)
    assert model.group_intercept_.shape == (J,)
    assert model.group_scale_.shape == (len(terms),)
    assert np.shape(model.residual_scale_) == ((J,) if "by group" in structure else ())
    assert isinstance(model.residual_scale_, np.ndarray if "by group" in structure else float)


def test_groups_are_named(model):
    assert list(model.groups_) == list(SITES)
    assert model.n_groups_ == J


def test_features_are_named(model):
    assert list(model.feature_names_in_) == ["age", "dose"]
    assert model.n_features_in_ == 2


def test_point_estimates_are_posterior_means(model, structure):
    mean = model.posterior_["posterior"].to_dataset().mean(("chain", "draw"))
    np.testing.assert_allclose(model.coef_, mean["coef"], rtol=1e-9)
    np.testing.assert_allclose(model.group_scale_, mean["tau_site"], rtol=1e-9)
    np.testing.assert_allclose(model.residual_scale_, mean["sigma"], rtol=1e-9)
    if structure == "no intercept":
        assert model.intercept_ == 0
    else:
        np.testing.assert_allclose(model.intercept_, mean["intercept"], rtol=1e-9)


def test_group_coefficients_are_population_and_effect(model):
    """Conditional moments have a smaller error than the means over draws that they match."""
    posterior = model.posterior_["posterior"].to_dataset()
    effect = posterior["effect_site"]
    for term in effect["site_term"].to_numpy():
        population = (
            posterior.get("intercept", 0)
            if term == "intercept"
            else posterior["coef"].sel(feature=term)
        )
        draws = population + effect.sel(site_term=term)
        actual = (
            model.group_intercept_
            if term == "intercept"
            else model.group_coef_[:, ["age", "dose"].index(term)]
        )
        error = draws.std(("chain", "draw")) / np.sqrt(50)
        assert np.all(np.abs(actual - draws.mean(("chain", "draw"))) < 5 * error)


def test_terms_that_do_not_vary_are_those_of_the_population(model, terms):
    for k, name in enumerate(["age", "dose"]):
        if name not in terms:
            np.testing.assert_allclose(model.group_coef_[:, k], model.coef_[k], atol=0.05)
            assert np.ptp(model.group_coef_[:, k]) == 0


def test_fit_returns_the_estimator_itself():
    model = estimator()
    assert model.fit(FRAME, Y, groups=SITE) is model


def test_score_is_r2(simple):
    weight = np.arange(len(Y))
    mean = simple.predict(FRAME, SITE)
    assert simple.score(FRAME, Y, SITE) == r2_score(Y, mean)
    assert simple.score(FRAME, Y, SITE, weight) == r2_score(Y, mean, sample_weight=weight)


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
