"""`model_` of other responses is what is sampled: its effects integrated out numerically."""

import numpy as np
import pytest
from response_cases import CLASSES, make, simulate
from scipy.special import logsumexp

from skhbm._density.assemble_responses import make_integrated_density
from skhbm._density.evaluation import natural_values
from skhbm._density.spreads import no_elbows

#: Two groups, whose effects are independent given all else.
LABELS = ["s00", "s01"]
#: A trapezoidal rule for standard normals.
NODES = np.linspace(-8, 8, 1601)


def log_marginal(model, point):
    """Integrate the log density of a PyMC model over z ~ Normal(0, I) of two groups."""
    logp = model.compile_logp(jacobian=False)

    def at(a, b):
        return float(logp({**point, "z_site": np.array([[a], [b]])}))

    first = logsumexp([at(node, 0.0) for node in NODES])
    second = logsumexp([at(0.0, node) for node in NODES])
    return first + second - at(0.0, 0.0)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("response", CLASSES)
def test_density_of_the_model_is_the_one_that_is_sampled(response):
    """Up to a constant: differences between points agree."""
    data = simulate(response)
    which = np.flatnonzero(data.groups.isin(LABELS))[:24]
    fitted = make(response, draws=50, chains=1).fit(**data.rows(which))
    posterior, priors = fitted._posterior, fitted._priors
    assert list(fitted.groups_) == LABELS
    density = make_integrated_density(posterior.design, priors)
    object.__setattr__(density, "elbows", no_elbows(1))
    model, rng = fitted.model_, np.random.default_rng(0)
    names = posterior.design.family.dispersion
    found = []
    for _ in range(3):
        x = density.start + 0.3 * rng.standard_normal(density.n_dim)
        value, _ = density.value_and_gradient(x)
        natural = natural_values(density, x[None])[0]
        tau, *rest = natural
        dispersion, given = rest[: len(names)], np.array(rest[len(names) :])
        point = {"intercept_at_mean": given[0], "coef": given[1:]}
        logs = {"tau_site": np.array([tau]), **dict(zip(names, dispersion, strict=True))}
        point |= {f"{name}_log__": np.log(v) for name, v in logs.items()}
        # Scales are sampled on the log scale, whose Jacobian is the scale.
        jacobian = sum(float(np.sum(np.log(v))) for v in logs.values())
        found.append(value - jacobian - log_marginal(model, point))
    assert np.ptp(found) < 1e-5
