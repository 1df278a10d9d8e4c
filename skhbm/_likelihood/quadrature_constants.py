"""What the log density of rows has beside what the quadrature integrates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skhbm._likelihood.quadrature_state import EVALUATE, REST, STATE
from skhbm._numba.lanes import LANES
from skhbm._numba.records import make_record

if TYPE_CHECKING:
    from skhbm._families.family import Family
    from skhbm._likelihood.quadrature import QuadratureLikelihood
    from skhbm._types import Float, Int

__all__ = ["group_constants", "row_constants", "row_rests"]


def group_constants(likelihood: QuadratureLikelihood, codes: Int, dispersion: Float) -> Float:
    """Return log p(y_j | effects) less the part that depends on them (n_draws, n_codes)."""
    out = np.empty((len(dispersion), len(codes)))
    for slot, code in enumerate(codes.tolist()):
        some = slice(likelihood.first[code], likelihood.first[code + 1])
        weight = likelihood.weight[some].ravel()
        y, size = likelihood.y[some].ravel(), likelihood.size[some].ravel()
        some_rows = weight > 0
        y, size, weight = y[some_rows], size[some_rows], weight[some_rows]
        out[:, slot] = weight @ row_constants(likelihood, y, size, dispersion[:1].T)
        if dispersion.shape[1]:
            out[:, slot] += row_rests(likelihood, y, size, weight, dispersion)
    return out


def row_constants(
    likelihood: QuadratureLikelihood, y: Float, size: Float, dispersion: Float
) -> Float:
    """Return the terms of log p(y) that depend neither on eta nor on the dispersion (n,)."""
    family: Family = likelihood.family
    d = np.ascontiguousarray(dispersion[:, 0])
    complete = family.log_density(y, size, np.zeros(len(y)), tuple(d))
    zeros, ones = np.zeros(2 * LANES), np.ones(1)
    y, size, values = np.ascontiguousarray(y), np.ascontiguousarray(size), np.zeros(LANES)
    record = make_record(
        STATE,
        op=EVALUATE,
        n=1,
        n_blocks=1,
        n_outer=1,
        n_dispersion=len(d),
        weight=ones,
        eta=zeros,
        a=zeros,
        b=zeros,
        offsets=zeros,
        values=values,
        dispersion=d,
    )
    out = np.array(complete, dtype=float)
    for i in range(len(y)):
        values[:] = 0.0
        record["y"], record["size"] = y.ctypes.data + 8 * i, size.ctypes.data + 8 * i
        likelihood.general().ctypes(record.ctypes.data)
        rest = row_rests(likelihood, y[i : i + 1], size[i : i + 1], ones, d[None])[0]
        out[i] -= values[0] + rest
    return out


def row_rests(
    likelihood: QuadratureLikelihood, y: Float, size: Float, weight: Float, dispersion: Float
) -> Float:
    """Return the sum over rows of what depends on the dispersion alone (n_draws,)."""
    n_dispersion = dispersion.shape[1]
    if not n_dispersion:
        return np.zeros(len(dispersion))
    levels, unused = np.ascontiguousarray([y, size, weight]), np.zeros(n_dispersion)
    given = np.ascontiguousarray(dispersion)
    record = make_record(
        STATE,
        op=REST,
        n_levels=len(y),
        n_dispersion=n_dispersion,
        levels=levels,
        d_dispersion=unused,
    )
    out = np.empty(len(dispersion))
    for s in range(len(out)):
        record["rest"], record["dispersion"] = 0.0, given[s].ctypes.data
        likelihood.general().ctypes(record.ctypes.data)
        out[s] = record["rest"][0]
    return out
