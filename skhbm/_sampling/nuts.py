"""NUTS by nutpie on a compiled density: draws and statistics of the sampler."""

from __future__ import annotations

import importlib
import sys
from collections import deque
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from skhbm._sampling.draws import Draws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from skhbm._density.target import TargetDensity
    from skhbm._sampling.draws import Watcher
    from skhbm._types import Float


__all__ = ["JITTER", "prepare", "sample"]

#: Sd of the chains' starting points about the common one.
JITTER = 0.5
#: Dimensions that NUTS works in at least. In two or three a U-turn comes after one step or
#: three; with independent standard normals as companions trajectories go half round, draws
#: alternate about the mean, and their effective number is above their number. (nutpie's
#: `mindepth` and `extra_doublings` make trajectories longer too, but change the distribution
#: that is sampled: standard deviations came out 5 % off.)
DIMENSIONS = 10
#: Seconds between two looks at the chains.
PERIOD = 0.1
STATISTICS = ("diverging", "depth", "n_steps", "step_size", "energy", "logp")


def prepare(density: TargetDensity) -> Any:
    """Compile what is not compiled yet; return what `sample` samples."""
    _import_nutpie()
    return _compiled_model(density)


def sample(
    model: Any,
    *,
    draws: int,
    tune: int,
    chains: int,
    target_accept: float,
    seed: int,
    threads: int,
    watchers: Sequence[Watcher] = (),
) -> Draws:
    """Run NUTS, watched or not; whatever interrupts it stops the chains and is raised again.

    Interrupts are the user's, or raised by a watcher.
    """
    import nutpie

    latest: deque[Any] = deque(maxlen=1)
    sampler = nutpie.sample(
        model,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=threads,
        seed=seed,
        target_accept=target_accept,
        save_warmup=False,
        progress_bar=False,
        progress_callback=latest.append if watchers else None,
        progress_rate=int(1000 * PERIOD),
        return_raw_trace=True,
        blocking=False,
    )
    try:
        while (trace := _wait(sampler, PERIOD if watchers else None)) is None:
            for watcher in watchers if latest else ():
                watcher(*_state(latest[0]))
        sampled = _extract(trace, draws)
        for watcher in watchers:
            watcher([tune + draws] * chains, int(np.sum(sampled.statistics["diverging"])))
    except BaseException:
        sampler.cancel()
        raise
    return sampled


def _wait(sampler: Any, seconds: float | None) -> Any:
    """Return the trace, or None if it is not finished by then."""
    try:
        return sampler.wait(timeout=seconds)
    except TimeoutError:
        return None
    except RuntimeError as error:
        msg = f"Sampling failed: {str(error).splitlines()[0]}. Check the data and `priors`."
        raise ValueError(msg) from error


def _state(chains: Any) -> tuple[list[int], int]:
    """Return what watchers are told: nutpie keeps an account of the chains."""
    finished = [chain.finished_draws for chain in chains]
    return finished, sum(chain.divergences for chain in chains)


class _Deferred(ModuleType):
    """A module that is imported when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def _import_nutpie() -> Any:
    """Import nutpie without the whole of ArviZ, with its plots, which it imports.

    nutpie has ArviZ convert traces, which this module reads itself. The import would cost every
    fresh process a second.
    """
    if "arviz" in sys.modules:
        return importlib.import_module("nutpie")
    sys.modules["arviz"] = _Deferred("arviz")
    try:
        return importlib.import_module("nutpie")
    finally:
        del sys.modules["arviz"]


def _compiled_model(density: TargetDensity) -> Any:
    """Return what nutpie samples: two C callbacks and a pointer to the table they read."""
    from nutpie.compile_pymc import CompiledPyMCModel

    evaluate, expand = density.callbacks()
    n = max(density.n_dim, DIMENSIONS)
    start = np.concatenate([density.start, np.zeros(n - density.n_dim)])
    # Natural values come with what the companions add to the log density.
    n_values = density.n_dim + 1

    def initial_point(seed: int) -> Float:
        return start + JITTER * np.random.default_rng(seed).standard_normal(n)

    return CompiledPyMCModel(
        dims={},
        compiled_logp_func=evaluate,
        compiled_expand_func=expand,
        initial_point_func=initial_point,
        shared_data={"density": density},
        shared_var_keys={},
        user_data=density.table(),
        n_expanded=n_values,
        shape_info=(["x"], [slice(0, n_values)], [(n_values,)]),
        logp_func=None,
        expand_func=None,
        _n_dim=n,
        _shapes={"x": (n_values,)},
        _coords={},
    )


def _extract(trace: Any, draws: int) -> Draws:
    """Read the draws after tuning from nutpie's Arrow batches, one for each chain."""
    import pyarrow as pa

    values = []
    statistics: dict[str, list[NDArray[Any]]] = {name: [] for name in STATISTICS}
    for batch, stats in zip(*trace.get_arrow_trace(), strict=True):
        flat = pa.array(batch.column("x")).flatten().to_numpy()
        values.append(flat.reshape(batch.num_rows, -1)[-draws:])
        for name in STATISTICS:
            column = pa.array(stats.column(name))
            statistics[name].append(column.to_numpy(zero_copy_only=False)[-draws:])
    all_values = np.stack(values)
    stacked = {name: np.stack(v) for name, v in statistics.items()}
    stacked["logp"] = stacked["logp"] - all_values[:, :, -1]
    return Draws(all_values[:, :, :-1], stacked, "nuts")
