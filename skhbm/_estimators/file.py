"""Write a fitted estimator to one file of arrays and JSON, and read it back."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn import config_context

from skhbm._estimators.base import ROUTED
from skhbm._estimators.parameters_file import (
    decode,
    encode_parameters,
)
from skhbm._inputs.archive import (
    JSON_TYPES,
    Kind,
    UnreadableError,
    encode_scalar,
    read_archive,
    require,
    take,
    write_archive,
)
from skhbm._posterior.file import check_shape
from skhbm._priors.file import decode_priors, encode_priors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from skhbm._comparison.conditioning import Origin
    from skhbm._inputs.archive import Arrays
    from skhbm._priors.prior import Priors

__all__ = ["Format", "read_estimator_file", "write_estimator_file"]


class Format(NamedTuple):
    """What the file of a kind of estimator is made of.

    Attributes
    ----------
    kind : Kind
    pack_statistics, pack_design, pack_posterior : callable
        They return a description, if there is one, and arrays by name.
    unpack_statistics, unpack_design, unpack_posterior : callable
        They return what was packed, checked, and take the arrays that they use.
    has_residual : bool
        Whether there may be a prior of a residual scale.
    """

    kind: Kind
    pack_statistics: Callable[[Any], Any]
    unpack_statistics: Callable[[Any, Any], Any]
    pack_design: Callable[..., Any]
    unpack_design: Callable[[Any, Any, Any], Any]
    pack_posterior: Callable[[Any], Any]
    unpack_posterior: Callable[..., Any]
    has_residual: bool


def write_estimator_file(path: Any, estimator: Any) -> None:
    """Write a new file and put it in place of an older one when it is complete.

    Raises
    ------
    TypeError
        If a parameter or labels are of a type that the file does not hold.
    ValueError
        If what was fitted has been changed.
    """
    about, arrays = _pack(estimator)
    # A file that cannot be read would be noticed too late: it is read before it is written.
    try:
        _unpack(type(estimator), about, dict(arrays))
    except Exception as error:
        msg = (
            "The estimator cannot be saved: it is not as `fit` leaves it. "
            f"{type(error).__name__}: {error}. Fit it again."
        )
        raise ValueError(msg) from error
    write_archive(path, estimator._format.kind, about, arrays)


def read_estimator_file(kind: type[Any], path: Any) -> Any:
    """Return an estimator of this class, fitted as the file says.

    Raises
    ------
    ValueError
        If the file is damaged or holds anything else, or parameters of another class.
    """
    return read_archive(
        path, kind._format.kind, lambda about, arrays: _unpack(kind, about, arrays)
    )


def _pack(estimator: Any) -> tuple[dict[str, Any], Arrays]:
    """Return a description and arrays by name."""
    origin, posterior = estimator._origin, estimator._posterior
    form = estimator._format
    design, of_design = form.pack_design(posterior.design, extended=origin is not None)
    statistics, of_statistics = form.pack_statistics(estimator._statistics)
    about = _describe(estimator)
    about |= {"statistics": statistics, "design": design, "origin": None}
    folders = {
        "statistics": of_statistics,
        "design": of_design,
        "posterior": form.pack_posterior(posterior),
        "sample_stats": estimator._sample_stats,
    }
    if origin is not None:
        about["origin"] = {
            "efficiency": float(origin.efficiency),
            "sample_stats": list(origin.sample_stats),
        }
        folders |= {
            "origin": {"log_weights": origin.log_weights},
            "origin_posterior": form.pack_posterior(origin.posterior),
            "origin_sample_stats": origin.sample_stats,
        }
    arrays = {
        f"{folder}/{name}": array
        for folder, members in folders.items()
        for name, array in members.items()
    }
    return about, arrays


def _describe(estimator: Any) -> dict[str, Any]:
    """Return parameters, columns, priors and diagnostics, which need no arrays."""
    kind, names = type(estimator), getattr(estimator, "feature_names_in_", None)
    return {
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "parameters": encode_parameters(estimator.get_params(deep=False)),
        "requests": _requests(estimator),
        "n_features_in": int(estimator.n_features_in_),
        "feature_names_in": names if names is None else list(map(str, names)),
        "classes": _describe_classes(getattr(estimator, "classes_", None)),
        "seed": int(estimator._posterior.seed),
        "priors": encode_priors(estimator._priors),
        "diagnostics": {k: encode_scalar(v) for k, v in estimator.diagnostics_.items()},
        "sample_stats": list(estimator._sample_stats),
    }


def _unpack(kind: type[Any], about: dict[str, Any], arrays: Arrays) -> Any:
    """Return the estimator, checked; take what is used from the arrays."""
    members = take(arrays, "statistics")
    form = kind._format
    statistics = form.unpack_statistics(about["statistics"], members)
    require(not members, "the number of its members")
    members = take(arrays, "design")
    design = form.unpack_design(about["design"], members, statistics)
    require(not members, "the number of its members")
    priors = decode_priors(about["priors"], about["design"].get("integrated"))
    _check_priors(priors, design, form)
    draws = take(arrays, "posterior")
    posterior = form.unpack_posterior(draws, design, priors, about["seed"])
    members = take(arrays, "sample_stats")
    sample_stats = _sample_stats(about["sample_stats"], members, posterior)
    estimator = _construct(kind, about["parameters"], about["class"])
    _set_columns(estimator, about["n_features_in"], about["feature_names_in"], statistics)
    if "classes_" in kind.__annotations__:
        estimator.classes_ = _read_classes(about["classes"])
    origin = _origin(about["origin"], arrays, posterior, priors, form)
    estimator._set_fitted(posterior, statistics, priors, sample_stats, origin)
    # Files of versions before there was a choice do not name the solver.
    solver = about["parameters"].get("solver", "nuts")
    estimator.diagnostics_ = {"solver": solver, **_diagnostics(about["diagnostics"])}
    _set_requests(estimator, about["requests"])
    return estimator


def _describe_classes(classes: Any) -> Any:
    """Return the labels of classes as JSON has them, None if there are none."""
    return None if classes is None else [encode_scalar(label) for label in classes.tolist()]


def _read_classes(content: Any) -> Any:
    """Return the labels of two classes, in order."""
    require(isinstance(content, list) and len(content) == 2, "classes")
    require(all(type(label) in JSON_TYPES for label in content), "classes")
    classes = np.array(content)
    require(classes.dtype.kind in "biufU" and bool(classes[0] < classes[1]), "classes")
    return classes


def _construct(kind: type[Any], parameters: Any, name: Any) -> Any:
    """Return an estimator with these parameters; later ones have their defaults."""
    require(isinstance(parameters, dict), "parameters")
    taken = {key: decode(value) for key, value in parameters.items()}
    unknown = sorted(set(taken) - set(signature(kind).parameters))
    if unknown:
        msg = (
            f"The file holds a {str(name)[:200]}, whose parameters {unknown[:5]} "
            f"{kind.__name__} does not have. Load it with its own class, or upgrade skhbm."
        )
        raise UnreadableError(msg)
    return kind(**taken)


def _set_columns(estimator: Any, n_columns: Any, names: Any, statistics: Any) -> None:
    """Set what scikit-learn wants to know of the columns of X."""
    require(type(n_columns) is int and n_columns >= statistics.n_features, "n_features_in")
    estimator.n_features_in_ = n_columns
    if names is not None:
        require(isinstance(names, list) and all(type(n) is str for n in names), "names")
        require(len(names) == n_columns, "the number of names")
        estimator.feature_names_in_ = np.array(names, dtype=object)


def _sample_stats(names: Any, arrays: Arrays, posterior: Any) -> Arrays:
    """Return the sampler's statistics of each draw, checked."""
    require(names == list(arrays), "the names of sample_stats")
    require(all(array.dtype.kind in "biuf" for array in arrays.values()), "sample_stats")
    return {name: check_shape(array, posterior.shape) for name, array in arrays.items()}


def _check_priors(priors: Priors, design: Any, form: Format) -> None:
    """Check that there is a prior for each parameter, and none for others."""
    terms = design.terms
    require((priors.intercept is None) == (not terms.intercept), "priors")
    require(len(priors.coef) == len(terms.features), "priors of coefficients")
    varying = [len(factor.terms.varying) for factor in design.factors]
    require([*map(len, priors.tau)] == varying, "priors of tau")
    if not form.has_residual:
        n_dispersion = len(design.family.dispersion)
        require(priors.sigma is None and len(priors.dispersion) == n_dispersion, "priors")
        return
    hierarchical = terms.by_group and priors.sigma is None
    require(hierarchical or terms.known == (priors.sigma is None), "the prior of sigma")


def _diagnostics(content: Any) -> dict[str, Any]:
    require(isinstance(content, dict), "diagnostics")
    require(all(type(value) in JSON_TYPES for value in content.values()), "diagnostics")
    require(type(content["min_ess"]) in (int, float), "diagnostics")
    return dict(content)


def _origin(
    content: Any, arrays: Arrays, posterior: Any, priors: Priors, form: Format
) -> Origin | None:
    """Return the draws of the fit, if rows came later."""
    if content is None:
        return None
    from skhbm._comparison.conditioning import Origin

    draws = take(arrays, "origin_posterior")
    first = form.unpack_posterior(draws, posterior.design, priors, posterior.seed)
    require(first.shape == posterior.shape, "the number of draws")
    [log_weights] = take(arrays, "origin").values()
    check_shape(log_weights, (first.n_draws,))
    require(log_weights.dtype == np.float64 and np.all(np.isfinite(log_weights)), "weights")
    members = take(arrays, "origin_sample_stats")
    stats = _sample_stats(content["sample_stats"], members, first)
    require(type(content["efficiency"]) is float, "efficiency")
    return Origin(first, log_weights, stats, content["efficiency"])


def _requests(estimator: Any) -> dict[str, Any]:
    """Return the metadata that methods request otherwise than by default."""
    default = type(estimator)(**estimator.get_params(deep=False)).get_metadata_routing()
    routing = estimator.get_metadata_routing()
    found = {}
    for method in ROUTED:
        usual, set_now = (getattr(asked, method).requests for asked in (default, routing))
        found[method] = {
            name: alias for name, alias in set_now.items() if alias != usual.get(name)
        }
    return {method: changed for method, changed in found.items() if changed}


def _set_requests(estimator: Any, requests: Mapping[str, Any]) -> None:
    require(isinstance(requests, dict) and set(requests) <= set(ROUTED), "requests")
    with config_context(enable_metadata_routing=True):
        for method, changed in requests.items():
            kinds = (str, bool, type(None))
            require(all(type(value) in kinds for value in changed.values()), "requests")
            getattr(estimator, f"set_{method}_request")(**changed)
