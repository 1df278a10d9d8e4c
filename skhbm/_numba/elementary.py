"""exp and log of `skhbm._numba.lanes`, polynomials after Cody and Waite, without branches.

Errors are below two units in the last place. Arguments of `exp` are moved into [-708, 709].
Arguments of `log` are positive, and neither subnormal nor infinite.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.extending import intrinsic

from skhbm._numba.jit import JIT_INNER, njit
from skhbm._numba.lanes import LANES, LANES_TYPE, VECTOR, at_least, splat

__all__ = ["exp", "log"]

INTEGERS = ir.VectorType(ir.IntType(64), LANES)
#: 1.5 * 2^52: a double of this size has the integer that was added to it in its last bits.
MAGIC = 6755399441055744.0
MAGIC_BITS = 0x4338000000000000
#: The bits of sqrt(1/2): a mantissa is taken from [sqrt(1/2), sqrt(2)).
ROOT_HALF = 0x3FE6A09E667F3BCD
MANTISSA_BITS = 52
LOG2_E, LN2_HIGH, LN2_LOW = 1.4426950408889634, 6.93145751953125e-1, 1.42860682030941723e-6
LN2 = 0.6931471805599453


@njit(**JIT_INNER)
def exp(x):
    """Return exp(x): two to a power, times the Chebyshev series of exp of the rest."""
    x = at_least(x, splat(-708.0))
    x = at_least(x * -1.0, splat(-709.0)) * -1.0
    rounded = x * LOG2_E + MAGIC
    power = rounded - MAGIC
    r = x - power * LN2_HIGH
    r = r - power * LN2_LOW
    p = r * 2.763265575933203e-07 + 2.7640198843428347e-06
    p = p * r + 2.480148543844738e-05
    p = p * r + 1.9841170226646184e-04
    p = p * r + 1.3888888952356135e-03
    p = p * r + 8.333333385702748e-03
    p = p * r + 4.166666666648794e-02
    p = p * r + 1.6666666666554303e-01
    p = p * r + 0.5000000000000019
    p = p * r + 1.0000000000000067
    p = p * r + 1.0
    return _scaled(p, rounded)


@njit(**JIT_INNER)
def log(x):
    """Return log(x), of a series in s = (m - 1) / (m + 1) for the mantissa m."""
    m = _mantissa(x)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    p = z * 0.1479819860511658591 + 0.1531383769920937332
    p = p * z + 0.1818357216161805012
    p = p * z + 0.2222219843214978396
    p = p * z + 0.2857142874366239149
    p = p * z + 0.3999999999940941908
    p = p * z + 0.6666666666666735130
    return (_exponent(x) - MAGIC) * LN2 + s * (z * p + 2.0)


@intrinsic
def _scaled(typingctx: Any, x: Any, rounded: Any) -> Any:
    """Return x 2^k, where the last bits of `rounded` are the integers k."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits, powers = (builder.bitcast(value, INTEGERS) for value in args)
        shifted = builder.shl(powers, _integers(MANTISSA_BITS))
        return builder.bitcast(builder.add(bits, shifted), VECTOR)

    return LANES_TYPE(LANES_TYPE, LANES_TYPE), codegen


@intrinsic
def _exponent(typingctx: Any, x: Any) -> Any:
    """Return `MAGIC` plus the exponent of x for a mantissa near one."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        power = _power(builder, builder.bitcast(args[0], INTEGERS))
        return builder.bitcast(builder.add(power, _integers(MAGIC_BITS)), VECTOR)

    return LANES_TYPE(LANES_TYPE), codegen


@intrinsic
def _mantissa(typingctx: Any, x: Any) -> Any:
    """Return x over two to its exponent."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], INTEGERS)
        shifted = builder.shl(_power(builder, bits), _integers(MANTISSA_BITS))
        return builder.bitcast(builder.sub(bits, shifted), VECTOR)

    return LANES_TYPE(LANES_TYPE), codegen


def _power(builder: Any, bits: Any) -> Any:
    """Return the exponents that bits of doubles hold, as integers."""
    return builder.ashr(builder.sub(bits, _integers(ROOT_HALF)), _integers(MANTISSA_BITS))


def _integers(value: int) -> Any:
    """Return the same integer in all lanes."""
    return ir.Constant(INTEGERS, [value] * LANES)
