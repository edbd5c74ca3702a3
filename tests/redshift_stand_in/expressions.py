"""Queries and the expressions in them: refused where Redshift has no such thing, reworded where PostgreSQL has not."""

import re
from collections.abc import Callable

from sqlglot.tokens import TokenType as Kind

from .functions import rewrite_call
from .refusals import NotEmulated, refuse
from .tokens import Statement
from .words import COMPUTE_FUNCTIONS, FRAMED_FUNCTIONS, NOT_CALLS, RESERVED, UNSUPPORTED_TYPES

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
_CATALOG = re.compile(r"(pg_catalog|information_schema|pg_[a-z_]+|sv[vl]_\w+|st[vl]_\w+|sys_\w+)$")


def rewrite_expressions(statement: Statement, first: int) -> None:
    """Checks and rewords the query that starts at token `first`.

    Raises:
        Refused: Redshift has no such query.
        NotEmulated: the stand-in cannot run it.
    """
    tables = _tables(statement)
    # What dbt asks the catalog runs on Redshift's leader node, where other functions exist.
    is_catalog_query = any(_CATALOG.match(part) for path in tables for part in path)
    has_table = bool(tables)
    calls = []
    for index in range(first, len(statement)):
        _check_name(statement, index)
        if statement.kind(index) == Kind.IDENTIFIER:
            _fold(statement, index)
        elif statement.kind(index) == Kind.L_PAREN:
            _name_derived_table(statement, index)
            _check_row_comparison(statement, index)
            _check_set_operand(statement, index)
        elif statement.word(index) == "^@":
            refuse("starts_with_operator")
        elif statement.kind(index) == Kind.STRING and not is_catalog_query:
            _check_string(statement, index)
        elif statement.is_word(index) and statement.kind(index - 1) != Kind.DOT:
            word = statement.word(index)
            check = _CHECKS.get(word)
            if check:
                check(statement, index)
            _check_type(statement, index)
            if _is_call(statement, index):
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


def _tables(statement: Statement) -> list[list[str]]:
    """The relations that are read, but for those that the statement itself defines."""
    named_queries = {
        statement.name(index)
        for index in range(len(statement))
        if statement.word(index + 1) == "as" and statement.kind(index + 2) == Kind.L_PAREN
    }
    paths = [
        statement.path(index + 1)
        for index in range(len(statement))
        if statement.word(index).split(" ")[-1] in ("from", "join") and statement.is_name(index + 1)
    ]
    return [path for path in paths if len(path) > 1 or path[0] not in named_queries]


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


def _check_row_comparison(statement: Statement, index: int) -> None:
    if statement.word(index - 1) in _BEFORE_A_ROW and statement.word(index + 1) not in ("select", "with"):
        end = statement.closing(index)
        if statement.word(end + 1) in _COMPARISONS and len(statement.arguments(index)) > 1:
            refuse("row_comparison", statement.source(index, end))


def _check_set_operand(statement: Statement, index: int) -> None:
    # A derived table is none, as dbt writes it for `--empty`.
    if statement.word(index + 1) not in ("select", "with") or statement.word(index - 1) in ("from", "join"):
        return
    end = statement.closing(index)
    if statement.word(end + 1) in _SET_OPERATORS or statement.word(index - 1) in (*_SET_OPERATORS, "all"):
        inside = statement.at_depth(index + 1, end - 1)
        if any(statement.word(i) == "limit" for i in inside):
            refuse("set_operator_limit")


def _check_type(statement: Statement, index: int) -> None:
    """A type after `::`, or in `cast(... as type)`."""
    if statement.word(index) not in UNSUPPORTED_TYPES:
        return
    is_cast = statement.kind(index - 1) == Kind.DCOLON or (
        statement.word(index - 1) == "as" and statement.call_around(index) in ("cast", "try_cast")
    )
    if is_cast:
        refuse("unsupported_type", statement.word(index))


def _is_call(statement: Statement, index: int) -> bool:
    word = statement.word(index)
    if statement.kind(index + 1) != Kind.L_PAREN or word in NOT_CALLS or statement.kind(index) == Kind.ALIAS:
        return False
    if statement.word(index - 1) in ("table", "into", "with", "recursive"):
        return False  # a name with its columns
    end = statement.closing(index + 1)
    is_named_query = statement.word(end + 1) == "as" and statement.kind(end + 2) == Kind.L_PAREN
    # `from generate_series(1, 3) as g(n)`: the second is an alias.
    is_alias = statement.word(index - 1) == "as" and statement.kind(index - 2) == Kind.R_PAREN
    return not ((is_named_query and statement.kind(index - 1) == Kind.COMMA) or is_alias)


def _check_reserved(statement: Statement, index: int) -> None:
    word = statement.word(index)
    if word == "without" and statement.word(index + 1) == "time":
        return
    refuse("reserved_word", f'syntax error at or near "{word}"')


def _check_returning(statement: Statement) -> None:
    top = statement.at_depth(0, len(statement) - 1)
    if any(statement.word(i) == "returning" and statement.word(i - 1) not in ("select", ",", "as") for i in top):
        refuse("returning")


def _filter(statement: Statement, index: int) -> None:
    if statement.kind(index + 1) == Kind.L_PAREN and statement.kind(index - 1) == Kind.R_PAREN:
        refuse("aggregate_filter")


def _distinct(statement: Statement, index: int) -> None:
    if statement.word(index + 1) == "on":
        refuse("distinct_on")
    if statement.word(index - 1) in ("is", "not") or statement.word(index - 1).endswith("is not"):
        refuse("is_distinct_from")
    if statement.word(index - 1) == "union":
        refuse("union_distinct")


def _set_operator(statement: Statement, index: int) -> None:
    if statement.word(index + 1) == "all":
        refuse("set_operator_all", statement.word(index))


def _minus(statement: Statement, index: int) -> None:
    if statement.word(index + 1) == "all":
        refuse("set_operator_all", statement.word(index))
    if statement.word(index + 1) in ("select", "("):
        statement.replace(index, index, "except")


def _fetch(statement: Statement, index: int) -> None:
    if statement.word(index + 1) in ("first", "next"):
        refuse("fetch_first")


def _join_kind(statement: Statement, index: int) -> None:
    if statement.word(index + 1) == "join":
        refuse("join_kind", statement.word(index))


def _window(statement: Statement, index: int) -> None:
    if statement.word(index + 2) == "as" and statement.kind(index + 3) == Kind.L_PAREN:
        refuse("window_clause")


def _recursive(statement: Statement, index: int) -> None:
    if statement.word(index - 1) != "with":
        return
    if statement.kind(index + 2) != Kind.L_PAREN:
        refuse("recursive_columns")
    query = statement.closing(index + 2) + 2
    for i in range(query, statement.closing(query)):
        if statement.word(i) == "union" and statement.word(i + 1) != "all":
            refuse("recursive_union_all")


def _lateral(statement: Statement, index: int) -> None:
    if statement.kind(index + 1) == Kind.L_PAREN or statement.is_name(index + 1):
        refuse("lateral")


def _values(statement: Statement, index: int) -> None:
    if statement.kind(index - 1) == Kind.L_PAREN and statement.word(index - 2) in ("from", "join", "as", ","):
        refuse("values_table")


def _frame_unit(statement: Statement, index: int) -> None:
    if statement.word(index + 1) in ("between", "unbounded", "current row", "current"):
        refuse("frame_unit", statement.word(index))


def _array(statement: Statement, index: int) -> None:
    if statement.kind(index + 1) == Kind.L_BRACKET:
        refuse("array_constructor")


def _nulls(statement: Statement, index: int) -> None:
    if statement.word(index + 1) == "nulls":
        raise NotEmulated(f"{statement.word(index)} nulls")


def _top(statement: Statement, index: int) -> None:
    if statement.kind(index + 1) == Kind.NUMBER:
        raise NotEmulated("select top")


def _exclude(statement: Statement, index: int) -> None:
    if statement.word(index - 1) == "*":
        raise NotEmulated("select * exclude")


def _sysdate(statement: Statement, index: int) -> None:
    if statement.kind(index + 1) != Kind.L_PAREN:
        statement.replace(index, index, "getdate()")


def _approximate(statement: Statement, index: int) -> None:
    if statement.word(index + 1) in ("count", "percentile_disc"):
        statement.remove(index, index)


def _dependencies(statement: Statement, index: int) -> None:
    if statement.word(index - 1) in ("from", "join"):
        statement.replace(index, index, "rs.pg_depend")


_CHECKS: dict[str, Callable[[Statement, int], None]] = {
    "anti": _join_kind,
    "approximate": _approximate,
    "array": _array,
    "asof": _join_kind,
    "distinct": _distinct,
    "except": _set_operator,
    "exclude": _exclude,
    "fetch": _fetch,
    "filter": _filter,
    "groups": _frame_unit,
    "ignore": _nulls,
    "intersect": _set_operator,
    "lateral": _lateral,
    "minus": _minus,
    "pg_depend": _dependencies,
    "positional": _join_kind,
    "range": _frame_unit,
    "recursive": _recursive,
    "respect": _nulls,
    "semi": _join_kind,
    "sysdate": _sysdate,
    "top": _top,
    "values": _values,
    "window": _window,
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
        if function in FRAMED_FUNCTIONS and "order by" in inside and "rows" not in inside:
            refuse("window_frame", function)
