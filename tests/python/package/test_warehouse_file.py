"""A warehouse that cannot be used is told at once, with what to do, and without a traceback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from conftest import PROJECT

from retail_warehouse import warehouse_file
from retail_warehouse.warehouse_file import WarehouseProblem, refuse_unusable


def refused(path: Path | str) -> str:
    with pytest.raises(WarehouseProblem) as problem:
        refuse_unusable(str(path))
    return str(problem.value)


@pytest.mark.parametrize(
    "name", ["instacart", "Staging", "audit", "main", "temp", "system", "online_retail.v2", ".reports"]
)
def test_a_name_that_something_else_has_is_refused(tmp_path, name):
    assert "is the name of a schema in it. Set WAREHOUSE_PATH" in refused(tmp_path / f"{name}.duckdb")


@pytest.mark.parametrize("name", ["a;b", "a#b", "what?", "o'neil", 'a"b', "a\\b", "a\nb"])
def test_a_character_that_duckdb_cannot_attach_is_refused(tmp_path, name):
    assert "cannot be part of its path" in refused(tmp_path / f"{name}.duckdb")


def test_a_folder_that_cannot_be_used_is_named(tmp_path, monkeypatch):
    assert f"mkdir -p {tmp_path / 'gone'}" in refused(tmp_path / "gone/warehouse.duckdb")
    assert "is a folder" in refused(tmp_path)
    monkeypatch.setattr(warehouse_file.os, "access", lambda path, mode: False)
    assert "Permission denied" in refused(tmp_path / "warehouse.duckdb")


def test_a_folder_in_which_no_file_can_be_made_is_named(tmp_path, monkeypatch):
    """The system may say that it can be written, as of /proc, and be wrong."""

    def refuse(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(warehouse_file.tempfile, "TemporaryFile", refuse)
    assert f"{tmp_path} cannot be written: Read-only file system. Set WAREHOUSE_PATH" in refused(tmp_path / "w.duckdb")


def test_a_relative_path_outside_of_the_project_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"would lie in {tmp_path}, which is not the project's folder" in refused("warehouse.duckdb")
    monkeypatch.chdir(PROJECT)
    refuse_unusable("not there yet.duckdb")
    refuse_unusable(":memory:")


def test_a_file_that_cannot_be_opened_is_told(tmp_path):
    path = tmp_path / "warehouse.duckdb"
    for content in (b"", b"no warehouse" * 2000):
        path.write_bytes(content)
        assert "Move it away and build again" in refused(path)
    path.unlink()
    duckdb.connect(str(path)).close()
    refuse_unusable(str(path))
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        told = refused(path)
        other.communicate()
    assert "Conflicting lock is held" in told
    assert "Another program has the warehouse open" in told


def test_dbt_tells_before_it_parses(tmp_path):
    """Which takes ten seconds where the path is another one than before."""
    shutil.copy(PROJECT / "profiles.yml.example", tmp_path / "profiles.yml")
    environment = os.environ | {
        "WAREHOUSE_PATH": str(tmp_path / "gone/warehouse.duckdb"),
        "DBT_TARGET_PATH": str(tmp_path),
    }
    environment |= {"DBT_PROFILES_DIR": str(tmp_path), "DBT_LOG_PATH": str(tmp_path)}
    command = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "build"]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"The folder of the warehouse, {tmp_path}/gone, does not exist. Make it (mkdir -p" in done.stdout
    assert "Registered adapter" not in done.stdout
    assert not [*tmp_path.glob("*.msgpack"), *tmp_path.glob("*.json")]
    assert "Traceback" not in done.stdout + done.stderr


def test_every_schema_of_the_project_is_known(built):
    nodes = json.loads(built.manifest.read_text())
    schemas = {node["schema"] for node in [*nodes["nodes"].values(), *nodes["sources"].values()]}
    assert {name for name in schemas if not name.endswith("dbt_test__audit")} <= {*warehouse_file.SCHEMAS, "main"}
