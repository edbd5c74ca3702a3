"""Statements with what becomes of them: those that Redshift refuses, those that it runs, and near misses."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

_FOLDER = Path(__file__).parent
SETUP = (_FOLDER / "setup.sql").read_text()
_HEAD = re.compile(r"-- (?P<name>[^|\n]+?) \| (?P<outcome>[^|\n]+?)(?: \| (?P<note>.*))?\n(?:-- = (?P<rows>.*)\n)?")
# The objects that the COPY cases load, below s3://cases/.
_OBJECTS = {
    "good/a.parquet": "select * from (values (1, 'one'), (2, ''), (3, null)) as rows(id, name)",
    "several/a.parquet": "select * from (values (1, 'one'), (2, ''), (3, null)) as rows(id, name)",
    "several/more/b.parquet": "select * from (values (4, 'one'), (5, ''), (6, null)) as rows(id, name)",
    "renamed/a.parquet": "select 7 as name, 'x' as id",
    "bigint/a.parquet": "select 1::bigint as id, 'x' as name",
    "decimal/a.parquet": "select 1.5::decimal(10, 2) as amount",
    "four_bytes/a.parquet": "select 1 as id, 'öö' as name",
    "five_bytes/a.parquet": "select 1 as id, 'ööx' as name",
    "unloaded/over/0000_part_00.parquet": "select 1 as id",
}


@dataclass(frozen=True)
class Case:
    """A statement and what becomes of it; `queries.sql` says how.

    Attributes:
        name: Its name.
        sql: The statement; before it, separated by semicolons, others that must pass.
        outcome: What becomes of it, without the rule.
        rule: The rule that refuses it, or, of one that passes, that it comes near to.
        rows: What it returns, as JSON; None where that does not matter.
    """

    name: str
    sql: str
    outcome: str
    rule: str | None
    rows: list[list[Any]] | None

    @cached_property
    def statements(self) -> list[str]:
        """The statements, one by one."""
        return [part for part in self.sql.split(";\n") if part.strip()]


def read_cases() -> list[Case]:
    """All cases, in the order of the files."""
    return [case for name in ("queries.sql", "commands.sql") for case in _read(_FOLDER / name)]


def _read(path: Path) -> list[Case]:
    text = path.read_text()
    heads = list(_HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    cases = []
    for head, end in zip(heads, ends, strict=True):
        outcome, _, rule = head["outcome"].partition(": ")
        sql = text[head.end() : end].strip()
        rows = json.loads(head["rows"]) if head["rows"] else None
        cases.append(Case(head["name"], sql, outcome, rule.removeprefix("near ") or None, rows))
    return cases


def write_objects(s3: Path) -> None:
    """Writes the objects that the cases load into the folder that stands for S3."""
    for name, query in _OBJECTS.items():
        path = s3 / "cases" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        duckdb.sql(query).write_parquet(str(path))
    text = s3 / "cases/text/a.parquet"
    text.parent.mkdir(exist_ok=True)
    text.write_text("id,name\n1,one\n")
