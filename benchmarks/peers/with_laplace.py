"""skhbm with ``solver="laplace"``: importance sampling in place of chains."""

from __future__ import annotations

from functools import partial

from benchmarks.peers import with_skhbm

prepare = partial(with_skhbm.prepare, solver="laplace")
extract = with_skhbm.extract
