"""Posteriors and designs of other responses as arrays and JSON, and back.

A file has the draws, and what the design depends on beside the patterns: terms and scaling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._design.responses import make_response_design
from skhbm._design.scaling import Scaling
from skhbm._families.table import FAMILIES
from skhbm._inputs.archive import require
from skhbm._posterior.file import (
    as_finite,
    check_coefficients,
    describe_terms,
    read_scales,
    read_terms,
)
from skhbm._posterior.responses import ResponsePosterior
from skhbm._statistics.pattern_moments import moments_of_patterns

if TYPE_CHECKING:
    from skhbm._design.responses import ResponseDesign
    from skhbm._inputs.archive import Arrays
    from skhbm._priors.prior import Priors
    from skhbm._statistics.patterns import Patterns

__all__ = [
    "pack_response_design",
    "pack_response_posterior",
    "unpack_response_design",
    "unpack_response_posterior",
]

DRAWS = ("coef", "working", "dispersion")


def pack_response_design(
    design: ResponseDesign, *, extended: bool
) -> tuple[dict[str, Any], Arrays]:
    """Return a description and arrays by name; rows that came after the fit change neither."""
    del extended
    scaling = design.scaling
    about = {**describe_terms(design), "family": design.family.name}
    return about, {"x_mean": scaling.x_mean, "x_scale": scaling.x_scale}


def unpack_response_design(about: Any, arrays: Arrays, patterns: Patterns) -> ResponseDesign:
    """Return the design, computed from the patterns; arrays that are used are removed."""
    name = about["family"]
    require(isinstance(name, str) and name in FAMILIES, "the family")
    family = FAMILIES[name]
    require(patterns.additive == family.additive, "the patterns of this family")
    require(not family.discrete or bool(np.all(patterns.y >= 0)), "counts")
    require(family.link != "logit" or bool(np.all(patterns.y <= patterns.size)), "trials")
    terms = read_terms(about, patterns)
    shape = (patterns.n_features,)
    x_mean, x_scale = (as_finite(arrays.pop(key), shape) for key in ("x_mean", "x_scale"))
    require(bool(np.all(x_scale > 0)), "scales")
    scaling = Scaling(x_mean, x_scale, 0.0, 1.0)
    moments = moments_of_patterns(patterns)
    return make_response_design(family, patterns, moments, terms, scaling)


def pack_response_posterior(posterior: ResponsePosterior) -> Arrays:
    """Return the draws by name."""
    arrays = {name: getattr(posterior, name) for name in DRAWS}
    for f, scales in enumerate(posterior.scales):
        arrays |= {f"tau{f}": scales.tau, f"corr{f}": scales.corr}
    for f, effects in enumerate(posterior.effects or ()):
        arrays[f"effects{f}"] = effects
    return arrays


def unpack_response_posterior(
    draws: Arrays, design: ResponseDesign, priors: Priors, seed: Any
) -> ResponsePosterior:
    """Return the posterior, after a check that there are all draws that the design needs."""
    del priors
    require(type(seed) is int and 0 <= seed < 2**63, "the seed")
    require(draws["coef"].ndim == 3, "the shape of draws")
    shape = draws["coef"].shape[:2]
    require(min(shape) > 0, "the number of draws")
    terms, factors = design.terms, design.factors
    widths = {"coef": 1 + len(terms.features), "working": terms.n_fixed}
    widths["dispersion"] = len(design.family.dispersion)
    valid = {name: as_finite(draws.pop(name), (*shape, k)) for name, k in widths.items()}
    require(bool(np.all(valid["dispersion"] > 0)), "dispersion")
    scales = read_scales(draws, factors, shape)
    check_coefficients(valid["coef"], valid["working"], design)
    effects = None
    if draws:
        require(set(draws) == {f"effects{f}" for f in range(len(factors))}, "draws")
        effects = tuple(
            as_finite(
                draws[f"effects{f}"], (*shape, factor.n_groups, len(factor.terms.varying))
            )
            for f, factor in enumerate(factors)
        )
    require(len(factors) == 1 or effects is not None, "the effects of several factors")
    return ResponsePosterior(design=design, scales=scales, seed=seed, effects=effects, **valid)
