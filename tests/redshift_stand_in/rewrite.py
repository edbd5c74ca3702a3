"""A statement for Redshift becomes one for PostgreSQL."""

from .ddl import Definition, read_create
from .expressions import rewrite_expressions
from .merge import check_merge
from .phrases import check_phrases
from .refusals import refuse
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
    check_phrases(statement)
    utility = rewrite_utility(statement)
    if utility is not None:
        return utility
    first = statement.word(0)
    if first == "copy":
        return rewrite_copy(statement)
    if first == "unload":
        return rewrite_unload(statement, rewrite)
    if first == "truncate":
        return _truncate(statement)
    return _rewrite_query(statement)


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


def _truncate(statement: Statement) -> str:
    table = 1 + (statement.word(1) == "table")
    last = len(statement) - 1
    if statement.end_of_path(table) != last:
        refuse("truncate", statement.source(table, last))
    # The proxy commits afterwards, as Redshift does.
    return "truncate table " + statement.source(table, last)
