"""Numbers of trials and exposures of rows."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._inputs.numbers import as_numbers

if TYPE_CHECKING:
    from skhbm._types import Float

__all__ = ["as_sizes"]


def as_sizes(name: str, values: Any, n_samples: int) -> Float:
    """Return the sizes of rows (n_samples,), 1 if there are none.

    `name` is what users call them: "trials", which are whole, or "exposure". One number is the
    size of all rows.

    Raises
    ------
    ValueError
        If sizes are not positive or, if they are trials, not whole.
    """
    if values is None:
        return np.ones(n_samples)
    if isinstance(values, Real) or getattr(values, "shape", None) == ():
        values = np.full(n_samples, float(values))
    sizes = np.asarray(as_numbers(values, name, ensure_2d=False, dtype=np.float64))
    if sizes.ndim == 2 and sizes.shape[1] == 1:
        sizes = sizes[:, 0]
    if sizes.shape != (n_samples,):
        msg = (
            f"`{name}` must have shape ({n_samples},). Got {sizes.shape}; give one number for "
            "each row."
        )
        raise ValueError(msg)
    if not np.all(sizes > 0):
        msg = (
            f"`{name}` must be positive. Got {int(np.sum(sizes <= 0))} of {n_samples} that are "
            f"zero or negative, the least {sizes.min():g}. Leave out rows without {name}."
        )
        raise ValueError(msg)
    if name == "trials" and not np.all(sizes == np.rint(sizes)):
        wrong = sizes[sizes != np.rint(sizes)][0]
        msg = f"`trials` must be whole numbers. Got {wrong:g}; give counts, not shares."
        raise ValueError(msg)
    return sizes
