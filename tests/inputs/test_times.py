"""Dates and durations are no features: as numbers they depend on the unit of their dtype."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from marks import FEW_DRAWS

from skhbm import HierarchicalNormalRegressor

pytestmark = FEW_DRAWS

N = 24
DAYS = pd.date_range("2020-01-01", periods=N)
GROUPS = np.repeat(list("abcd"), N // 4)
Y = np.arange(N) + np.random.default_rng(3).standard_normal(N)

TIMES = {
    "dates, days": DAYS.to_numpy().astype("datetime64[D]"),
    "dates, nanoseconds": DAYS.to_numpy().astype("datetime64[ns]"),
    "durations": (DAYS - DAYS[0]).to_numpy(),
    "dates of a time zone": DAYS.tz_localize("Europe/Vienna"),
    "periods": DAYS.to_period("M"),
    "pyarrow's dates": pd.Series(DAYS).astype("timestamp[us][pyarrow]"),
    "pyarrow's days": pd.Series(DAYS).astype("date32[day][pyarrow]"),
}


def estimator(**parameters):
    return HierarchicalNormalRegressor(draws=50, tune=50, random_state=0, **parameters)


@pytest.mark.parametrize("kind", TIMES)
def test_a_feature_of_times_is_named(kind):
    X = pd.DataFrame({"x": np.arange(N), "day": TIMES[kind]})
    with pytest.raises(TypeError, match=r"The column 'day' is of dtype .* Convert it first"):
        estimator().fit(X, Y, groups=GROUPS)


@pytest.mark.parametrize("dtype", [pl.Datetime("ms"), pl.Date, pl.Duration("us")])
def test_a_feature_of_times_in_polars_is_named(dtype):
    days = pl.Series(TIMES["durations" if dtype == pl.Duration("us") else "dates, days"])
    X = pl.DataFrame({"day": days.cast(dtype)})
    with pytest.raises(TypeError, match="The column 'day' is of dtype"):
        estimator().fit(X, Y, groups=GROUPS)


@pytest.mark.parametrize("kind", ["dates, days", "durations"])
def test_an_array_of_times_is_refused(kind):
    with pytest.raises(TypeError, match="It is of dtype"):
        estimator().fit(TIMES[kind][:, None], Y, groups=GROUPS)


def test_times_in_place_of_numbers_are_refused_at_predict():
    model = estimator().fit(pd.DataFrame({"day": np.arange(N)}), Y, groups=GROUPS)
    with pytest.raises(TypeError, match="The column 'day' is of dtype"):
        model.predict(pd.DataFrame({"day": DAYS}), groups=GROUPS)


def test_labels_may_be_times():
    X = pd.DataFrame({"x": np.arange(N), "week": DAYS.to_numpy().astype("datetime64[W]")})
    X["week"] = X["week"].astype("datetime64[s]")
    assert estimator(group_features="week").fit(X, Y).n_groups_ == X["week"].nunique()
