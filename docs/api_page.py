"""The page of the API, written from ``skhbm.__all__``: a new name is on it by itself."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import TYPE_CHECKING

import skhbm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAD = """\
.. This page is written by api_page.py.

API
===

.. meta::
   :description: Every public name of skhbm: the estimators, their inputs, metrics, displays and
      data sets.

.. currentmodule:: skhbm

Import these names from ``skhbm``. Names that start with an underscore are nobody's business
but the package's own, and may change without notice.
"""

SECTION = """
{title}
{line}

{text}

.. autosummary::
   :nosignatures:
   :toctree: generated

{names}
"""


ESTIMATORS = "One for each kind of target: :doc:`user_guide/responses` helps to choose."


def write_api_page(path: Path) -> None:
    """Write the page, unless it is there as it should be."""
    text = HEAD + "".join(_sections())
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _sections() -> Iterator[str]:
    """Yield the estimators, what goes with it, the displays, and each public module."""
    things = {name: getattr(skhbm, name) for name in skhbm.__all__}
    modules = {name: one for name, one in things.items() if isinstance(one, ModuleType)}
    estimators = [name for name, one in things.items() if hasattr(one, "fit")]
    displays = [name for name in things if name.endswith("Display")]
    others = [name for name in things if name not in (*modules, *estimators, *displays)]
    yield _section("Estimators", ESTIMATORS, estimators)
    yield _section("Priors and statistics", "", others)
    if displays:
        text = "Pictures of a fitted estimator; they need matplotlib."
        yield _section("Displays", text, displays)
    for name, module in modules.items():
        # Text refers to modules; the names below it are those that `skhbm` has.
        place = f".. module:: skhbm.{name}\n\n.. currentmodule:: skhbm\n\n"
        text = place + inspect.cleandoc(module.__doc__ or "")
        members = [f"{name}.{member}" for member in module.__all__]
        yield _section(f"``skhbm.{name}``", text, members)


def _section(title: str, text: str, names: list[str]) -> str:
    listed = "\n".join(f"   {name}" for name in names)
    return SECTION.format(title=title, line="-" * len(title), text=text, names=listed)
