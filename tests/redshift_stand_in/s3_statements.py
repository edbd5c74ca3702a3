"""COPY and UNLOAD as this project writes them, made into calls of the procedures in `sql/3_s3.sql`."""

import json
import re
from collections.abc import Callable

from sqlglot.tokens import TokenType as Kind

from .refusals import NotEmulated, refuse
from .tokens import Statement

_REGION = re.compile(r"'[a-z]{2}(-[a-z]+)+-\d'$")


def rewrite_copy(statement: Statement) -> str:
    """`copy TABLE from 's3://...' iam_role ... format as parquet`, with or without a region.

    Raises:
        NotEmulated: it is written otherwise.
    """
    if not statement.is_name(1):
        raise NotEmulated("COPY without a table")
    end = statement.end_of_path(1)
    if statement.word(end + 1) != "from" or statement.kind(end + 2) != Kind.STRING:
        raise NotEmulated("COPY other than of all columns, from 's3://...'")
    options = _options(statement, end + 3, "COPY", {"iam_role", "region", "format"})
    if not {"iam_role", "format"} <= options.keys():
        raise NotEmulated("COPY without IAM_ROLE, or in another format than Parquet")
    # PostgreSQL wants the name of its own database, or none.
    target = ".".join(f'"{part}"' for part in statement.path(1))
    return f"call rs.copy_from_s3({_literal(target)}, {_literal(_source(statement, end + 2))})"


def rewrite_unload(statement: Statement, rewrite: Callable[[str], str]) -> str:
    """`unload ('QUERY') to 's3://...' iam_role ... format as parquet`, with the options for folders.

    Args:
        statement: The statement.
        rewrite: What rewrites the query.

    Raises:
        Refused: Redshift has no such UNLOAD, or no such query.
        NotEmulated: it is written otherwise.
    """
    if [statement.kind(i) for i in (1, 2, 3, 5)] != [Kind.L_PAREN, Kind.STRING, Kind.R_PAREN, Kind.STRING]:
        raise NotEmulated("UNLOAD other than of ('query') to 's3://...'")
    allowed = {"iam_role", "region", "format", "partition by", "cleanpath", "allowoverwrite"}
    options = _options(statement, 6, "UNLOAD", allowed)
    if not {"iam_role", "format"} <= options.keys():
        raise NotEmulated("UNLOAD without IAM_ROLE, or in another format than Parquet")
    if {"cleanpath", "allowoverwrite"} <= options.keys():
        refuse("unload_overwrite")
    query = Statement(_string(statement, 2))
    if query.word(0) not in ("select", "with"):
        raise NotEmulated("UNLOAD of something else than a query")
    if any(query.word(i) == "limit" for i in query.at_depth(0, len(query) - 1)):
        refuse("unload_limit")
    request = {
        "target": _source(statement, 5),
        "partition_by": options.get("partition by", []),
        "cleanpath": "cleanpath" in options,
        "allowoverwrite": "allowoverwrite" in options,
    }
    return f"call rs.unload_to_s3({_literal(rewrite(query.text))}, {_literal(json.dumps(request))}::jsonb)"


def _options(statement: Statement, index: int, command: str, allowed: set[str]) -> dict[str, list[str]]:
    """The options from token `index` on, by name; only PARTITION BY has values."""
    options: dict[str, list[str]] = {}
    while index < len(statement):
        name = "partition by" if statement.words(index, index + 1) == ["partition", "by"] else statement.word(index)
        if name not in allowed or name in options:
            raise NotEmulated(f"{command} ... {statement.source(index, min(index + 1, len(statement) - 1))}")
        options[name] = []
        index += len(name.split()) - ("partition by" in statement.word(index))
        if name == "iam_role":
            if statement.word(index) != "default" and not statement.word(index).startswith("'arn:"):
                raise NotEmulated(f"{command} ... iam_role {statement.word(index)}")
            index += 1
        elif name == "region":
            index += statement.word(index) == "as"
            if not _REGION.match(statement.word(index)):
                raise NotEmulated(f"{command} ... region {statement.word(index)}")
            index += 1
        elif name == "format":
            index += statement.word(index) == "as"
            if statement.word(index) != "parquet":
                raise NotEmulated(f"{command} ... format {statement.word(index)}")
            index += 1
        elif name == "partition by":
            if statement.kind(index) != Kind.L_PAREN:
                raise NotEmulated(f"{command} ... partition by without a list")
            options[name] = statement.names_within(index)
            index = statement.closing(index) + 1
    return options


def _string(statement: Statement, index: int) -> str:
    return statement.source(index, index)[1:-1].replace("''", "'")


def _source(statement: Statement, index: int) -> str:
    text = _string(statement, index)
    if not re.match(r"s3://[^/]+/.", text):
        raise NotEmulated(f"'{text}', which is not 's3://bucket/prefix'")
    return text


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
