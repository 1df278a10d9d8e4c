"""The folders of the package and who imports whom, read from the sources.

``conf.py`` writes the table of the page on the architecture with it, and
``figures/folders.py`` draws the imports: neither can drift from the code.
"""

from __future__ import annotations

import ast
import statistics
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "skhbm"

ROW = """\
   * - ``{name}``
     - {sentence}
     - {files}
     - {lines:.0f}
"""


def folders() -> list[str]:
    """Return the folders from top to ground: the layers that import-linter holds them to."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    return [name.strip() for layer in layers for name in layer.split("|")]


def imports() -> Counter[tuple[str, str]]:
    """Count the imports between folders, those for annotations included."""
    found: Counter[tuple[str, str]] = Counter()
    for path in PACKAGE.rglob("*.py"):
        here = _folder(path.relative_to(PACKAGE).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("skhbm."):
                there = _folder(str(node.module).split(".")[1:])
                found[here, there] += here not in ("", there)
    return +found


def write_folders_table(path: Path) -> None:
    """Write a table: each folder, its sentence, how many files, and their median length."""
    rows = [_row(name) for name in folders()]
    head = [
        ".. This table is written by folders.py.\n",
        ".. list-table::\n   :header-rows: 1\n   :widths: 18 62 8 12\n",
        "   * - folder\n     - what lives there\n     - files\n     - lines, median\n",
    ]
    text = "\n".join(head) + "".join(rows)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _row(name: str) -> str:
    """Return a folder's row; its sentence is the first of its ``__init__.py``."""
    folder = PACKAGE / name
    if not folder.is_dir():
        folder = folder.with_suffix(".py")
    init = folder / "__init__.py" if folder.is_dir() else folder
    sentence = str(ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))))
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder]
    # A folder whose __init__ has no more than its sentence is as many files as the others.
    counted = [file for file in files if file != init or len(files) == 1] or files
    lines = [len(file.read_text(encoding="utf-8").splitlines()) for file in counted]
    return ROW.format(
        name=name,
        sentence=" ".join(sentence.split("\n\n")[0].split()),
        files=len(counted),
        lines=statistics.median(lines),
    )


def _folder(parts: list[str] | tuple[str, ...]) -> str:
    """Return the folder of a module, or the empty string for the package itself."""
    return "" if parts[0] == "__init__" else parts[0]
