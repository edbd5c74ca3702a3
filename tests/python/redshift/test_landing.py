"""`retail-warehouse land` writes what the raw views read, once, as Parquet."""

import duckdb
import pytest
from click.testing import CliRunner
from conftest import MODELS, PROJECT, settle

from retail_warehouse.cli import main

pytestmark = pytest.mark.slow


@pytest.fixture
def land(dbt, monkeypatch):
    """Runs the command as in a shell of a user whose data folder is `data`."""

    def run(source: str, to, data=None):
        monkeypatch.chdir(PROJECT)
        monkeypatch.setenv("DBT_PROFILES_DIR", str(dbt.folder))
        if data is not None:
            monkeypatch.setenv("INSTACART_DATA", str(data))
        return CliRunner().invoke(main, ["land", source, "--to", str(to)])

    return run


def read(path) -> list[tuple]:
    return duckdb.connect().execute(f"select * from read_parquet('{path}')").fetchall()


def landed(column: str, value: str) -> str:
    """A value as it is landed: a record is for people to look at, and any other is cut where it is too long anyway."""
    return value[:1000] if column == "raw_record" else value.strip(" ")[:1001]


def test_it_writes_every_raw_table_as_the_raw_views_read_it(dbt, land, data, tmp_path):
    # A broken row, a text too long for any column, and a further file.
    data.append("products", '49000,"open', f"49001,{'x' * 2000},1,1")
    (data / "orders").mkdir()
    (data / "orders" / "more.csv").write_text(data.lines("orders")[0] + "\n7,x\n")
    settle(data / "orders" / "more.csv")
    raw = ("--select", "path:models/staging/instacart")
    outcome = dbt(*MODELS, *raw, data=data)
    assert outcome.ok, outcome.output
    folder = tmp_path / "landing's" / "instacart"
    for _ in range(2):
        outcome = land("instacart", folder, data)
        assert outcome.exit_code == 0, outcome.output
    assert "dbt run-operation load_raw --target prod" in outcome.output
    tables = {path.stem: path for path in folder.iterdir()}
    names = dbt.query("select view_name from duckdb_views() where schema_name = 'raw_instacart'")
    assert set(tables) == {name for (name,) in names}
    for name, path in tables.items():
        path = str(path).replace("'", "''")
        rows = sorted(read(path), key=repr)
        assert rows
        seen = sorted(dbt.query(f"select * from raw_instacart.{name}"), key=repr)
        types = duckdb.connect().execute(f"describe from read_parquet('{path}')").fetchall()
        if name == "products":
            seen = [
                tuple(
                    landed(column, value) if isinstance(value, str) else value
                    for (column, *_), value in zip(types, row, strict=True)
                )
                for row in seen
            ]
        assert rows == seen, name
        assert {kind for _, kind, *_ in types} <= {"VARCHAR", "INTEGER"}
    assert [row[4] for row in read(str(tables["orders"]).replace("'", "''")) if row[0] is None] == [None]


def test_nobody_waits_for_the_warehouse_and_it_stays_as_it_is(dbt, land, monkeypatch, tmp_path):
    monkeypatch.setenv("WAREHOUSE_PATH", str(dbt.warehouse))
    with duckdb.connect(str(dbt.warehouse)) as connection:
        connection.execute("create table mine as select 1 as one")
        outcome = land("online-retail", tmp_path / "landed")
    assert outcome.exit_code == 0, outcome.output
    assert {path.name for path in (tmp_path / "landed").iterdir()} == {
        *("invoice_lines.parquet", "streamed_lines.parquet", "data_files.parquet")
    }
    assert dbt.query("select table_schema || '.' || table_name from information_schema.tables") == [("main.mine",)]


def test_bad_files_and_a_wrong_folder_are_told(land, data, tmp_path, monkeypatch):
    (data / "aisles.csv").unlink()
    outcome = land("instacart", tmp_path / "landed", data)
    assert outcome.exit_code == 1
    assert "Nothing can be loaded until this is corrected" in outcome.output
    (tmp_path / "file").touch()
    outcome = land("instacart", tmp_path / "file" / "landed", data)
    assert outcome.exit_code == 1
    assert "cannot be written" in outcome.output
    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(main, ["land", "instacart", "--to", "x"])
    assert outcome.exit_code == 1
    assert "run this in the project's folder" in outcome.output
