"""Whether a file is refused, and the use of what is loaded from one."""

import re
import warnings
from contextlib import suppress

import numpy as np
from persisted import predictions, tables

REFUSED = re.compile("does not hold a fitted estimator as HierarchicalNormalRegressor.save")
#: One factor in a description, by whose groups intercepts vary.
FACTOR = {"slopes": [], "intercept": True, "correlated": True}


def is_refused(load, data):
    """Return whether a file is refused; any other error than the proper one is raised."""
    try:
        load(data)
    except ValueError as error:
        if not REFUSED.search(str(error)):
            raise
        return True
    return False


def use(model, name):
    """Ask for what kernels compute, which are wrong numbers at worst."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for ask in (lambda: predictions(model, name), lambda: tables(model)):
            with suppress(ValueError, TypeError, IndexError):
                ask()
