"""Real data whose posteriors under other responses are known from long chains or quadrature.

The priors are those of the reference figures; see the README beside them.
"""

import json
import re
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from reference import mcse

import skhbm
from skhbm import Prior

ESTIMATORS = {
    "bernoulli": "HierarchicalLogisticRegression",
    "binomial": "HierarchicalBinomialRegressor",
    "poisson": "HierarchicalPoissonRegressor",
    "negbinomial": "HierarchicalNegativeBinomialRegressor",
    "studentt": "HierarchicalStudentTRegressor",
}
#: What the files call parameters that have PyMC's names here.
NAMES = {"phi": "alpha", "correlation": "corr"}
CASES = (
    *("cbpp", "contraception", "contraception_slope", "epil", "epil_nb", "grouseticks"),
    *("ohio", "pumps", "seeds", "sleepstudy_t"),
)
#: Chains of 537 groups take half a minute: here they are shorter.
SHORTER = {("ohio", "nuts"): {"draws": 500, "tune": 500}}
#: Names of quantiles in the files.
QUANTILES = {"q2.5": 0.025, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q97.5": 0.975}


@dataclass
class Fitted:
    about: dict
    model: object
    warnings: list
    data: pd.DataFrame

    @property
    def factors(self):
        return [factor["name"] for factor in self.about["factors"]]


def features_of(about, data):
    return data[about["features"]] if about["features"] else None


def sizes_of(about, data):
    columns = {name: about[name] for name in ("trials", "exposure") if about[name]}
    return {name: data[column] for name, column in columns.items()}


def fit_case(folder, solver):
    about = json.loads((folder / "reference.json").read_text())
    data = pd.read_csv(folder / "data.csv")
    priors = {
        NAMES.get(name, name): Prior(kind, **parameters)
        for name, (kind, parameters) in about["priors"].items()
    }
    slopes = {f["name"]: f["varying"] for f in about["factors"] if f["varying"]}
    model = getattr(skhbm, ESTIMATORS[about["family"]])(
        random_state=0, solver=solver, priors=priors, varying_slopes=slopes or None,
        **SHORTER.get((folder.name, solver), {}),
    )  # fmt: skip
    names = [factor["name"] for factor in about["factors"]]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(
            features_of(about, data),
            data[about["response"]],
            groups=data[names],
            **sizes_of(about, data),
        )
    return Fitted(about, model, caught, data)


@pytest.fixture(scope="session", params=["nuts", "laplace"])
def solver(request):
    return request.param


@pytest.fixture(scope="session", params=CASES, ids=str)
def fitted(request, solver, cases_folder):
    folder = cases_folder.parent / "cases_responses" / request.param
    several = len(json.loads((folder / "reference.json").read_text())["factors"]) > 1
    # With several factors importance sampling may say that it cannot: NUTS is what "auto" is.
    return fit_case(folder, "auto" if several and solver == "laplace" else solver)


def draws_of(fitted, name):
    """Return draws (chains, draws) of what the reference calls `name`."""
    posterior = fitted.model.posterior_["posterior"]
    found = re.fullmatch(r"(\w+)\[(.+)\]", name)
    if found is None:
        return posterior[NAMES.get(name, name)].to_numpy()
    kind, index = found.groups()
    if kind == "coef":
        return posterior["coef"].sel(feature=index).to_numpy()
    if kind == "tau":
        factor, term = index.split(",")
        return posterior[f"tau_{factor}"].sel({f"{factor}_term": term}).to_numpy()
    if kind == "correlation":
        factor = index.split(",")[0]
        return posterior[f"corr_{factor}"].to_numpy()[:, :, 0, 1]
    factor, label, term = re.fullmatch(r"(\w+)=(\w+),(\w+)", index).groups()
    effects = posterior[f"effect_{factor}"]
    labels = {str(value): value for value in effects[factor].to_numpy()}
    out = effects.sel({factor: labels[label], f"{factor}_term": term}).to_numpy()
    if kind == "effect":
        return out
    population = posterior["intercept"] if term == "intercept" else posterior["coef"]
    if term != "intercept":
        population = population.sel(feature=term)
    return out + population.to_numpy()


def efficiency(model):
    """Return the effective share of draws; what chains or weights cost."""
    n = model.posterior_["posterior"].sizes
    return min(1.0, model.diagnostics_["min_ess"] / (n["chain"] * n["draw"]))


def test_means_sds_and_quantiles_are_those_of_the_reference(fitted):
    effective = efficiency(fitted.model)
    wrong = []
    for name, known in fitted.about["params"].items():
        draws = draws_of(fitted, name)
        error = max(mcse(draws), draws.std() / np.sqrt(effective * draws.size))
        z = (draws.mean() - known["mean"]) / np.hypot(error, known["mcse"])
        ratio = error * np.sqrt(0.5) if known["sd"] else error
        spread = (draws.std() - known["sd"]) / np.hypot(3 * ratio, known["mcse_sd"])
        if abs(z) > 5 or abs(spread) > 5:
            wrong.append((name, z, spread))
        for quantile, p in QUANTILES.items():
            below = np.mean(draws <= known[quantile])
            share = np.sqrt(p * (1 - p))
            ours, theirs = effective * draws.size, min(known["ess"], known["ess_tail"])
            if abs(below - p) > 5 * share * np.sqrt(1 / ours + 1 / theirs):
                wrong.append((name, quantile, below))
    assert not wrong


def test_nothing_warns_of_convergence(fitted):
    assert [str(w.message) for w in fitted.warnings if "Convergence" in str(w.category)] == []
    found = fitted.model.diagnostics_
    assert found["n_divergences"] == 0
    assert found["max_rhat"] < 1.01


def test_rows_are_predicted_as_in_the_reference(fitted):
    about, data, model = fitted.about, fitted.data, fitted.model
    positions = [int(row) for row in about["rows"]]
    rows = data.iloc[positions]
    sizes = sizes_of(about, rows)
    if about["trials"]:
        # Their figures are probabilities.
        sizes = {"trials": 1}
    asked = {"X": features_of(about, rows), "groups": rows[fitted.factors]}
    if about["family"] == "bernoulli":
        mean = model.predict_proba(**asked)[:, 1]
    else:
        mean = model.predict(**asked, **sizes)
    known = pd.DataFrame(about["rows"]).T
    n = efficiency(model) * model.draws * model.chains
    error = np.hypot(known["sd"] / np.sqrt(n), known["mcse"])
    assert np.max(np.abs(mean - known["mean"]) / error) < 5
