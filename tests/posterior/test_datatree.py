"""The posterior of one factor: its names, its dims and the data beside it."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from marks import FEW_DRAWS
from named_sites import FRAME, SITE, SITES, SIZE, J, Y

pytestmark = [
    # PyTensor warns when it simulates from a model.
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS:UserWarning"),
    pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning"),
    *FEW_DRAWS,
]


def test_names_and_dims_of_the_posterior_are_those_promised(
    site_model, site_structure, site_terms
):
    expected = {
        "intercept": (),
        "coef": ("feature",),
        "tau_site": ("site_term",),
        "effect_site": ("site", "site_term"),
        "sigma": ("site",) if "by group" in site_structure else (),
    }
    if len(site_terms) > 1:  # terms that are independent at the means are not at x = 0
        expected["corr_site"] = ("site_term", "site_term_bis")
    if site_structure == "no intercept":
        del expected["intercept"]
    if site_structure == "by group":  # the hyperparameters of the default prior
        expected |= {"log_sigma_mean": (), "log_sigma_sd": ()}
    actual = {k: v.dims for k, v in site_model.posterior_["posterior"].data_vars.items()}
    assert actual == {k: ("chain", "draw", *dims) for k, dims in expected.items()}


def test_coordinates_of_the_posterior_are_those_promised(site_model, site_terms):
    coords = site_model.posterior_["posterior"].coords
    expected = {
        "chain": [0, 1, 2, 3],
        "draw": list(range(50)),
        "feature": ["age", "dose"],
        "site": list(SITES),
        "site_term": site_terms,
    }
    if "site_term_bis" in coords:
        expected["site_term_bis"] = site_terms
    assert {name: list(c.to_numpy()) for name, c in coords.items()} == expected


def test_groups_of_the_tree_are_those_of_arviz(site_model):
    assert isinstance(site_model.posterior_, xr.DataTree)
    assert set(site_model.posterior_.children) == {
        "posterior",
        "sample_stats",
        "observed_data",
        "constant_data",
    }


def test_sampler_statistics_have_a_value_per_draw(site_model):
    statistics = site_model.posterior_["sample_stats"]
    assert {"diverging", "tree_depth", "n_steps", "step_size", "energy", "lp"} <= set(
        statistics
    )
    assert all(v.dims == ("chain", "draw") for v in statistics.data_vars.values())


def test_data_of_the_tree_are_those_of_the_groups(site_model):
    means = pd.concat([FRAME, Y], axis=1).groupby(SITE).mean()
    observed, constant = (
        site_model.posterior_["observed_data"],
        site_model.posterior_["constant_data"],
    )
    np.testing.assert_allclose(observed["y_mean"].sel(site=SITES), means["y"], rtol=1e-12)
    np.testing.assert_allclose(constant["x_mean"].sel(site=SITES), means[["age", "dose"]])
    assert list(constant["n"].to_numpy()) == [SIZE] * J


def test_posterior_draws_are_finite_and_scales_positive(site_model):
    posterior = site_model.posterior_["posterior"]
    assert all(np.all(np.isfinite(v)) for v in posterior.data_vars.values())
    assert np.all(posterior["tau_site"] > 0)
    assert np.all(posterior["sigma"] > 0)
