"""Log densities of priors on the real line, compiled by PyMC and PyTensor to C callbacks."""

from __future__ import annotations

import hashlib
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

from skhbm._numba.jit import c_callback
from skhbm._priors.prior import SCALAR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numba.core.ccallback import CFunc

    from skhbm._priors.prior import Prior
    from skhbm._types import Float, Int

__all__ = ["CompiledPrior", "as_table", "compiled_prior"]


class CompiledPrior(NamedTuple):
    """A log-prior of an unconstrained scalar.

    Attributes
    ----------
    function : CFunc
        ``function(t, parameters, out)`` fills `out`, the address of a `SCALAR`.
    transform : str
        "identity", "log", or else the name of the class of PyMC's transform.
    """

    function: CFunc
    transform: str


def compiled_prior(prior: Prior) -> CompiledPrior:
    """Return the compiled log density of a prior; it takes parameters in order of their names.

    The transform to the real line is PyMC's default for the distribution.
    """
    return _compile(prior.distribution, tuple(sorted(prior.parameters)))


def as_table(priors: Sequence[Prior]) -> tuple[Int, Float]:
    """Compile univariate priors; return their addresses (n,) and parameters (n, width)."""
    width = max([1, *(len(prior.parameters) for prior in priors)])
    parameters = np.zeros((len(priors), width))
    for row, prior in zip(parameters, priors, strict=True):
        row[: len(prior.parameters)] = [value for _, value in sorted(prior.parameters.items())]
    addresses = [compiled_prior(prior).function.address for prior in priors]
    return np.array(addresses, dtype=np.int64), parameters


@cache
def _compile(distribution: str, names: tuple[str, ...]) -> CompiledPrior:
    """Compile the log density of a distribution with these parameters, once a process."""
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
    # Without `fastmath` the result does not depend on what gets inlined where: draws are the
    # same whether the caches were cold or warm.
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
    """Make a C callback of a function of 0-d arrays; PyTensor caches it on disk."""
    arguments = ", ".join(f"np.asarray(p[{i}])" for i in range(len(names)))
    source = f"""
def prior(t, parameters, out):
    p = carray(parameters, ({max(len(names), 1)},))
    scalar = carray(out, (1,), SCALAR)[0]
    value, derivative, logp, gradient = jitted(np.asarray(t), {arguments})
    scalar.value, scalar.derivative = value[()], derivative[()]
    scalar.logp, scalar.gradient = logp[()], gradient[()]
"""
    versions = (pm.__version__, pytensor.__version__, numba.__version__)
    # The compiled code refers to this module, so that under another name it is compiled anew.
    parts = (source, distribution, names, versions, __name__)
    key = hashlib.sha256(repr(parts).encode()).hexdigest()
    scope = {"np": np, "carray": numba.carray, "jitted": jitted, "SCALAR": SCALAR}
    function = compile_numba_function_src(
        source, "prior", {**globals(), **scope}, cache_key=key
    )
    signature = "void(double, CPointer(double), voidptr)"
    return c_callback(signature, function)
