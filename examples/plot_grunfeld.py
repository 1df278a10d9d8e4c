"""
Finance: how firms invest
=========================

How much a firm invests goes with its market value and its capital, but by other elasticities in
each firm. Partial pooling of the elasticities predicts later years better than one regression
for all firms, than a level for each firm with elasticities that all share, and than a
regression for each firm, from seven years of data on; with five, the one regression is better.

Grunfeld's panel [1]_ has eleven American firms in the years 1935 to 1954. It comes with
statsmodels: ``pip install statsmodels``.
"""

# %%
# Textbooks of econometrics print a regression of ten of the firms in millions of dollars, with
# levels that vary ("random effects") and common slopes. Ours agrees with Baltagi's [2]_.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression
from statsmodels.datasets import grunfeld

from skhbm import HierarchicalNormalRegressor

panel = grunfeld.load_pandas().data
ten = panel[panel["firm"] != "American Steel"]
model = HierarchicalNormalRegressor(random_state=0)
model.fit(ten[["value", "capital"]], ten["invest"], groups=ten["firm"])
print("million dollars     here  published")
print(f"intercept       {model.intercept_:8.2f}     -57.83")
print(f"market value    {model.coef_[0]:8.3f}      0.110")
print(f"capital stock   {model.coef_[1]:8.3f}      0.308")

# %%
# In logarithms coefficients are elasticities, and small firms count as much as large ones. The
# features are centred, so that levels are those of a firm of average size.
columns = ["value", "capital"]
X = np.log(panel[columns])
X -= X.mean()
y, firm, year = np.log(panel["invest"]), panel["firm"], panel["year"].astype(int)


def each_alone(train, test):
    """Predict each firm from a least-squares regression of its own rows."""
    predicted = pd.Series(index=X.index[test], dtype=float)
    for name in firm.unique():
        rows, new = train & (firm == name), test & (firm == name)
        predicted[new[new].index] = LinearRegression().fit(X[rows], y[rows]).predict(X[new])
    return predicted


def levels(train, test):
    """Predict from firms' levels and common elasticities."""
    Z = pd.concat([X, pd.get_dummies(firm)], axis=1)
    return LinearRegression(fit_intercept=False).fit(Z[train], y[train]).predict(Z[test])


def one_for_all(train, test):
    """Predict from one regression."""
    return LinearRegression().fit(X[train], y[train]).predict(X[test])


def partial_pooling(train, test):
    """Predict from firms' levels and elasticities, partially pooled."""
    model = HierarchicalNormalRegressor(
        varying_slopes="all", target_accept=0.95, random_state=0
    )
    return model.fit(X[train], y[train], groups=firm[train]).predict(X[test], groups=firm[test])


# %%
# Fit to the years up to one, and predict investment in all later ones from what value and
# capital were then.
methods = {
    "each firm alone": each_alone,
    "one for all": one_for_all,
    "own levels, common elasticities": levels,
    "partial pooling": partial_pooling,
}
last_years = range(1939, 1952, 2)
errors = pd.DataFrame(
    {
        name: [
            np.sqrt(np.mean((method(year <= last, year > last) - y[year > last]) ** 2))
            for last in last_years
        ]
        for name, method in methods.items()
    },
    index=pd.Index(last_years, name="fitted up to"),
)
print("Root mean squared error of log(investment) in later years")
print(errors.to_string(float_format="{:.2f}".format))
assert (errors.loc[1941:].idxmin(axis=1) == "partial pooling").all()

# %%
figure, ax = plt.subplots(figsize=(7, 4.4), layout="constrained")
for (name, error), color in zip(errors.items(), ["C7", "C1", "C2", "C0"], strict=True):
    ax.plot(error, "o-", color=color, lw=3 if color == "C0" else 1.5, label=name)
ax.set(xlabel="Last year that was fitted", ylabel="Error in later years, log(investment)")
ax.set_ylim(0, None)
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
plt.show()

# %%
# **Try next**: firms' noise may differ too, ``residual_scale="by_group"``, and does so by a
# factor of 70 in dollars; ``model.loo`` compares the two.
#
# .. [1] Y. Grunfeld (1958). The Determinants of Corporate Investment. Ph.D. thesis, University
#    of Chicago. See C. Kleiber and A. Zeileis (2010), The Grunfeld Data at 50, German Economic
#    Review 11(4), 404-417.
# .. [2] B. H. Baltagi (2005). Econometric Analysis of Panel Data, third edition. Wiley. Chapter
#    2.
