"""Posteriors and designs as arrays and JSON, and back.

A file has the draws, and what the design depends on beside the statistics: terms and scaling.
The rest of the design is computed again, so that nothing that compiled code takes for an index
or a shape comes from a file.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._design.design import make_design
from skhbm._design.scaling import Scaling
from skhbm._design.terms import Terms
from skhbm._inputs.archive import require
from skhbm._posterior.hierarchical import Scales
from skhbm._posterior.points import make_points
from skhbm._posterior.posterior import Posterior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from skhbm._design.design import Design
    from skhbm._inputs.archive import Arrays
    from skhbm._priors.prior import Priors
    from skhbm._statistics.grouped import GroupedStatistics
    from skhbm._types import Float

__all__ = [
    "as_finite",
    "check_coefficients",
    "check_shape",
    "describe_terms",
    "pack_design",
    "pack_posterior",
    "read_scales",
    "read_terms",
    "unpack_design",
    "unpack_posterior",
]

#: Fields of a posterior with draws that do not belong to one factor.
DRAWS = ("sigma", "sigma_new", "log_sigma", "coef", "working")
#: Fields of the design to which rows that came after the fit were added.
SUMS = ("W", "counts")
#: Largest correlation, up to rounding.
LARGEST = 1 + 1e-9
#: Largest number whose squares and products are still finite.
HUGE = 1e140
#: Rounding of coefficients, relative to what they are sums of.
ROUNDING = 1e-8
#: Bytes that may be computed for each byte that is read, from so many bytes on.
BLOWUP, LEAST = 256, 2**30


def pack_design(design: Design, *, extended: bool) -> tuple[dict[str, Any], Arrays]:
    """Return a description and arrays by name.

    If rows were added after the fit, which `extended` tells, the arrays include the sums over
    groups: a sum in another order would differ by rounding.
    """
    scaling = design.scaling
    about = {
        **describe_terms(design),
        "y_mean": float(scaling.y_mean),
        "y_scale": float(scaling.y_scale),
    }
    arrays = {"x_mean": scaling.x_mean, "x_scale": scaling.x_scale}
    if extended:
        arrays |= {name: getattr(design, name) for name in SUMS}
    return about, arrays


def describe_terms(design: Any) -> dict[str, Any]:
    """Return the terms of all factors of a design as JSON has them."""
    return {
        "features": list(design.terms.features),
        "intercept": bool(design.terms.intercept),
        "residual": design.terms.residual,
        "factors": [
            {
                "slopes": factor.terms.slopes.tolist(),
                "intercept": bool(factor.terms.varying_intercept),
                "correlated": bool(factor.terms.correlated),
                "centred": bool(factor.terms.centred),
            }
            for factor in design.factors
        ],
    }


def unpack_design(about: Any, arrays: Arrays, statistics: GroupedStatistics) -> Design:
    """Return the design, computed from the statistics; arrays that are used are removed."""
    terms = read_terms(about, statistics)
    require(len(terms) == 1 or not terms[0].by_group, "the factor of residual scales")
    _check_size(terms, statistics)
    p = statistics.n_features
    x_mean, x_scale = (as_finite(arrays.pop(name), (p,)) for name in ("x_mean", "x_scale"))
    y_mean, y_scale = about["y_mean"], about["y_scale"]
    require(type(y_mean) is type(y_scale) is float, "the scale of y")
    scales = np.append(x_scale, y_scale)
    require(np.all(np.isfinite(scales)) and np.all(scales > 0), "scales")
    require(abs(y_mean) <= HUGE and y_scale <= HUGE, "the scale of y")
    scaling = Scaling(x_mean, x_scale, y_mean, y_scale)
    design = make_design(statistics, terms, scaling)
    if arrays:
        W, counts = (as_finite(arrays.pop(name), getattr(design, name).shape) for name in SUMS)
        require(np.all(counts > 0), "counts")
        design = replace(design, W=W, counts=counts)
    several = design.several_factors
    of_several = [several.blocks.E, several.blocks.B, several.blocks.C] if several else []
    for array in (design.roots, design.W, *of_several):
        require(np.all(np.isfinite(array)), "statistics")
    return design


def pack_posterior(posterior: Posterior) -> Arrays:
    """Return the draws by name."""
    arrays = {name: getattr(posterior, name) for name in DRAWS}
    if posterior.points is not None:
        arrays["points"] = posterior.points.index
    for f, scales in enumerate(posterior.scales):
        arrays |= {f"tau{f}": scales.tau, f"corr{f}": scales.corr}
    return {name: draws for name, draws in arrays.items() if draws is not None}


def unpack_posterior(draws: Arrays, design: Design, priors: Priors, seed: Any) -> Posterior:
    """Return the posterior, after a check that there are all draws that the design needs."""
    require(type(seed) is int and 0 <= seed < 2**63, "the seed")
    require(draws["coef"].ndim == 3, "the shape of draws")
    shape = draws["coef"].shape[:2]
    require(min(shape) > 0, "the number of draws")
    terms, factors = design.terms, design.factors
    draws.pop("sampled", None)
    index = draws.pop("points", np.arange(shape[0] * shape[1]).reshape(shape))
    require(index.dtype == np.int64 and index.shape == shape, "points")
    widths = {
        "coef": (1 + len(terms.features),),
        "working": (terms.n_fixed,),
        "sigma": (design.n_groups if terms.by_group else 1,),
        "sigma_new": (),
        "log_sigma": (2,),
    }
    if "log_sigma" not in draws:
        del widths["log_sigma"]
    scales = read_scales(draws, factors, shape)
    require(set(draws) == set(widths), "the names of draws")
    valid = {name: as_finite(array, (*shape, *widths[name])) for name, array in draws.items()}
    require(np.all(valid["sigma"] > 0) and np.all(valid["sigma_new"] >= 0), "residual scales")
    check_coefficients(valid["coef"], valid["working"], design)
    log_sigma = valid.get("log_sigma")
    hierarchical = terms.by_group and priors.sigma is None
    require(hierarchical == (log_sigma is not None), "the prior of sigma")
    require(log_sigma is None or np.all(log_sigma[:, :, 1] >= 0), "log_sigma")
    fields: dict[str, Any] = {name: valid.get(name) for name in DRAWS}
    points = None
    if design.several_factors is not None:
        points = make_points(design, priors, index, valid["coef"])
    return Posterior(design=design, scales=scales, seed=seed, points=points, **fields)


def read_scales(
    draws: Arrays, factors: Sequence[Any], shape: tuple[int, ...]
) -> tuple[Scales, ...]:
    """Return the scales of the effects of each factor; draws that are used are removed."""
    out = []
    for f, factor in enumerate(factors):
        sizes = {"tau": len(factor.terms.varying), "corr": factor.terms.n_correlations}
        pair = (as_finite(draws.pop(f"{k}{f}"), (*shape, n)) for k, n in sizes.items())
        scales = Scales(*pair)
        correlated = np.all(np.abs(scales.corr) <= LARGEST)
        require(bool(np.all(scales.tau >= 0) and correlated), "scales")
        out.append(scales)
    return tuple(out)


def check_shape(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return an array that has this shape."""
    require(array.shape == shape, "the shape of draws")
    return array


def as_finite(array: NDArray[Any], shape: tuple[int, ...]) -> Float:
    """Return an array of finite numbers that has this shape."""
    require(array.dtype == np.float64 and np.all(np.abs(array) <= HUGE), "numbers")
    return check_shape(array, shape)


def check_coefficients(coef: NDArray[Any], working: NDArray[Any], design: Any) -> None:
    """Check that natural coefficients are the working ones, from which predictions are made."""
    scaling = design.scaling
    natural = scaling.natural(working, design.terms)
    parts = np.abs(natural)
    parts[..., 0] += abs(scaling.y_mean) + parts[..., 1:] @ np.abs(scaling.x_mean)
    size = parts.max(axis=(0, 1))
    require(np.all(np.abs(natural - coef) <= ROUNDING * size), "coefficients")


def read_terms(about: Any, statistics: Any) -> list[Terms]:
    """Return the terms of each factor, or terms that do not vary if there is none."""
    features, residual = about["features"], about["residual"]
    require(isinstance(features, list) and all(type(n) is str for n in features), "features")
    require(len(features) == len(set(features)) == statistics.n_features, "features")
    names = statistics.feature_names
    require(names is None or features == list(names), "the names of features")
    require(residual in ("shared", "by_group", "known"), "residual")
    require((residual == "known") == statistics.known_errors, "known errors")
    factors, n_factors = about["factors"], len(statistics.factors)
    require(isinstance(factors, list) and len(factors) == max(n_factors, 1), "factors")
    terms = []
    for factor in factors:
        slopes = factor["slopes"]
        flags = about["intercept"], factor["intercept"], factor["correlated"]
        require(all(isinstance(flag, bool) for flag in flags), "terms")
        require(isinstance(slopes, list) and all(type(k) is int for k in slopes), "slopes")
        require(all(0 <= k < len(features) for k in slopes), "slopes")
        require(all(a < b for a, b in pairwise(slopes)), "slopes")
        centred = factor.get("centred", False)
        require(type(centred) is bool and (not centred or all(flags[:2])), "centred")
        positions = np.array(slopes, dtype=np.int64)
        found = Terms(tuple(features), positions, *flags, residual, centred)
        require(bool(found.varying) == (n_factors > 0), "what varies")
        require(n_factors > 0 or not found.by_group, "residual")
        terms.append(found)
    return terms


def _check_size(terms: list[Terms], statistics: GroupedStatistics) -> None:
    """Refuse terms for which far more would be computed than was read.

    The products of the terms of pairs of levels, of all pairs of factors, take most memory.
    """
    if len(terms) == 1:
        return
    width = max(len(of_factor.varying) for of_factor in terms)
    n_pairs = len(terms) * (len(terms) + 1) // 2
    computed = 8 * len(statistics.n) * n_pairs * width**2
    require(computed <= max(BLOWUP * statistics.cross.nbytes, LEAST), "the number of terms")
