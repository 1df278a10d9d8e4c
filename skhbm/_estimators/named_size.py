"""The argument of methods that is called `trials`, or `exposure`, or does not exist.

Methods of estimators for other responses are written once, with keyword arguments ``**size``.
The signature and the documentation of a class's methods say what its response calls them.
"""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._inputs.sizes import as_sizes
from skhbm._inputs.warning import DataWarning, warn

if TYPE_CHECKING:
    from collections.abc import Callable

    from skhbm._types import Float

__all__ = ["SIZED", "name_sizes", "sizes_of"]

#: Methods with sizes of rows.
SIZED = (
    *("fit", "partial_fit", "condition_on", "predict", "predict_interval"),
    *("predict_quantiles", "sample_y", "log_predictive_density", "score", "loo"),
    *("log_likelihood", "fit_table", "predict_table"),
)
#: The placeholder in docstrings, and what takes its place.
PLACEHOLDER = "**size : dict of array-like\n    SIZE\n"
TEXTS = {
    "trials": "Number of trials of each row, 1 if not given. One number is that of all rows.",
    "exposure": (
        "Exposure of each row, such as time or population: counts are expected in\n"
        "    proportion to it. 1 if not given. One number is that of all rows."
    ),
}
ENTRY = "{name} : float or array-like of shape (n_samples,), default=None\n    {text}\n"


OF_TABLE = "{name} : str, default=None\n    Name of a column of {name}.\n"


def name_sizes(estimator: type[Any], name: str | None) -> None:
    """Give the methods of a class their argument of sizes, or none."""
    for method in SIZED:
        setattr(estimator, method, _named(getattr(estimator, method), name))


def sizes_of(
    estimator: Any, size: dict[str, Any], n_samples: int, *, observed: bool = False
) -> Float:
    """Return the sizes of rows (n_samples,), from the keyword arguments of a method.

    Rows that were observed had sizes as those of fit: it is warned of if there are none.
    """
    name = estimator._family.size_name
    given = size.get(name)
    if observed and name and given is None and _has_sizes(estimator):
        warn(
            f"The model was fitted with `{name}`, but these rows come without: each is taken "
            f"to have {name} of 1. Pass `{name}=`.",
            DataWarning,
        )
    return as_sizes(name or "size", given, n_samples)


def _has_sizes(estimator: Any) -> bool:
    """Tell whether rows of the fit had sizes other than 1."""
    patterns = getattr(estimator, "_statistics", None)
    if patterns is None:
        return False
    of_rows = patterns.size / patterns.n if patterns.additive else patterns.size
    return not np.allclose(of_rows, 1.0)


def _named(method: Callable[..., Any], name: str | None) -> Callable[..., Any]:
    """Return a method whose keyword arguments are one, or none."""

    @wraps(method)
    def named(*args: Any, **kwargs: Any) -> Any:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            msg = f"{type(args[0]).__name__}.{method.__name__}() {error}"
            raise TypeError(msg) from None
        return method(*args, **kwargs)

    plain = inspect.signature(method)
    parameters = [p for p in plain.parameters.values() if p.kind is not p.VAR_KEYWORD]
    if name is not None:
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(name, kind, default=None))
    signature = plain.replace(parameters=parameters)
    entry = "" if name is None else ENTRY.format(name=name, text=TEXTS[name])
    if name is not None and method.__name__.endswith("_table"):
        entry = OF_TABLE.format(name=name)
    named.__signature__ = signature  # type: ignore[attr-defined]  # of functions, at run time
    plain_doc = inspect.cleandoc(method.__doc__ or "")
    named.__doc__ = plain_doc.replace(PLACEHOLDER, entry) + "\n"
    return named
