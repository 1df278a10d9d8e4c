"""Watchers of the chains: scikit-learn's callbacks, and the line that `verbose` shows.

Each watcher is called by the thread that waits for the sampler, ten times a second, with the
number of finished draws of each chain, tuning included, and of divergences. An exception of a
watcher stops the chains.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ChainTasks", "ProgressLine"]

#: Tasks that a chain is divided into. A task for each draw would cost more than the draw.
BLOCKS = 50
#: Characters of the bar of `verbose`.
BAR = 20


class ChainTasks:
    """The tasks below "fit" that callbacks are told of: chains, and below each blocks of draws.

    Parameters
    ----------
    fit : CallbackContext
        Of the task "fit", with a subtask for each chain.
    chains, draws : int
        Number of chains, and of draws in each.
    **arguments : Any
        What hooks of callbacks are called with: the estimator, X, y and metadata.
    """

    def __init__(self, fit: Any, chains: int, draws: int, **arguments: Any) -> None:
        self._fit = fit
        self._draws = draws
        self._block = -(-draws // BLOCKS)
        self._n_blocks = -(-draws // self._block)
        self._arguments = arguments
        self._chains: list[Any] = [None] * chains
        self._blocks: list[Any] = [None] * chains
        self._ended = [0] * chains

    def __call__(self, finished: Sequence[int], divergences: int) -> None:  # noqa: ARG002  # watchers are called with both
        """Begin and end the tasks that have begun and ended."""
        for chain, draws in enumerate(finished):
            self._advance(chain, draws)

    def _advance(self, chain: int, draws: int) -> None:
        if self._chains[chain] is None and draws > 0:
            self._chains[chain] = self._fit.subcontext(
                task_name="chain", task_id=chain, max_subtasks=self._n_blocks
            )
            self._begin(self._chains[chain])
            self._begin_block(chain)
        ended = self._n_blocks if draws >= self._draws else draws // self._block
        while self._ended[chain] < ended:
            self._end(self._blocks[chain])
            self._ended[chain] += 1
            if self._ended[chain] < self._n_blocks:
                self._begin_block(chain)
            else:
                self._end(self._chains[chain])

    def _begin_block(self, chain: int) -> None:
        self._blocks[chain] = self._chains[chain].subcontext(task_name="draws")
        self._begin(self._blocks[chain])

    def _begin(self, task: Any) -> None:
        task.call_on_fit_task_begin(**self._arguments)

    def _end(self, task: Any) -> None:
        # Callbacks that ask to stop are not obeyed: a posterior needs the draws of all chains.
        task.call_on_fit_task_end(**self._arguments)


class ProgressLine:
    """One line of text: how far sampling is, and in the end what came of it.

    It is shown over and over where that can be seen, in a terminal and in a notebook. A file or
    a pipe gets its last state only. (scikit-learn's ProgressBar shows nothing but warnings in a
    notebook without ipywidgets; nutpie's bars are wider than a terminal, and leave the cursor
    behind the last one.)

    Parameters
    ----------
    draws : int
        Number of draws in each chain, those of tuning included.
    stream : file or None
        Where to write; nothing is if None.
    """

    def __init__(self, draws: int, stream: TextIO | None) -> None:
        self._draws = draws
        self._screen = _Notebook() if _is_notebook(stream) else _Stream(stream)
        self._started: float | None = None

    def __enter__(self) -> Self:
        """Say that there is something to wait for."""
        if self._screen.live:
            self._screen.show("Compiling ...")
        return self

    def __exit__(self, *error: object) -> None:
        """End the line, also if the fit has failed."""
        self._screen.end()

    def __call__(self, finished: Sequence[int], divergences: int) -> None:
        """Show a bar, the time so far and the time left, and divergences."""
        share = sum(finished) / (self._draws * len(finished))
        if not self._screen.live or share == 0:
            return
        now = time.perf_counter()
        if self._started is None:
            self._started = now
        elapsed = now - self._started
        left = f"{_clock(elapsed * (1 - share) / share)} left, " if elapsed else ""
        bar = "#" * int(BAR * share)
        self._screen.show(
            f"[{bar:.<{BAR}}] {int(100 * share):3d}%  {_clock(elapsed)}, {left}"
            f"{divergences} divergences"
        )

    def conclude(self, shape: tuple[int, int], diagnostics: dict[str, Any]) -> None:
        """Show what was sampled, and how well."""
        rhat = f"R-hat <= {diagnostics['max_rhat']:.3f}"
        bad = f"{diagnostics['n_divergences']} divergences"
        if diagnostics["pareto_k"] is not None:
            rhat = f"Pareto k {diagnostics['pareto_k']:.2f}"
            bad = f"no chains (importance sampling, {diagnostics['n_points']} points)"
        self._screen.show(
            f"{shape[0]} x {shape[1]} draws in {diagnostics['seconds']:.1f} s: "
            f"{rhat}, ESS >= {diagnostics['min_ess']:.0f}, {bad}"
        )


class _Stream:
    """A terminal, where a carriage return goes back to the start of the line; or a file."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.live = stream is not None and stream.isatty()
        self._width = 0

    def show(self, text: str) -> None:
        self._write(("\r" if self._width else "") + text.ljust(self._width))
        self._width = len(text)

    def end(self) -> None:
        if self._width:
            self._write("\n")

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()


class _Notebook:
    """An output that is replaced: carriage returns would be kept in the notebook's file."""

    live = True
    _handle: Any = None

    def show(self, text: str) -> None:
        from IPython.display import display

        bundle = {"text/plain": text}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def end(self) -> None:
        """Do nothing: an output ends by itself."""


def _is_notebook(stream: Any) -> bool:
    return type(stream).__module__.startswith("ipykernel.")


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
