"""The address of an estimator's documentation, for the link in its HTML representation."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata

__all__ = ["page_template"]

#: The place of an estimator's page on the site, with scikit-learn's placeholders.
PAGE = "generated/{estimator_module}.{estimator_name}.html"


def page_template() -> str:
    """Return the address of an estimator's page on the site that the package's metadata name.

    ``Documentation`` in the table ``[project.urls]`` of pyproject.toml is the only place that
    names the site. Without it the address is empty, and there is no link.
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
