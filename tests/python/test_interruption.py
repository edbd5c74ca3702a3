"""A build that is killed leaves tables that can be read, and the next build is right."""

import contextlib
import re
import shutil
import signal
import time

import duckdb

from retail_warehouse import instacart

MOMENTS = 21
BUILD = ("build", "--exclude-resource-type", "unit_test")


def relations(dbt) -> list[str]:
    rows = dbt.query(
        "select table_schema || '.' || table_name from information_schema.tables"
        " where table_schema in ('staging', 'intermediate', 'instacart', 'online_retail', 'reference', 'audit')"
        " and table_name <> 'processed_files'"  # it tells when, which two builds never share
        " order by all"
    )
    return [name for (name,) in rows]


def differences(dbt, names: list[str], undisturbed) -> dict[str, int]:
    """Rows that stand in one of the two warehouses only, by relation."""
    with contextlib.closing(duckdb.connect(str(dbt.warehouse), read_only=True)) as connection:
        connection.execute(f"attach '{undisturbed}' as undisturbed (read_only)")
        found = {}
        for name in names:
            [(count,)] = connection.execute(
                f"select count(*) from ((from {name} except all from undisturbed.{name})"
                f" union all (from undisturbed.{name} except all from {name}))"
            ).fetchall()
            if count:
                found[name] = count
        return found


def test_a_killed_build_is_made_good_by_the_next(dbt, data, tmp_path):
    # An older build, whose tables the interrupted one replaces.
    old = tmp_path / "old"
    instacart.generate(9, 3, old)
    assert dbt(*BUILD, data=old).ok
    shutil.copy(dbt.warehouse, tmp_path / "old.duckdb")

    undisturbed = dbt(*BUILD, data=data)
    assert undisturbed.ok
    shutil.copy(dbt.warehouse, tmp_path / "undisturbed.duckdb")
    names = relations(dbt)
    assert {"staging.stg_instacart__orders", "instacart.fct_orders", "audit.rejected_rows"} <= set(names)
    nodes = int(re.search(r"1 of (\d+) START", undisturbed.output)[1])

    killed = 0
    for moment in range(MOMENTS):
        dbt.clear()
        shutil.copy(tmp_path / "old.duckdb", dbt.warehouse)
        build = dbt.start(*BUILD, data=data)
        # The first moment is within the hooks, the others after the start of every twentieth node or so.
        mark = f" {1 + moment * (nodes - 1) // (MOMENTS - 1)} of {nodes} START " if moment else " hook: "
        while mark not in dbt.output.read_text() and build.is_alive():
            time.sleep(0.002)
        build.kill()
        build.join()
        killed += build.exitcode == -signal.SIGKILL
        # Every mart can be read, whether it holds the old or the new rows.
        assert dbt.query("select count(*) from instacart.aisles") == [(134,)]
        for name in names:
            if name.startswith(("instacart.", "online_retail.", "audit.")):
                dbt.query(f"select count(*) from {name}")
        # dbt build again; data tests change no table, and one run of them all is above.
        rerun = dbt("build", "--exclude-resource-types", "unit_test", "test", data=data)
        assert rerun.ok, f"moment {moment}: {rerun.output}"
        assert relations(dbt) == names, f"moment {moment}"
        assert differences(dbt, names, tmp_path / "undisturbed.duckdb") == {}, f"moment {moment}"
    assert killed >= 20


def test_the_comparison_sees_a_difference(dbt, data, tmp_path):
    assert dbt("run", "--select", "tag:instacart", data=data).ok
    shutil.copy(dbt.warehouse, tmp_path / "undisturbed.duckdb")
    data.append("aisles", "135,new")
    assert dbt("run", "--select", "tag:instacart", data=data).ok
    found = differences(dbt, relations(dbt), tmp_path / "undisturbed.duckdb")
    assert found["instacart.aisles"] == 1
    assert "instacart.orders" not in found
