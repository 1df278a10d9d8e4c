"""Diagnostics: what they hold, and what is warned of."""

import numpy as np
import pytest
from arviz_stats.base import array_stats
from marks import FEW_DRAWS
from named_sites import fit
from sklearn.exceptions import ConvergenceWarning

from skhbm._posterior.diagnostics import rhat_and_bulk_ess

pytestmark = [
    # PyTensor warns when it simulates from a model.
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS:UserWarning"),
    pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning"),
    *FEW_DRAWS,
]


def test_diagnostics_have_their_keys(site_model):
    assert set(site_model.diagnostics_) == {
        "max_rhat", "max_rhat_parameter", "n_rhat_above", "n_parameters", "min_ess",
        "min_ess_parameter", "n_divergences", "pareto_k", "n_points", "seconds", "solver",
    }  # fmt: skip
    assert 0 < site_model.diagnostics_["seconds"] < 600
    assert (
        site_model.diagnostics_["max_rhat_parameter"].partition("[")[0]
        in site_model.posterior_["posterior"]
    )


def test_chains_that_did_not_converge_are_warned_of():
    message = (
        r"\d of 5 parameters have R-hat > 1.01 \(largest \d\.\d+, (tau_site|coef|sigma|inter)"
        r".*; smallest effective sample size \d+, \w+.*Increase `draws` and `tune`.* or give "
        r"more informative `priors`"
    )
    with pytest.warns(ConvergenceWarning, match=message):
        fit(draws=4, tune=2)


def test_divergences_are_warned_of():
    message = (
        r"\d+ draws diverged. Increase .*`target_accept`, or give more informative `priors`"
    )
    with pytest.warns(ConvergenceWarning, match=message):
        fit(draws=500, tune=1, target_accept=0.01)


def test_diagnostics_of_a_model_that_did_not_converge_say_so():
    model = fit(draws=4, tune=2)
    assert model.diagnostics_["max_rhat"] > 1.01
    assert model.diagnostics_["n_rhat_above"] >= 1


def test_default_settings_converge_without_a_warning(radon_model):
    assert radon_model.diagnostics_["max_rhat"] < 1.01
    assert radon_model.diagnostics_["n_divergences"] == 0
    assert radon_model.diagnostics_["min_ess"] > 1000


@pytest.mark.parametrize("shape", [(4, 200), (4, 201), (1, 400), (1, 399), (2, 5)])
@pytest.mark.parametrize("ties", [False, True])
def test_diagnostics_of_a_parameter_are_those_of_arviz(shape, ties):
    rng = np.random.default_rng(0)
    draws = np.cumsum(rng.standard_normal(shape), axis=1) + rng.standard_normal(shape)
    draws = np.round(draws) if ties else draws
    axes = {"chain_axis": 0, "draw_axis": 1}
    half = shape[1] // 2
    chains = draws if len(draws) > 1 else np.stack([draws[0, :half], draws[0, -half:]])
    for ranked, method in ((True, "rank"), (False, "split")):
        rhat, ess = rhat_and_bulk_ess(draws, ranked=ranked)
        np.testing.assert_allclose(rhat, array_stats.rhat(chains, **axes, method=method))
        np.testing.assert_allclose(ess, array_stats.ess(draws, **axes, method="bulk"))
