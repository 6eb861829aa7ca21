from types import SimpleNamespace

import pytest

from p2o.report.drawing import page_library


@pytest.fixture
def drawing():
    made = []

    def bundle() -> str:
        made.append(1)
        return f"vega {len(made)}"

    return SimpleNamespace(__version__="1.2.3", javascript_bundle=bundle)


def test_what_the_page_draws_with_is_made_once_for_each_version(tmp_path, monkeypatch, drawing):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert page_library(drawing) == page_library(drawing) == "vega 1"
    drawing.__version__ = "1.2.4"
    assert page_library(drawing) == "vega 2"
    kept = {path.name for path in (tmp_path / "p2o").iterdir()}
    assert kept == {"vega-1.2.3.js", "vega-1.2.4.js"}


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, drawing):
    (tmp_path / "p2o").write_text("a file where the folder belongs")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert [page_library(drawing) for _ in range(2)] == ["vega 1", "vega 2"]
