"""A statement for Redshift becomes one for PostgreSQL."""

import sqlglot
from sqlglot import exp, transforms

from .ddl import Definition, read_create
from .expressions import rewrite_expressions
from .merge import check_merge
from .refusals import NotEmulated, refuse
from .s3_statements import rewrite_copy, rewrite_unload
from .tokens import Statement
from .utility import rewrite_utility


def rewrite(sql: str) -> str:
    """What PostgreSQL is to run for a statement that Redshift was sent.

    Raises:
        Refused: Redshift would not run it.
        NotEmulated: the stand-in cannot run it.
    """
    statement = Statement(sql)
    if not len(statement):
        return sql
    utility = rewrite_utility(statement)
    if utility is not None:
        return utility
    first = statement.word(0)
    if first == "copy":
        return rewrite_copy(statement)
    if first == "unload":
        return rewrite_unload(statement, rewrite)
    if first == "truncate":
        # The proxy commits afterwards, as Redshift does.
        return "truncate table " + statement.source(1 + (statement.word(1) == "table"), len(statement) - 1)
    return _rewrite_query(_expanded(statement))


def _rewrite_query(statement: Statement) -> str:
    definition = Definition()
    if statement.word(0) == "create":
        definition = read_create(statement)
    elif statement.word(0) == "merge":
        check_merge(statement)
    for index in range(min(definition.first_of_query, len(statement))):
        if statement.word(index).startswith('"') and statement.word(index) != statement.source(index, index):
            statement.replace(index, index, statement.word(index))
    rewrite_expressions(statement, definition.first_of_query)
    text, moved = statement.edited()
    return text + definition.comment(statement, moved)


def _expanded(statement: Statement) -> Statement:
    """With QUALIFY and GROUP BY ALL, which PostgreSQL has not, written out; this goes through a syntax tree."""
    words = statement.words(0, len(statement) - 1)
    groups_by_all = any(words[i] == "group by" and words[i + 1 : i + 2] == ["all"] for i in range(len(words)))
    if "qualify" not in words and not groups_by_all:
        return statement
    try:
        tree = sqlglot.parse_one(statement.text, read="redshift")
    except sqlglot.errors.SqlglotError as error:
        raise NotEmulated(f"QUALIFY or GROUP BY ALL in a statement that sqlglot cannot read: {error}") from error
    for query in list(tree.find_all(exp.Select)):
        _group_by_all(query)
        if query.args.get("qualify"):
            _check_alias(query)
            expanded = transforms.eliminate_qualify(query)
            if query is tree:
                tree = expanded
            elif expanded is not query:
                query.replace(expanded)
    return Statement(tree.sql(dialect="redshift"))


def _group_by_all(query: exp.Select) -> None:
    group = query.args.get("group")
    if group is not None and group.args.get("all"):
        keys = [
            exp.Literal.number(number)
            for number, column in enumerate(query.expressions, start=1)
            if not column.find(exp.AggFunc) or column.find(exp.Window)
        ]
        query.set("group", exp.Group(expressions=keys) if keys else None)


def _check_alias(query: exp.Select) -> None:
    source = query.args.get("from_") or query.args.get("from")
    follows_from = not any(query.args.get(clause) for clause in ("where", "group", "having", "joins"))
    if follows_from and source is not None and isinstance(source.this, exp.Table) and not source.this.alias:
        refuse("qualify_alias")
