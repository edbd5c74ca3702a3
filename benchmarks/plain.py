"""Runs the baseline of the benchmark: plain.sql and plain_checks.sql in one DuckDB file."""

import sys
from pathlib import Path

import duckdb

HERE = Path(__file__).parent


def main(instacart: str, online_retail: str, warehouse: str) -> None:
    """Build the tables in a new file and check them.

    Args:
        instacart: Folder of the six Instacart files.
        online_retail: Folder of the Online Retail files.
        warehouse: DuckDB file to make.

    Raises:
        SystemExit: A check fails; the text names it.
    """
    with duckdb.connect(warehouse) as connection:
        connection.execute("set variable instacart = $1", [instacart])
        connection.execute("set variable online_retail = $1", [online_retail])
        connection.execute((HERE / "plain.sql").read_text())
        for check in duckdb.extract_statements((HERE / "plain_checks.sql").read_text()):
            [(broken,)] = connection.execute(check).fetchall()
            if broken:
                sys.exit(f"broken {broken} times: {check.query}")


if __name__ == "__main__":
    main(*sys.argv[1:])
