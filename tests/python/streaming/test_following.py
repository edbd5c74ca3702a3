"""Look-ups follow what dbt has loaded, from files and from the stream."""

import contextlib
import dataclasses
import shutil
from datetime import datetime
from decimal import Decimal

import duckdb
import pytest

from retail_warehouse.errors import DataError
from retail_warehouse.serving.publish import publish, publish_deliveries
from retail_warehouse.serving.sqlite_store import SqliteStore
from retail_warehouse.serving.store import StoreError
from retail_warehouse.streaming import rules

pytestmark = pytest.mark.slow


def test_the_serving_store_is_filled_and_repaired(built, tmp_path, monkeypatch):
    monkeypatch.setenv("WAREHOUSE_PATH", str(built.warehouse))
    with contextlib.closing(SqliteStore(tmp_path / "serving.sqlite")) as store:
        stray = rules.Line(
            "gone:2",
            "999999",
            "X",
            "1",
            None,
            "UK",
            "sale",
            1,
            Decimal("1.000"),
            Decimal("1.000"),
            datetime(2011, 1, 1),
        )
        store.put([stray])
        with duckdb.connect(str(built.warehouse), read_only=True) as connection:
            [(lines,)] = connection.execute("select count(*) from online_retail.invoice_lines").fetchall()
            transactions = connection.execute(
                "select invoice_no, stock_code, line_count, quantity, amount from online_retail.transactions"
            ).fetchall()
        parts = []
        assert publish(store, False, parts.append) == lines == parts[-1]
        for invoice_no, stock_code, line_count, quantity, amount in transactions:
            found = store.lines(invoice_no, stock_code)
            assert (len(found), sum(line.quantity for line in found)) == (line_count, quantity)
            assert sum(line.line_amount for line in found) == amount
        assert store.lines("999999", "X")
        with pytest.raises(DataError, match=r"1 landed files are not in the warehouse yet, such as day=1/a\.ndjson"):
            publish(store, True, landed=["day=1/a.ndjson"])
        assert store.lines("999999", "X")
        assert publish(store, True) == lines
        assert not store.lines("999999", "X")
        with duckdb.connect(str(built.warehouse), read_only=True) as connection:
            [(last_row,)] = connection.execute(
                "select max(row_number) from staging.stg_online_retail__invoice_lines"
            ).fetchall()
        [delivery] = store.deliveries().values()
        assert (delivery.file_name, delivery.last_row, len(delivery.fingerprint)) == ("data.csv", last_row, 32)
        assert publish_deliveries(store) == 0, "nothing has changed"


@pytest.fixture
def loads(tmp_path, monkeypatch):
    """Makes a warehouse of files, given as the quantities of their rows, None for one that was rejected, and of
    streamed lines."""
    monkeypatch.setenv("WAREHOUSE_PATH", str(tmp_path / "made.duckdb"))

    def load(files: dict[str, list[int | None]], **streamed: int) -> None:
        with duckdb.connect(str(tmp_path / "made.duckdb")) as made:
            made.execute("drop schema if exists online_retail cascade")
            for schema in ("online_retail", "audit", "staging"):
                made.execute(f"create schema if not exists {schema}")
            made.execute(
                "create table online_retail.invoice_lines as select * from (values "
                "('', '', '', '', '', '', '', 1, 1.000, 1.000, timestamp '2011-01-01', '')) as "
                f"v ({', '.join(rules.Line.__dataclass_fields__)}, file_name) limit 0"
            )
            made.execute(
                "create or replace table audit.processed_files as select '' as model_name, '' as table_name, "
                "'' as file_name, '' as fingerprint, timestamp '2011-01-01' as processed_at limit 0"
            )
            for relation in ("invoice_lines", "streamed_lines"):
                made.execute(
                    f"create or replace table staging.stg_online_retail__{relation} as select '1' as invoice_no, "
                    "'A' as stock_code, '' as file_name, 1 as row_number, '' as landing_file limit 0"
                )
            rows = [(name, at, quantity) for name, of in files.items() for at, quantity in enumerate(of, 2)]
            for name, of in files.items():
                entry = ["invoice_lines", "invoice_lines", name, str(of), datetime(2011, 1, 1)]
                made.execute("insert into audit.processed_files values (?, ?, ?, ?, ?)", entry)
            for name, at, _ in rows:
                made.execute(
                    "insert into staging.stg_online_retail__invoice_lines by name "
                    "select '1' as invoice_no, 'A' as stock_code, ? as file_name, ? as row_number",
                    [name, at],
                )
            rows += [(*place.rsplit("_", 1), quantity) for place, quantity in streamed.items()]
            for name, at, quantity in rows:
                if quantity is not None:
                    made.execute(
                        "insert into online_retail.invoice_lines values "
                        "(?, '1', 'A', '7', null, 'UK', 'sale', ?, 1, 1, '2011-01-01', ?)",
                        [f"{name}:{at}", quantity, name],
                    )

    return load


def test_look_ups_follow_the_files_that_dbt_has_loaded(loads, tmp_path):
    def found(store) -> dict[str, int]:
        return {line.invoice_line_id: line.quantity for line in store.lines("1", "A")}

    with contextlib.closing(SqliteStore(tmp_path / "serving.sqlite")) as store:
        loads({"a.csv.gz": [1, 2, None], "b.csv": [], "c.csv": [5]}, till_2=9)
        one = rules.Line("", "1", "A", "7", None, "UK", "sale", 7, Decimal(1), Decimal(1), datetime(2011, 1, 1))
        ids = ("a.csv:2", "a.csv:4", "a.csv:5", "b.csv:2", "till:2")
        store.put([dataclasses.replace(one, invoice_line_id=line_id) for line_id in ids], streamed=True)
        assert publish_deliveries(store) == 3
        streamed = {"a.csv:5": 7, "b.csv:2": 7, "till:2": 7}  # no row of a file has their place
        assert found(store) == {"a.csv.gz:2": 1, "a.csv.gz:3": 2, "c.csv:2": 5, **streamed}
        assert {name: one.last_row for name, one in store.deliveries().items()} == {"a.csv": 4, "b.csv": 1, "c.csv": 2}
        assert publish_deliveries(store) == 0
        # One that is packed differently and shorter, one that is longer, one that is gone: its streamed lines count.
        loads({"a.csv": [1], "b.csv": [3, 4]}, **{"c.csv_2": 8})
        puts = []

        def fail(lines) -> None:
            puts.extend(lines)
            raise StoreError("The store is away.")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "put", fail)
            with pytest.raises(DataError, match="run it again"):
                publish_deliveries(store)
        assert len(puts) == 4
        assert {name: one.fingerprint for name, one in store.deliveries().items() if name != "c.csv"} == {
            "a.csv": "",
            "b.csv": "",
        }
        assert publish_deliveries(store) == 4
        assert found(store) == {"a.csv:2": 1, "a.csv:5": 7, "b.csv:2": 3, "b.csv:3": 4, "c.csv:2": 8, "till:2": 7}
        assert {name: one.last_row for name, one in store.deliveries().items()} == {"a.csv": 2, "b.csv": 3}
        assert publish_deliveries(store) == 0


def test_a_streamed_line_that_is_not_counted_is_not_looked_up(built, tmp_path, monkeypatch):
    """A line of `data.csv.gz` stands in the place of a row of the file `data.csv`: the file counts. A line of a till
    was read by dbt and stands in no mart."""
    monkeypatch.setenv("WAREHOUSE_PATH", str(tmp_path / "warehouse.duckdb"))
    shutil.copy(built.warehouse, tmp_path / "warehouse.duckdb")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        columns = ", ".join(rules.Line.__dataclass_fields__)
        values = connection.execute(
            f"select {columns} from online_retail.invoice_lines where invoice_line_id = 'data.csv:2'"
        ).fetchone()
        connection.execute(
            "insert into staging.stg_online_retail__streamed_lines by name "
            "select * replace ('till' as file_name), false as is_repeated, "
            "'day=1/a.ndjson' as landing_file, row_number as landing_position "
            "from staging.stg_online_retail__invoice_lines where row_number in (2, 3)"
        )
        landed = "'online_retail', 'streamed_lines', 'day=1/a.ndjson', '1', 'utf-8', now(), null, null"
        connection.execute(f"insert into audit.processed_files values ('stg_online_retail__streamed_lines', {landed})")
    line = rules.Line(*values)
    with contextlib.closing(SqliteStore(tmp_path / "serving.sqlite")) as store:

        def found() -> list[str]:
            lines = store.lines(line.invoice_no, line.stock_code)
            return [line.invoice_line_id for line in lines if line.invoice_line_id.endswith(":2")]

        store.put(dataclasses.replace(line, invoice_line_id=f"{name}:2") for name in ("data.csv.gz", "till"))
        assert found() == ["data.csv.gz:2", "till:2"]
        publish(store, False)
        assert found() == ["data.csv:2", "till:2"], "the mart does not stand for the till's file yet"
        with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
            connection.execute(f"insert into audit.processed_files values ('invoice_lines', {landed})")
        publish(store, False)
        assert found() == ["data.csv:2"]
