"""Types in casts and definitions: those that Redshift has not are refused, sizes that it takes for granted written."""

from sqlglot.tokens import TokenType as Kind

from .refusals import NotEmulated, refuse
from .tokens import Statement
from .words import NOT_EMULATED_TYPES, UNSUPPORTED_TYPES

_DECIMALS = {"decimal", "numeric"}
_CHARACTERS = {
    **dict.fromkeys(("varchar", "character varying", "nvarchar", "text"), 65535),
    **dict.fromkeys(("char", "character", "nchar", "bpchar"), 4096),
}
_DATETIMES = {"timestamp", "timestamptz", "time", "timetz"}
_MOST_DIGITS = 38
_DEFAULT_DECIMAL = "(18, 0)"  # https://docs.aws.amazon.com/redshift/latest/dg/r_Numeric_types201.html


def check_type(statement: Statement, index: int) -> None:
    """Checks the type that starts at token `index`.

    Raises:
        Refused: Redshift has no such type, or not of this size.
        NotEmulated: the stand-in has not.
    """
    name = statement.name(index)
    has_size = statement.kind(index + 1) == Kind.L_PAREN
    after = statement.closing(index + 1) + 1 if has_size else index + 1
    if name in UNSUPPORTED_TYPES or statement.kind(after) == Kind.L_BRACKET or statement.word(after) == "array":
        refuse("unsupported_type", name)
    if name in NOT_EMULATED_TYPES:
        raise NotEmulated(f"the type {name}")
    if not has_size:
        return
    size = statement.word(index + 2)
    number = int(size) if size.isdigit() else 0
    if name in _DECIMALS and number > _MOST_DIGITS:
        refuse("decimal_precision", f"here are {size}")
    if number > _CHARACTERS.get(name, number):
        refuse("character_length", f"{name}({size})")
    if name in _DATETIMES:
        refuse("datetime_precision", f"{name}({size})")


def size_decimal(statement: Statement, index: int) -> None:
    """Gives a decimal without a size the one that it has on Redshift."""
    if statement.word(index) in _DECIMALS and statement.kind(index + 1) != Kind.L_PAREN:
        statement.insert_after(index, _DEFAULT_DECIMAL)


def sized(target: str) -> str:
    """The type as text, with the size that it has on Redshift without one."""
    if target.lower() in _DECIMALS:
        return target + _DEFAULT_DECIMAL
    return "varchar(256)" if target.lower() in ("varchar", "text") else target
