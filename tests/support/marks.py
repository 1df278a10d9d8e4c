"""Marks that many files give to their tests."""

import pytest

#: Few draws do not converge, which is said by a warning.
FEW_DRAWS = [
    pytest.mark.filterwarnings("ignore:.*R-hat:sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*diverged:sklearn.exceptions.ConvergenceWarning"),
]
