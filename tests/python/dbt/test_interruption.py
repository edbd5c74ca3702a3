"""A build that is killed leaves tables that can be read, and the next build is right."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from conftest import INSTACART, MODELS, ONLINE_RETAIL, PROJECT, Dbt, wait_for_output
from shared.comparison import differences, relations, relations_in

from retail_warehouse.generate import instacart

pytestmark = pytest.mark.slow


@dataclass
class Builds:
    """A warehouse of older files, and one to which a build of one source turned it without a disturbance."""

    data: Path
    old: Path
    undisturbed: Path
    names: list[str]
    nodes: int


# A build of one source and of what is of both; those of the other source have no part in it.
SELECTED = {"instacart": INSTACART, "online_retail": ONLINE_RETAIL}
# The first is within the hooks, the others after the start of every second node or so.
KILLS = [("instacart", moment) for moment in range(14)] + [("online_retail", moment) for moment in range(7)]


@pytest.fixture(scope="module")
def builds(_session_dbt: Dbt, small, made_once) -> dict[str, Builds]:
    def make(folder: Path) -> None:
        instacart.generate(9, 3, folder / "old")
        _session_dbt.clear()
        assert _session_dbt(*MODELS, data=folder / "old").ok
        shutil.copy(_session_dbt.warehouse, folder / "old.duckdb")
        for source, selected in SELECTED.items():
            _session_dbt.clear()
            shutil.copy(folder / "old.duckdb", _session_dbt.warehouse)
            undisturbed = _session_dbt(*MODELS, *selected, data=small.data)
            assert undisturbed.ok, undisturbed.output
            shutil.copy(_session_dbt.warehouse, folder / f"{source}.duckdb")
            (folder / f"{source}.txt").write_text(undisturbed.output)

    folder = made_once("killed_builds", make)
    found = {}
    for source in SELECTED:
        # Not those of the hooks, which are counted by themselves.
        nodes = int(re.search(r"1 of (\d+) START sql", (folder / f"{source}.txt").read_text())[1])
        names = relations_in(folder / f"{source}.duckdb")
        assert {"staging.stg_instacart__orders", "instacart.fct_orders", "audit.rejected_rows"} <= set(names)
        found[source] = Builds(small.data, folder / "old.duckdb", folder / f"{source}.duckdb", names, nodes)
    assert [build.nodes > 15 for build in found.values()] == [True, True]
    assert len(KILLS) == 21
    return found


@pytest.mark.parametrize(("source", "moment"), KILLS)
def test_a_killed_build_is_made_good_by_the_next(dbt, builds, source, moment):
    of_source = builds[source]
    shutil.copy(of_source.old, dbt.warehouse)
    build = dbt.start(*MODELS, *SELECTED[source], data=of_source.data)
    last = max(number for name, number in KILLS if name == source)
    number = 1 + moment * (of_source.nodes - 1) // last
    wait_for_output(dbt, build, f" {number} of {of_source.nodes} START " if moment else " START hook: ")
    build.kill()
    build.join()
    assert build.exitcode == -signal.SIGKILL
    # Every mart can be read, whether it holds the old or the new rows.
    assert dbt.query("select count(*) from instacart.aisles") == [(134,)]
    for name in of_source.names:
        if name.startswith(("instacart.", "online_retail.", "audit.")):
            dbt.query(f"select count(*) from {name}")
    rerun = dbt(*MODELS, *SELECTED[source], data=of_source.data)
    assert rerun.ok, rerun.output
    assert relations(dbt) == of_source.names
    assert differences(dbt, of_source.names, of_source.undisturbed) == {}


def test_the_comparison_sees_a_difference(built_dbt, data, small):
    data.append("aisles", "135,new")
    assert built_dbt("run", "--select", "tag:instacart", data=data).ok
    found = differences(built_dbt, relations(built_dbt), small.warehouse)
    assert found["instacart.aisles"] == 1
    assert "instacart.orders" not in found


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 200 MB, and a function that changes its size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(megabytes: int, *options: str) -> bool:
        size = ",".join([f"size={megabytes}m", *options])
        return (
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], capture_output=True).returncode == 0
        )

    if not mount(200):
        pytest.skip("a small disk can only be mounted by root")
    yield folder, lambda megabytes: mount(megabytes, "remount")
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_and_then_a_larger_one(built_dbt, small_disk):
    dbt = built_dbt
    folder, resize = small_disk
    before = dbt.query("select * from instacart.fct_orders order by all")
    names = relations(dbt)
    shutil.copy(dbt.warehouse, folder / "warehouse.duckdb")
    more = folder.parent / "more"
    instacart.generate(150, 3, more)
    assert resize(2 + (folder / "warehouse.duckdb").stat().st_size // 2**20)
    on_disk = {"data": more, "WAREHOUSE_PATH": str(folder / "warehouse.duckdb")}
    build = (*MODELS, *INSTACART)
    full = dbt(*build, **on_disk)
    assert not full.ok
    assert "No space left on device" in full.output
    assert full.output.count("Free space there, or let WAREHOUSE_PATH name a file on a larger disk") == 1
    shutil.copytree(folder, folder.parent / "copy")
    with contextlib.closing(duckdb.connect(str(folder.parent / "copy" / "warehouse.duckdb"))) as connection:
        for name in names:
            connection.execute(f"select count(*) from {name}").fetchall()
        assert connection.execute("select * from instacart.fct_orders order by all").fetchall() == before
    assert resize(200)
    rerun = dbt(*build, **on_disk)
    assert rerun.ok, rerun.output
    assert dbt(*build, data=more).ok
    assert differences(dbt, names, folder / "warehouse.duckdb") == {}


def test_a_memory_limit_that_is_too_low(built_dbt, small):
    dbt = built_dbt
    names = relations(dbt)
    build = (*MODELS, *INSTACART, "--full-refresh")
    starved = dbt(*build, data=small.data, DUCKDB_MEMORY_LIMIT="8MB")
    assert not starved.ok
    assert starved.output.count("Raise DUCKDB_MEMORY_LIMIT") == 1, starved.output
    assert " OK created " in starved.output
    assert differences(dbt, names, small.warehouse) == {}
    rerun = dbt(*build, data=small.data)
    assert rerun.ok, rerun.output
    assert differences(dbt, names, small.warehouse) == {}


def test_a_read_only_folder_is_told_at_once(dbt, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with contextlib.closing(duckdb.connect(str(folder / "warehouse.duckdb"))) as connection:
        connection.execute("create table kept as select 1 as one")
    (folder / "warehouse.duckdb").chmod(0o444)
    folder.chmod(0o555)
    command = [sys.executable, "-m", "dbt.cli.main", "build"]
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root may write everywhere, and setpriv, which gives that up, is missing")
        command = ["setpriv", "--bounding-set=-dac_override", *command]
    variables = {
        "WAREHOUSE_PATH": str(folder / "warehouse.duckdb"),
        "DBT_TARGET_PATH": str(tmp_path / "target"),
        "DBT_LOG_PATH": str(tmp_path / "logs"),
        "DBT_PROFILES_DIR": str(dbt.folder),
    }
    start = time.monotonic()
    done = subprocess.run(
        command, cwd=PROJECT, env=os.environ | variables, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode != 0
    assert f"{folder}/warehouse.duckdb cannot be written: Permission denied. Set WAREHOUSE_PATH to" in done.stdout
    assert time.monotonic() - start < 60, "dbt tried again and again"
    with contextlib.closing(duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True)) as connection:
        assert connection.execute("from kept").fetchall() == [(1,)]
