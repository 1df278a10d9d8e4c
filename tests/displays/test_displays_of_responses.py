"""Displays of models whose response is not normal."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from response_cases import CLASSES, fitted, simulate

from skhbm import (
    FittedLinesDisplay,
    GroupEffectsDisplay,
    PosteriorPredictiveDisplay,
    ShrinkageDisplay,
)


@pytest.fixture(params=CLASSES)
def response(request):
    return request.param


def test_effects_are_those_of_the_posterior(response):
    display = GroupEffectsDisplay.from_estimator(fitted(response))
    draws = fitted(response).posterior_["posterior"]["effect_site"].to_numpy()[..., 0]
    flat = draws.reshape(-1, draws.shape[2])
    np.testing.assert_allclose(display.estimate, flat.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(display.lower, np.quantile(flat, 0.05, axis=0), rtol=1e-9)
    plt.close("all")


def test_coefficients_are_population_and_effect(response):
    display = GroupEffectsDisplay.from_estimator(fitted(response), kind="coefficient")
    np.testing.assert_allclose(display.estimate, fitted(response).group_intercept_, rtol=1e-9)
    assert float(np.ravel(display.population)[0]) == pytest.approx(fitted(response).intercept_)


def test_lines_are_expectations(response):
    """They bend where the link does, and are those that `predict` gives."""
    model, data = fitted(response), simulate(response)
    display = FittedLinesDisplay.from_estimator(
        model, data.X, data.y, data.groups, feature="a", shown=["s00", "s03"]
    )
    grid = data.X.iloc[: len(display.grid)].assign(a=display.grid, b=data.X["b"].mean())
    labels = np.repeat("s00", len(grid))
    if response == "logistic":
        expected = model.predict_proba(grid, groups=labels)[:, 1]
    else:
        expected = model.predict(grid, groups=labels)
    np.testing.assert_allclose(display.lines[0], expected, rtol=1e-9)
    assert np.all((display.lower <= display.lines) & (display.lines <= display.upper))


def test_other_displays_are_drawn(response):
    model, data = fitted(response), simulate(response)
    ShrinkageDisplay.from_estimator(model)
    if not data.size:
        PosteriorPredictiveDisplay.from_estimator(
            model, data.X, data.y, data.groups, kind="ecdf", n_samples=5
        )
