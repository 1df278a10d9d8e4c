"""Groups of equal design share their algebra; density and gradient are those of each alone."""

import numpy as np
import pytest
from internals import build, evaluate_density
from reference import Structure, Table

#: Tolerance of sums of thousands of terms, each exact to rounding.
RTOL = 1e-11
SIZES = (3, 7, 12)
N_GROUPS = 90
STRUCTURES = {
    "intercepts": Structure(),
    "a slope": Structure(slopes=(0,)),
    "independent slopes": Structure(slopes=(0, 1), correlated=False),
    "no intercept": Structure(intercept=False, slopes=(0,)),
}


def balanced(*, shuffled=False):
    """Return rows of groups of three sizes, features being the same in all of one size."""
    rng = np.random.default_rng(3)
    sizes = np.tile(SIZES, N_GROUPS // len(SIZES))
    codes = np.repeat(np.arange(N_GROUPS), sizes)
    X = np.vstack([np.column_stack([np.arange(n), np.arange(n) ** 2.0]) for n in sizes])
    y = X @ [0.3, 0.02] + rng.standard_normal(N_GROUPS)[codes] + rng.standard_normal(len(X))
    order = rng.permutation(len(y)) if shuffled else np.arange(len(y))
    return Table(X[order], y[order], codes[order])


def unshared(monkeypatch):
    """Switch the sharing off."""
    monkeypatch.setattr(
        "skhbm._density.assemble.share_equal_work", lambda R, E: (R, E, np.ones(len(R)))
    )


def n_blocks(density):
    return density.likelihood.roots.shape[0]


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("name", STRUCTURES)
def test_density_is_that_of_each_group_alone(name, shuffled, monkeypatch):
    table = balanced(shuffled=shuffled)
    shared = build(STRUCTURES[name], table)[2]
    unshared(monkeypatch)
    alone = build(STRUCTURES[name], table)[2]
    assert n_blocks(alone) > n_blocks(shared)
    for x in np.random.default_rng(0).standard_normal((5, shared.n_dim)):
        value, gradient, _ = evaluate_density(shared, x)
        expected, slope, _ = evaluate_density(alone, x)
        np.testing.assert_allclose(value, expected, rtol=RTOL)
        np.testing.assert_allclose(gradient, slope, rtol=RTOL, atol=RTOL * abs(slope).max())


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("name", STRUCTURES)
def test_work_is_in_the_number_of_designs(name, shuffled):
    """At most q m rows for each, eight to a block: m coefficients and the response."""
    density = build(STRUCTURES[name], balanced(shuffled=shuffled))[2]
    q, width = density.likelihood.roots.shape[1:3]
    per_design = q * (width - q + 1)
    assert n_blocks(density) <= -(-len(SIZES) * per_design // 8)


def test_intercepts_of_groups_of_equal_size_share_whatever_the_features():
    rng = np.random.default_rng(4)
    table = balanced()
    table.X = rng.standard_normal(table.X.shape)
    assert n_blocks(build(Structure(), table)[2]) == n_blocks(build(Structure(), balanced())[2])


def test_groups_that_nearly_agree_do_not_share():
    """Roots that differ by a millionth are different designs."""
    table = balanced()
    table.X = table.X * (1 + 1e-6 * table.codes[:, None])
    structure = STRUCTURES["a slope"]
    assert n_blocks(build(structure, table)[2]) == -(-N_GROUPS // 8)
