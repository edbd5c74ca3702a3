"""Phrases that PostgreSQL has and Redshift has not, or that the stand-in cannot emulate, as one table."""

from sqlglot.tokens import TokenType as Kind

from .refusals import NotEmulated, refuse
from .tokens import Statement

# The first words of the statements in question (none: all), the phrase, and the rule; without one it is not emulated.
# In a phrase, | stands between alternatives, # for a number, '' for a string, and * for any token.
_TABLE = (
    # Queries
    ("", "distinct on", "distinct_on"),
    ("", "is distinct from", "is_distinct_from"),
    ("", "is not distinct from", "is_distinct_from"),
    ("", "union distinct", "union_distinct"),
    ("", "intersect|except|minus all", "set_operator_all"),
    ("", "fetch first|next", "fetch_first"),
    ("", "offset # row|rows", "fetch_first"),
    ("", "semi|anti|asof|positional join", "join_kind"),
    ("", "from|join|, lateral *", "lateral"),
    ("", "from|join only", "from_item"),
    ("", "tablesample * (", "from_item"),
    ("", "with ordinality", "from_item"),
    ("", "( values", "values_table"),
    ("", "union|all|except|intersect|minus values", "values_table"),
    ("", "( table *", "select_clause"),
    ("", "for update|share", "select_clause"),
    ("", "for no key update", "select_clause"),
    ("", "for key share", "select_clause"),
    ("", "as ( delete|insert|merge|update", "with_clause"),
    ("", "as materialized (", "with_clause"),
    ("", "as not materialized (", "with_clause"),
    ("", "search breadth|depth first", "with_clause"),
    ("", "group by distinct", "group_by_distinct"),
    ("", "group by all", None),
    ("", "pivot|unpivot (", None),
    ("", "top #", None),
    ("", "* exclude (", None),
    # Expressions
    ("", "between symmetric|asymmetric", "between_symmetric"),
    ("", "array [", "array_constructor"),
    ("", "any|some|all ( ''", "array_constructor"),
    ("", "collate *", None),
    ("", "^@", "starts_with_operator"),
    ("", "~*", "posix_without_case"),
    # Calls and windows
    ("", ") filter (", "aggregate_filter"),
    ("", "window * as (", "window_clause"),
    ("", "groups|range between|current|unbounded", "frame_unit"),
    ("", "exclude current|group|no|ties", "frame_exclude"),
    ("", "ignore|respect nulls", None),
    # Changes of rows
    ("insert", "on conflict", "insert_clause"),
    ("insert", "overriding system|user", "insert_clause"),
    ("update", "set (", "update_row"),
    # Definitions
    ("create", "temp|temporary view", "view_clause"),
    ("create", "check option", "view_clause"),
    ("create", "with no data", "create_table_as"),
    ("create", "generated always", "table_attribute"),
    ("create", "exclude using", "table_attribute"),
    ("alter", "add if not exists", "alter_table"),
    ("alter", "add column if not exists", "alter_table"),
    ("alter", "drop if exists", "alter_table"),
    ("alter", "drop column if exists", "alter_table"),
    ("alter", "alter table if exists", "alter_table"),
    ("alter", "drop|set default", "alter_table"),
    ("alter", "drop|set not null", "alter_table"),
    ("alter", "set data type", "alter_table"),
    ("alter", "set schema", "alter_table"),
    # Other commands
    ("grant|revoke", "connect on|,", "grant_privilege"),
    ("abort|commit|end|rollback", "and chain", "transaction_chain"),
    ("abort|commit|end|rollback", "and no chain", "transaction_chain"),
    ("analyze", "predicate columns", None),
)
_PHRASES = [
    (set(first.split("|")) - {""}, [set(part.split("|")) for part in phrase.split()], rule)
    for first, phrase, rule in _TABLE
]
_BY_KIND = {Kind.STRING: "''", Kind.NUMBER: "#"}


def check_phrases(statement: Statement) -> None:
    """Looks for every phrase of the table.

    Raises:
        Refused: Redshift does not know one of them.
        NotEmulated: the stand-in does not.
    """
    # `group by` is one token, `is not` are two.
    words = [
        (_BY_KIND.get(statement.kind(index), word), index)
        for index in range(len(statement))
        for word in ([statement.word(index)] if statement.kind(index) == Kind.STRING else statement.word(index).split())
    ]
    places: dict[str, list[int]] = {}
    for place, (word, _) in enumerate(words):
        places.setdefault(word, []).append(place)
    for starts, phrase, rule in _PHRASES:
        if starts and statement.word(0) not in starts:
            continue
        # Where its first word of its own stands, since hardly a statement holds it.
        ahead = next(number for number, part in enumerate(phrase) if "*" not in part)
        for place in sorted(place - ahead for word in phrase[ahead] for place in places.get(word, ())):
            found = words[place : place + len(phrase)] if place >= 0 else []
            if len(found) == len(phrase) and all(
                "*" in part or word in part for part, (word, _) in zip(phrase, found, strict=True)
            ):
                told = statement.source(found[0][1], found[-1][1])
                if statement.kind(found[0][1] - 1) == Kind.DOT:
                    continue  # a column of that name
                if rule is None:
                    raise NotEmulated(told)
                refuse(rule, told)
