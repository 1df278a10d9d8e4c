"""Where the documentation of an estimator is, for the link in its HTML representation."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata

__all__ = ["page_template"]

#: Where the site has an estimator's page, in scikit-learn's words.
PAGE = "generated/{estimator_module}.{estimator_name}.html"


def page_template() -> str:
    """Return the address of an estimator's page on the site that the package's metadata name.

    It is empty, and there is no link, if they name none: ``Documentation`` in the table
    ``[project.urls]`` of pyproject.toml is the one place that says where the site is.
    """
    try:
        urls = metadata("skhbm").get_all("Project-URL", [])
    except PackageNotFoundError:
        return ""
    for entry in urls:
        label, _, site = entry.partition(", ")
        if label.lower() == "documentation":
            return f"{site.rstrip('/')}/{PAGE}"
    return ""
