"""Unit tests are left out of a plain build only where they passed on the same code, versions and settings."""

import shutil
from pathlib import Path

import pytest
from conftest import PROJECT

from retail_warehouse.unit_tests import PassedBefore


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a model, a macro, a seed and a profile, whose three unit tests have passed."""
    for name in ("models/marts/instacart", "macros/project", "seeds/reference"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    shutil.copy(PROJECT / "dbt_project.yml", tmp_path)
    shutil.copy(PROJECT / "profiles.yml.example", tmp_path / "profiles.yml")
    (tmp_path / "target").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path))
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "target"))
    assert PassedBefore().count == 0
    PassedBefore().note(3)
    return tmp_path


def test_the_same_code_has_passed_before(project):
    assert PassedBefore().count == 3
    assert PassedBefore().count == 3


@pytest.mark.parametrize(
    "changed",
    [
        "models/marts/instacart/orders.sql",
        "models/marts/instacart/_instacart__unit_tests.yml",
        "macros/project/relation_of.sql",
        "seeds/reference/service_stock_codes.csv",
        "dbt_project.yml",
        "profiles.yml",
    ],
)
def test_a_change_makes_them_run_again(project, changed):
    path = Path(changed)
    before = path.read_text()
    path.write_text(before + "\n")
    assert PassedBefore().count == 0
    path.write_text(before)
    assert PassedBefore().count == 3


def test_a_new_or_renamed_file_makes_them_run_again(project):
    Path("macros/project/more.sql").write_text("")
    assert PassedBefore().count == 0
    Path("macros/project/more.sql").unlink()
    Path("macros/project/relation_of.sql").rename("macros/project/relation.sql")
    assert PassedBefore().count == 0


def test_another_setting_or_version_makes_them_run_again(project, monkeypatch):
    monkeypatch.setenv("DBT_TARGET", "prod")
    assert PassedBefore().count == 0
    monkeypatch.delenv("DBT_TARGET")
    monkeypatch.setattr("retail_warehouse.unit_tests.metadata.version", lambda package: "0.0")
    assert PassedBefore().count == 0


@pytest.mark.parametrize("note", ["", "nonsense", "a b c", "\n"])
def test_a_note_that_cannot_be_read_is_none(project, note):
    Path("target/unit_tests_passed").write_text(note)
    assert PassedBefore().count == 0


def test_a_build_without_unit_tests_notes_nothing(project):
    Path("target/unit_tests_passed").unlink()
    PassedBefore().note(0)
    assert not Path("target/unit_tests_passed").exists()
