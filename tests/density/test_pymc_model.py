"""The PyMC model of an estimator: names, coordinates and simulated statistics."""

import numpy as np
import pymc as pm
import pytest
from marks import FEW_DRAWS
from named_sites import FRAME, Y, estimator

pytestmark = [
    # PyTensor warns when it simulates from a model.
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS:UserWarning"),
    pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning"),
    *FEW_DRAWS,
]


def test_model_is_a_pymc_model_with_names_and_dims(site_model, site_structure, site_terms):
    built = site_model.model_
    assert isinstance(built, pm.Model)
    dims = {name: tuple(d) for name, d in built.named_vars_to_dims.items()}
    assert dims["coef"] == ("feature",)
    assert dims["tau_site"] == ("site_term",)
    if "by group" in site_structure:
        assert dims["sigma"] == ("site",)
    if len(site_terms) > 1 and site_structure != "independent slopes":
        assert dims["corr_site"] == ("site_term", "site_term_bis")
    assert ("intercept" in built.named_vars) == (site_structure != "no intercept")


def test_model_has_the_coordinates_of_the_posterior(site_model):
    coords = {k: list(v) for k, v in site_model.model_.coords.items()}
    for name, values in site_model.posterior_["posterior"].coords.items():
        if name not in ("chain", "draw"):
            assert coords[name] == list(values.to_numpy())


def test_model_names_every_variable_of_the_posterior_but_the_effects(site_model):
    variables = set(site_model.posterior_["posterior"].data_vars) - {"effect_site"}
    assert variables <= set(site_model.model_.named_vars)


def test_model_without_groups_can_be_built():
    with pytest.warns(UserWarning, match="Fitted without groups"):
        model = estimator().fit(FRAME, Y)
    assert {"intercept", "coef", "sigma"} <= set(model.model_.named_vars)
    assert np.isfinite(model.model_.point_logps()["statistics"])


def prior_predictive(model, draws):
    return pm.sample_prior_predictive(draws=draws, model=model.model_, random_seed=0)


def test_prior_predictive_sampling_works(site_model):
    tree = prior_predictive(site_model, 50)
    for group in ("prior", "prior_predictive"):
        for values in tree[group].data_vars.values():
            assert values.sizes["draw"] == 50
            assert np.all(np.isfinite(values))
