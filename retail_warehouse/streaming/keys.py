"""Keys as the rules spell them, for look-ups. Rows go through the macros ``clean_key``, ``without_zero_fraction`` and
``safe_integer``."""

import re

_SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_UNSEEN = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_VISIBLE = str.maketrans(dict.fromkeys(_SPACES, " ") | dict.fromkeys(_UNSEEN))
_WITH_ZERO_FRACTION = re.compile(r"([A-Z]?[0-9]+)[.]0+")


def clean_key(text: str) -> str:
    """A text key without what nobody sees and in upper case, ``22222.0`` as ``22222``; empty if nothing is left."""
    if not text.isascii():
        text = text.translate(_VISIBLE)
    text = _upper(text.strip(" "))
    whole = _WITH_ZERO_FRACTION.fullmatch(text) if "." in text else None
    return whole[1] if whole else text


def customer_id(text: str) -> str:
    """A customer's number in its one spelling: ``007``, ``+7`` and ``7.0`` are ``7``.

    Raises:
        ValueError: It is not a whole number.
    """
    return str(int(text.partition(".")[0]))


def _upper(text: str) -> str:
    """Upper case as the rules have it, which is DuckDB's: character by character."""
    return text.upper() if text.isascii() else "".join(map(_upper_character, text))


def _upper_character(character: str) -> str:
    for upper in (character.upper(), character.title(), "\u1e9e" if character == "\xdf" else character):
        if len(upper) == 1:
            return upper
    return character
