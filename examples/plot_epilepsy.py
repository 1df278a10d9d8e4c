"""
Medicine: counts that vary too much
===================================

Seizures of the same patient vary more from one fortnight to the next than Poisson's
distribution allows. A negative binomial response takes that up, predicts better, and is less
sure of what the drug does at the last visit: Poisson's intervals are too narrow.

Thall and Vail [1]_ report a trial of the drug progabide with 59 patients, who counted their
seizures in four periods of two weeks.
"""

# %%
# Features as Breslow and Clayton [2]_ had them: logarithms of the seizures before the trial and
# of age, the treatment, and whether it is the last visit. Intercepts vary by patient.
import arviz_stats
import matplotlib.pyplot as plt
import numpy as np

from skhbm import HierarchicalNegativeBinomialRegressor, HierarchicalPoissonRegressor
from skhbm.datasets import load_epilepsy

data = load_epilepsy(as_frame=True)
y, patient = data.target, data.groups
X = data.data.assign(
    log_baseline=np.log(data.data["baseline"] / 4),
    log_age=np.log(data.data["age"]),
    last_visit=(data.data["visit"] == 4).astype(float),
)[["log_baseline", "progabide", "log_age", "last_visit"]]
X["both"] = (X["log_baseline"] - X["log_baseline"].mean()) * X["progabide"]
models = {
    "Poisson": HierarchicalPoissonRegressor(random_state=0),
    "negative binomial": HierarchicalNegativeBinomialRegressor(random_state=0),
}
for model in models.values():
    model.fit(X, y, groups=patient)

# %%
# Leave-one-out cross-validation prefers the negative binomial clearly. Pareto k of all rows is
# low, so that no fit without a row is needed.
loo = {name: model.loo(X, y, groups=patient) for name, model in models.items()}
comparison = arviz_stats.compare(loo, round_to=1)
print(comparison[["elpd", "elpd_diff", "dse", "p"]].to_string(float_format="{:.1f}".format))
print(
    "largest k", {name: round(float(result.pareto_k.max()), 2) for name, result in loo.items()}
)
assert comparison.index[0] == "negative binomial"

# %%
# The variance of a count of mean m is m + m² / alpha. What the models say of the last visit,
# where the doses had been taken for longest: the ratio of rates, with 90 % intervals.
alpha = models["negative binomial"].alpha_
print(f"alpha {alpha:.0f}: a count of mean 20 has sd {np.sqrt(20 + 400 / alpha):.1f}, not 4.5")
width = {}
for name, model in models.items():
    last = model.posterior_["posterior"]["coef"].sel(feature="last_visit")
    lower, middle, upper = np.exp(np.quantile(last, [0.05, 0.5, 0.95]))
    width[name] = upper - lower
    print(f"{name:18} last visit {middle:.2f} times the others, {lower:.2f} to {upper:.2f}")
assert width["negative binomial"] > 1.3 * width["Poisson"]


# %%
# How far are 236 counts from what is expected of their patients? Residuals are in units of the
# standard deviation that the model claims for the row; some 5 % should be beyond two.
def residuals(model):
    """Return fitted means, and residuals in units of the response's standard deviation."""
    mean = model.predict(X, groups=patient)
    extra = getattr(model, "alpha_", np.inf)
    return mean, (y - mean) / np.sqrt(mean + mean**2 / extra)


figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    mean, residual = residuals(model)
    beyond = np.abs(residual) > 2
    print(f"{name:18} {beyond.mean():.0%} of residuals beyond 2 standard deviations")
    ax.axhspan(-2, 2, color="0.93")
    ax.plot(mean[~beyond], residual[~beyond], "o", color="0.5", ms=3)
    ax.plot(mean[beyond], residual[beyond], "o", color="C3", ms=5)
    ax.set_xscale("log")
    ax.set_xticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
    ax.minorticks_off()
    ax.set_title(name, fontsize=11)
    ax.set_xlabel("Expected seizures in two weeks")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("Residual / standard deviation")
plt.show()

# %%
# **Try next**: let the effect of the drug vary by patient, ``varying_slopes=["last_visit"]``;
# or leave out patient 49, who had 151 seizures before the trial.
#
# .. [1] P. F. Thall and S. C. Vail (1990). Some covariance models for longitudinal count data
#    with overdispersion. Biometrics 46(3), 657-671. https://doi.org/10.2307/2532086
# .. [2] N. E. Breslow and D. G. Clayton (1993). Approximate inference in generalized linear
#    mixed models. Journal of the American Statistical Association 88(421), 9-25.
#    https://doi.org/10.1080/01621459.1993.10594284
