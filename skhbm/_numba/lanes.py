"""`LANES` doubles as a single number of numba's, with the arithmetic of vector instructions.

LLVM leaves loops over a few lanes of arrays as they are, one double after another, as long as
the arrays might overlap. Numbers that live in registers cannot overlap. In compiled functions

    x = load(array, (i, j)), store(array, (i, j), x)

read and write array[i, j, :]. There are + - * / between lanes and with floats, `splat(float)`,
`root(x)`, `at_least(x, y)`, `total(x)`, the sum over lanes, and `greatest(x)`, the largest. No
sum is reordered, and no multiplication fused with an addition: results do not depend on the
instruction set.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic, overload, register_model

__all__ = ["LANES", "at_least", "greatest", "load", "root", "splat", "store", "total"]

LANES = 8
VECTOR = ir.VectorType(ir.DoubleType(), LANES)


class LanesType(types.Type):
    """The type of `LANES` doubles."""

    def __init__(self) -> None:
        super().__init__(name="skhbm.Lanes")


LANES_TYPE = LanesType()


@register_model(LanesType)
class LanesModel(models.PrimitiveModel):
    """A vector register."""

    def __init__(self, manager: Any, of: Any) -> None:
        super().__init__(manager, of, VECTOR)


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """Read array[*index, :]."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, signature, args), align=8)

    return LANES_TYPE(array, index), codegen


@intrinsic
def store(typingctx: Any, array: Any, index: Any, x: Any) -> Any:
    """Write array[*index, :] = x."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, signature, args), align=8)
        return context.get_dummy_value()

    return types.void(array, index, LANES_TYPE), codegen


@intrinsic
def splat(typingctx: Any, x: Any) -> Any:
    """Return a float in all lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), args[0], _lane(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(first, ir.Constant(VECTOR, ir.Undefined), zeros)

    return LANES_TYPE(types.float64), codegen


@intrinsic
def root(typingctx: Any, x: Any) -> Any:
    """Return the square root of each lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(VECTOR, [VECTOR]), f"llvm.sqrt.v{LANES}f64"
        )
        return builder.call(function, args)

    return LANES_TYPE(LANES_TYPE), codegen


@intrinsic
def at_least(typingctx: Any, x: Any, least: Any) -> Any:
    """Return `least` where a lane is less than `least`; a lane that is not a number stays."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        less = builder.fcmp_ordered("<", *args)
        return builder.select(less, args[1], args[0])

    return LANES_TYPE(LANES_TYPE, LANES_TYPE), codegen


@intrinsic
def total(typingctx: Any, x: Any) -> Any:
    """Return the sum over lanes, from the first to the last."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out = builder.extract_element(args[0], _lane(0))
        for l in range(1, LANES):
            out = builder.fadd(out, builder.extract_element(args[0], _lane(l)))
        return out

    return types.float64(LANES_TYPE), codegen


@intrinsic
def greatest(typingctx: Any, x: Any) -> Any:
    """Return the largest lane; lanes that are not numbers are passed over, but the first."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out = builder.extract_element(args[0], _lane(0))
        for l in range(1, LANES):
            lane = builder.extract_element(args[0], _lane(l))
            out = builder.select(builder.fcmp_ordered(">", lane, out), lane, out)
        return out

    return types.float64(LANES_TYPE), codegen


def _pointer(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Return the address of the first lane as the address of a vector."""
    kind, indices = signature.args[0], cgutils.unpack_tuple(builder, args[1])
    array = context.make_array(kind)(context, builder, args[0])
    wide = [
        context.cast(builder, index, of, types.intp)
        for index, of in zip(indices, signature.args[1], strict=True)
    ]
    wide.append(context.get_constant(types.intp, 0))
    first = cgutils.get_item_pointer(context, builder, kind, array, wide)
    return builder.bitcast(first, VECTOR.as_pointer())


def _lane(l: int) -> Any:
    return ir.Constant(ir.IntType(32), l)


def _arithmetic(function: Any, inplace: Any, instruction: str) -> None:
    """Define an operator between lanes, and between lanes and floats."""

    @intrinsic
    def apply(typingctx: Any, x: Any, y: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, instruction)(*args)

        return LANES_TYPE(LANES_TYPE, LANES_TYPE), codegen

    def implementation(x: Any, y: Any) -> Any:
        if x == LANES_TYPE and y == LANES_TYPE:
            return lambda x, y: apply(x, y)
        if x == LANES_TYPE and y == types.float64:
            return lambda x, y: apply(x, splat(y))
        if x == types.float64 and y == LANES_TYPE:
            return lambda x, y: apply(splat(x), y)
        return None

    overload(function, strict=False)(implementation)
    overload(inplace, strict=False)(implementation)


_arithmetic(operator.add, operator.iadd, "fadd")
_arithmetic(operator.sub, operator.isub, "fsub")
_arithmetic(operator.mul, operator.imul, "fmul")
_arithmetic(operator.truediv, operator.itruediv, "fdiv")
