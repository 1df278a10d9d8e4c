"""The log posterior density of the unconstrained hyperparameters, as a C callback.

The density is that of the PyMC model of `skhbm._model`, after its normally distributed
coefficients are integrated out: PyMC's own log-priors and transforms, compiled in
`skhbm._distributions` and called by address, plus the marginal likelihood. One compiled
callback serves every model and data set: all it needs is behind one pointer.

The unconstrained vector holds, in this order,

    q standard deviations tau of the effects,
    n_correlations canonical partial correlations, on the atanh scale,
    residual scales: 1 shared, or n_groups independent ones, or, for the hierarchical prior,
        the mean and sd of log sigma_j and n_groups standardised log sigma_j,
    the coefficients that cannot be integrated out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.extending import intrinsic

from skhbm._likelihood import JIT, marginal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float64]

__all__ = ["HIERARCHICAL", "INDEPENDENT", "SHARED", "Target", "density", "expand", "log_density"]

#: Kinds of residual scale.
SHARED, INDEPENDENT, HIERARCHICAL = 0, 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What the callback reads: arrays, kept alive here, behind one table of integers.

    Parameters
    ----------
    kind : int
        Kind of residual scale.
    eta : float
        Parameter of the LKJ prior; 0 when effects are independent.
    tau_unit : ndarray of shape (q,)
        Natural size of a working unit of each effect.
    sigma_unit : float
        Natural size of a working unit of the target.
    address : ndarray of shape (n_scalars,)
        Compiled prior of each univariate parameter, in the order of the vector.
    parameters : ndarray of shape (n_scalars, n_parameters)
        Parameters of these priors.
    log_residual : ndarray of shape (n_groups, 2)
        As in `Design`, in natural units.
    center, rotation : ndarray of shape (s,), (s, s)
        Sampled coefficients are ``center + rotation @ x``, before their transforms.
    offset, slope : ndarray of shape (m - 1,), (m - 1, s)
        Working coefficients that are not integrated out: offset + slope @ coefficients.
    T, R, E, W, counts : ndarray
        As in `marginal`.
    """

    kind: int
    eta: float
    tau_unit: Float
    sigma_unit: float
    address: NDArray[np.int64]
    parameters: Float
    log_residual: Float
    center: Float
    rotation: Float
    offset: Float
    slope: Float
    T: Float
    R: Float
    E: Float
    W: Float
    counts: Float

    @property
    def n_correlations(self) -> int:
        """Number of sampled correlations."""
        q = len(self.tau_unit)
        return q * (q - 1) // 2 if self.eta > 0 else 0

    @property
    def n_scales(self) -> int:
        """Number of unconstrained parameters of the residual scales."""
        n_groups = len(self.log_residual)
        return (1, n_groups, n_groups + 2)[self.kind]

    @property
    def n_dim(self) -> int:
        """Length of the unconstrained vector, and of the vector of natural values."""
        return len(self.tau_unit) + self.n_correlations + self.n_scales + len(self.center)

    def table(self) -> NDArray[np.int64]:
        """Return sizes and addresses; valid as long as this object lives."""
        n_blocks, q, m, _ = self.E.shape
        sizes = [
            self.kind, q, self.n_correlations, len(self.log_residual), len(self.center),
            m, self.T.shape[1], len(self.W), n_blocks, len(self.address),
            self.parameters.shape[1],
        ]  # fmt: skip
        arrays = [
            self.tau_unit, self.address, self.parameters, self.log_residual, self.center,
            self.rotation, self.offset, self.slope, self.T, self.R, self.E, self.W, self.counts,
        ]  # fmt: skip
        scalars = np.array([self.eta, self.sigma_unit]).view(np.int64)
        addresses = [array.ctypes.data for array in arrays]
        return np.array([*sizes, *scalars, *addresses], dtype=np.int64)


@intrinsic
def _pointer(typingctx: Any, address: Any) -> Any:
    """Reinterpret an integer as a void pointer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), codegen


@intrinsic
def _call_prior(typingctx: Any, address: Any, x: Any, parameters: Any, out: Any) -> Any:
    """Call the compiled prior at an address; see `_distributions.compiled_prior`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        double, pointer = ir.DoubleType(), ir.IntType(64)
        signature_ = ir.FunctionType(ir.VoidType(), [double, pointer, pointer])
        function = builder.inttoptr(args[0], signature_.as_pointer())
        builder.call(function, [args[1], args[2], args[3]])
        return context.get_dummy_value()

    return types.void(types.int64, types.float64, types.int64, types.int64), codegen


@njit(**JIT)
def corr_cholesky(z, q, C):
    """Fill C with the Cholesky factor of the correlations with partials tanh(z)."""
    at = 0
    for i in range(q):
        rest = 1.0
        for j in range(i):
            C[i, j] = rest * np.tanh(z[at])
            rest /= np.cosh(z[at])
            at += 1
        C[i, i] = rest


@njit(**JIT)
def corr_gradient(z, q, eta, dC, grad):
    """Pull a gradient in C back to z, add that of the LKJ prior, return its log density.

    The partial of i and j given the first j variables has density (1 - w^2)^(b - 1),
    b = eta + (q - 2 - j) / 2 (Lewandowski, Kurowicka & Joe 2009, section 2.3); with the
    Jacobian of tanh, (1 - w^2)^b.
    """
    logp = 0.0
    at = 0
    for i in range(q):
        rest = np.ones(i + 1)
        for j in range(i):
            rest[j + 1] = rest[j] / np.cosh(z[at + j])
        d_rest = dC[i, i]
        for j in range(i - 1, -1, -1):
            w = np.tanh(z[at + j])
            sech = 1.0 / np.cosh(z[at + j])
            b = eta + 0.5 * (q - 2 - j)
            logp += 2.0 * b * np.log(sech)
            dw = dC[i, j] * rest[j] * sech * sech - d_rest * rest[j] * w * sech
            grad[at + j] = dw - 2.0 * b * w
            d_rest = dC[i, j] * w + d_rest * sech
        at += i
    return logp


@njit(**JIT)
def log_density(x, table, grad, natural):
    """Return the log density at x; fill its gradient and the natural values."""
    kind, q, r, n_groups, s = table[0], table[1], table[2], table[3], table[4]
    m, k, n_within, n_blocks = table[5], table[6], table[7], table[8]
    n_scalars, width = table[9], table[10]
    reals = table[11:13].view(np.float64)
    eta, sigma_unit = reals[0], reals[1]
    tau_unit = carray(_pointer(table[13]), (q,), np.float64)
    address = carray(_pointer(table[14]), (n_scalars,), np.int64)
    log_residual = carray(_pointer(table[16]), (n_groups, 2), np.float64)
    center = carray(_pointer(table[17]), (s,), np.float64)
    rotation = carray(_pointer(table[18]), (s, s), np.float64)
    offset = carray(_pointer(table[19]), (m - 1,), np.float64)
    slope = carray(_pointer(table[20]), (m - 1, s), np.float64)
    T = carray(_pointer(table[21]), (m - 1, k), np.float64)
    R = carray(_pointer(table[22]), (n_blocks, q, q, 8), np.float64)
    E = carray(_pointer(table[23]), (n_blocks, q, m, 8), np.float64)
    W = carray(_pointer(table[24]), (n_within, m, m), np.float64)
    counts = carray(_pointer(table[25]), (n_within,), np.float64)

    # The univariate parameters t, where they stand in x, and what their priors say:
    # natural value, its derivative, log density (Jacobian included), its derivative.
    first_scale = q + r
    n_free_scales = 1 if kind == 0 else (n_groups if kind == 1 else 2)
    first_coef = len(x) - s
    says = np.empty((n_scalars, 4))
    logp = 0.0
    for i in range(n_scalars):
        if i < q:
            at = i
            t = x[at]
        elif i < q + n_free_scales:
            at = first_scale + i - q
            t = x[at]
        else:
            c = i - q - n_free_scales
            at = first_coef + c
            t = center[c]
            for b in range(s):
                t += rotation[c, b] * x[first_coef + b]
        _call_prior(
            address[i], t, table[15] + 8 * width * i, np.int64(says.ctypes.data) + 32 * i
        )
        natural[at] = says[i, 0]
        logp += says[i, 2]

    # Covariance of the effects, in working units.
    C = np.zeros((q, q))
    if r > 0:
        corr_cholesky(x[q:first_scale], q, C)
    else:
        for a in range(q):
            C[a, a] = 1.0
    cov = np.zeros((q, q))
    at = q
    for a in range(q):
        for b in range(q):
            for c in range(q):
                cov[a, b] += C[a, c] * C[b, c]
            if r > 0 and b < a:
                natural[at] = cov[a, b]
                at += 1
            cov[a, b] *= says[a, 0] / tau_unit[a] * (says[b, 0] / tau_unit[b])

    # Residual scales, in working units.
    sigma = np.empty(n_within)
    if kind < 2:
        for j in range(n_within):
            sigma[j] = says[q + j, 0] / sigma_unit
    else:
        mean, spread = says[q, 0], says[q + 1, 0]
        for j in range(n_groups):
            e = log_residual[j, 1]
            share = spread * spread / (spread * spread + e)
            log_sigma = share * log_residual[j, 0] + (1.0 - share) * mean
            log_sigma += np.sqrt(share * e) * x[first_scale + 2 + j]
            natural[first_scale + 2 + j] = np.exp(log_sigma)
            sigma[j] = natural[first_scale + 2 + j] / sigma_unit

    given = np.empty(m - 1)
    for a in range(m - 1):
        given[a] = offset[a]
        for c in range(s):
            given[a] += slope[a, c] * says[q + n_free_scales + c, 0]

    value, d_cov, d_sigma, d_given = marginal(cov, sigma, given, T, R, E, W, counts)
    logp += value

    # cov = D C C' D, D = diag(tau / unit).
    dC = np.zeros((q, q))
    for a in range(q):
        d_log_tau = 0.0
        for b in range(q):
            d_log_tau += 2.0 * d_cov[a, b] * cov[a, b]
            scaled = 2.0 * d_cov[a, b] * says[a, 0] / tau_unit[a] * (says[b, 0] / tau_unit[b])
            for c in range(b + 1):
                dC[a, c] += scaled * C[b, c]
        grad[a] = says[a, 3] + d_log_tau * says[a, 1] / says[a, 0]
    if r > 0:
        logp += corr_gradient(x[q:first_scale], q, eta, dC, grad[q:first_scale])

    if kind < 2:
        for j in range(n_within):
            i = q + j
            grad[first_scale + j] = says[i, 3] + d_sigma[j] / sigma_unit * says[i, 1]
    else:
        logp += hierarchical_gradient(
            x[first_scale:], says[q:], log_residual, sigma, sigma_unit, d_sigma, grad[first_scale:]
        )

    d_t = np.empty(s)
    for c in range(s):
        i = q + n_free_scales + c
        d_t[c] = says[i, 3]
        for a in range(m - 1):
            d_t[c] += d_given[a] * slope[a, c] * says[i, 1]
    for b in range(s):
        grad[first_coef + b] = 0.0
        for c in range(s):
            grad[first_coef + b] += d_t[c] * rotation[c, b]
    return logp


@njit(**JIT)
def hierarchical_gradient(x, says, log_residual, sigma, sigma_unit, d_sigma, grad):
    """Add log sigma_j ~ Normal(mean, spread) with its gradient; return its log density.

    log sigma_j = E_j + S_j x_j, where E_j and S_j^2 are the mean and variance that
    log sigma_j has given (mean, spread) if its likelihood were normal about the group's own
    estimate l_j with variance e_j: a = spread^2 / (spread^2 + e_j), E_j = a l_j + (1 - a)
    mean, S_j^2 = a e_j. The x_j are then close to independent standard normals
    whether groups are large (where the centred form is good) or small (the non-centred).
    """
    mean, spread = says[0, 0], says[1, 0]
    logp = 0.0
    d_mean, d_log_spread = 0.0, 0.0
    for j in range(len(log_residual)):
        own, e = log_residual[j, 0], log_residual[j, 1]
        share = spread * spread / (spread * spread + e)
        size = np.sqrt(share * e)
        log_sigma = np.log(sigma[j] * sigma_unit)
        r = (log_sigma - mean) / spread
        logp += np.log(size / spread) - 0.5 * r * r
        d = d_sigma[j] * sigma[j] - r / spread
        d_mean += d * (1.0 - share) + r / spread
        d_log_spread += r * r - share
        d_log_spread += d * (1.0 - share) * (2.0 * share * (own - mean) + size * x[2 + j])
        grad[2 + j] = d * size
    grad[0] = says[0, 3] + d_mean * says[0, 1]
    grad[1] = says[1, 3] + d_log_spread / spread * says[1, 1]
    return logp


@cfunc("int64(uint64, CPointer(double), CPointer(double), CPointer(double), voidptr)", cache=True)
def density(n_dim, x, grad, logp, table):
    """Evaluate log density and gradient, in the form that nutpie's `LogpFunc` calls."""
    sizes = carray(table, (26,), np.int64)
    out = carray(logp, (1,))
    natural = np.empty(n_dim)
    gradient = carray(grad, (n_dim,))
    out[0] = log_density(carray(x, (n_dim,)), sizes, gradient, natural)
    finite = np.isfinite(out[0])
    for i in range(n_dim):
        finite = finite and np.isfinite(gradient[i])
    return 0 if finite else 1


@cfunc(
    "int64(uint64, uint64, CPointer(double), CPointer(double), voidptr)", cache=True
)
def expand(n_dim, n_natural, x, natural, table):
    """Evaluate the natural values, in the form that nutpie's `ExpandFunc` calls."""
    sizes = carray(table, (26,), np.int64)
    gradient = np.empty(n_dim)
    log_density(carray(x, (n_dim,)), sizes, gradient, carray(natural, (n_natural,)))
    return 0
