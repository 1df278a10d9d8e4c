"""Names of array types, for annotations."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Float", "Int"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]
