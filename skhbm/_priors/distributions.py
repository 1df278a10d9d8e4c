"""Univariate PyMC distributions: checks, and log-priors compiled to C callbacks.

With `_density.pymc_model` and `_sampling.nuts` the only modules that import PyMC.
"""

from __future__ import annotations

import difflib
import hashlib
import inspect
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numba
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from pymc.distributions.transforms import _default_transform
from pymc.logprob.transforms import LogTransform
from pymc.pytensorf import rewrite_pregrad
from pytensor.link.numba.cache import compile_numba_function_src

if TYPE_CHECKING:
    from numba.core.ccallback import CFunc

__all__ = [
    "CompiledPrior",
    "check_distribution",
    "compiled_prior",
    "find_distribution",
    "has_negative_support",
    "prior_draws",
]


class CompiledPrior(NamedTuple):
    """A log-prior of an unconstrained scalar.

    ``function(t, parameters, out)`` fills out with the natural value, its derivative in t, the
    log density of t (Jacobian included) and its derivative.
    """

    function: CFunc
    transform: str


def check_distribution(name: str, prior: Any) -> None:
    """Check that a prior names a univariate continuous PyMC distribution and its arguments."""
    distribution = find_distribution(name, prior)
    known = _arguments(distribution)
    unknown = sorted(set(prior.parameters) - set(known))
    if unknown:
        msg = f"{prior.distribution} takes {', '.join(known)}. Got {unknown[0]!r} for {name}."
        raise ValueError(msg)
    try:
        rv = distribution.dist(**prior.parameters)
        scalar = rv.ndim == 0
        draw = pm.draw(rv, random_seed=0, mode="FAST_COMPILE") if scalar else np.nan
        proper = np.isfinite(pm.logp(rv, draw).eval(mode="FAST_COMPILE"))
    except Exception as error:
        reason = str(error).splitlines()[0]
        msg = f"PyMC cannot make {prior!r}, the prior of {name}: {reason}."
        raise ValueError(msg) from error
    if not scalar or not proper:
        msg = f"The prior of {name} must be proper, one number a draw. Got {prior!r}."
        raise ValueError(msg)


def find_distribution(name: str, prior: Any) -> Any:
    """Return the class of PyMC that a prior names: a continuous distribution, nothing else."""
    distribution: Any = getattr(pm, prior.distribution, None)
    if not _is_continuous(distribution):
        names = [n for n in dir(pm) if _is_continuous(getattr(pm, n))]
        close = difflib.get_close_matches(prior.distribution, names)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        msg = (
            f"The prior of {name} must be a continuous PyMC distribution. "
            f"Got {prior.distribution!r}.{hint}"
        )
        raise ValueError(msg)
    return distribution


def has_negative_support(prior: Any) -> bool:
    """Whether a distribution has any mass below zero."""
    rv = getattr(pm, prior.distribution).dist(**prior.parameters)
    # Tails that a thousand draws miss, and narrow supports that points miss.
    if np.any(pm.draw(rv, draws=1000, random_seed=0, mode="FAST_COMPILE") < 0):
        return True
    value = pt.dscalar()
    logp = pytensor.function([value], pm.logp(rv, value), mode="FAST_COMPILE")
    return any(np.isfinite(logp(point)) for point in -np.logspace(-8, 8, 33))


def _is_continuous(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, pm.Continuous)


def _arguments(distribution: Any) -> list[str]:
    signature = inspect.signature(distribution.dist)
    skipped = ("args", "kwargs", "size", "shape", "cls")
    return [name for name in signature.parameters if name not in skipped]


def prior_draws(prior: Any, shape: tuple[int, ...], seed: int) -> Any:
    """Draw from a prior."""
    rv = getattr(pm, prior.distribution).dist(**prior.parameters)
    size = int(np.prod(shape))
    return pm.draw(rv, draws=size, random_seed=seed, mode="FAST_COMPILE").reshape(shape)


@cache
def compiled_prior(distribution: str, names: tuple[str, ...]) -> CompiledPrior:
    """Compile PyMC's log density of a distribution with these parameters, once a process.

    The transform to the real line is PyMC's default for the distribution.
    """
    t = pt.dscalar("t")
    parameters = [pt.dscalar(name) for name in names]
    rv = getattr(pm, distribution).dist(**dict(zip(names, parameters, strict=True)))
    transform = _default_transform(rv.owner.op, rv)
    natural, jacobian = t, pt.zeros(())
    if transform is not None:
        natural = transform.backward(t, *rv.owner.inputs)
        jacobian = transform.log_jac_det(t, *rv.owner.inputs)
    logp = rewrite_pregrad(pm.logp(rv, natural) + jacobian)
    outputs = [natural, pytensor.grad(natural, t), logp, pytensor.grad(logp, t)]
    # Without `fastmath` the result does not depend on what gets inlined where, so draws
    # are the same whether the caches were cold or warm.
    with pytensor.config.change_flags(numba__fastmath=False):
        function = pytensor.function(
            [t, *parameters],
            [pt.cast(output, "float64") for output in outputs],
            mode="NUMBA",
            on_unused_input="ignore",
        )
    kind = "identity" if transform is None else type(transform).__name__
    kind = "log" if isinstance(transform, LogTransform) else kind
    return CompiledPrior(_as_callback(function.vm.jit_fn, distribution, names), kind)


def _as_callback(jitted: Any, distribution: str, names: tuple[str, ...]) -> CFunc:
    """Wrap a function of 0-d arrays into a C callback, cached on disk by PyTensor's locator."""
    arguments = ", ".join(f"np.asarray(p[{i}])" for i in range(len(names)))
    source = f"""
def prior(t, parameters, out):
    p = carray(parameters, ({max(len(names), 1)},))
    result = carray(out, (4,))
    a, b, c, d = jitted(np.asarray(t), {arguments})
    result[0], result[1], result[2], result[3] = a[()], b[()], c[()], d[()]
"""
    versions = (pm.__version__, pytensor.__version__, numba.__version__)
    # What is compiled refers to this module: under another name it is compiled anew.
    parts = (source, distribution, names, versions, __name__)
    key = hashlib.sha256(repr(parts).encode()).hexdigest()
    scope = {"np": np, "carray": numba.carray, "jitted": jitted}
    function = compile_numba_function_src(
        source, "prior", {**globals(), **scope}, cache_key=key
    )
    signature = "void(double, CPointer(double), CPointer(double))"
    return numba.cfunc(signature, cache=True)(function)
