"""Lines of the subjects of the sleep study."""

from skhbm import FittedLinesDisplay, HierarchicalNormalRegressor
from skhbm.datasets import load_sleepstudy

X, y, subject = load_sleepstudy(return_X_y=True, as_frame=True)
model = HierarchicalNormalRegressor(varying_slopes="all", random_state=0)
model.fit(X, y, groups=subject)

FittedLinesDisplay.from_estimator(model, X, y, subject)
