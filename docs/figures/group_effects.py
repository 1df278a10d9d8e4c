"""Slopes of the subjects of the sleep study, in order."""

import matplotlib.pyplot as plt

from skhbm import GroupEffectsDisplay, HierarchicalNormalRegressor
from skhbm.datasets import load_sleepstudy

X, y, subject = load_sleepstudy(return_X_y=True, as_frame=True)
model = HierarchicalNormalRegressor(varying_slopes="all", random_state=0)
model.fit(X, y, groups=subject)

_, ax = plt.subplots(figsize=(6.2, 4.6), layout="constrained")
GroupEffectsDisplay.from_estimator(model, coefficient="Days", kind="coefficient", ax=ax)
