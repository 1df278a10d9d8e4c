"""The HTML representation: what scikit-learn shows of an estimator in a notebook."""

import html
import re
import tomllib
from email.message import Message
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from structures import fit, rows_of

from skhbm import HierarchicalNormalRegressor, Prior

PRIORS = {
    "tau": Prior("HalfNormal", sigma=1),
    "coef": {"x0": Prior("Normal", mu=0, sigma=1)},
}
PAGE = "generated/skhbm.HierarchicalNormalRegressor.html"


@pytest.fixture(scope="module")
def model():
    return fit(rows_of(5), priors=PRIORS)


def shown(estimator):
    """What is read, tags left out."""
    return html.unescape(re.sub(r"<[^>]*>", " ", estimator._repr_html_()))


def test_parameters_are_shown(model):
    text = re.sub(r"\s+", " ", shown(model))
    assert f"priors {{'coef': {PRIORS['coef']}, 'tau': {PRIORS['tau']}}}" in text
    assert "residual_scale 'shared'" in text


def test_fitted_attributes_are_shown(model):
    table = model._get_fitted_attr_html()
    assert set(table) == {name for name in vars(model) if name.endswith("_")}
    assert "ndarray[float64](2,)" in shown(model)


def test_attributes_that_would_be_computed_are_not(model, monkeypatch):
    def compute(self):
        raise AssertionError

    properties = [
        (kind, name)
        for kind in type(model).__mro__
        for name, value in vars(kind).items()
        if isinstance(value, property) and name.endswith("_") and not name.startswith("_")
    ]
    assert {"posterior_", "model_", "shrinkage_"} <= {name for _, name in properties}
    for kind, name in properties:
        monkeypatch.setattr(kind, name, property(compute))
    assert "coef_" in shown(model)


def test_estimator_that_is_not_fitted_has_a_representation():
    text = shown(HierarchicalNormalRegressor(priors=PRIORS))
    assert "Not fitted" in text
    assert "Fitted attributes" not in text


def test_pipelines_and_searches_show_the_estimator():
    X, y, groups = rows_of(5)
    pipeline = make_pipeline(
        StandardScaler(), HierarchicalNormalRegressor(priors=PRIORS, random_state=0)
    )
    pipeline.fit(X, y, hierarchicalnormalregressor__groups=groups)
    for outer in (pipeline, GridSearchCV(pipeline, {})):
        assert f"'tau': {PRIORS['tau']}" in shown(outer)
    assert "group_scale_" in shown(pipeline)


def test_link_leads_to_the_documentation_that_the_project_names():
    file = Path(__file__).parents[2] / "pyproject.toml"
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    site = project.get("urls", {}).get("Documentation")
    link = HierarchicalNormalRegressor()._get_doc_link()
    assert link == (f"{site.rstrip('/')}/{PAGE}" if site else "")


def say(monkeypatch, *urls):
    said = Message()
    for url in urls:
        said["Project-URL"] = url
    monkeypatch.setattr("skhbm._estimators.doc_link.metadata", lambda _: said)


@pytest.mark.parametrize("site", ["https://docs.test", "https://docs.test/"])
def test_link_is_that_of_the_metadata(site, monkeypatch):
    say(monkeypatch, "Source, https://source.test", f"documentation, {site}")
    model = HierarchicalNormalRegressor()
    assert model._get_doc_link() == f"https://docs.test/{PAGE}"
    assert f'href="https://docs.test/{PAGE}"' in model._repr_html_()


def test_there_is_no_link_if_the_metadata_name_no_documentation(monkeypatch):
    say(monkeypatch, "Source, https://source.test")
    model = HierarchicalNormalRegressor()
    assert model._get_doc_link() == ""
    assert "href" not in model._repr_html_()


def test_there_is_no_link_if_the_package_is_not_installed(monkeypatch):
    def metadata(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("skhbm._estimators.doc_link.metadata", metadata)
    assert HierarchicalNormalRegressor()._get_doc_link() == ""


def test_subclass_of_another_package_has_no_link(monkeypatch):
    class Mine(HierarchicalNormalRegressor):
        pass

    say(monkeypatch, "Documentation, https://docs.test")
    assert Mine()._get_doc_link() == ""
