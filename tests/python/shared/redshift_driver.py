"""A driver like Redshift's before a DuckDB database."""

import duckdb


class RedshiftDriver:
    """Connection and cursor in one, of a database with the schema `audit` that understands what is sent to Redshift.
    Fails at a statement."""

    def __init__(self) -> None:
        self.database = duckdb.connect()
        self.database.execute("create schema audit")
        self.fails_at: int | None = None
        self.asked: list[str] = []
        self.description: object = None

    def cursor(self) -> "RedshiftDriver":
        return self

    def execute(self, sql: str, values: tuple) -> None:
        self.asked.append(sql.split()[0])
        if len(self.asked) == self.fails_at:
            raise ConnectionResetError("reset")
        self._found = self.database.execute(sql, list(values))
        self.description = sql.startswith("select") or None

    def fetchall(self) -> list[list]:
        return [list(row) for row in self._found.fetchall()]
