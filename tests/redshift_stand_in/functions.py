"""Calls: functions that Redshift has not are refused, those that PostgreSQL names or writes otherwise are reworded."""

import re

from sqlglot.tokens import TokenType as Kind

from .refusals import NotEmulated, refuse
from .tokens import Statement
from .types import sized
from .words import (
    COMPUTE_FUNCTIONS,
    DATE_PARTS,
    FUNCTIONS,
    LEADER_FUNCTIONS,
    NOT_EMULATED_FUNCTIONS,
    POSTGRES_DATE_PARTS,
    SUBSECONDS,
    WEEKS,
)

# PostgreSQL means something else by these names; `sql/2_functions.sql` has them in the schema rs.
_OF_OUR_OWN = {"concat", "date_trunc", "regexp_replace", "regexp_substr", "avg", "any_value"}
_RENAMED = {
    "nvl": "coalesce",
    "datepart": "date_part",
    "textlen": "length",
    "dlog10": "log",
    "dlog1": "ln",
    "dexp": "exp",
    "variance": "var_samp",
    "replicate": "repeat",
}
# How few and how many arguments Redshift takes where PostgreSQL takes others, and the rule.
_ARGUMENTS = {
    "concat": (2, 2, "concat_arguments"),
    "date_trunc": (2, 2, "date_trunc_zone"),
    "lag": (1, 2, "lag_default"),
    "lead": (1, 2, "lag_default"),
    "to_timestamp": (2, 3, "to_timestamp_format"),
}
_DATE_PART_FIRST = {"dateadd", "datediff", "date_part", "datepart", "date_trunc"}


def rewrite_call(statement: Statement, index: int, *, is_catalog_query: bool, has_table: bool) -> None:
    """Checks and rewords the call whose name is token `index`.

    Raises:
        Refused: Redshift has no such function, or not with these arguments.
        NotEmulated: the stand-in has not.
    """
    name = statement.word(index)
    if is_catalog_query:
        if name == "regexp_substr":
            statement.replace(index, index, "rs.regexp_substr")
        return
    if name in LEADER_FUNCTIONS and has_table:
        refuse("leader_function", name)
    if name in COMPUTE_FUNCTIONS and not has_table:
        refuse("compute_function", name)
    if name not in FUNCTIONS | LEADER_FUNCTIONS:
        refuse("unknown_function", name)
    if name in NOT_EMULATED_FUNCTIONS:
        raise NotEmulated(f"the function {name}")
    arguments = statement.arguments(index + 1)
    fewest, most, rule = _ARGUMENTS.get(name, (0, len(arguments), ""))
    if not fewest <= len(arguments) <= most:
        refuse(rule, f"{name} with {len(arguments)} arguments")
    if any(statement.word(i) == "order by" for i in statement.at_depth(index + 2, statement.closing(index + 1) - 1)):
        refuse("aggregate_order", name)
    if name == "extract":
        _extract(statement, index)
    elif name == "substring" and arguments:
        _substring(statement, arguments)
    elif name == "try_cast":
        _try_cast(statement, index)
    elif name == "listagg":
        _listagg(statement, index, arguments)
        return
    elif name in _DATE_PART_FIRST and arguments:
        _date_part(statement, name, arguments[0])
    if name in _RENAMED:
        statement.replace(index, index, _RENAMED[name])
    elif name in _OF_OUR_OWN:
        statement.replace(index, index, f"rs.{name}")


def _extract(statement: Statement, index: int) -> None:
    part = index + 2
    if statement.word(part) not in DATE_PARTS:
        refuse("date_part", statement.word(part))
    if statement.word(part) in SUBSECONDS:
        raise NotEmulated(f"extract({statement.word(part)}): whether with the seconds is not clear from the guide")
    if statement.word(part) in POSTGRES_DATE_PARTS:
        statement.replace(part, part, POSTGRES_DATE_PARTS[statement.word(part)])
    # It returns integers: https://docs.aws.amazon.com/redshift/latest/dg/r_Dateparts_for_datetime_functions.html
    statement.replace(index, index, "cast(trunc(extract")
    whole = "bigint" if statement.word(part) == "epoch" else "integer"
    statement.insert_after(statement.closing(index + 1), f") as {whole})")


def _substring(statement: Statement, arguments: list[tuple[int, int]]) -> None:
    first, last = arguments[0][0], arguments[-1][1]
    inside = statement.at_depth(first, last)
    by_comma = len(arguments) > 1 and statement.kind(arguments[1][0]) == Kind.STRING
    by_word = any(
        statement.word(i) == "similar" or (statement.word(i) == "from" and statement.kind(i + 1) == Kind.STRING)
        for i in inside
    )
    if by_comma or by_word:
        refuse("substring_pattern", statement.source(first, last))


def _date_part(statement: Statement, name: str, argument: tuple[int, int]) -> None:
    """The unit, which Redshift takes with or without quotation marks."""
    first, last = argument
    if first != last or not (statement.is_word(first) or statement.kind(first) == Kind.STRING):
        return
    part = statement.word(first).strip("'")
    if part not in DATE_PARTS:
        refuse("date_part", part)
    if name == "datediff" and part in WEEKS:
        raise NotEmulated("datediff(week): the first day of its week is not documented")
    statement.replace(first, first, f"'{POSTGRES_DATE_PARTS.get(part, part)}'")


def _try_cast(statement: Statement, index: int) -> None:
    opening = index + 1
    closing = statement.closing(opening)
    keyword = next(i for i in statement.at_depth(opening + 1, closing - 1) if statement.word(i) == "as")
    target = statement.source(keyword + 1, closing - 1)
    target = sized(target)
    statement.replace(index, opening, "cast(rs.try_cast(cast((")
    statement.replace(keyword, closing, f") as text), cast(null as {target})) as {target})")


def _listagg(statement: Statement, index: int, arguments: list[tuple[int, int]]) -> None:
    """Empty strings are left out, as NULL is; without a separator there is none."""
    first, last = arguments[0]
    end = statement.closing(index + 1)
    distinct = "distinct " if statement.word(first) == "distinct" else ""
    if distinct:
        first += 1
    separator = statement.source(*arguments[1]) if len(arguments) > 1 else "''"
    order, final = "", end
    if statement.word(end + 1) == "within":
        opening = end + 3
        final = statement.closing(opening)
        order = " " + statement.source(opening + 1, final - 1)
        if any(statement.kind(i) == Kind.L_PAREN for i in range(opening + 1, final)):
            raise NotEmulated("a call in the order of LISTAGG")
    if statement.kind(final + 1) is not None and statement.word(final + 1) == "over":
        raise NotEmulated("LISTAGG as a window function")
    value = f"nullif(cast(({statement.source(first, last)}) as text), '')"
    if distinct and order:
        # PostgreSQL wants the very expression there.
        order = re.sub(re.escape(statement.source(first, last)), lambda _: value, order, flags=re.IGNORECASE)
    statement.replace(index, first - 1, f"string_agg({distinct}nullif(cast((")
    statement.replace_text(statement.end(last), statement.end(final), f") as text), ''), {separator}{order})")
