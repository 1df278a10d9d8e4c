"""Coefficients and effects of several factors given scales, against dense normal algebra."""

import numpy as np
import pytest
from blocked_rows import DESIGNS, Rows, choose_elimination

from skhbm._likelihood.interface import RowTerms
from skhbm._posterior.effects_blocked import BlockedEffects
from skhbm._posterior.factors_at_nodes import Nodes
from skhbm._posterior.points import Points, log_densities

MEAN = np.array([0.3, -0.2, 0.1])


class Joint:
    """The joint distribution of coefficients and effects given rows, by dense matrices."""

    def __init__(self, rows):
        self.rows = rows
        fixed, _ = rows.scaling.features(rows.X, rows.terms[0])
        y = (rows.y - rows.scaling.y_mean) / rows.scaling.y_scale
        self.sizes = [int(rows.codes[:, f].max()) + 1 for f in range(len(rows.terms))]
        H = self.columns(fixed, rows.X, rows.codes)
        covariances = [
            np.kron(np.eye(k), c) for k, c in zip(self.sizes, rows.covs, strict=True)
        ]
        prior = np.zeros((H.shape[1], H.shape[1]))
        prior[:3, :3] = np.eye(3)
        at = 3
        for cov in covariances:
            prior[at : at + len(cov), at : at + len(cov)] = cov
            at += len(cov)
        center = np.zeros(len(prior))
        center[:3] = -MEAN
        V = H @ prior @ H.T + rows.sigma**2 * np.eye(len(y))
        gain = prior @ H.T @ np.linalg.inv(V)
        self.mean = center + gain @ (y - H @ center)
        self.cov = prior - gain @ H @ prior

    def columns(self, fixed, X, codes):
        """Return rows of (w, u of each factor) for groups, none of them where a code is -1."""
        parts = [fixed]
        for f, terms in enumerate(self.rows.terms):
            z = self.rows.scaling.features(X, terms)[1]
            here = codes[:, f, None] == np.arange(self.sizes[f])
            parts.append((here[:, :, None] * z[:, None, :]).reshape(len(X), -1))
        return np.hstack(parts)


def effects_of(rows, n_nodes=1):
    layout = rows.layout
    roots = tuple(np.linalg.cholesky(c)[None] / rows.sigma for c in rows.covs)
    roots = tuple(np.repeat(root, n_nodes, axis=0) for root in roots)
    none = np.empty((n_nodes, 0))
    nodes = Nodes(roots, np.full(n_nodes, rows.sigma), none, np.full(n_nodes, 1 / n_nodes))
    index = np.zeros((1, n_nodes), dtype=int)
    points = Points(index, none[None], np.zeros(3), np.eye(3), np.empty((3, 0)), MEAN)
    return BlockedEffects(rows.blocks.in_columns(points.columns), layout, points, nodes)


def terms_of(rows, X, codes):
    layout, scaling = rows.layout, rows.scaling
    varying = [scaling.features(X, terms)[1] for terms in rows.terms]
    order = [layout.first, *layout.others]
    where = [start[codes[:, f]] for f, start in zip(layout.others, layout.where, strict=True)]
    return RowTerms(
        scaling.features(X, rows.terms[0])[0],
        codes[:, order],
        np.column_stack(where),
        varying[layout.first],
        np.hstack([varying[f] for f in layout.others]),
    )


@pytest.fixture(params=["dense", "sparse", "all sparse"])
def elimination_of(request, monkeypatch):
    choose_elimination(monkeypatch, request.param)


@pytest.fixture(params=DESIGNS)
def rows(request, elimination_of):
    return Rows(7, DESIGNS[request.param])


@pytest.fixture
def new_rows(rows):
    """Rows of all kinds of groups, seen or not, and of combinations that do not occur."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((40, 2))
    sizes = rows.codes.max(axis=0) + 1
    codes = np.column_stack([rng.integers(-1, size, 40) for size in sizes])
    return X, codes


def test_predictors_have_their_moments(rows, new_rows):
    joint, (X, codes) = Joint(rows), new_rows
    terms = terms_of(rows, X, codes)
    mean, variance = effects_of(rows).seen_predictors(terms)
    H = joint.columns(terms.fixed, X, codes)
    np.testing.assert_allclose(mean[:, 0], H @ joint.mean, atol=1e-10)
    np.testing.assert_allclose(variance[:, 0], np.diag(H @ joint.cov @ H.T), rtol=1e-9)


def test_new_groups_have_the_variance_between_groups(rows, new_rows):
    X, codes = new_rows
    expected = np.zeros(len(X))
    for f, cov in enumerate(rows.covs):
        z = rows.scaling.features(X, rows.terms[f])[1]
        expected += (codes[:, f] < 0) * np.einsum("ia,ab,ib->i", z, cov, z)
    terms, effects = terms_of(rows, X, codes), effects_of(rows)
    found = effects.predictors(terms)[1] - effects.seen_predictors(terms)[1]
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-12)


def test_rows_covary(rows, new_rows):
    joint, (X, codes) = Joint(rows), new_rows
    terms = terms_of(rows, X, codes)
    H = joint.columns(terms.fixed, X, codes)
    found = effects_of(rows).row_covariance(terms)
    np.testing.assert_allclose(found, H @ joint.cov @ H.T, atol=1e-10)


def test_levels_have_their_moments(rows):
    joint, at = Joint(rows), 3
    effects = effects_of(rows)
    center, cov = effects.population_moments()
    np.testing.assert_allclose(center, joint.mean[:3], atol=1e-10)
    np.testing.assert_allclose(cov, joint.cov[:3, :3], atol=1e-10)
    for f, level in enumerate(effects.level_moments()):
        n, q = level.mean.shape
        assert (n, q) == (joint.sizes[f], len(rows.covs[f]))
        for j in range(n):
            here = slice(at + j * q, at + (j + 1) * q)
            np.testing.assert_allclose(level.mean[j], joint.mean[here], atol=1e-10)
            np.testing.assert_allclose(level.cov[j], joint.cov[here, here], atol=1e-10)
            np.testing.assert_allclose(level.cross[j], joint.cov[here, :3], atol=1e-10)
        at += n * q


def test_draws_have_the_conditional_mean_and_covariance(rows):
    """Draws are linear in standard normals: the coefficients of these are a root."""
    joint, w = Joint(rows), np.array([0.4, -0.7, 0.2])
    n = effects_of(rows).n_effects
    effects = effects_of(rows, n_nodes=n + 1)
    z = np.vstack([np.zeros(n), np.eye(n)])
    drawn = effects.draw(np.tile(w, (n + 1, 1)), z)
    flat = np.hstack([part.reshape(n + 1, -1) for part in drawn])
    gain = joint.cov[3:, :3] @ np.linalg.inv(joint.cov[:3, :3])
    np.testing.assert_allclose(flat[0], joint.mean[3:] + gain @ (w - joint.mean[:3]), atol=1e-9)
    root = flat[1:] - flat[0]
    expected = joint.cov[3:, 3:] - gain @ joint.cov[:3, 3:]
    np.testing.assert_allclose(root.T @ root, expected, atol=1e-9)


def test_density_is_that_of_the_likelihood(rows):
    effects = effects_of(rows)
    logdet, K = effects.densities()
    count = float(len(rows.y))
    value = log_densities(effects.points, logdet, K, effects.nodes.sigma, count)
    expected = rows.likelihood(mean=MEAN).value_and_gradient(rows.covs, rows.sigma, np.empty(0))
    np.testing.assert_allclose(value[0], expected[0], rtol=1e-11)
