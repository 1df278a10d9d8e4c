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


def make_crossed(n_slopes=0, seed=0):
    """Make 10,000 rows of 200 x 300 levels, crossed, all slopes varying by both factors.

    Returns
    -------
    X : ndarray of shape (10000, 1)
    y : ndarray of shape (10000,)
    groups : ndarray of int of shape (10000, 2)
    """
    rng = np.random.default_rng(seed)
    n, sizes = 10_000, (200, 300)
    groups = np.column_stack([_every(rng, size, n) for size in sizes])
    X = rng.standard_normal((n, 1))
    y = 0.5 * X[:, 0] + _ratings(rng, groups, (0.5, 0.5), 1.0)
    for codes, size in zip(groups.T, sizes, strict=True):
        if n_slopes:
            y += 0.3 * rng.standard_normal(size)[codes] * X[:, 0]
    return X, y, groups


def make_classes(seed=0):
    """Make 200,000 rows of 30,000 classes in 2,400 schools in 130 areas.

    Returns
    -------
    X : ndarray of shape (200000, 2)
    y : ndarray of shape (200000,)
    groups : ndarray of int of shape (200000, 3)
        Areas, schools and classes.
    """
    rng = np.random.default_rng(seed)
    n, n_classes, n_schools, n_areas = 200_000, 30_000, 2_400, 130
    area_of, school_of = _every(rng, n_areas, n_schools), _every(rng, n_schools, n_classes)
    classes = _every(rng, n_classes, n)
    schools = school_of[classes]
    groups = np.column_stack([area_of[schools], schools, classes])
    X = rng.standard_normal((n, 2))
    return X, X @ [0.5, -0.3] + _ratings(rng, groups, (0.3, 0.4, 0.4), 1.0), groups


def make_films(seed=0):
    """Make rows of the shape of MovieLens 1M: 1,000,000 ratings, 6,040 users, 3,706 films.

    No user rates a film twice. Users rate at least 20 films. The numbers of ratings of users
    and of films are close to lognormal.

    Returns
    -------
    y : ndarray of shape (n_rows,)
    groups : ndarray of int of shape (n_rows, 2)
        Users and films.
    """
    rng = np.random.default_rng(seed)
    n, n_users, n_films = 1_000_209, 6_040, 3_706
    activity = np.exp(rng.normal(4.5, 1.0, n_users))
    activity = np.clip(activity * n / activity.sum(), 20, 0.6 * n_films)
    activity = np.maximum(20, activity * n / activity.sum())
    counts = np.minimum(rng.poisson(activity), int(0.65 * n_films))
    popularity = 1.9 * rng.standard_normal(n_films)
    # The films with the largest keys are a sample without replacement (Gumbel's trick).
    films = [
        np.argpartition(-popularity - rng.gumbel(size=n_films), count)[:count]
        for count in counts
    ]
    groups = np.column_stack([np.repeat(np.arange(n_users), counts), np.concatenate(films)])
    return _ratings(rng, groups, (0.4, 0.5), 0.9), groups


def make_neighbourhoods(seed=0):
    """Make 200,000 rows of 100,000 pupils, in one of 3,000 schools and 2,000 neighbourhoods.

    Neighbourhoods and schools are places on a map. A pupil goes to one of the five schools that
    are nearest to the neighbourhood.

    Returns
    -------
    X : ndarray of shape (200000, 1)
    y : ndarray of shape (200000,)
    groups : ndarray of int of shape (200000, 3)
        Pupils, schools and neighbourhoods.
    """
    from scipy.spatial import KDTree

    rng = np.random.default_rng(seed)
    n, n_pupils, n_schools, n_places = 200_000, 100_000, 3_000, 2_000
    schools, places = rng.random((n_schools, 2)), rng.random((n_places, 2))
    nearest = KDTree(schools).query(places, 5)[1]
    home = _every(rng, n_places, n_pupils)
    school = nearest[home, rng.integers(0, 5, n_pupils)]
    pupil = _every(rng, n_pupils, n)
    groups = np.column_stack([pupil, school[pupil], home[pupil]])
    X = rng.standard_normal((n, 1))
    return X, 0.5 * X[:, 0] + _ratings(rng, groups, (0.7, 0.3, 0.2), 1.0), groups


def make_star(seed=0):
    """Make rows of the shape of mlmRev's star: pupils of up to four grades, teachers, schools.

    24,578 rows of 10,732 pupils, who meet one of some 1,374 teachers in each grade, in 80
    schools. One pupil in twenty changes schools in between.

    Returns
    -------
    X : ndarray of shape (24578, 4)
        The grades, and a feature of the pupils.
    y : ndarray of shape (24578,)
    groups : ndarray of int of shape (24578, 3)
        Pupils, teachers and schools.
    """
    rng = np.random.default_rng(seed)
    n, n_pupils, n_teachers, n_schools = 24_578, 10_732, 1_374, 80
    # Each pupil has at least one of four grades; the other rows are drawn from the rest.
    grades = rng.permuted(np.tile(np.arange(4), (n_pupils, 1)), axis=1)
    more = rng.choice(3 * n_pupils, n - n_pupils, replace=False)
    pupil = np.concatenate([np.arange(n_pupils), more // 3])
    grade = np.concatenate([grades[:, 0], grades[more // 3, 1 + more % 3]])
    first = rng.integers(0, n_schools, n_pupils)
    later = np.where(rng.random(n_pupils) < 0.05, rng.permutation(first), first)
    school = np.where(grade < 2, first[pupil], later[pupil])
    # The teachers of a school's grade are numbered one after another.
    ends = np.linspace(0, n_teachers, 4 * n_schools + 1).astype(int)
    place = 4 * school + grade
    teacher = ends[place] + (rng.random(n) * np.diff(ends)[place]).astype(int)
    groups = np.column_stack([pupil, teacher, school])
    X = np.column_stack([np.eye(4)[grade, 1:], rng.standard_normal(n_pupils)[pupil]])
    return X, X @ [1.0, 2.0, 2.8, 0.1] + _ratings(rng, groups, (0.8, 0.4, 0.3), 0.7), groups


def _every(rng, size, n):
    """Draw n of so many levels, each of them at least once."""
    return np.concatenate([np.arange(size), rng.integers(0, size, n - size)])


def _ratings(rng, groups, scales, sigma):
    """Add effects of all factors to noise about 3.3."""
    y = 3.3 + sigma * rng.standard_normal(len(groups))
    for codes, scale in zip(groups.T, scales, strict=True):
        y += scale * rng.standard_normal(codes.max() + 1)[codes]
    return y
