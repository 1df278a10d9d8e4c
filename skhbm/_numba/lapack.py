"""SciPy's BLAS and LAPACK in compiled code, called by addresses that a record holds.

numba's cache on disk outlives the process: addresses that were compiled in would be wrong in
the next one. Arrays are in C order, which is the transpose of Fortran's.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from skhbm._numba.jit import JIT_INNER, njit
from skhbm._numba.pointers import call_fortran

__all__ = [
    "LAPACK",
    "invert_cholesky",
    "lapack_addresses",
    "multiply",
    "solve_triangular",
    "turn_triangle",
]

#: The fields of a record that hold the addresses.
LAPACK = ("dgemm", "dpotrf", "dtrtri", "dpotri", "dtrtrs")
#: What Fortran calls its options.
NO, YES, UPPER = ord("N"), ord("T"), ord("U")


@cache
def lapack_addresses() -> dict[str, int]:
    """Return the addresses of the subroutines in this process."""
    from numba.extending import get_cython_function_address

    modules = {"dgemm": "scipy.linalg.cython_blas"}
    return {
        name: get_cython_function_address(modules.get(name, "scipy.linalg.cython_lapack"), name)
        for name in LAPACK
    }


@njit(**JIT_INNER)
def multiply(dgemm, A, B, transpose, C):
    """Fill C (n, m) with A B for B (r, m), or with A B' for B (m, r)."""
    n, r = A.shape
    m = C.shape[1]
    options = np.array([NO, YES if transpose else NO], dtype=np.uint8)
    sizes = np.array([m, n, r, max(m, 1), max(r, 1), max(B.shape[1], 1)], dtype=np.int32)
    scalars = np.array([1.0, 0.0])
    # C' = B' A' in Fortran's order.
    call_fortran(
        dgemm,
        (
            options[1:].ctypes.data, options.ctypes.data,
            sizes.ctypes.data, sizes[1:].ctypes.data, sizes[2:].ctypes.data,
            scalars.ctypes.data, B.ctypes.data, sizes[5:].ctypes.data,
            A.ctypes.data, sizes[4:].ctypes.data,
            scalars[1:].ctypes.data, C.ctypes.data, sizes[3:].ctypes.data,
        ),
    )  # fmt: skip
    # Reading the arrays keeps them alive: numba frees an array after its last use.
    return sizes[0] + scalars[0] + options[0] + A[0, 0] + B[0, 0]


@njit(**JIT_INNER)
def invert_cholesky(dpotrf, dtrtri, A):
    """Turn A (n, n) into the inverse of its Cholesky factor; return half of log|A|.

    It is infinite, with A as it may be, if A is not positive definite.
    """
    n = len(A)
    options = np.array([UPPER, NO], dtype=np.uint8)
    sizes = np.array([n, 0], dtype=np.int32)
    upper, size, info = options.ctypes.data, sizes.ctypes.data, sizes[1:].ctypes.data
    # The lower triangle in C order is Fortran's upper one.
    call_fortran(dpotrf, (upper, size, A.ctypes.data, size, info))
    if sizes[1] != 0:
        return np.inf
    half_logdet = 0.0
    for i in range(n):
        half_logdet += np.log(A[i, i])
        for j in range(i + 1, n):
            A[i, j] = 0.0
    call_fortran(dtrtri, (upper, options[1:].ctypes.data, size, A.ctypes.data, size, info))
    return half_logdet if sizes[1] + 0 * options[0] == 0 else np.inf


@njit(**JIT_INNER)
def turn_triangle(subroutine, A):
    """Have dpotrf or dpotri change the lower triangle of A (n, n); return 0 if it could.

    dpotrf turns a positive definite matrix into its Cholesky factor L, dpotri L into the
    inverse of L L'.
    """
    options = np.array([UPPER], dtype=np.uint8)
    sizes = np.array([len(A), 0], dtype=np.int32)
    size = sizes.ctypes.data
    # The lower triangle in C order is Fortran's upper one.
    call_fortran(
        subroutine, (options.ctypes.data, size, A.ctypes.data, size, sizes[1:].ctypes.data)
    )
    return sizes[1] + 0 * options[0]


@njit(**JIT_INNER)
def solve_triangular(dtrtrs, L, B, transposed):
    """Turn the rows b of B (r, n) into L^-1 b, or into L^-T b if transposed."""
    # Fortran reads L as the upper triangle L': L x = b is its transposed system.
    options = np.array([UPPER, NO if transposed else YES, NO], dtype=np.uint8)
    sizes = np.array([len(L), len(B), 0], dtype=np.int32)
    size, info = sizes.ctypes.data, sizes[2:].ctypes.data
    call_fortran(
        dtrtrs,
        (
            options.ctypes.data, options[1:].ctypes.data, options[2:].ctypes.data,
            size, sizes[1:].ctypes.data, L.ctypes.data, size, B.ctypes.data, size, info,
        ),
    )  # fmt: skip
    return sizes[2] + 0 * options[0] + 0.0 * L[0, 0]
