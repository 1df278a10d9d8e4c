"""Visits of the nodes of each group, for those who need more of an integral than its value.

A callback of a likelihood by quadrature that is called with `with_gradient` = VISITING takes
the address of a record, the visit, in place of outputs. After each group that is asked for it
calls the visitor at the address `visitor` with that of the visit, whose fields then tell where
the nodes are. Node (o, l) of sheet w is

    one term:   v = mode + first + step (LANES o + l), of a single sheet,
    two terms:  v = mode + C x, x = (first + step o, first_wide + step_wide (LANES w + l)),

and logs[w n_outer + o, l] is the log integrand there. Effects are u = L v.
"""

from __future__ import annotations

import numpy as np

from skhbm._numba.records import fields

__all__ = ["VISIT", "VISITING"]

#: The value of `with_gradient` that asks for visits.
VISITING = 2
#: `slots` (n_groups,) are places of groups in the answers, negative if not asked for, and
#: `slot` that of the group that is visited. `answers`, `numbers` and what follows are the
#: visitor's.
VISIT = np.dtype(
    [
        *fields(
            *("visitor", "slots", "slot", "group", "n_terms", "state", "table", "logs"),
            *("n_outer", "n_wide", "answers", "numbers", "n_answers", "draw"),
            *("row_starts", "y", "size", "log_size", "ones", "eta", "z", "room", "n_rows"),
        ).descr,
        *[
            (name, np.float64)
            for name in (
                *("log_integral", "mode0", "mode1", "first", "step", "first_wide", "step_wide"),
                *("c00", "c01", "c11", "l00", "l10", "l11"),
            )
        ],
    ]
)
