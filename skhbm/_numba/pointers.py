"""Addresses in compiled code: pointers, and calls of functions by their addresses.

A density, a likelihood or a prior is compiled once and called by address. None is compiled
again into each of its callers, and the model decides which function is called.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = [
    "as_pointer",
    "call_density",
    "call_fortran",
    "call_marginal",
    "call_prior",
    "call_rows",
]

INTEGER, DOUBLE = ir.IntType(64), ir.DoubleType()


@intrinsic
def as_pointer(typingctx: Any, address: Any) -> Any:
    """Reinterpret an integer as a void pointer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), codegen


@intrinsic
def call_density(
    typingctx: Any, address: Any, first: Any, second: Any, third: Any, fourth: Any, fifth: Any
) -> Any:
    """Call a callback of nutpie's form, a density or an expansion to natural values."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, INTEGER, [INTEGER] * 5, args)

    return types.int64(*[types.int64] * 6), codegen


@intrinsic
def call_marginal(
    typingctx: Any, address: Any, table: Any, inputs: Any, outputs: Any, with_gradient: Any
) -> Any:
    """Call a marginal likelihood, as `_likelihood.marginal.marginal_callback`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _call(builder, ir.VoidType(), [INTEGER] * 4, args)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


@intrinsic
def call_prior(typingctx: Any, address: Any, x: Any, parameters: Any, out: Any) -> Any:
    """Call a compiled prior; see `skhbm._priors.compiled`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _call(builder, ir.VoidType(), [DOUBLE, INTEGER, INTEGER], args)
        return context.get_dummy_value()

    return types.void(types.int64, types.float64, types.int64, types.int64), codegen


@intrinsic
def call_rows(typingctx: Any, address: Any, state: Any) -> Any:
    """Call a kernel of rows; see `skhbm._likelihood.quadrature_state`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _call(builder, ir.VoidType(), [INTEGER], args)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def call_fortran(typingctx: Any, address: Any, pointers: Any) -> Any:
    """Call a subroutine of BLAS or LAPACK; a tuple of integers points to its arguments."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        every = cgutils.unpack_tuple(builder, args[1])
        _call(builder, ir.VoidType(), [INTEGER] * len(every), [args[0], *every])
        return context.get_dummy_value()

    return types.void(types.int64, pointers), codegen


def _call(builder: Any, result: Any, arguments: list[Any], args: Any) -> Any:
    """Call the function at the address args[0] with the arguments that follow."""
    function = builder.inttoptr(args[0], ir.FunctionType(result, arguments).as_pointer())
    return builder.call(function, args[1:])
