"""MERGE: PostgreSQL's own does more than Redshift's."""

from sqlglot.tokens import TokenType as Kind

from .refusals import NotEmulated, refuse
from .tokens import Statement

_NO_EQUALITIES = {"<", ">", "<=", ">=", "<>", "!=", "between", "in", "like", "or"}


def check_merge(statement: Statement) -> None:
    """Refuses what Redshift's MERGE has not.

    Raises:
        Refused: the source is a query, a clause is missing or has a condition.
        NotEmulated: REMOVE DUPLICATES.
    """
    words = statement.words(0, len(statement) - 1)
    if words[-2:] == ["remove", "duplicates"]:
        raise NotEmulated("MERGE ... REMOVE DUPLICATES")
    using = words.index("using")
    if statement.kind(using + 1) == Kind.L_PAREN:
        refuse("merge_source")
    clauses = [" ".join(words[i : i + 5]) for i in range(len(words)) if words[i] == "when"]
    matched = any(clause.startswith(("when matched then update", "when matched then delete")) for clause in clauses)
    not_matched = any(clause.startswith("when not matched then insert") for clause in clauses)
    for clause in clauses:
        if clause.startswith(("when matched and", "when not matched and", "when not matched by")):
            refuse("merge_condition")
    if not (matched and not_matched):
        refuse("merge_clauses")
    for word in words[words.index("on", using) : words.index("when")]:
        if word in _NO_EQUALITIES:
            refuse("merge_match", word)
