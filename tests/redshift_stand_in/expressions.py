"""Queries and the expressions in them: refused where Redshift has no such thing, reworded where PostgreSQL has not."""

from collections.abc import Callable
from typing import NoReturn

from sqlglot.tokens import TokenType as Kind

from .functions import rewrite_call
from .refusals import NotEmulated, refuse
from .relations import read_relations
from .tokens import Statement
from .types import check_type, size_decimal
from .words import (
    COMPUTE_FUNCTIONS,
    FRAMED_FUNCTIONS,
    FUNCTIONS,
    LEADER_FUNCTIONS,
    NOT_CALLS,
    RESERVED,
    UNFRAMED_FUNCTIONS,
    UNSUPPORTED_TYPES,
)

_LONGEST_NAME = 63  # of PostgreSQL; Redshift has 127
_COMPARISONS = {"=", "<>", "!=", "<", ">", "<=", ">="}
_BEFORE_A_ROW = {"(", ",", "and", "or", "not", "on", "select", "then", "when", "where", "having", "else"}
_SET_OPERATORS = {"union", "intersect", "except", "minus"}
# What may follow a derived table that has no name.
_AFTER_DERIVED_TABLE = _SET_OPERATORS | {
    *[
        ")",
        ",",
        "where",
        "on",
        "join",
        "inner",
        "left",
        "right",
        "full",
        "cross",
        "natural",
        "limit",
        "having",
        "qualify",
    ],
    *("group by", "order by", "inner join", "left join"),
}
# Schemas with functions of PostgreSQL or of ours; elsewhere there are none.
_SCHEMAS_OF_FUNCTIONS = {"information_schema", "pg_catalog", "rs"}
# The kinds of strings that Redshift does not know, or reads otherwise.
_STRINGS = {
    Kind.BYTE_STRING: "a string with escapes",
    Kind.HEREDOC_STRING: "a string between dollar signs",
    Kind.NATIONAL_STRING: "a national string",
    Kind.RAW_STRING: "a raw string",
    Kind.UNICODE_STRING: "a string with Unicode escapes",
}


def rewrite_expressions(statement: Statement, first: int) -> None:
    """Checks and rewords the query that starts at token `first`.

    Raises:
        Refused: Redshift has no such query.
        NotEmulated: the stand-in cannot run it.
    """
    relations = read_relations(statement)
    # What dbt asks the catalog runs on Redshift's leader node, where other functions exist.
    is_catalog_query = relations.are_catalog and statement.word(0) in ("select", "with", "(")
    has_table = bool(relations.tables)
    calls = []
    for index in range(first, len(statement)):
        _check_name(statement, index)
        is_part = statement.kind(index - 1) == Kind.DOT
        if not is_catalog_query and statement.is_name(index) and _is_call(statement, index, relations.aliases):
            _check_function_name(statement, index)
        if statement.kind(index) == Kind.IDENTIFIER:
            _fold(statement, index)
        elif statement.kind(index) == Kind.L_PAREN:
            _name_derived_table(statement, index)
            _check_row(statement, index)
            _check_set_operand(statement, index)
        elif statement.kind(index) in _STRINGS:
            raise NotEmulated(f"{_STRINGS[statement.kind(index)]}: {statement.word(index)}")
        elif statement.kind(index) == Kind.STRING and not is_catalog_query:
            _check_string(statement, index)
        elif statement.is_word(index) and not is_part:
            word = statement.word(index)
            rewording = _REWORDED.get(word)
            if rewording:
                rewording(statement, index)
            if not is_catalog_query:
                _check_types(statement, index)
            if _is_call(statement, index, relations.aliases):
                calls.append(index)
            elif word in RESERVED and not is_catalog_query:
                _check_reserved(statement, index)
            elif statement.kind(index) == Kind.VARCHAR and statement.word(index + 2) == "max":
                statement.replace(index + 2, index + 2, "65535")
    if statement.word(0) in ("insert", "update", "delete"):
        _check_returning(statement)
    for index in calls:
        rewrite_call(statement, index, is_catalog_query=is_catalog_query, has_table=has_table)
    if not is_catalog_query:
        _check_ordered_sets(statement, calls)
        _check_windows(statement)
        _check_subscripts(statement, first)


def _fold(statement: Statement, index: int) -> None:
    if statement.word(index) != statement.source(index, index):
        statement.replace(index, index, statement.word(index))


def _check_name(statement: Statement, index: int) -> None:
    if statement.is_name(index) and len(statement.name(index).encode()) > _LONGEST_NAME:
        raise NotEmulated(f"names of more than {_LONGEST_NAME} bytes: {statement.name(index)}")


def _check_string(statement: Statement, index: int) -> None:
    """Redshift takes a backslash for the start of an escape, PostgreSQL for itself."""
    if "\\" in statement.word(index):
        raise NotEmulated(f"a backslash in a string: {statement.word(index)}")


def _name_derived_table(statement: Statement, index: int) -> None:
    """Redshift lets a derived table go without a name, PostgreSQL 15 does not."""
    before = statement.word(index - 1).split(" ")[-1]
    if before in ("from", "join") and statement.word(index + 1) in ("select", "with"):
        end = statement.closing(index)
        if end + 1 >= len(statement) or statement.word(end + 1) in _AFTER_DERIVED_TABLE:
            statement.insert_after(end, f" _derived_{index}")


def _check_subscripts(statement: Statement, first: int) -> None:
    """Redshift has them on SUPER only."""
    for index in range(first, len(statement)):
        follows_value = statement.is_name(index - 1) or statement.kind(index - 1) == Kind.R_PAREN
        if statement.kind(index) == Kind.L_BRACKET and follows_value and statement.word(index - 1) not in NOT_CALLS:
            raise NotEmulated(f"a subscript: {statement.source(index - 1, index)}")


def _check_row(statement: Statement, index: int) -> None:
    """A row where it is no operand of IN."""
    before, following = statement.word(index - 1), statement.word(index + 1)
    if following in ("select", "with") or len(statement.arguments(index)) < 2:
        return
    end = statement.closing(index)
    if before in _BEFORE_A_ROW and statement.word(end + 1) in _COMPARISONS:
        refuse("row_comparison", statement.source(index, end))
    is_counted = before == "(" and statement.word(index - 2) == "count"
    if (before in ("select", "distinct") or is_counted) and statement.word(end + 1) not in ("in", "not"):
        refuse("row_constructor", statement.source(index, end))


def _check_set_operand(statement: Statement, index: int) -> None:
    # A derived table is none, as dbt writes it for `--empty`.
    if statement.word(index + 1) not in ("select", "with") or statement.word(index - 1) in ("from", "join"):
        return
    end = statement.closing(index)
    if statement.word(end + 1) in _SET_OPERATORS or statement.word(index - 1) in (*_SET_OPERATORS, "all"):
        inside = statement.at_depth(index + 1, end - 1)
        if any(statement.word(i) == "limit" for i in inside):
            refuse("set_operator_limit")


def _check_types(statement: Statement, index: int) -> None:
    """A type after `::`, in `cast(... as type)`, or before a literal."""
    is_in_call = statement.word(index - 1) == "as" and statement.call_around(index)
    if statement.kind(index - 1) == Kind.DCOLON or is_in_call in ("cast", "try_cast"):
        check_type(statement, index)
        if is_in_call != "try_cast":
            size_decimal(statement, index)
    elif statement.kind(index + 1) == Kind.STRING and (
        statement.word(index) in UNSUPPORTED_TYPES
        # `b'1'` is a bit string.
        or (statement.word(index) in ("b", "x") and statement.end(index) == statement.start(index + 1))
    ):
        refuse("unsupported_type", statement.source(index, index + 1))


def _is_call(statement: Statement, index: int, aliases: set[int]) -> bool:
    if statement.kind(index + 1) != Kind.L_PAREN or index in aliases or statement.kind(index) == Kind.ALIAS:
        return False
    # The others come before a name with its columns, or a type.
    if statement.word(index) in NOT_CALLS or statement.word(index - 1) in ("table", "into", "with", "recursive", "as"):
        return False
    end = statement.closing(index + 1)
    is_named_query = statement.word(end + 1) == "as" and statement.kind(end + 2) == Kind.L_PAREN
    return not (is_named_query and statement.kind(index - 1) == Kind.COMMA)


def _check_function_name(statement: Statement, index: int) -> None:
    """PostgreSQL finds a function by its quoted name and in a schema too."""
    name = statement.name(index)
    schema = statement.name(index - 2) if statement.kind(index - 1) == Kind.DOT else ""
    if schema in _SCHEMAS_OF_FUNCTIONS or (not schema and statement.kind(index) == Kind.IDENTIFIER):
        if name not in FUNCTIONS | LEADER_FUNCTIONS:
            refuse("unknown_function", name)
        raise NotEmulated(f"a function by a quoted name, or in a schema: {name}")


def _check_reserved(statement: Statement, index: int) -> None:
    word = statement.word(index)
    if word == "without" and statement.word(index + 1) == "time":
        return
    refuse("reserved_word", f'syntax error at or near "{word}"')


def _check_returning(statement: Statement) -> None:
    top = statement.at_depth(0, len(statement) - 1)
    if any(statement.word(i) == "returning" and statement.word(i - 1) not in ("select", ",", "as") for i in top):
        refuse("returning")


def _qualify(statement: Statement, index: int) -> NoReturn:
    first = index - 1
    while statement.kind(first - 1) == Kind.DOT:
        first -= 2
    if statement.word(first - 1) == "from":
        refuse("qualify_alias")
    raise NotEmulated("QUALIFY")


def _recursive(statement: Statement, index: int) -> None:
    if statement.word(index - 1) != "with":
        return
    if statement.kind(index + 2) != Kind.L_PAREN:
        refuse("recursive_columns")
    query = statement.closing(index + 2) + 2
    for i in range(query, statement.closing(query)):
        if statement.word(i) == "union" and statement.word(i + 1) != "all":
            refuse("recursive_union_all")


def _minus(statement: Statement, index: int) -> None:
    if statement.word(index + 1) in ("select", "("):
        statement.replace(index, index, "except")


def _sysdate(statement: Statement, index: int) -> None:
    if statement.kind(index + 1) != Kind.L_PAREN:
        statement.replace(index, index, "getdate()")


def _approximate(statement: Statement, index: int) -> None:
    if statement.word(index + 1) in ("count", "percentile_disc"):
        statement.remove(index, index)


def _dependencies(statement: Statement, index: int) -> None:
    if statement.word(index - 1) in ("from", "join"):
        statement.replace(index, index, "rs.pg_depend")


_REWORDED: dict[str, Callable[[Statement, int], None]] = {
    "approximate": _approximate,
    "minus": _minus,
    "pg_depend": _dependencies,
    "qualify": _qualify,
    "recursive": _recursive,
    "sysdate": _sysdate,
}


def _check_ordered_sets(statement: Statement, calls: list[int]) -> None:
    """LISTAGG, MEDIAN and the percentiles: one order in a query, and no DISTINCT aggregate beside them."""
    ordered = [index for index in calls if statement.word(index) in COMPUTE_FUNCTIONS]
    if not ordered:
        return
    for index in calls:
        if statement.word(index) != "listagg" and statement.word(index + 2) == "distinct":
            refuse("no_distinct_beside", " and ".join(statement.word(i) for i in (ordered[0], index)))
    orders = {order for index in ordered if (order := _order_within_group(statement, index))}
    if len(orders) > 1:
        refuse("one_within_group_order", " / ".join(sorted(orders)))


def _order_within_group(statement: Statement, index: int) -> str:
    end = statement.closing(index + 1)
    if statement.word(end + 1) == "within":
        opening = end + 3
        return " ".join(statement.words(opening + 1, statement.closing(opening) - 1))
    if statement.word(index) == "median":
        return "order by " + " ".join(statement.words(index + 2, end - 1))
    return ""


def _check_windows(statement: Statement) -> None:
    for index in range(len(statement)):
        if statement.word(index) != "over" or statement.kind(index + 1) != Kind.L_PAREN:
            continue
        if statement.kind(index - 1) != Kind.R_PAREN:
            continue
        function = statement.word(statement.opening(index - 1) - 1)
        inside = [statement.word(i) for i in statement.at_depth(index + 2, statement.closing(index + 1) - 1)]
        if function == "group":  # `within group (order by ...) over (...)`
            raise NotEmulated("an ordered-set aggregate as a window function")
        if function in FRAMED_FUNCTIONS and "order by" in inside and "rows" not in inside:
            refuse("window_frame", function)
        if function in UNFRAMED_FUNCTIONS and "rows" in inside:
            refuse("frame_not_allowed", function)
