"""Statements that are no queries: transactions, SET, SHOW, GRANT, COMMENT, DROP, ALTER and the like."""

import re

from sqlglot.tokens import TokenType as Kind

from .ddl import check_column_type, size_character_types
from .refusals import NotEmulated, refuse
from .tokens import Statement

# What PostgreSQL does the same way.
_SAME = {"begin", "start", "commit", "end", "rollback", "abort", "grant", "revoke", "comment", "deallocate", "discard"}
_DROPPED = {"table", "view", "schema", "user"}
_UNSUPPORTED = {"index", "trigger", "sequence", "rule", "type", "domain", "extension", "aggregate", "operator"}
# Settings that change nothing that the stand-in emulates.
_SETTINGS_WITHOUT_EFFECT = {"query_group"}
_POSTGRES_SETTINGS = {"datestyle", "client_encoding", "search_path", "statement_timeout", "timezone"}
_NOTHING = "set rs.nothing to ''"
_QUERIES = {"select", "with", "insert", "update", "delete", "merge", "create", "(", "truncate", "copy", "unload"}


def rewrite_utility(statement: Statement) -> str | None:
    """The statement for PostgreSQL, or None where it is a query or a definition, which is read elsewhere.

    Raises:
        Refused: Redshift has no such statement.
        NotEmulated: the stand-in cannot run it.
    """
    first, second = statement.word(0), statement.word(1)
    if first == "create" and second in ("user", "role"):
        return _user(statement)
    if first in _QUERIES:
        return _schema_of_this_database(statement) if (first, second) == ("create", "schema") else None
    if first == "show":
        return _show(statement)
    if first in ("set", "reset"):
        return _setting(statement, second)
    if first == "analyze" and second not in ("compression", "verbose"):
        return _folded(statement)
    if first == "drop":
        if second in _UNSUPPORTED:
            refuse("unsupported_command", f"drop {second}")
        if second not in _DROPPED:
            raise NotEmulated(f"drop {second}")
        return _schema_of_this_database(statement) if second == "schema" else _folded(statement)
    if first == "alter":
        if second not in ("table", "schema", "view", "user"):
            raise NotEmulated(f"alter {second}")
        return _alter(statement)
    if first in ("grant", "revoke"):
        # To PostgreSQL, users and roles are one: https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT.html
        for index in range(2, len(statement)):
            if statement.word(index) == "role" and statement.word(index - 1) in ("to", "from", ","):
                statement.remove(index, index)
    if first in _SAME:
        return _folded(statement)
    raise NotEmulated(" ".join(statement.words(0, 2)))


def _user(statement: Statement) -> str:
    """A user or a role; ``password disable`` is a login without a password.

    https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html
    """
    for index in range(2, len(statement)):
        if statement.word(index) == "disable" and statement.word(index - 1) == "password":
            statement.replace(index, index, "null")
    return _folded(statement)


def _folded(statement: Statement) -> str:
    """As sent, with the quoted names in lower case."""
    for index in range(len(statement)):
        if statement.kind(index) == Kind.IDENTIFIER:
            statement.replace(index, index, statement.word(index))
    return statement.edited()[0]


def _setting(statement: Statement, name: str) -> str:
    if name in _SETTINGS_WITHOUT_EFFECT:
        return _NOTHING
    if name not in _POSTGRES_SETTINGS:
        raise NotEmulated(f"{statement.word(0)} {name}")
    return _folded(statement)


def _schema_of_this_database(statement: Statement) -> str:
    """Redshift lets a schema be named with its database, PostgreSQL does not."""
    index = next(i for i in range(2, len(statement)) if statement.word(i) not in ("if", "not", "exists"))
    if statement.kind(index + 1) == Kind.DOT:
        statement.remove(index, index + 1)
        index += 2
    for rest in range(index, len(statement)):
        if statement.kind(rest) == Kind.IDENTIFIER:
            statement.replace(rest, rest, statement.word(rest))
    return statement.edited()[0]


def _alter(statement: Statement) -> str:
    words = statement.words(0, len(statement) - 1)
    if any(word in words for word in ("append", "diststyle", "distkey", "sortkey", "encode", "location")) and (
        "add" not in words and "rename" not in words
    ):
        raise NotEmulated("alter table, but for columns, constraints, names and owners")
    if "check" in words:
        refuse("check_constraint")
    for keyword in ("unique", "primary key", "foreign key"):
        if keyword in words:
            raise NotEmulated(f"alter table ... add {keyword}")
    if any(statement.kind(i) == Kind.COMMA for i in statement.at_depth(0, len(statement) - 1)):
        refuse("alter_one_action")
    _alter_column(statement)
    size_character_types(statement, 0, len(statement))
    return _folded(statement)


def _alter_column(statement: Statement) -> None:
    """`add [column] NAME TYPE` and `alter column NAME type TYPE`."""
    action = statement.end_of_path(2) + 1
    name = action + 1 + (statement.word(action + 1) == "column")
    if statement.word(action) == "add" and statement.word(name) != "constraint":
        check_column_type(statement, name + 1)
    elif statement.word(action) == "alter" and statement.word(name + 1) == "type":
        if statement.kind(name + 2) != Kind.VARCHAR:
            refuse("alter_type", statement.source(name + 2, len(statement) - 1))
        check_column_type(statement, name + 2)


def _show(statement: Statement) -> str:
    text = " ".join(statement.text.lower().split())
    like = r"(?: like '(?P<like>[^']*)')?$"
    if match := re.match(rf"show schemas from database (?P<path>\S+){like}", text):
        (database,) = _parts(match["path"])
        return _filtered("rs.show_schemas", {"database_name": database}, "schema_name", match["like"])
    if match := re.match(rf"show tables from schema (?P<path>\S+){like}", text):
        database, schema = _parts(match["path"])
        where = {"database_name": database, "schema_name": schema}
        return _filtered("rs.show_tables", where, "table_name", match["like"])
    if match := re.match(r"show columns from table (?P<path>\S+)$", text):
        database, schema, table = _parts(match["path"])
        where = {"database_name": database, "schema_name": schema, "table_name": table}
        return _filtered("svv_redshift_columns", where) + " order by ordinal_position"
    if match := re.match(r"show grants on table (?P<path>\S+)$", text):
        _, schema, table = _parts(match["path"])
        return _filtered("svv_relation_privileges", {"namespace_name": schema, "relation_name": table})
    raise NotEmulated(text)


def _parts(path: str) -> list[str]:
    return [part.strip('"') for part in re.findall(r'"[^"]+"|[^.\s"]+', path)]


def _filtered(view: str, where: dict[str, str], name: str = "", like: str | None = None) -> str:
    def literal(text: str) -> str:
        return "'" + text.replace("'", "''") + "'"

    conditions = [f"{column} = {literal(value)}" for column, value in where.items()]
    if like is not None:
        conditions.append(f"{name} like {literal(like)}")
    return f"select * from {view} where {' and '.join(conditions)}"
