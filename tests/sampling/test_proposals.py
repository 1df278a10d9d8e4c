"""Points of proposals: their distribution, their density and how evenly they cover."""

import numpy as np
import pytest
from scipy import stats

from skhbm._sampling.proposals import SHARE, WIDER, Proposal

ROOT = np.array([[0.7, 0.0], [-0.4, 1.3]])
CENTER = np.array([1.0, -2.0])


def make_proposal(seed=0):
    return Proposal(CENTER, ROOT, np.random.default_rng(seed))


def parts(proposal):
    """The two parts of the mixture, with their shares."""
    for share, scale in ((1 - SHARE, 1.0), (SHARE, WIDER)):
        shape = scale**2 * ROOT @ ROOT.T
        yield share, stats.multivariate_t(CENTER, shape, df=proposal.degrees)


def test_density_is_that_of_the_mixture_up_to_a_constant():
    proposal = make_proposal()
    x = CENTER + 3 * np.random.default_rng(1).standard_normal((50, 2))
    expected = np.log(sum(share * part.pdf(x) for share, part in parts(proposal)))
    rest = proposal.log_density(x) - expected
    assert np.ptp(rest) < 1e-10


def test_points_have_the_distribution():
    """Of the first coordinate, whose marginal distribution is a mixture of two t."""
    proposal = make_proposal()
    z = (proposal.draw(4096)[:, 0] - CENTER[0]) / ROOT[0, 0]
    t = stats.t(proposal.degrees)
    uniform = (1 - SHARE) * t.cdf(z) + SHARE * t.cdf(z / WIDER)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("sizes", [(1, 7), (256,), (100, 156)])
def test_points_come_in_order_whatever_their_number(sizes):
    proposal = make_proposal()
    found = np.concatenate([proposal.draw(n) for n in sizes])
    np.testing.assert_allclose(found, make_proposal().draw(sum(sizes)), atol=1e-13)


def test_means_are_more_accurate_than_those_of_random_points():
    """Over 40 seeds means of 512 points have a tenth of the variance of independent ones."""
    means = [make_proposal(seed).draw(512)[:, 0].mean() for seed in range(40)]
    random = (1 - SHARE + SHARE * WIDER**2) * stats.t(make_proposal().degrees).var()
    assert np.var(means) < 0.1 * ROOT[0, 0] ** 2 * random / 512
