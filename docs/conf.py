"""Configuration of the documentation: ``python -m sphinx -W docs docs/_build/html``.

Everything that a page needs is on the disk: the site is built and read without a network.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import skhbm

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from api_page import write_api_page  # noqa: E402  # beside this file
from folders import write_folders_table  # noqa: E402  # beside this file

project = "skhbm"
author = copyright = "the skhbm developers"
version = release = skhbm.__version__

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates", "figures"]
templates_path = ["_templates"]
default_role = "literal"
smartquotes = False  # types such as {"shared", "by_group"} are code
toc_object_entries_show_parents = "hide"

# The inventories of other projects come over the network. Without them their names are printed
# as code; with SKHBM_DOCS_ONLINE=1 they are links.
if os.environ.get("SKHBM_DOCS_ONLINE"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "arviz": ("https://python.arviz.org/en/stable", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "pandas": ("https://pandas.pydata.org/docs", None),
        "pymc": ("https://www.pymc.io/projects/docs/en/stable", None),
        "python": ("https://docs.python.org/3", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "xarray": ("https://docs.xarray.dev/en/stable", None),
    }

# A reference to a name of this package that does not exist is an error.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(arviz|numpy|pandas|pymc|sklearn|xarray).*")]

# The reference: stubs are made anew, and a name in `skhbm.__all__` is on the page by itself.
write_api_page(HERE / "api.rst")
write_folders_table(HERE / "folders.inc")
autosummary_generate = True
autosummary_generate_overwrite = True
autodoc_typehints = "none"  # the docstrings say more
autodoc_default_options = {"member-order": "bysource"}
numpydoc_show_class_members = False
# numpydoc prints the first line of a property in place of what the class says of the attribute.
_estimators = [
    getattr(skhbm, name) for name in skhbm.__all__ if name.startswith("Hierarchical")
]
for _kind in {kind for estimator in _estimators for kind in estimator.__mro__}:
    for _name, _thing in vars(_kind).items():
        if isinstance(_thing, property) and _name.endswith("_"):
            _thing.__doc__ = None

# Formulas: one file of MathJax, from a package, instead of a content delivery network.
_mathjax = importlib.util.find_spec("sphinx-mathjax-offline")
assert _mathjax is not None, "pip install -e '.[doc]'"
assert _mathjax.submodule_search_locations is not None
MATHJAX = Path(_mathjax.submodule_search_locations[0]) / "static" / "mathjax" / "tex-svg.js"
mathjax_path = MATHJAX.name
mathjax3_config = {
    # The pages of the site are no place for MathJax's own menu, nor for what it would fetch.
    "options": {"enableMenu": False},
}

html_theme = "pydata_sphinx_theme"
html_title = "skhbm documentation"
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_static_path = ["_static", str(MATHJAX)]
html_css_files = ["skhbm.css"]
# Pages without others below them have nothing to navigate.
WITHOUT_PAGES_BELOW = "benchmarks", "choosing", "start", "translation", "whats_new", "words"
html_sidebars = {page: [] for page in WITHOUT_PAGES_BELOW}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "skhbm", "alt_text": "skhbm"},
    "header_links_before_dropdown": 5,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_nav_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}

copybutton_exclude = ".linenos, .gp, .go"  # prompts and output are not copied

plot_formats = ["svg"]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_include_source = False
plot_rcparams = {"font.size": 10, "svg.fonttype": "path"}

sphinx_gallery_conf: dict[str, Any] = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"\.py$",  # all of them are run
    "ignore_pattern": r"__init__\.py",
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skhbm",),
    "reference_url": {"skhbm": None},
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    # No times on the pages: builds of the same sources are equal. (The page of times would also
    # load scripts over the network.)
    "min_reported_time": 10_000,
    "write_computation_times": False,
}


def skip_member(
    app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out what docstrings of classes list, and requests of metadata."""
    del app, what, skip, options
    fitted = isinstance(thing, property) and name.endswith("_")
    routing = name.endswith(("_request", "_metadata_routing"))
    return True if fitted or routing or inspect.ismemberdescriptor(thing) else None


def setup(app: Sphinx) -> None:
    """Connect what is above."""
    app.connect("autodoc-skip-member", skip_member)
