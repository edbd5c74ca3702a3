"""CREATE TABLE and CREATE VIEW: what PostgreSQL has no words for is taken out and handed to it in a comment."""

import json
from dataclasses import dataclass, field
from typing import Any

from sqlglot.tokens import TokenType as Kind

from .refusals import NotEmulated, refuse
from .relations import read_relations
from .tokens import Statement
from .types import check_type, size_decimal

_MAX_SORT_KEYS = {"interleaved": 8, "compound": 400}
_CHARACTER_TYPES = {"varchar", "text", "nvarchar", "bpchar", "character varying"}
_DEFAULT_LENGTH = 256  # of a character type without one
_NO_SCHEMA_BINDING = ["with", "no", "schema", "binding"]


@dataclass
class Definition:
    """What a table or view is on Redshift beyond what PostgreSQL can store; `sql/1_catalog.sql` keeps it.

    Attributes:
        body: The first and last token of the query, of a late-binding view.
    """

    attributes: dict[str, Any] = field(default_factory=dict)
    body: tuple[int, int] | None = None
    first_of_query: int = 0

    def comment(self, statement: Statement, moved: Any) -> str:
        """The comment for the event trigger; empty where there is nothing to tell."""
        if self.body:
            start, end = statement.start(self.body[0]), statement.end(self.body[1])
            self.attributes["body"] = [moved(start), moved(end)]
        return f" /*rs:{json.dumps(self.attributes)}*/" if self.attributes else ""


def read_create(statement: Statement) -> Definition:
    """Takes Redshift's words out of a CREATE statement and returns them.

    Raises:
        Refused: Redshift has no such definition.
        NotEmulated: it is one that the stand-in cannot make.
    """
    definition = Definition()
    index = 1
    while statement.word(index) in ("or", "replace", "temp", "temporary", "local"):
        index += 1
    what = statement.word(index)
    if what in ("materialized", "external", "procedure", "function", "model", "user", "group", "library", "datashare"):
        raise NotEmulated(f"create {what}")
    if what not in ("table", "view"):
        if what != "schema":
            refuse("unsupported_command", f"create {what}")
        definition.first_of_query = len(statement)
        return definition
    index += 1
    while statement.word(index) in ("if", "not", "exists"):
        index += 1
    index = statement.end_of_path(index) + 1
    if statement.kind(index) == Kind.L_PAREN and what == "table":
        if statement.word(index + 1) == "like":
            raise NotEmulated("create table (like ...)")
        _read_columns(statement, index, definition.attributes)
        index = statement.closing(index) + 1
    elif statement.kind(index) == Kind.L_PAREN:
        index = statement.closing(index) + 1
    index = _read_attributes(statement, index, definition.attributes)
    if what == "view":
        _read_binding(statement, index, definition)
    definition.first_of_query = index
    return definition


def _read_attributes(statement: Statement, index: int, attributes: dict[str, Any]) -> int:
    """Takes BACKUP, DISTSTYLE, DISTKEY and SORTKEY out; returns where the query, or the end, is."""
    while index < len(statement) and statement.word(index) != "as":
        word, following, last = statement.word(index), statement.word(index + 1), index
        if word == "backup" and following in ("yes", "no"):
            attributes["backup"], last = following == "yes", index + 1
        elif word == "diststyle" and following in ("even", "all", "auto", "key"):
            attributes["diststyle"], last = following, index + 1
        elif word == "distkey" and statement.kind(index + 1) == Kind.L_PAREN:
            names = statement.names_within(index + 1)
            if len(names) != 1:
                refuse("dist_key", "a table has one DISTKEY column")
            attributes["distkey"], last = names[0], statement.closing(index + 1)
        elif word in _MAX_SORT_KEYS and following == "sortkey":
            attributes["sort_type"] = word
        elif word == "sortkey" and following == "auto":
            last = index + 1
        elif word == "sortkey" and statement.kind(index + 1) == Kind.L_PAREN:
            attributes["sortkeys"], last = statement.names_within(index + 1), statement.closing(index + 1)
        else:
            refuse("table_attribute", f'syntax error at or near "{word}"')
        statement.remove(index, last)
        index = last + 1
    style = attributes.get("diststyle")
    if style == "key" and "distkey" not in attributes:
        refuse("dist_key", "DISTSTYLE KEY needs a DISTKEY")
    if attributes.get("distkey") and style not in (None, "key"):
        refuse("dist_key", f"DISTKEY with DISTSTYLE {style.upper()}")
    most = _MAX_SORT_KEYS[attributes.get("sort_type", "compound")]
    if len(attributes.get("sortkeys", [])) > most:
        refuse("sort_keys", f"at most {most}")
    return index


def _read_binding(statement: Statement, index: int, definition: Definition) -> None:
    last = len(statement) - 1
    if statement.words(last - 3, last) != _NO_SCHEMA_BINDING:
        return
    statement.remove(last - 3, last)
    definition.attributes["late_binding"] = True
    definition.body = (index + 1, last - 4)
    for path in read_relations(statement).tables:
        if len(path) == 1:
            refuse("late_binding_names", path[0])


def _read_columns(statement: Statement, opening: int, attributes: dict[str, Any]) -> None:
    for number, (first, last) in enumerate(statement.arguments(opening)):
        start = first + 2 if statement.word(first) == "constraint" else first
        constraint = statement.word(start).split()[0] if statement.is_word(start) or start > first else ""
        if statement.word(start) in ("primary key", "foreign key"):
            constraint = statement.word(start).split()[0]
        if constraint in ("primary", "unique", "foreign") and any(
            statement.kind(i) == Kind.L_PAREN for i in range(start, last + 1)
        ):
            _read_table_constraint(statement, constraint, start, last, attributes)
            # With the comma before it.
            statement.replace_text(statement.start(first - 1 if number else first), statement.end(last), "")
        elif constraint == "check":
            refuse("check_constraint")
        else:
            _read_column(statement, first, last, attributes)
    size_character_types(statement, opening, statement.closing(opening))


def _read_table_constraint(
    statement: Statement, constraint: str, first: int, last: int, attributes: dict[str, Any]
) -> None:
    opening = next(i for i in range(first, last + 1) if statement.kind(i) == Kind.L_PAREN)
    columns = statement.names_within(opening)
    if constraint == "foreign":
        references = next(i for i in range(opening, last + 1) if statement.word(i) == "references")
        _add_foreign_key(statement, references + 1, columns, attributes)
    else:
        attributes.setdefault("uniques" if constraint == "unique" else "pk", []).extend(columns)


def _add_foreign_key(statement: Statement, target: int, columns: list[str], attributes: dict[str, Any]) -> None:
    table = ".".join(f'"{part}"' for part in statement.path(target)[-2:])
    attributes.setdefault("fks", []).append({"ref": table, "cols": columns})


def _read_column(statement: Statement, first: int, last: int, attributes: dict[str, Any]) -> None:
    column, index = statement.name(first), first + 1
    type_name = statement.word(index)
    if type_name in ("serial", "bigserial", "smallserial"):
        refuse("serial_type", type_name)
    check_column_type(statement, index)
    while index <= last:
        word = statement.word(index)
        if word == "encode":
            statement.remove(index, index + 1)
            index += 1
        elif word == "distkey":
            attributes["distkey"] = column
            statement.remove(index, index)
        elif word == "sortkey":
            attributes.setdefault("sortkeys", []).append(column)
            statement.remove(index, index)
        elif word in ("primary key", "primary"):
            attributes["pk"] = [column]
            end = index + (word == "primary")
            statement.remove(index, end)
            index = end
        elif word == "unique":
            attributes.setdefault("uniques", []).append(column)
            statement.remove(index, index)
        elif word == "references":
            _add_foreign_key(statement, index + 1, [column], attributes)
            end = statement.end_of_path(index + 1)
            if statement.kind(end + 1) == Kind.L_PAREN:
                end = statement.closing(end + 1)
            statement.remove(index, end)
            index = end
        elif word == "identity" and statement.kind(index + 1) == Kind.L_PAREN:
            end = statement.closing(index + 1)
            is_generated = statement.words(index - 4, index - 1) == ["generated", "by", "default", "as"]
            statement.replace(index, end, "identity" if is_generated else "generated by default as identity")
            index = end
        elif word == "check":
            refuse("check_constraint")
        index += 1


def check_column_type(statement: Statement, index: int) -> None:
    """Checks the type of a column, and gives a decimal its size.

    Raises:
        Refused: Redshift has no such type.
        NotEmulated: the stand-in has not.
    """
    if statement.word(index) == "interval":
        raise NotEmulated("a column of the type interval")
    check_type(statement, index)
    size_decimal(statement, index)


def size_character_types(statement: Statement, first: int, last: int) -> None:
    """Gives the character types of column definitions the length that they have on Redshift without one."""
    for index in range(first, last):
        if statement.word(index) not in _CHARACTER_TYPES or statement.kind(index - 1) == Kind.DCOLON:
            continue
        if statement.kind(index + 1) == Kind.L_PAREN:
            if statement.word(index + 2) == "max":
                statement.replace(index + 2, index + 2, "65535")
        elif statement.is_name(index - 1):
            statement.replace(index, index, f"varchar({_DEFAULT_LENGTH})")
