"""Which relations a statement reads."""

from dataclasses import dataclass, field

from sqlglot.tokens import TokenType as Kind

from .tokens import Statement
from .words import CATALOG_RELATIONS, NOT_CALLS

_CATALOG_SCHEMAS = {"pg_catalog", "information_schema"}
_FROM_IN_CALLS = {"extract", "overlay", "position", "substring", "trim"}
# What may follow a relation and is no name of it.
_NO_ALIASES = NOT_CALLS | {
    *("cross", "fetch", "for", "full", "inner", "left", "natural", "order", "right", "window"),
}


@dataclass
class Relations:
    """What stands in the FROM clauses of a statement.

    Attributes:
        tables: The names of the relations, part by part, but for those that the statement itself defines.
        aliases: The tokens that name a relation and its columns, as the second t in `from t as t(a, b)`.
    """

    tables: list[list[str]] = field(default_factory=list)
    aliases: set[int] = field(default_factory=set)

    @property
    def are_catalog(self) -> bool:
        """Whether all are of the catalog, and there are some."""
        return bool(self.tables) and all(
            path[-2] in _CATALOG_SCHEMAS if len(path) > 1 else path[0] in CATALOG_RELATIONS for path in self.tables
        )


def read_relations(statement: Statement) -> Relations:
    """The relations after every FROM and JOIN."""
    found = Relations()
    for index in range(len(statement)):
        is_clause = statement.word(index).split(" ")[-1] in ("from", "join")
        if is_clause and statement.call_around(index) not in _FROM_IN_CALLS:
            _read_list(statement, index + 1, found)
    named = _named_queries(statement)
    found.tables = [path for path in found.tables if len(path) > 1 or path[0] not in named]
    return found


def _named_queries(statement: Statement) -> set[str]:
    """The names before `as (`, with or without a list of columns between."""
    names = set()
    for index in range(1, len(statement)):
        if statement.word(index) == "as" and statement.kind(index + 1) == Kind.L_PAREN:
            has_columns = statement.kind(index - 1) == Kind.R_PAREN
            names.add(statement.name(statement.opening(index - 1) - 1 if has_columns else index - 1))
    return names


def _read_list(statement: Statement, index: int, found: Relations) -> None:
    while True:
        if statement.kind(index) == Kind.L_PAREN:
            end = statement.closing(index)
            if statement.is_name(index + 1) and statement.word(index + 1) not in ("select", "with"):
                _read_list(statement, index + 1, found)
        elif statement.is_name(index):
            end, path = statement.end_of_path(index), statement.path(index)
            is_function = statement.kind(end + 1) == Kind.L_PAREN
            if not is_function or path[-1] in CATALOG_RELATIONS:
                found.tables.append(path)
            if is_function:
                end = statement.closing(end + 1)
        else:
            return
        alias = end + 2 if statement.word(end + 1) == "as" else end + 1
        if statement.is_name(alias) and statement.word(alias) not in _NO_ALIASES:
            end = alias
            if statement.kind(alias + 1) == Kind.L_PAREN:
                found.aliases.add(alias)
                end = statement.closing(alias + 1)
        if statement.kind(end + 1) != Kind.COMMA:
            return
        index = end + 2
