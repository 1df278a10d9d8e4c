"""Points of proposals: their distribution, their density and how evenly they cover."""

import numpy as np
import pytest
from scipy import stats

from skhbm._sampling.proposals import SHARE, SHARE_OF_SPREADS, WIDER, Proposal

ROOT = np.array([[0.7, 0.0], [-0.4, 1.3]])
CENTER = np.array([1.0, -2.0])
#: Position of a standard deviation that may be zero.
SPREAD = 0


def make_proposal(seed=0):
    return Proposal(CENTER, ROOT, np.array([SPREAD]), np.random.default_rng(seed))


def parts(proposal):
    """The three parts of the mixture, with their shares."""
    narrow = 1 - SHARE - SHARE_OF_SPREADS
    of_spread = np.diag([WIDER, 1.0])
    for share, stretch in (
        (narrow, np.eye(2)), (SHARE, WIDER * np.eye(2)), (SHARE_OF_SPREADS, of_spread)
    ):  # fmt: skip
        shape = stretch @ ROOT @ ROOT.T @ stretch
        yield share, stats.multivariate_t(CENTER, shape, df=proposal.degrees)


def test_density_is_that_of_the_mixture_up_to_a_constant():
    proposal = make_proposal()
    x = CENTER + 3 * np.random.default_rng(1).standard_normal((50, 2))
    expected = np.log(sum(share * part.pdf(x) for share, part in parts(proposal)))
    rest = proposal.log_density(x) - expected
    assert np.ptp(rest) < 1e-10


@pytest.mark.parametrize(
    ("entry", "share"), [(SPREAD, SHARE + SHARE_OF_SPREADS), (1 - SPREAD, SHARE)]
)
def test_points_have_the_distribution(entry, share):
    """Of one coordinate, whose marginal distribution is a mixture of two t."""
    proposal = make_proposal()
    z = (proposal.draw(4096)[:, entry] - CENTER[entry]) / np.linalg.norm(ROOT[entry])
    t = stats.t(proposal.degrees)
    uniform = (1 - share) * t.cdf(z) + share * t.cdf(z / WIDER)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("sizes", [(1, 7), (256,), (100, 156)])
def test_points_come_in_order_whatever_their_number(sizes):
    proposal = make_proposal()
    found = np.concatenate([proposal.draw(n) for n in sizes])
    np.testing.assert_allclose(found, make_proposal().draw(sum(sizes)), atol=1e-13)


def test_means_are_more_accurate_than_those_of_random_points():
    """Over 40 seeds means of 512 points have a tenth of the variance of independent ones."""
    means = [make_proposal(seed).draw(512)[:, 0].mean() for seed in range(40)]
    share = SHARE + SHARE_OF_SPREADS
    random = (1 - share + share * WIDER**2) * stats.t(make_proposal().degrees).var()
    assert np.var(means) < 0.1 * ROOT[0, 0] ** 2 * random / 512
