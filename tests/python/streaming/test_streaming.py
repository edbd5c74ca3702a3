"""Rows that arrive one by one end in the same tables as rows of a file."""

import contextlib
import shutil
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
import stream as benchmark
from conftest import PROJECT
from shared.streamed import BUILD, GOOD, LENIENT, LINES, SAMPLE, land, write

from retail_warehouse.errors import DataError
from retail_warehouse.streaming import rules
from retail_warehouse.streaming.merging import Folder, Merging

pytestmark = pytest.mark.slow


@pytest.fixture
def dbt(built_dbt):
    """dbt with a warehouse that holds Instacart, so that Online Retail alone needs to be built."""
    return built_dbt


def test_the_api_judges_by_the_rules_of_the_models(dbt, compiled, tmp_path):
    folder = write(tmp_path / "data", *LINES)
    outcome = dbt(*BUILD, ONLINE_RETAIL_DATA=str(folder))
    assert outcome.ok, outcome.output
    events = [rules.Event(f"data.csv:{number}", line) for number, line in enumerate(LINES, start=2)]
    verdicts = rules.Rules(compiled).judge(events)
    rejected = {
        f"{file_name}:{row_number}": rules.Rejection(reason, detail)
        for file_name, row_number, reason, detail in dbt.query(
            "select file_name, row_number, reason, detail from audit.rejected_rows where source_name = 'online_retail'"
        )
    }
    columns = ", ".join(rules.Line.__dataclass_fields__)
    accepted = {
        values[0]: rules.Line(*values) for values in dbt.query(f"select {columns} from online_retail.invoice_lines")
    }
    assert verdicts == {**accepted, **rejected}
    assert len(verdicts) == len(LINES)
    reasons = {rejection.reason for rejection in rejected.values()}
    assert reasons == {"wrong_field_count", "broken_quote", "unreadable_value", "missing_key", "out_of_domain"}
    # A second call knows nothing of the first.
    assert rules.Rules(compiled).judge(events[:1]) == {"data.csv:2": verdicts["data.csv:2"]}


def test_rules_are_compiled_anew_when_a_definition_changes(tmp_path):
    for name in ("dbt_project.yml", "seeds", "macros"):
        source = PROJECT / name
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy(source, tmp_path / name)
    (tmp_path / "target").mkdir()
    with pytest.raises(DataError, match="dbt cannot compile the rules"):
        rules.load(tmp_path)  # there are no models
    with pytest.raises(DataError, match=r"There is no dbt_project\.yml"):
        rules.load(tmp_path / "macros")


def relations(dbt) -> list[str]:
    rows = dbt.query(
        "select table_schema || '.' || table_name from information_schema.tables where table_schema in"
        " ('staging', 'intermediate', 'online_retail', 'audit') and table_name <> 'processed_files' order by all"
    )
    return [name for (name,) in rows]


def assert_equals(dbt, other: Path, names: list[str]) -> None:
    with contextlib.closing(duckdb.connect(str(dbt.warehouse), read_only=True)) as connection:
        connection.execute(f"attach '{other}' as other (read_only)")
        for name in names:
            query = f"((from {name} except all from other.{name}) union all (from other.{name} except all from {name}))"
            assert connection.execute(f"from {query}").fetchall() == [], name


def merged(dbt, landing: Path) -> list[str]:
    """Merge landed files that dbt has processed, two by two, and return which."""
    models = "select distinct model_name from audit.processed_files where table_name = 'streamed_lines'"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("retail_warehouse.streaming.merging._TOGETHER", 2)
        patch.setattr("retail_warehouse.streaming.merging._MOST_FILES", 2)
        step = Merging(Folder(landing), [name for (name,) in dbt.query(models)]).step(dbt.warehouse)
    return [Path(name).stem for name in step.removed]


def test_late_wrong_and_repeated_rows(dbt, tmp_path):
    """Micro-batches on what is landed end in the same tables as a full refresh and as a load of the same rows."""
    # Not all of its rows are streamed as well: such a file would be left out.
    folder = write(tmp_path / "data", GOOD, GOOD.replace("536365", "536399"))
    landing = tmp_path / "landing"
    environment = {"ONLINE_RETAIL_DATA": str(folder), "ONLINE_RETAIL_LANDING": str(landing)}
    assert dbt(*BUILD, **environment).ok
    rows = {f"till:{number}": line for number, line in enumerate(LINES, start=2)}
    first = dict(list(rows.items())[10:])
    # The same line as in the file, a cancellation before its sale, and rows with which something is wrong.
    first["data.csv:2"] = GOOD
    first["till:100"] = "C536400,85123A,HOLDER,-1,12/2/2010 8:26,2.55,17850,United Kingdom"
    land(landing, "b", first)

    processed = (
        "select distinct count(*) || ' files' from audit.processed_files where table_name = 'streamed_lines' group by "
        "model_name"
    )

    def micro_batch() -> str:
        outcome = dbt("build", "--selector", "micro_batch", *LENIENT, **environment)
        assert outcome.ok, outcome.output
        return outcome.output

    assert "incremental model staging.stg_online_retail__invoice_lines" not in micro_batch()
    before = dbt.query("select count(*) from online_retail.invoice_lines")
    sales = (
        "select sum(gross_amount), sum(cancellation_amount) from online_retail.fct_daily_sales"
        " where invoice_date = '2010-12-02'"
    )
    assert dbt.query(sales) == [(0, Decimal("-2.550"))]
    # The rest, whose file sorts first: late rows of a day that is there, a repeated row, and one that contradicts it.
    second = dict(list(rows.items())[:10])
    second["till:101"] = "536400,85123A,HOLDER,1,12/2/2010 8:26,2.55,17850,United Kingdom"
    second["till:12"] = rows["till:12"]
    land(landing, "a", second)
    land(landing, "c", {"till:13": GOOD})
    land(landing, "z", {})  # as a refused commit leaves it on S3
    verdict = {"reason": "wrong_field_count", "detail": "9 fields, the header has 8"}
    land(landing, "f", {"till:200": GOOD}, digest="00", **verdict)
    micro_batch()
    kept = "select reason, detail, raw_record from audit.rejected_rows where file_name = 'till' and row_number = 200"
    assert dbt.query(kept) == [(*verdict.values(), GOOD)], "its beginning would be good"
    assert dbt.query(sales) == [(Decimal("2.550"), Decimal("-2.550"))]
    assert dbt.query("select count(*) from online_retail.invoice_lines") > before
    accepted = dbt.query("select count(*) from online_retail.invoice_lines")
    # Merged files are nothing new.
    assert merged(dbt, landing) == ["a", "b"]
    assert merged(dbt, landing) == ["c", "f"]
    assert sorted(path.name for path in landing.glob("day=*/*")) == [
        "a--day=2026-11-22--b.merged-1.ndjson",
        "c--day=2026-11-22--f.merged-1.ndjson",
        "z.ndjson",
    ]
    micro_batch()
    assert dbt.query("select count(*) from online_retail.invoice_lines") == accepted
    assert dbt.query(processed) == [("3 files",)]
    told = dbt("test", "--select", "streamed_lines_has_no_rejected_rows", "assert_landed_lines_are_kept", **environment)
    assert told.ok, told.output
    assert "WARN 1 streamed_lines_has_no_rejected_rows" in told.output, told.output
    contradicting = (
        "select file_name, row_number, reason, left(detail, 16), raw_record from audit.rejected_rows"
        " where table_name = 'streamed_lines' order by all"
    )
    assert dbt.query(contradicting) == [
        (
            "day=2026-11-22/c.ndjson",
            1,
            "duplicate_key",
            "the line till:13",
            "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.550,17850,United Kingdom",
        ),
    ]
    reconciled = dbt.reconciliation("online_retail")
    assert reconciled["till"] == [len(LINES) + 3, *reconciled["till"][1:]]
    assert reconciled["data.csv"] == [2, 2, 0]
    # Every data test holds, on all rows.
    outcome = dbt.build("--selector", "online_retail", *LENIENT, **environment)
    assert outcome.ok, outcome.output
    # Rows of merged files are tested like others, once: those of the first have passed.
    land(landing, "g", {"late:2": GOOD.replace("536365", "538001")})
    land(landing, "h", {"late:3": GOOD.replace("536365", "538002")})
    micro_batch()
    assert merged(dbt, landing) == ["g", "h"]
    test = "invoices_has_valid_values"
    for invoice_no, is_seen in (("536400", False), ("538002", True)):
        spoil = f"update online_retail.invoices set transaction_type = $1 where invoice_no = '{invoice_no}'"
        with duckdb.connect(str(dbt.warehouse)) as connection:
            connection.execute(spoil, ["?"])
        assert dbt("build", "--select", test, **environment).ok != is_seen, invoice_no
        with duckdb.connect(str(dbt.warehouse)) as connection:
            connection.execute(spoil, ["sale"])

    names = relations(dbt)
    shutil.copy(dbt.warehouse, tmp_path / "streamed.duckdb")
    assert dbt(*BUILD, "--full-refresh", **environment).ok
    assert dbt.query(processed) == [("4 files",)]
    # Which of two copies of a line counts as the repeated one depends on when they came.
    compared = [name for name in names if not name.endswith(("__streamed_lines", "__data_files"))]
    assert_equals(dbt, tmp_path / "streamed.duckdb", compared)

    # A line that was streamed arrives in a file of the same name too, and counts once.
    write(folder, *LINES, name="till.csv")
    assert dbt(*BUILD, **environment).ok
    land(landing, "d", {"till.csv:2": LINES[0], "till.csv:3": LINES[1]})
    micro_batch()
    assert dbt.reconciliation("online_retail")["till.csv"][0] == len(LINES)

    # So does one whose file says something else, even of another invoice: what the file says stays.
    land(landing, "e", {"odd.csv:2": GOOD.replace("536365", "537000")})
    micro_batch()
    of_odd = "select invoice_no from online_retail.{} where file_name = 'odd.csv'"
    assert dbt.query(of_odd.format("invoice_lines")) == [("537000",)]
    write(folder, GOOD.replace("536365", "537001"), name="odd.csv")
    assert dbt(*BUILD, **environment).ok
    for table in ("invoice_lines", "fct_sales"):
        assert dbt.query(of_odd.format(table)) == [("537001",)]
    assert dbt.query("select invoice_no from online_retail.invoices where invoice_no like '53700%'") == [("537001",)]
    rejected = [row[:3] for row in dbt.query(contradicting)]
    assert rejected == [(f"day=2026-11-22/{name}.ndjson", 1, "duplicate_key") for name in "ce"]

    # A landing folder that is not there is no reason to build without its rows.
    before = dbt.query("select count(*) from online_retail.invoice_lines")
    landing.rename(tmp_path / "elsewhere")
    gone = dbt("build", "--selector", "micro_batch", **environment)
    assert not gone.ok
    assert "none of the 6 files of streamed rows" in gone.output
    unset = dbt(*BUILD, **environment | {"ONLINE_RETAIL_LANDING": ""})
    assert "ONLINE_RETAIL_LANDING is not set" in unset.output
    assert dbt.query("select count(*) from online_retail.invoice_lines") == before
    assert dbt(*BUILD, "--full-refresh", **environment | {"ONLINE_RETAIL_LANDING": ""}).ok
    assert dbt.query("select count(*) from online_retail.invoice_lines") < before


def test_a_stream_with_everything_killed_once_ends_as_a_load(dbt, tmp_path, parsed_for, monkeypatch):
    environment_of = benchmark.environment_of

    def parsed(*arguments) -> dict[str, dict[str, str]]:
        environments = environment_of(*arguments)
        parsed_for(environments["stream"], for_the_player=True)
        return environments

    def built(environment: dict[str, str]) -> None:
        own = ("WAREHOUSE_PATH", "DBT_TARGET_PATH", "ONLINE_RETAIL_DATA", "ONLINE_RETAIL_LANDING")
        outcome = dbt(*benchmark.BUILD, **{name: environment[name] for name in own})
        assert outcome.ok, outcome.output

    monkeypatch.setattr(benchmark, "environment_of", parsed)
    monkeypatch.setattr(benchmark, "build", built)
    file = tmp_path / "data.csv"
    lines = SAMPLE.read_bytes().splitlines()[:2500]
    odd = [line.encode("latin-1") for line in LINES[:16]]
    file.write_bytes(b"\r\n".join([*lines, *odd]) + b"\r\n")
    result = benchmark.run(file, tmp_path / "run", kill=True, batch=25)
    assert result.differences == {}
    assert sorted(result.killed) == ["API", "dbt", "player"]
    assert result.compared == 12
    assert result.rows >= 1.05 * (len(lines) + len(odd) - 1)
    assert len(result.lags) >= 1
    assert "12 of 12 relations equal" in benchmark.told(result)
    # The comparison notices a row less, and one of another amount.
    with duckdb.connect(str(tmp_path / "run/stream/warehouse.duckdb")) as connection:
        connection.execute("use online_retail")
        connection.execute("delete from fct_sales where row_number = (select min(row_number) from fct_sales)")
        connection.execute(
            "update transactions set amount = 0.001 where invoice_no = (select min(invoice_no) from fct_sales)"
        )
    again = benchmark.Result()
    benchmark._compare(tmp_path / "run", again)
    assert again.differences["online_retail.fct_sales"] == 1
    assert again.differences["online_retail.transactions"] >= 2
