"""
Medicine: reaction times without sleep
======================================

Three hours in bed a night slow reactions by 10 ms a day on average, but people differ: some by
20 ms a day, some not at all. A model in which all slow down at the same rate predicts worse,
and so does a line for each person alone, which overstates the differences.

Belenky et al. [1]_ measured 18 subjects on ten days. Their data are the example of the R
package lme4 [2]_, whose published estimates are compared.
"""

# %%
# Fit an intercept and a slope for each subject, correlated. Posterior medians are near to
# lme4's estimates, which maximise a likelihood; the intervals are what a point estimate leaves
# out.
import arviz_stats
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import KFold

from skhbm import FittedLinesDisplay, GroupEffectsDisplay, HierarchicalNormalRegressor
from skhbm.datasets import load_sleepstudy

X, y, subject = load_sleepstudy(return_X_y=True, as_frame=True)
model = HierarchicalNormalRegressor(varying_slopes=["Days"], random_state=0)
model.fit(X, y, groups=subject)

draws = model.posterior_["posterior"]
tau = draws["tau_subject"]
parameters = {
    "intercept, ms": (draws["intercept"], 251.405),
    "slope, ms/day": (draws["coef"], 10.467),
    "sd of intercepts": (tau.sel(subject_term="intercept"), 24.741),
    "sd of slopes": (tau.sel(subject_term="Days"), 5.922),
    "correlation": (draws["corr_subject"][:, :, 0, 1], 0.066),
    "residual sd": (draws["sigma"], 25.592),
}
table = pd.DataFrame(index=["5 %", "median", "95 %", "lme4"])
for name, (values, lme4) in parameters.items():
    table[name] = [*np.quantile(values, [0.05, 0.5, 0.95]), lme4]
print(table.T.to_string(float_format="{:.2f}".format))
assert table.loc["lme4"].between(table.loc["5 %"], table.loc["95 %"]).all()

# %%
# Would one slope for all do? Leave-one-out cross-validation, without fitting again, says no.
same = HierarchicalNormalRegressor(random_state=0).fit(X, y, groups=subject)
scores = {
    "a slope for each": model.loo(X, y, groups=subject),
    "one slope for all": same.loo(X, y, groups=subject),
}
comparison = arviz_stats.compare(scores, round_to=1)
print(comparison[["elpd", "se", "elpd_diff", "dse"]].to_string(float_format="{:.1f}".format))
assert comparison.index[0] == "a slope for each"


# %%
# The lines of least squares, subject by subject, are in ``shrinkage_``. Their slopes spread
# more than people do: days that were left out are predicted better by partial pooling.
def lines(fitted, kind):
    """Return intercept and slope of each subject."""
    return fitted.shrinkage_.pivot_table(index="group", columns="coefficient", values=kind)


squared = pd.DataFrame(index=X.index, columns=["no_pooling", "partial_pooling"], dtype=float)
for train, test in KFold(5, shuffle=True, random_state=0).split(X):
    fold = clone(model).fit(X.iloc[train], y[train], groups=subject[train])
    for kind in squared:
        line = lines(fold, kind).loc[subject[test]].to_numpy()
        squared.loc[test, kind] = (y[test] - line[:, 1] - line[:, 0] * X["Days"][test]) ** 2
print("                least  largest slope, error in days left out")
for kind, error in np.sqrt(squared.mean()).items():
    slopes = lines(model, kind)["Days"]
    print(f"{kind:15} {slopes.min():5.1f}    {slopes.max():5.1f} ms/day      {error:5.1f} ms")
assert squared["partial_pooling"].mean() < squared["no_pooling"].mean()

# %%
# All subjects in the order of their slopes, with 90 % intervals of the mean of each. Lines are
# pulled to the population the more, the less a subject's days agree on one.
slopes = lines(model, "partial_pooling")["Days"].sort_values()
FittedLinesDisplay.from_estimator(model, X, y, subject, shown=slopes.index.tolist())
plt.show()

# %%
# Their slopes, with 90 % intervals.
GroupEffectsDisplay.from_estimator(model, coefficient="Days", kind="coefficient")
plt.show()

# %%
# **Try next**: days 0 and 1 were training, before sleep was restricted. Fit to the others; or
# ask ``model.shrinkage_`` whose line moved most.
#
# .. [1] G. Belenky et al. (2003). Patterns of performance degradation and restoration during
#    sleep restriction and subsequent recovery: a sleep dose-response study. Journal of Sleep
#    Research 12(1), 1-12. https://doi.org/10.1046/j.1365-2869.2003.00337.x
# .. [2] D. Bates, M. Mächler, B. Bolker and S. Walker (2015). Fitting linear mixed-effects
#    models using lme4. Journal of Statistical Software 67(1).
#    https://doi.org/10.18637/jss.v067.i01
