"""The stand-in as tests and people start it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .postgres import Postgres
from .proxy import Counts, Proxy
from .refusals import RULES
from .s3 import FileServer, Mirror

USER = "dbt"
DATABASE = "dev"
SCHEMA = "main"  # as on DuckDB, so that relations have the same names
_SQL = Path(__file__).parent / "sql"


class StandIn:
    """Something that dbt-redshift takes for Amazon Redshift, as long as the `with` block lasts.

    Attributes:
        s3: The folder that stands for S3: `s3://bucket/key` is the file `bucket/key` in it.
        environment: What a dbt process needs to connect: REDSHIFT_HOST and so on.
    """

    def __init__(self, folder: Path, *, log: Path | None = None, s3_client: Any = None) -> None:
        """Starts nothing yet.

        Args:
            folder: For `s3` and PostgreSQL's log; made where it is missing.
            log: A file to which each statement is added, as one line of JSON: as sent and as rewritten.
            s3_client: A boto3 client of an emulator of S3, whose objects COPY reads and UNLOAD writes as well.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.s3 = folder.resolve() / "s3"
        self.s3.mkdir(exist_ok=True)
        self.environment: dict[str, str] = {}
        self._postgres = Postgres(USER, DATABASE, folder / "postgres.log")
        self._log = log
        self._mirror = Mirror(self.s3, s3_client) if s3_client else None

    def __enter__(self) -> Self:
        """Starts PostgreSQL and the proxy. Call it in the main thread: PostgreSQL dies with the one that starts it.

        Raises:
            RuntimeError: there is no PostgreSQL, or it does not start.
        """
        self._postgres.start()
        try:
            self._load_sql()
            self._files = FileServer(self._postgres.spool, self.s3, self._mirror)
            self._files.start()
            self._proxy = Proxy(
                self._postgres.socket, self._log, lambda: self.query("select rs.restore_late_binding_views()")
            )
            port = self._proxy.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.environment = {
            "REDSHIFT_HOST": "127.0.0.1",
            "REDSHIFT_PORT": str(port),
            "REDSHIFT_DATABASE": DATABASE,
            "REDSHIFT_USER": USER,
            "REDSHIFT_PASSWORD": "any",
            "REDSHIFT_SCHEMA": SCHEMA,
            "REDSHIFT_SSLMODE": "disable",
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stops everything; what `folder` holds stays."""
        for part in (getattr(self, "_proxy", None), getattr(self, "_files", None), self._postgres):
            if part is not None:
                part.stop()

    def _load_sql(self) -> None:
        for file in sorted(_SQL.glob("*.sql")):
            text = file.read_text().replace("{spool}", str(self._postgres.spool)).replace("{user}", USER)
            self.query(text)
        with self._cursor() as cursor:
            cursor.executemany(
                "insert into rs.rules values (%s, %s, %s)",
                [(rule.name, rule.message, rule.url) for rule in RULES.values()],
            )

    @property
    def counts(self) -> Counts:
        """How many statements came, and how many of them were refused or are not emulated."""
        return self._proxy.counts

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        connection = self._postgres.connect()
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a PostgreSQL statement, run by the superuser past the proxy.

        Raises:
            psycopg2.Error: PostgreSQL refuses it.
        """
        return self._postgres.query(sql)

    def table(self, relation: str) -> tuple[list[str], list[tuple[Any, ...]]] | None:
        """The column names and all rows of a relation (`schema.name`), or None where it is missing."""
        with self._cursor() as cursor:
            schema, name = relation.split(".")
            cursor.execute("select to_regclass(format('%%I.%%I', %s, %s)) is not null", (schema, name))
            if not cursor.fetchone()[0]:
                return None
            cursor.execute(f'select * from "{schema}"."{name}"')
            return [column.name for column in cursor.description], cursor.fetchall()

    def types(self, relation: str) -> list[str]:
        """The types of a relation's columns, without their sizes."""
        with self._cursor() as cursor:
            cursor.execute(
                "select format_type(atttypid, null) from pg_attribute where attnum > 0 and not attisdropped"
                " and attrelid = format('%%I.%%I', %s, %s)::regclass order by attnum",
                relation.split("."),
            )
            return [name for (name,) in cursor.fetchall()]

    def create_role(self, name: str) -> None:
        """Makes a user whom privileges can be granted to."""
        self.query(f'create role "{name}" login')

    def trailing_blanks(self) -> dict[str, str]:
        """A value that ends with a blank, for each such varchar column (`schema.relation.column`).

        Redshift ignores trailing blanks when it compares, PostgreSQL and DuckDB do not: joins, groups and `distinct`
        over these columns differ. https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html
        """
        return self._examples("{column} like '% '")

    def overlong_values(self) -> dict[str, str]:
        """A value of more than n bytes, for each such varchar(n) column (`schema.relation.column`).

        Redshift counts bytes and would refuse it, PostgreSQL counts characters.
        https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html
        """
        return self._examples("octet_length({column}) > {length}")

    def _examples(self, condition: str) -> dict[str, str]:
        relations = self.query(
            """
            select format('%s.%s', namespaces.nspname, classes.relname), classes.oid::regclass::text,
                array_agg(attributes.attname::text order by attributes.attname),
                array_agg(greatest(attributes.atttypmod - 4, -1) order by attributes.attname)
            from pg_attribute as attributes
            inner join pg_class as classes on attributes.attrelid = classes.oid
            inner join pg_namespace as namespaces on classes.relnamespace = namespaces.oid
            where classes.relkind in ('r', 'v') and attributes.attnum > 0 and not attributes.attisdropped
                and attributes.atttypid in ('varchar'::regtype, 'text'::regtype)
                and namespaces.nspname not in ('rs', 'pg_catalog', 'information_schema')
            group by 1, 2
            order by 1
            """
        )
        found = {}
        for name, relation, columns, lengths in relations:
            examples = []
            for column, length in zip(columns, lengths, strict=True):
                quoted = '"' + column.replace('"', '""') + '"'
                # Without a length there is nothing to exceed.
                where = condition.format(column=quoted, length=length if length > 0 else 2**31 - 1)
                examples.append(f"min({quoted}) filter (where {where})")
            # All columns at once: a view is computed for every query.
            [values] = self.query(f"select {', '.join(examples)} from {relation}")
            found |= {
                f"{name}.{column}": value for column, value in zip(columns, values, strict=True) if value is not None
            }
        return found
