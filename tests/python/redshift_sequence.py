"""What a person does to run the project on Redshift, from landing to documentation; CI does it on the stand-in, and
`redshift_gate.py` on a real cluster."""

from collections.abc import Callable, Iterator

import duckdb

SOURCES = ("instacart", "online_retail")
# What is exported as Parquet.
FACTS = ("fct_sales", "fct_cancellations", "fct_daily_sales")
# Everything is compared, so everything is built; the bundled sample holds whole histories.
EVERYTHING = ("--selector", "with_parquet_export", "--vars", "{complete_histories: true}")


def sequence(location: str) -> Iterator[tuple[str, ...]]:
    """The dbt commands on a warehouse without the project's schemas; `location` is the S3 prefix under which the folder
    of each source holds what was landed."""
    for source in SOURCES:
        arguments = f"{{source: {source}, location: '{location}/{source}'}}"
        yield "run-operation", "load_raw", "--args", arguments
    yield ("seed",)
    # Every model's DDL, on no rows; unit tests need the relations.
    yield "run", "--empty", "--full-refresh", *EVERYTHING
    yield "build", "--full-refresh", *EVERYTHING
    # The incremental paths, with nothing new.
    yield "build", *EVERYTHING
    yield "docs", "generate", *EVERYTHING


def run(dbt: Callable, location: str, **environment: str) -> None:
    """Run the sequence with `--target prod`.

    Raises:
        AssertionError: A command failed; the message is its output.
    """
    for command in sequence(location):
        outcome = dbt(*command, "--target", "prod", **environment)
        assert outcome.ok, f"dbt {' '.join(command)}\n{outcome.output}"


def export_difference(ours: str, theirs: str) -> str | None:
    """How the Parquet exports of a fact in two folders, or S3 prefixes, differ; none where they are the same."""
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
