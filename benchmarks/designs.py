"""Rows of several grouping factors, made to the shape of known data sets."""

from __future__ import annotations

import numpy as np


def make_evaluations(seed=0):
    """Make rows of the shape of lme4's InstEval: students rate lecturers of departments.

    73,421 rows of 2,972 students and 1,128 lecturers, crossed, in 14 departments. Students rate
    lecturers of their own department more than others, some lecturers far more often than
    others, and one lecture in twenty belongs to a department other than its lecturer's. The
    standard deviations are close to lme4's estimates: 0.33, 0.51, 0.1 and 1.18.

    Returns
    -------
    y : ndarray of shape (73421,)
    groups : ndarray of int of shape (73421, 3)
        Students, lecturers and departments.
    """
    rng = np.random.default_rng(seed)
    n, n_students, n_lecturers, n_departments = 73_421, 2_972, 1_128, 14
    home = np.sort(rng.integers(0, n_departments, n_lecturers))
    home[:n_departments] = np.arange(n_departments)
    home.sort()
    popularity = rng.gamma(1.0, size=n_lecturers)
    # Everyone rates at least once, and is rated at least once.
    students = np.concatenate(
        [np.arange(n_students), rng.integers(0, n_students, n - n_students)]
    )
    own = rng.integers(0, n_departments, n_students)[students]
    asked = np.where(rng.random(n) < 0.7, own, rng.integers(0, n_departments, n))
    # Popularity adds up along the departments, so one search finds a lecturer of the one asked.
    total = np.concatenate([[0.0], np.cumsum(popularity)])
    first, last = (np.searchsorted(home, asked, side) for side in ("left", "right"))
    place = total[first] + rng.random(n) * (total[last] - total[first])
    lecturers = np.clip(np.searchsorted(total, place, "right") - 1, first, last - 1)
    lecturers[-n_lecturers:] = rng.permutation(n_lecturers)
    elsewhere = rng.random(n) < 0.05
    departments = np.where(elsewhere, rng.integers(0, n_departments, n), home[lecturers])
    groups = np.column_stack([students, lecturers, departments])
    return _ratings(rng, groups, (0.33, 0.51, 0.1), 1.18), groups


def make_schools(seed=0):
    """Make rows of three nested levels: 30,000 pupils of 2,400 schools in 130 areas.

    Returns
    -------
    X : ndarray of shape (30000, 2)
    y : ndarray of shape (30000,)
    groups : ndarray of int of shape (30000, 2)
        Areas and schools.
    """
    rng = np.random.default_rng(seed)
    n, n_schools, n_areas = 30_000, 2_400, 130
    area_of = np.concatenate(
        [np.arange(n_areas), rng.integers(0, n_areas, n_schools - n_areas)]
    )
    school = np.concatenate([np.arange(n_schools), rng.integers(0, n_schools, n - n_schools)])
    groups = np.column_stack([area_of[school], school])
    X = rng.standard_normal((n, 2))
    return X, X @ [0.5, -0.3] + _ratings(rng, groups, (0.3, 0.4), 1.0), groups


def _ratings(rng, groups, scales, sigma):
    """Add effects of all factors to noise about 3.3."""
    y = 3.3 + sigma * rng.standard_normal(len(groups))
    for codes, scale in zip(groups.T, scales, strict=True):
        y += scale * rng.standard_normal(codes.max() + 1)[codes]
    return y
