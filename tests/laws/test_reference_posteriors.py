"""Real data whose posteriors are known from quadrature, at default settings.

The priors are those of the reference figures; see the README beside them.
"""

import json
import re
import warnings
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from reference import mcse

from skhbm import HierarchicalNormalRegressor, Prior

#: Quantiles of variance parameters are known to this share of their sd.
QUANTILE_ERROR = 0.02
#: Means and sds are exact to about this share of the sd.
REFERENCE_ERROR = 1e-3


def normal(mu, sigma):
    return Prior("Normal", mu=mu, sigma=sigma)


def half_normal(sigma):
    return Prior("HalfNormal", sigma=sigma)


@dataclass(frozen=True)
class Case:
    """A data set, its model, and which entry of the reference is which hyperparameter.

    `group` may be several columns; `errors` is the column of known errors, `prior` the name
    of the priors in a file of several.
    """

    folder: str
    file: str
    target: str
    group: str | list
    features: tuple
    priors: dict
    hyperparameters: dict
    parameters: dict = field(default_factory=dict)
    errors: str | None = None
    prior: str | None = None

    @property
    def factors(self):
        return [self.group] if isinstance(self.group, str) else self.group


#: The same names in all files of one kind.
RADON = {
    "intercept": normal(0, 10), "coef": normal(0, 10), "tau": half_normal(5),
    "sigma": half_normal(5),
}  # fmt: skip
POSTERIORDB = {**RADON, "tau": half_normal(1), "sigma": half_normal(1)}
ONE_TAU = {"sigma_re": ("tau", "intercept"), "sigma_y": ("sigma", None)}

KNOWN = {"residual_scale": "known"}
MU_TAU = {"mu": ("intercept", None), "tau": ("tau", "intercept")}

CASES = {
    "seed_three_groups": Case(
        "seed_three_groups", "quadrature", "y", "group", (),
        {"intercept": normal(0, 10), "tau": half_normal(10), "sigma": half_normal(10)},
        {"mu": ("intercept", None), "sigma": ("tau", "intercept")},
        {"residual_scale": "by_group"},
    ),
    "gelman_hill_radon M1": Case(
        "gelman_hill_radon", "quadrature_M1", "log_radon", "county", ("floor",), RADON,
        {"sd_county": ("tau", "intercept"), "sigma": ("sigma", None)},
    ),
    "gelman_hill_radon M2": Case(
        "gelman_hill_radon", "quadrature_M2", "log_radon", "county", ("floor", "log_uranium"),
        RADON, {"sd_county": ("tau", "intercept"), "sigma": ("sigma", None)},
    ),
    "sleepstudy": Case(
        "sleepstudy", "quadrature_custom_priors", "Reaction", "Subject", ("Days",),
        {
            "intercept": normal(0, 1000), "coef": normal(0, 100),
            "tau": {"intercept": half_normal(100), "Days": half_normal(50)},
            "corr": Prior("LKJCorr", eta=2), "sigma": half_normal(100),
        },
        {
            "sd_Intercept": ("tau", "intercept"), "sd_Days": ("tau", "Days"),
            "rho": ("corr", None), "sigma": ("sigma", None),
        },
        {"varying_slopes": ["Days"]},
    ),
    "dyestuff": Case(
        "dyestuff", "quadrature", "Yield", "Batch", (),
        {"intercept": normal(1500, 1000), "tau": half_normal(100), "sigma": half_normal(100)},
        {"sd_group": ("tau", "intercept"), "sigma": ("sigma", None)},
    ),
    "dyestuff by group": Case(
        "dyestuff", "quadrature_hetero", "Yield", "Batch", (),
        {"intercept": normal(1500, 1000), "tau": half_normal(100), "sigma": half_normal(100)},
        {"mu": ("intercept", None), "sigma": ("tau", "intercept")},
        {"residual_scale": "by_group"},
    ),
    "rail": Case(
        "rail", "quadrature", "travel", "Rail", (),
        {"intercept": normal(0, 1000), "tau": half_normal(50), "sigma": half_normal(50)},
        {"sd_group": ("tau", "intercept"), "sigma": ("sigma", None)},
    ),
    "exam": Case(
        "exam", "quadrature_lrt", "normexam", "school", ("standLRT",), RADON,
        {"sd_school": ("tau", "intercept"), "sigma": ("sigma", None)},
    ),
    "pdb_radon_mn hierarchical_intercept": Case(
        "pdb_radon_mn", "quadrature_hierarchical_intercept", "log_radon", "county",
        ("log_uranium", "floor"), POSTERIORDB, ONE_TAU,
    ),
    "pdb_radon_mn partially_pooled": Case(
        "pdb_radon_mn", "quadrature_partially_pooled", "log_radon", "county", (),
        {k: v for k, v in POSTERIORDB.items() if k != "coef"}, ONE_TAU,
    ),
    "pdb_radon_mn variable_intercept": Case(
        "pdb_radon_mn", "quadrature_variable_intercept", "log_radon", "county", ("floor",),
        POSTERIORDB, ONE_TAU,
    ),
    "pdb_radon_mn variable_intercept_slope": Case(
        "pdb_radon_mn", "quadrature_variable_intercept_slope", "log_radon", "county",
        ("floor",), POSTERIORDB,
        {
            "sigma_alpha": ("tau", "intercept"), "sigma_beta": ("tau", "floor"),
            "sigma_y": ("sigma", None),
        },
        {"varying_slopes": ["floor"], "correlated": False},
    ),
    "pdb_radon_mn variable_slope": Case(
        "pdb_radon_mn", "quadrature_variable_slope", "log_radon", "county", ("floor",),
        POSTERIORDB, {"sigma_re": ("tau", "floor"), "sigma_y": ("sigma", None)},
        {"varying_slopes": ["floor"], "varying_intercept": False},
    ),
    "eight_schools": Case(
        "eight_schools", "quadrature", "y", "school", (),
        {"intercept": normal(0, 5), "tau": Prior("HalfCauchy", beta=5)}, MU_TAU, KNOWN,
        "sigma", "posteriordb_prior mu~N(0,5) tau~HalfCauchy(5)",
    ),
    "eight_schools half-normal": Case(
        "eight_schools", "quadrature", "y", "school", (),
        {"intercept": normal(0, 10), "tau": half_normal(10)}, MU_TAU, KNOWN,
        "sigma", "mu~N(0,10) tau~HalfNormal(10)",
    ),
    "efron_morris_baseball": Case(
        "efron_morris_baseball", "quadrature", "y", "player", (),
        {"intercept": normal(0, 10), "tau": half_normal(1)}, MU_TAU, KNOWN, "sigma",
    ),
    "meta_bcg": Case(
        "meta_bcg", "quadrature", "yi", "trial", (),
        {"intercept": normal(0, 10), "tau": half_normal(1)}, MU_TAU, KNOWN, "sei",
    ),
    "penicillin": Case(
        "penicillin", "quadrature", "diameter", ["plate", "sample"], (),
        {"intercept": normal(0, 100), "tau": half_normal(5), "sigma": half_normal(5)},
        {
            "mu": ("intercept", None), "sd_plate": ("tau_plate", "intercept"),
            "sd_sample": ("tau_sample", "intercept"), "sigma": ("sigma", None),
        },
    ),
}  # fmt: skip


@dataclass
class Fitted:
    case: Case
    model: HierarchicalNormalRegressor
    reference: dict
    warnings: list
    data: pd.DataFrame


def fit(data, target, group, features, errors=None, **parameters):
    X = data[list(features)] if features else None
    return HierarchicalNormalRegressor(random_state=0, **parameters).fit(
        X, data[target], groups=data[group], y_err=None if errors is None else data[errors]
    )


def fit_case(case, cases_folder, **settings):
    data = pd.read_csv(cases_folder / case.folder / "data.csv")
    reference = json.loads((cases_folder / case.folder / f"{case.file}.json").read_text())
    parameters = {"priors": case.priors, **case.parameters, **settings}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = fit(data, case.target, case.group, case.features, case.errors, **parameters)
    reference = reference[case.prior] if case.prior else reference
    return Fitted(case, model, reference.get("params", reference), caught, data)


@pytest.fixture(scope="session", params=["nuts", "laplace"])
def solver(request):
    return request.param


@pytest.fixture(scope="session", params=CASES, ids=str)
def fitted(request, solver, cases_folder):
    return fit_case(CASES[request.param], cases_folder, solver=solver)


def draws_of(fitted, name):
    """Return draws (chains, draws) of what the reference calls `name`."""
    posterior, case = fitted.model.posterior_["posterior"], fitted.case
    f = case.factors[0]
    groups = {str(label): label for label in posterior[f].to_numpy()}
    if name in case.hyperparameters:
        variable, term = case.hyperparameters[name]
        if variable.startswith("tau_"):
            factor_name = variable.removeprefix("tau_")
            return posterior[variable].sel({f"{factor_name}_term": term}).to_numpy()
        if variable == "tau":
            return posterior[f"tau_{f}"].sel({f"{f}_term": term}).to_numpy()
        if variable == "corr":
            return posterior[f"corr_{f}"].to_numpy()[:, :, 0, 1]
        return posterior[variable].to_numpy()
    kind, index = re.fullmatch(r"(\w+)\[(.+)\]", name).groups()
    if kind in ("group_stddevs", "group_sd"):
        return posterior["sigma"].sel({f: groups[index]}).to_numpy()
    if kind == "b":
        return population(posterior, int(index), case)
    if kind == "u":
        factor_name, label = index.removeprefix("sd_").split(":")
        return posterior[f"effect_{factor_name}"].sel({factor_name: label})[..., 0].to_numpy()
    if kind == "theta":
        # By the number of the row.
        kind, index = "group_mean", str(fitted.data[f].iloc[int(index) - 1])
    group, k = (index, 0) if kind.startswith("group_mean") else index.rsplit(",", 1)
    # In the files of group coefficients, k counts the varying terms.
    term = posterior[f"{f}_term"].to_numpy()[int(k)]
    effect = posterior[f"effect_{f}"].sel({f: groups[group], f"{f}_term": term}).to_numpy()
    return effect + population(posterior, term_position(term, case), case)


def term_position(term, case):
    return 0 if term == "intercept" else 1 + case.features.index(term)


def population(posterior, k, case):
    if k == 0:
        return posterior["intercept"].to_numpy()
    return posterior["coef"].sel(feature=case.features[k - 1]).to_numpy()


def entries(fitted):
    return {k: v for k, v in fitted.reference.items() if not k.startswith("_")}


def test_every_group_and_hyperparameter_has_a_reference(fitted):
    names = entries(fitted)
    posterior, case = fitted.model.posterior_["posterior"], fitted.case
    groups = [n for n in names if re.match(r"coef\[|group_means?\[|theta\[|u\[", n)]
    assert set(case.hyperparameters) <= set(names)
    found = {re.split(r"[\[,\]]", n)[1] for n in groups}
    if groups[0].startswith("theta"):
        assert found == {str(j + 1) for j in range(len(fitted.data))}
    elif groups[0].startswith("u"):
        assert found == {
            f"sd_{f}:{label}" for f in case.factors for label in posterior[f].to_numpy()
        }
    else:
        assert found == {str(label) for label in posterior[case.group].to_numpy()}


def test_means_are_those_of_the_reference(fitted):
    wrong = {}
    for name, expected in entries(fitted).items():
        draws = draws_of(fitted, name)
        tolerance = 5 * float(mcse(draws)) + REFERENCE_ERROR * expected["sd"]
        error = abs(draws.mean() - expected["mean"])
        if not error <= tolerance:
            wrong[name] = (error / tolerance, draws.mean(), expected["mean"])
    assert not wrong


def test_sds_are_those_of_the_reference(fitted):
    wrong = {}
    for name, expected in entries(fitted).items():
        draws = draws_of(fitted, name)
        tolerance = 5 * float(mcse(draws, method="sd")) + REFERENCE_ERROR * expected["sd"]
        error = abs(draws.std(ddof=1) - expected["sd"])
        if not error <= tolerance:
            wrong[name] = (error / tolerance, draws.std(ddof=1), expected["sd"])
    assert not wrong


def test_quantiles_of_hyperparameters_are_those_of_the_reference(fitted):
    wrong = {}
    for name in fitted.case.hyperparameters:
        expected = fitted.reference[name]
        draws = draws_of(fitted, name)
        for prob in (0.025, 0.25, 0.5, 0.75, 0.975):
            key = f"q{1000 * prob:03.0f}"
            error = abs(np.quantile(draws, prob) - expected[key])
            tolerance = (
                5 * float(mcse(draws, "quantile", prob)) + QUANTILE_ERROR * expected["sd"]
            )
            if not error <= tolerance:
                wrong[name, key] = (error / tolerance, np.quantile(draws, prob), expected[key])
    assert not wrong


def test_group_coefficients_are_those_of_the_reference(fitted):
    """The attributes average conditional means: their error is below that of draws."""
    model, case = fitted.model, fitted.case
    wrong = {}
    for name, expected in entries(fitted).items():
        found = re.fullmatch(r"(coef|group_means?|theta|u)\[([^,]+)(?:,(\d+))?\]", name)
        if not found:
            continue
        if found[1] == "u":
            f, label = found[2].removeprefix("sd_").split(":")
            j = model.groups_[f].tolist().index(label)
            actual = model.group_intercept_[f][j] - model.intercept_
        else:
            group = found[2]
            if found[1] == "theta":
                group = str(fitted.data[case.group].iloc[int(group) - 1])
            j = [str(label) for label in model.groups_].index(group)
            terms = model.posterior_["posterior"][f"{case.group}_term"].to_numpy()
            k = term_position(terms[int(found[3] or 0)], case)
            actual = model.group_intercept_[j] if k == 0 else model.group_coef_[j, k - 1]
        tolerance = 5 * float(mcse(draws_of(fitted, name))) + REFERENCE_ERROR * expected["sd"]
        if not abs(actual - expected["mean"]) <= tolerance:
            wrong[name] = (actual, expected["mean"], tolerance)
    assert not wrong


def test_fit_has_no_divergence(fitted):
    assert fitted.model.diagnostics_["n_divergences"] == 0


def test_chains_agree(fitted):
    assert fitted.model.diagnostics_["max_rhat"] < 1.01


def test_fit_gives_no_warning(fitted):
    assert [str(w.message) for w in fitted.warnings] == []


#: Where tau may be near zero: a sampler that is slightly wrong shows here first.
DELICATE = [
    "gelman_hill_radon M2", "dyestuff", "pdb_radon_mn hierarchical_intercept",
    "pdb_radon_mn variable_intercept_slope", "pdb_radon_mn variable_slope", "eight_schools",
    "efron_morris_baseball", "penicillin",
]  # fmt: skip


@pytest.mark.parametrize("name", DELICATE)
def test_long_chains_converge_to_the_reference(name, cases_folder):
    """Eight times the draws: a bias of a tenth of a posterior sd is 15 standard errors."""
    case = CASES[name]
    fitted = fit_case(case, cases_folder, draws=8000)
    for key in case.hyperparameters:
        draws, expected = draws_of(fitted, key), fitted.reference[key]
        slack = REFERENCE_ERROR * expected["sd"]
        assert abs(draws.mean() - expected["mean"]) <= 5 * mcse(draws) + slack, key
        assert abs(draws.std() - expected["sd"]) <= 5 * mcse(draws, "sd") + slack, key


@pytest.mark.parametrize(("name", "mean", "sd"), [("mu", 4.411, 3.309), ("tau", 3.602, 3.198)])
def test_eight_schools_have_the_figures_of_posteriordb(name, mean, sd, cases_folder):
    """Its gold standard is 10,000 draws: their Monte Carlo error adds to ours."""
    draws = draws_of(fit_case(CASES["eight_schools"], cases_folder), name)
    error = np.hypot(mcse(draws), sd / 100)
    assert abs(draws.mean() - mean) <= 5 * error
    # tau has heavy tails: the error of its sd is that of our draws, not normal theory's.
    assert abs(draws.std() - sd) <= 5 * np.sqrt(2) * mcse(draws, "sd")


def test_baseball_players_are_predicted_as_well_as_by_james_and_stein(cases_folder):
    """Efron & Morris (1975): the total squared error is 17.6 unpooled, 5.0 shrunk."""
    fitted = fit_case(CASES["efron_morris_baseball"], cases_folder)
    data, model = fitted.data.set_index("player"), fitted.model
    truth = data["theta_true"]
    assert round(float(np.sum((data["y"] - truth) ** 2)), 1) == 17.6
    shrunk = pd.Series(model.group_intercept_, index=model.groups_)
    # The same players, pulled to the same mean; the amount is not quite the same.
    assert np.sum((shrunk - truth) ** 2) < 5.5
    assert np.all(np.abs(shrunk - data["js_estimate"]) < 0.1)
    table = model.shrinkage_.set_index("group")
    np.testing.assert_allclose(table["no_pooling"], data["y"][table.index], rtol=1e-9)


def test_vaccination_trials_come_near_restricted_maximum_likelihood(cases_folder):
    """REML: mean -0.7145 (0.1798), tau^2 0.3132; the prior of tau is wide."""
    fitted = fit_case(CASES["meta_bcg"], cases_folder)
    mu, tau = (draws_of(fitted, name) for name in ("mu", "tau"))
    assert abs(mu.mean() + 0.7145) <= 0.1 * 0.1798
    assert 1 <= mu.std() / 0.1798 <= 1.25
    assert np.quantile(tau, 0.25) <= np.sqrt(0.3132) <= np.quantile(tau, 0.75)


@pytest.mark.parametrize(
    ("name", "estimate"), [("sd_plate", 0.8456), ("sd_sample", 1.7706), ("sigma", 0.5499)]
)
def test_penicillin_comes_near_maximum_likelihood(name, estimate, cases_folder):
    """lme4's estimates, of which that of six samples is low, as maximum likelihood is."""
    draws = draws_of(fit_case(CASES["penicillin"], cases_folder), name)
    assert np.quantile(draws, 0.1) <= estimate <= np.quantile(draws, 0.9)


@pytest.fixture(scope="session")
def rats(cases_folder):
    """The 30 rats of BUGS under vague priors: Normal(0, 1000), HalfNormal(100)."""
    data = pd.read_csv(cases_folder / "bugs_rats" / "data.csv")
    priors = {
        "intercept": normal(0, 1000), "coef": normal(0, 1000), "tau": half_normal(100),
        "sigma": half_normal(100),
    }  # fmt: skip
    parameters = {"varying_slopes": ["x_centered"], "correlated": False, "priors": priors}
    return fit(data, "y", "rat", ("x_centered",), **parameters)


@pytest.mark.parametrize(
    ("name", "mean", "sd"),
    [("intercept", 106.6, 3.666), ("coef", 6.186, 0.1088), ("sigma", 6.092, 0.467)],
)
def test_rats_come_near_the_figures_of_bugs(rats, name, mean, sd):
    """BUGS has effects independent at the mean of x, 22 days, and other vague priors."""
    posterior = rats.posterior_["posterior"]
    draws = posterior[name].to_numpy().ravel()
    if name == "intercept":
        draws = draws - 22 * posterior["coef"].to_numpy().ravel()
    assert abs(draws.mean() - mean) <= 0.5 * sd
    assert 0.8 <= draws.std() / sd <= 1.25


def test_rats_have_no_divergence_and_chains_agree(rats):
    assert rats.diagnostics_["n_divergences"] == 0
    assert rats.diagnostics_["max_rhat"] < 1.01


@pytest.mark.parametrize("parameters", [{}, {"varying_slopes": "all"}], ids=str)
@pytest.mark.parametrize("n_groups", [4, 8, 40])
def test_equal_groups_are_no_trouble(n_groups, parameters):
    """The estimate of the variance between groups is zero: their means are exactly equal."""
    rng = np.random.default_rng(11)
    codes = np.repeat(np.arange(n_groups), 12)
    X = rng.standard_normal((len(codes), 1))
    y = rng.standard_normal(len(codes))
    for values in (X[:, 0], y):
        values -= (np.bincount(codes, values) / 12)[codes]
    slope = np.bincount(codes, X[:, 0] * y) / np.bincount(codes, X[:, 0] ** 2)
    y += 3 + (0.5 - slope[codes]) * X[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = HierarchicalNormalRegressor(random_state=0, **parameters).fit(
            X, y, groups=codes
        )
    assert model.diagnostics_["n_divergences"] == 0
    assert model.diagnostics_["max_rhat"] < 1.01


def test_groups_of_equal_residual_scale_are_no_trouble():
    """The estimate of the variance of log sigma_j is zero."""
    rng = np.random.default_rng(12)
    codes = np.repeat(np.arange(10), 30)
    y = rng.standard_normal(len(codes))
    y -= (np.bincount(codes, y) / 30)[codes]
    y /= np.sqrt(np.bincount(codes, y**2) / 29)[codes]
    y += rng.standard_normal(10)[codes]
    model = HierarchicalNormalRegressor(residual_scale="by_group", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(None, y, groups=codes)
    assert model.diagnostics_["n_divergences"] == 0
    assert model.diagnostics_["max_rhat"] < 1.01


@pytest.mark.parametrize("seed", range(4))
def test_groups_that_share_a_residual_scale_are_no_trouble(seed):
    """The estimate of the variance of log sigma_j is close to zero."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 10, 300)
    X = rng.standard_normal((300, 2))
    y = X @ [1, 2] + rng.standard_normal(10)[codes] + rng.standard_normal(300)
    model = HierarchicalNormalRegressor(residual_scale="by_group", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, y, groups=codes)
    assert model.diagnostics_["n_divergences"] == 0
    assert model.diagnostics_["max_rhat"] < 1.01
