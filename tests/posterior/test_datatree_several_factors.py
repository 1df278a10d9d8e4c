"""The posterior of several factors: its names, its dims and the data beside it."""

import numpy as np
import pandas as pd
from marks import FEW_DRAWS
from posteriors import dataset
from reference import mcse
from schools_and_years import SCHOOLS, YEARS

pytestmark = FEW_DRAWS


def test_posterior_names_every_factor(school_model, school_structure, school_terms):
    posterior = dataset(school_model)
    dims = {"intercept": (), "coef": ("feature",)}
    for f, names in school_terms.items():
        dims[f"tau_{f}"] = (f"{f}_term",)
        dims[f"effect_{f}"] = (f, f"{f}_term")
        if len(names) > 1:  # terms that are independent at the means are not at x = 0
            dims[f"corr_{f}"] = (f"{f}_term", f"{f}_term_bis")
        assert posterior[f"{f}_term"].to_numpy().tolist() == names
    if not school_structure.startswith("known"):
        dims["sigma"] = ()
    assert {k: v.dims[2:] for k, v in posterior.data_vars.items()} == dims
    assert posterior["school"].to_numpy().tolist() == SCHOOLS.tolist()
    assert posterior["year"].to_numpy().tolist() == YEARS.tolist()


def test_attributes_are_dicts_by_factor(school_model, school_terms):
    posterior = dataset(school_model)
    assert {k: v.tolist() for k, v in school_model.groups_.items()} == {
        "school": SCHOOLS.tolist(), "year": YEARS.tolist(),
    }  # fmt: skip
    assert school_model.n_groups_ == {"school": 5, "year": 5}
    for f, names in school_terms.items():
        scale = posterior[f"tau_{f}"].mean(["chain", "draw"]).to_numpy()
        np.testing.assert_allclose(school_model.group_scale_[f], scale, rtol=1e-12)
        effect = posterior[f"effect_{f}"]
        for k, term in enumerate(["intercept", "x0", "x1"]):
            population = posterior["intercept"] if k == 0 else posterior["coef"][..., k - 1]
            draws = np.repeat(population.to_numpy()[..., None], 5, axis=2)
            if term in names:
                draws += effect.sel({f"{f}_term": term}).to_numpy()
            actual = (
                school_model.group_intercept_[f]
                if k == 0
                else school_model.group_coef_[f][:, k - 1]
            )
            error = np.abs(actual - draws.mean(axis=(0, 1)))
            assert np.all(error <= 5 * mcse(draws) + 1e-12)


def test_data_of_the_tree_are_those_of_the_cells(schools, school_model):
    constant = school_model.posterior_["constant_data"].to_dataset()
    cells = pd.DataFrame({**schools.groups, "y": schools.y, "w": 1.0})
    if "known" in school_model.residual_scale:
        cells["w"] = schools.errors**-2.0
    cells["y"] *= cells["w"]
    found = cells.groupby(["school", "year"]).agg(
        n=("y", "size"), y=("y", "sum"), w=("w", "sum")
    )
    index = pd.MultiIndex.from_arrays(
        [constant[f"{f}_of_cell"].to_numpy() for f in ("school", "year")]
    )
    assert sorted(index) == sorted(found.index)
    assert np.array_equal(constant["n"], found.loc[index, "n"])
    observed = school_model.posterior_["observed_data"]["y_mean"].to_numpy()
    expected = (found["y"] / found["w"]).loc[index]
    np.testing.assert_allclose(observed, expected, rtol=1e-12)
