"""How often homes that were held out are inside their predictive intervals."""

import matplotlib.pyplot as plt

from skhbm import CalibrationDisplay, HierarchicalNormalRegressor
from skhbm.datasets import load_radon

X, y, county = load_radon(return_X_y=True, as_frame=True)
model = HierarchicalNormalRegressor(random_state=0).fit(X[::2], y[::2], groups=county[::2])

_, ax = plt.subplots(figsize=(4.4, 4.2), layout="constrained")
CalibrationDisplay.from_estimator(model, X[1::2], y[1::2], groups=county[1::2], ax=ax)
