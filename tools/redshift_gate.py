"""The manual gate: the whole project on a real Amazon Redshift, compared with DuckDB row by row. See docs/redshift.md.

    python tools/redshift_gate.py --location s3://bucket/gate

needs REDSHIFT_* (docs/redshift.md) of a database of its own, since it builds schemas of the project's names, and AWS
credentials for the bucket. The result goes into docs/redshift_runs.md and, if all is equal, into README.md.
"""

import argparse
import datetime
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import redshift_connector
from dbt.adapters.redshift.connections import RedshiftCredentials, get_connection_method

PROJECT = Path(__file__).parents[1]
sys.path[:0] = [str(PROJECT / "tests"), str(PROJECT / "tests/python")]

import redshift_sequence  # noqa: E402
from conftest import Outcome  # noqa: E402
from redshift_stand_in.compare import compare  # noqa: E402
from shared import prediction_files  # noqa: E402

RUNS = PROJECT / "docs" / "redshift_runs.md"
README = PROJECT / "README.md"
LAST_RUN = re.compile(r"Last run on a real cluster: [^.]*\.")


class Cluster:
    """Runs SQL on the warehouse of REDSHIFT_*."""

    def __init__(self) -> None:
        """Connect to it."""
        settings = {name.lower(): os.environ.get(f"REDSHIFT_{name}") for name in ("HOST", "USER", "PASSWORD", "SCHEMA")}
        method = os.environ.get("REDSHIFT_METHOD", "database")
        credentials = RedshiftCredentials(
            **settings,
            method=method,
            port=int(os.environ["REDSHIFT_PORT"]),
            database=os.environ["REDSHIFT_DATABASE"],
            region=os.environ.get("REDSHIFT_REGION"),
            cluster_id=os.environ.get("REDSHIFT_CLUSTER_ID"),
            sslmode=os.environ.get("REDSHIFT_SSLMODE", "require"),
        )
        self._connection = get_connection_method(credentials)()
        # Without it, the first query would fix what all later ones see.
        self._connection.autocommit = True

    def query(self, sql: str) -> list[tuple]:
        """All rows of a query."""
        cursor = self._connection.cursor()
        cursor.execute(sql)
        return [tuple(row) for row in cursor.fetchall()]

    def table(self, relation: str) -> tuple[list[str], list[tuple]] | None:
        """The column names and all rows of a relation (`schema.name`), or None where it is missing."""
        schema, name = relation.split(".")
        cursor = self._connection.cursor()
        try:
            cursor.execute(f'select * from "{schema}"."{name}"')
        except redshift_connector.ProgrammingError as error:
            if "does not exist" in str(error):
                return None
            raise
        return [column[0] for column in cursor.description], [tuple(row) for row in cursor.fetchall()]


def record(
    date: datetime.date, version: str, result: str, passed: bool, runs: Path = RUNS, readme: Path = README
) -> None:
    """Append a run to the list, and name it in the README if it passed."""
    with runs.open("a", encoding="utf-8") as file:
        file.write(f"| {date} | {version} | {result} |\n")
    if passed:
        text = readme.read_text(encoding="utf-8")
        readme.write_text(LAST_RUN.sub(f"Last run on a real cluster: {date}.", text), encoding="utf-8")


def main() -> None:
    """Load, build, export and compare, record the result, and exit with 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--location", required=True, help="S3 prefix for what is landed")
    location = parser.parse_args().location.rstrip("/")
    names = ["HOST", "PORT", "DATABASE", "USER", "SCHEMA"]
    if os.environ.get("REDSHIFT_METHOD", "database") == "database":
        names.append("PASSWORD")
    missing = [f"REDSHIFT_{name}" for name in names if not os.environ.get(f"REDSHIFT_{name}")]
    if missing:
        parser.error(f"set {', '.join(missing)}")
    here = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "WAREHOUSE_PATH": f"{folder}/warehouse.duckdb", "DBT_PROFILES_DIR": str(PROJECT)}
        environment["PARQUET_EXPORT"] = f"{folder}/exports"

        def command(*arguments: str, **more: str) -> Outcome:
            print("$", *arguments, flush=True)
            done = subprocess.run(
                [here / arguments[0], *arguments[1:]], cwd=PROJECT, env={**environment, **more}, check=False
            )
            return Outcome(done.returncode == 0, "see above")

        def dbt(*arguments: str, **more: str) -> Outcome:
            return command("dbt", *arguments, **more)

        deliveries = redshift_sequence.deliveries(Path(folder) / "data")
        second = deliveries["second"]
        assert dbt("build", *redshift_sequence.EVERYTHING, DBT_TARGET_PATH=f"{folder}/target", **second).ok
        assert dbt("run-operation", "export_parquet", DBT_TARGET_PATH=f"{folder}/target", **second).ok
        for name, data in deliveries.items():
            for source in redshift_sequence.SOURCES:
                to = f"{location}/{name}/{source}"
                assert command("retail-warehouse", "land", source.replace("_", "-"), "--to", to, **data).ok
            prediction_files.write(Path(data["INSTACART_DATA"]), f"{location}/{name}/predictions")
        [(version,)] = Cluster().query("select version()")
        try:
            redshift_sequence.run(dbt, redshift_sequence.sequence(location), PARQUET_EXPORT=f"{location}/exports")
        except AssertionError as error:
            record(datetime.date.today(), version, f"failed: {str(error).splitlines()[0]}", passed=False)
            raise
        found = compare(Path(folder) / "target" / "manifest.json", Path(folder) / "warehouse.duckdb", Cluster())
        for fact in redshift_sequence.FACTS:
            theirs = f"{location}/exports/prod/{fact}"
            if told := redshift_sequence.export_difference(f"{folder}/exports/dev/{fact}", theirs):
                found.differences[f"Parquet export of {fact}"] = told
    for relation, difference in found.differences.items():
        print(f"{relation}: {difference}")
    equal = not found.differences and found.compared == found.expected
    result = f"{found.compared - len(found.differences)} of {found.expected} relations equal"
    record(datetime.date.today(), version, result, passed=equal)
    print(result)
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
