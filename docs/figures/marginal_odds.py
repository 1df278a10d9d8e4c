"""Probabilities in groups and on average over groups, and their odds ratios."""

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

# Effects at equally probable quantiles, and an average by Gauss's rule.
nodes, weights = np.polynomial.hermite_e.hermegauss(99)
weights /= weights.sum()


def average(eta, tau):
    """Return the mean probability over groups whose standard deviation is tau."""
    return expit(np.add.outer(eta, tau * nodes)) @ weights


figure, (curves, ratios) = plt.subplots(1, 2, figsize=(8.6, 3.7), layout="constrained")
eta = np.linspace(-7, 7, 281)
for effect in 2 * norm.ppf((np.arange(25) + 0.5) / 25):
    curves.plot(eta, expit(eta + effect), color="0.82", lw=0.8)
curves.plot(eta, expit(eta), color="black", lw=1.8, label="effect zero")
curves.plot(eta, average(eta, 2.0), color="#e07b00", lw=2.2, label="average over groups")
curves.set_xlabel("linear predictor of the features")
curves.set_ylabel("probability")
curves.set_xlim(-7, 7)
curves.legend(frameon=False, loc="upper left", fontsize=9)

tau = np.linspace(0, 4, 81)
for beta, style in ((0.5, "-"), (3.0, "--")):
    marginal = [np.ptp(logit(average(np.array([-beta, 0.0]), t))) / beta for t in tau]
    ratios.plot(tau, marginal, style, color="#e07b00", lw=2, label=f"from {-beta:g} to 0")
ratios.plot(
    tau, 1 / np.sqrt(1 + 0.346 * tau**2), ":", color="0.3", lw=1.5, label="approximation"
)
ratios.set_xlabel("tau, standard deviation between groups")
ratios.set_ylabel("marginal / conditional log odds ratio")
ratios.set_xlim(0, 4)
ratios.set_ylim(0, 1.03)
ratios.legend(frameon=False, loc="lower left", fontsize=9, title="linear predictor")
for ax in (curves, ratios):
    ax.spines[["top", "right"]].set_visible(False)
