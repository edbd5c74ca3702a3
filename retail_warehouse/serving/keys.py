"""Keys as the rules spell them, for look-ups. Rows go through the macros ``clean_key``, ``without_zero_fraction`` and
``safe_integer``."""

import re

#: As in the macro ``visible_text``.
SPACES = (
    "\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
UNSEEN = (
    "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061"
    "\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufe0e\ufe0f\ufeff"
)
WIDE = (
    "\uff0b\uff0d\uff0e\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff21\uff22\uff23"
    "\uff24\uff25\uff26\uff27\uff28\uff29\uff2a\uff2b\uff2c\uff2d\uff2e\uff2f\uff30\uff31\uff32\uff33"
    "\uff34\uff35\uff36\uff37\uff38\uff39\uff3a\uff41\uff42\uff43\uff44\uff45\uff46\uff47\uff48\uff49"
    "\uff4a\uff4b\uff4c\uff4d\uff4e\uff4f\uff50\uff51\uff52\uff53\uff54\uff55\uff56\uff57\uff58\uff59"
    "\uff5a"
)
NARROW = "+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VISIBLE = str.maketrans(dict.fromkeys(SPACES, " ") | dict(zip(WIDE, NARROW, strict=True)) | dict.fromkeys(UNSEEN))
_WITH_ZERO_FRACTION = re.compile(r"([A-Z]?[0-9]+)[.]0+")


def clean_key(text: str) -> str:
    """A text key in upper case, without invisible characters, ``22222.0`` as ``22222``; empty if nothing is left."""
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
