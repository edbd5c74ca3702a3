"""The commands that run the project on Redshift, from loading to documentation. CI runs them on the stand-in, and
`redshift_gate.py` on a real cluster."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import duckdb
from shared import prediction_files

SAMPLES = Path(__file__).parents[1] / "seeds" / "samples"
SOURCES = ("instacart", "online_retail")
# What is loaded: predictions are written by the Python side, not landed.
LOADED = (*SOURCES, "predictions")
# What is exported as Parquet.
FACTS = ("fct_sales", "fct_cancellations", "fct_daily_sales")
# Everything is compared, so everything is built; the bundled sample holds whole histories.
VARS = "{complete_histories: true}"
_VARS = ("--vars", VARS)
EVERYTHING = ("--selector", "everything", *_VARS)
# What is built in full each time, which once is enough to see.
_IN_FULL = ("tag:reports", "tag:features", "tag:predictions")
_LATER_USERS = 12
# In a later delivery, so that both engines reject the same rows, for every reason there is.
_LATER = {
    "instacart/order_products__prior/odd.csv": [
        "order_id,product_id,add_to_cart_order,reordered",
        "999999999,1,1,0",
        "1,2060,1,1",
        "1,2060",
        '1,"2060,1,1',
        "1,1.5,1,0",
        ",1,1,0",
        "1,1,-1,0",
    ],
    "instacart/products/more.csv": [
        "product_id,product_name,aisle_id,department_id",
        f"900001,{'é' * 1000},63,9",
        f"900002,{'é' * 1001},63,9",
        f'900003,"{" " * 600}  {"x" * 1000}{" " * 600}",63,9',
        f"900004,{'x' * 4000},63,9",
        '900005,"A ""quoted"", comma",63,9',
    ],
    "online_retail/later.csv": [
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
        "600001,é1234, Ångström ,3,12/9/2011 12:50,0.001,17850.0,United Kingdom",
        "c600002,é1234,,-3,12/9/2011 12:51,0.001,,",
        "A600003,B,Adjust bad debt,1,12/9/2011 12:52,11062.06,,United Kingdom",
        f"600004,X,{'ü' * 1000},1,12/9/2011 12:53,1,1,{'Ö' * 100}",
        f"600004,X,{'ü' * 1001},1,12/9/2011 12:53,1,1,France",
        f"600004,{'1' * 51},x,1,12/9/2011 12:53,1,1,France",
        "600005,X,x,1.5,12/9/2011 12:53,1,1,France",
        "600005,,x,1,12/9/2011 12:53,1,1,France",
        "600005,X,x,1,12/9/1911 12:53,1,1,France",
        "600005,X,x,1",
        '600005,X,"x,1,12/9/2011 12:53,1,1,France',
    ],
}
_STREAMED = {
    # Twice, once as in the file, once otherwise; the others are new.
    "later.csv:2": _LATER["online_retail/later.csv"][1],
    "later.csv:3": "c600002,é1234,,-4,12/9/2011 12:51,0.001,,",
    "till-1:2": "600006,é1234,Ångström,2,12/9/2011 12:54,0.001,17850,United Kingdom",
    "till-1:3": "600006,é1234,Ångström,2",
}


def deliveries(folder: Path, users: int | None = None) -> dict[str, dict[str, str]]:
    """Write two deliveries of raw files, and predictions for them, below a folder and return the environment of each,
    by its name: the bundled sample without its last orders, and then with these and with rows of every kind, in further
    files and streamed. `users`: that many of Instacart, the first, instead of all."""
    environments = {}
    for name in ("first", "second"):
        for source in SOURCES:
            shutil.copytree(SAMPLES / source, folder / name / source)
        _keep_users(folder / name / "instacart", users)
        _move_last_orders(folder / name / "instacart", keep=name == "second")
        environments[name] = {f"{source.upper()}_DATA": str((folder / name / source).resolve()) for source in SOURCES}
    for path, lines in _LATER.items():
        target = folder / "second" / path
        target.parent.mkdir(exist_ok=True)
        target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, environment in environments.items():
        predictions = folder / name / "predictions"
        predictions.mkdir()
        prediction_files.write(folder / name / "instacart", str(predictions))
        environment["PREDICTIONS_DATA"] = str(predictions.resolve())
    landing = folder / "second" / "landing"
    landing.mkdir()
    events = [
        {"event_id": event_id, "landing_position": position, "line": line}
        for position, (event_id, line) in enumerate(_STREAMED.items(), start=1)
    ]
    for name in ("one", "two"):
        (landing / f"{name}.ndjson").write_text("".join(json.dumps(event) + "\n" for event in events))
    environments["second"]["ONLINE_RETAIL_LANDING"] = str(landing.resolve())
    return environments


def _keep_users(folder: Path, most: int | None) -> None:
    """Drop the orders of all users but the first, with their lines."""
    header, *orders = (folder / "orders.csv").read_text().splitlines()
    kept_users = set(sorted({int(line.split(",")[1]) for line in orders})[:most])
    orders = [line for line in orders if int(line.split(",")[1]) in kept_users]
    kept = {line.split(",")[0] for line in orders}
    (folder / "orders.csv").write_text("\n".join([header, *orders]) + "\n")
    for table in ("order_products__prior", "order_products__train"):
        header, *lines = (folder / f"{table}.csv").read_text().splitlines()
        lines = [line for line in lines if line.split(",")[0] in kept]
        (folder / f"{table}.csv").write_text("\n".join([header, *lines]) + "\n")


def _move_last_orders(folder: Path, keep: bool) -> None:
    """Move the orders of the last users, with their lines, into files of their own, or drop them."""
    orders = (folder / "orders.csv").read_text().splitlines()
    users = {line.split(",")[1] for line in orders[1:]}
    moved_users = set(sorted(users, key=int)[-_LATER_USERS:])
    moved = {line.split(",")[0] for line in orders[1:] if line.split(",")[1] in moved_users}
    for table in ("orders", "order_products__prior", "order_products__train"):
        header, *lines = (folder / f"{table}.csv").read_text().splitlines()
        kept = [line for line in lines if line.split(",")[0] not in moved]
        later = [line for line in lines if line.split(",")[0] in moved]
        (folder / f"{table}.csv").write_text("\n".join([header, *kept]) + "\n")
        if keep:
            (folder / table).mkdir()
            (folder / table / "later.csv").write_text("\n".join([header, *later]) + "\n")


def sequence(location: str) -> Iterator[tuple[str, ...]]:
    """The dbt commands on a warehouse without the project's schemas; `location` is the S3 prefix under which, for each
    delivery, the folder of each source holds what was landed or predicted."""
    yield from first(f"{location}/first")
    # The incremental paths.
    yield from _load(f"{location}/second")
    # Unit tests depend on no data; those of what is built in full are still to come.
    yield "build", "--exclude-resource-type", "unit_test", *EVERYTHING
    yield LAST_UNIT_TESTS
    yield "docs", "generate", *EVERYTHING
    yield ("run-operation", "export_parquet")
    yield "run-operation", "unload_features", "--args", f"{{location: '{location}/features'}}"


# Of what is built in full.
LAST_UNIT_TESTS = ("test", "--select", *(f"{tag},test_type:unit" for tag in _IN_FULL), *_VARS)


def first(location: str) -> Iterator[tuple[str, ...]]:
    """Those for the first delivery, which lies below `location`."""
    yield from _load(location)
    yield ("seed",)
    # Every model's DDL, on no rows; unit tests need the relations.
    yield "run", "--empty", "--full-refresh", *EVERYTHING
    yield "build", "--full-refresh", "--select", "fqn:*", "source:*", "--exclude", *_IN_FULL, *_VARS


def _load(location: str) -> Iterator[tuple[str, ...]]:
    for source in LOADED:
        yield "run-operation", "load_raw", "--args", f"{{source: {source}, location: '{location}/{source}'}}"


def run(dbt: Callable, commands: Iterable[tuple[str, ...]], **environment: str) -> None:
    """Run dbt commands with `--target prod`.

    Raises:
        AssertionError: A command failed; the message is its output.
    """
    for command in commands:
        outcome = dbt(*command, "--target", "prod", **environment)
        assert outcome.ok, f"dbt {' '.join(command)}\n{outcome.output}"


def export_difference(ours: str, theirs: str) -> str | None:
    """How the Parquet exports of a fact in two folders or S3 prefixes differ; None if they are equal."""
    with duckdb.connect() as connection:
        columns, rows = [], []
        for folder in (ours, theirs):
            files = f"read_parquet('{folder}/*/*.parquet', hive_partitioning = true)"
            columns.append(connection.execute(f"describe from {files}").fetchall())
            rows.append(f"from {files}")
        if columns[0] != columns[1]:
            return f"columns: {columns[0]} and {columns[1]}"
        one, other = rows
        found = connection.execute(f"({one} except all {other}) union all ({other} except all {one})").fetchall()
    return f"{len(found)} rows differ, such as {found[0]}" if found else None
