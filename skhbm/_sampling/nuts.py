"""NUTS by nutpie on the compiled target: draws, sampler statistics, diagnostics."""

from __future__ import annotations

import importlib
import sys
from collections import deque
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from skhbm._density.one_factor import Evaluated
    from skhbm._types import Float

    Watcher = Callable[[Sequence[int], int], None]


__all__ = ["Draws", "finite_start", "prepare", "sample"]

#: Sd of the chains' starting points about the common one.
JITTER = 0.5
#: Dimensions that NUTS works in at least. In two or three a U-turn comes after one step or
#: three; with independent standard normals as companions trajectories go half round, draws
#: alternate about the mean, and their effective number is above their number. (nutpie's
#: `mindepth` and `extra_doublings` do so too, but change the distribution that is sampled:
#: standard deviations came out 5 % off.)
DIMENSIONS = 10
#: Seconds between two looks at the chains.
PERIOD = 0.1
STATISTICS = ("diverging", "depth", "n_steps", "step_size", "energy", "logp")


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Posterior draws of the natural hyperparameters.

    Parameters
    ----------
    values : ndarray of shape (n_chains, n_draws, n_dim)
        In the order of `Target`.
    statistics : dict of ndarray of shape (n_chains, n_draws)
    moments : ndarray of shape (n_chains * n_draws, k + 1, k + 1) or None
        Those of the integrated coefficients, if they are known: see `skhbm._density.evaluation`.
    """

    values: Float
    statistics: dict[str, NDArray[Any]]
    moments: Float | None = None


def prepare(target: Evaluated, start: Float) -> Any:
    """Compile what is not compiled yet; return what `sample` samples."""
    _import_nutpie()
    return _compiled_model(target, start)


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
    """Run NUTS, watched or not; an interrupt stops the chains and is raised again.

    So does what a watcher raises. They are told the number of finished draws of each chain,
    those of tuning included, and the number of divergences.
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
    """Return what watchers are told of nutpie's account of the chains."""
    finished = [chain.finished_draws for chain in chains]
    return finished, sum(chain.divergences for chain in chains)


def finite_start(target: Evaluated, start: Float) -> Float:
    """Return a point at `start` or about it where the density is finite.

    Raises ValueError if there is none: nutpie would crash.
    """
    jitter = JITTER * np.random.default_rng(0).standard_normal((8, len(start)))
    for point in (start, *(start + jitter)):
        logp, gradient = target.value_and_gradient(point)
        if np.isfinite(logp) and np.all(np.isfinite(gradient)):
            return point
    msg = (
        "The posterior density is not finite where sampling starts. Check that `priors` "
        "allow what the data say: their scales, and the bounds of their support."
    )
    raise ValueError(msg)


class _Deferred(ModuleType):
    """A module that is imported when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def _import_nutpie() -> Any:
    """Import nutpie without the whole of ArviZ, with its plots, that it imports.

    ArviZ converts traces there, which we read ourselves. It would cost every fresh process
    a second.
    """
    if "arviz" in sys.modules:
        return importlib.import_module("nutpie")
    sys.modules["arviz"] = _Deferred("arviz")
    try:
        return importlib.import_module("nutpie")
    finally:
        del sys.modules["arviz"]


def _compiled_model(target: Evaluated, start: Float) -> Any:
    """Return what nutpie samples: two C callbacks and a pointer to the target's table."""
    from nutpie.compile_pymc import CompiledPyMCModel

    density, expand = target.callbacks()
    n_own = target.n_dim
    n = max(n_own, DIMENSIONS)
    companions = np.zeros(n - n_own)

    def initial_point(seed: int) -> Float:
        jitter = np.random.default_rng(seed).standard_normal(n)
        return np.concatenate([start, companions]) + JITTER * jitter

    return CompiledPyMCModel(
        dims={},
        compiled_logp_func=density,
        compiled_expand_func=expand,
        initial_point_func=initial_point,
        shared_data={"target": target},
        shared_var_keys={},
        user_data=target.table(),
        n_expanded=n_own + 1,
        shape_info=(["x"], [slice(0, n_own + 1)], [(n_own + 1,)]),
        logp_func=None,
        expand_func=None,
        _n_dim=n,
        _shapes={"x": (n_own + 1,)},
        _coords={},
    )


def _extract(trace: Any, draws: int) -> Draws:
    """Read the draws after tuning from nutpie's Arrow batches."""
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
    return Draws(all_values[:, :, :-1], stacked)
