"""A statement as the tokens of Redshift's dialect, and the edits to its text."""

import re
from collections.abc import Callable
from typing import ClassVar

from sqlglot.dialects.redshift import Redshift
from sqlglot.tokens import Token
from sqlglot.tokens import TokenType as Kind

from .refusals import NotEmulated

_OPENING = {Kind.L_PAREN: 1, Kind.R_PAREN: -1}
_AS_WRITTEN = {Kind.IDENTIFIER, Kind.STRING}
_WORD = re.compile(r"[a-z_]\w*$")


class _Tokenizer(Redshift.Tokenizer):
    # sqlglot takes what follows these for one text.
    COMMANDS: ClassVar[set[Kind]] = set()


class Statement:
    """One statement, read token by token and edited in place.

    A token is named by its number; outside the statement, there are tokens without a word and a kind. What PostgreSQL
    gets is what was sent, but for the edits.
    """

    def __init__(self, sql: str) -> None:
        """Reads the statement.

        Raises:
            NotEmulated: there are several statements, or it cannot be read.
        """
        # Between dollar signs, as dbt writes the text of a comment; no other statement may hold such a text.
        if re.match(r"\s*(/\*.*?\*/\s*)?comment\s+on\s", sql, re.IGNORECASE | re.DOTALL):
            sql = re.sub(r"(\$\w*\$)(.*?)\1", lambda text: "'" + text[2].replace("'", "''") + "'", sql, flags=re.DOTALL)
        try:
            # To the tokenizer `$1` opens a string; here it is a bind parameter.
            tokens = _Tokenizer().tokenize(re.sub(r"\$(?=\d)", "_", sql))
        except Exception as error:
            raise NotEmulated(f"a statement that cannot be read ({error})") from error
        while tokens and tokens[-1].token_type == Kind.SEMICOLON:
            tokens.pop()
        if any(token.token_type == Kind.SEMICOLON for token in tokens):
            raise NotEmulated("several statements at once")
        start = tokens[0].start if tokens else 0
        self.text = sql[start : tokens[-1].end + 1] if tokens else ""
        self._spans = [(token.start - start, token.end + 1 - start) for token in tokens]
        self._kinds = [token.token_type for token in tokens]
        self._words = [self._word(token, span) for token, span in zip(tokens, self._spans, strict=True)]
        # Asked many times for each token.
        self._are_words = [
            kind not in _AS_WRITTEN and bool(_WORD.match(word))
            for kind, word in zip(self._kinds, self._words, strict=True)
        ]
        self._around, self._closing = self._nesting()
        self._edits: list[tuple[int, int, str]] = []

    def _nesting(self) -> tuple[list[int], dict[int, int]]:
        """For each token the innermost parenthesis around it, or -1, and for each opening one what closes it."""
        around, closing, opened = [], {}, []
        for index, kind in enumerate(self._kinds):
            around.append(opened[-1] if opened else -1)
            if kind == Kind.L_PAREN:
                opened.append(index)
            elif kind == Kind.R_PAREN and opened:
                closing[opened.pop()] = index
        return around, closing

    def _word(self, token: Token, span: tuple[int, int]) -> str:
        text = self.text[slice(*span)].lower()
        # `group by` is one token, whatever stands between its words.
        return text if token.token_type in _AS_WRITTEN else " ".join(text.split())

    def __len__(self) -> int:
        return len(self._words)

    def word(self, index: int) -> str:
        """The token's text in lower case, a quoted name with its quotation marks."""
        return self._words[index] if 0 <= index < len(self._words) else ""

    def words(self, first: int, last: int) -> list[str]:
        """The texts of the tokens from first up to, and with, last."""
        return [self.word(index) for index in range(first, last + 1)]

    def kind(self, index: int) -> Kind | None:
        """The token's kind."""
        return self._kinds[index] if 0 <= index < len(self._kinds) else None

    def is_word(self, index: int) -> bool:
        """Whether it is a name without quotation marks, or a keyword."""
        return 0 <= index < len(self._words) and self._are_words[index]

    def is_name(self, index: int) -> bool:
        """Whether it can be a name, quoted or not."""
        return self.kind(index) == Kind.IDENTIFIER or self.is_word(index)

    def name(self, index: int) -> str:
        """The name that a token spells, without quotation marks; Redshift folds all to lower case."""
        return self.word(index).strip('"')

    def source(self, first: int, last: int) -> str:
        """The text from token first up to, and with, token last, as sent."""
        return self.text[self._spans[first][0] : self._spans[last][1]]

    def start(self, index: int) -> int:
        """Where the token starts in the text."""
        return self._spans[index][0]

    def end(self, index: int) -> int:
        """Where the text after the token starts."""
        return self._spans[index][1]

    def closing(self, opening: int) -> int:
        """The parenthesis that closes the one at `opening`.

        Raises:
            NotEmulated: there is none.
        """
        if opening in self._closing:
            return self._closing[opening]
        depth = 0
        for index in range(opening, len(self)):
            depth += _OPENING.get(self._kinds[index], 0)
            if depth == 0:
                return index
        raise NotEmulated("a statement with unbalanced parentheses")

    def opening(self, closing: int) -> int:
        """The parenthesis that opens the one at `closing`."""
        depth = 0
        for index in range(closing, -1, -1):
            depth -= _OPENING.get(self._kinds[index], 0)
            if depth == 0:
                return index
        raise NotEmulated("a statement with unbalanced parentheses")

    def call_around(self, index: int) -> str:
        """The word before the innermost parentheses that the token stands in; empty where it stands in none."""
        opening = self._around[index]
        return self.word(opening - 1) if opening >= 0 else ""

    def arguments(self, opening: int) -> list[tuple[int, int]]:
        """The first and last tokens of the arguments, or list items, in the parentheses that open at `opening`."""
        closing, depth, first = self.closing(opening), 0, opening + 1
        found = []
        for index in range(opening, closing + 1):
            depth += _OPENING.get(self._kinds[index], 0)
            if (self._kinds[index] == Kind.COMMA and depth == 1) or index == closing:
                if index > first or found:
                    found.append((first, index - 1))
                first = index + 1
        return found

    def names_within(self, opening: int) -> list[str]:
        """The names listed in the parentheses that open at `opening`."""
        return [
            self.name(index) for index in range(opening + 1, self.closing(opening)) if self.kind(index) != Kind.COMMA
        ]

    def end_of_path(self, index: int) -> int:
        """The last token of a name such as "db"."schema"."table" that starts at `index`."""
        while self.kind(index + 1) == Kind.DOT:
            index += 2
        return index

    def path(self, index: int) -> list[str]:
        """The parts of the name that starts at `index`."""
        return [self.name(part) for part in range(index, self.end_of_path(index) + 1, 2)]

    def at_depth(self, first: int, last: int) -> list[int]:
        """The tokens from first to last that stand in no parentheses opened after first."""
        depth, found = 0, []
        for index in range(first, last + 1):
            if self._kinds[index] == Kind.R_PAREN:
                depth -= 1
            if depth == 0:
                found.append(index)
            if self._kinds[index] == Kind.L_PAREN:
                depth += 1
        return found

    def replace(self, first: int, last: int, text: str) -> None:
        """Puts a text in the place of the tokens from first up to, and with, last."""
        self.replace_text(self.start(first), self.end(last), text)

    def replace_text(self, start: int, end: int, text: str) -> None:
        """Puts a text in the place of the characters from start to end."""
        self._edits.append((start, end, text))

    def remove(self, first: int, last: int) -> None:
        """Removes the tokens from first up to, and with, last."""
        self.replace(first, last, "")

    def insert_after(self, index: int, text: str) -> None:
        """Puts a text after a token."""
        self.replace_text(self.end(index), self.end(index), text)

    def edited(self) -> tuple[str, Callable[[int], int]]:
        """The text with all edits, and where a place of the old text is in it.

        Raises:
            NotEmulated: two edits would touch the same text.
        """
        parts, position = [], 0
        edits = sorted(set(self._edits))
        for start, end, text in edits:
            if start < position:
                raise NotEmulated(f"this combination: {self.text[start:end] or text.strip()}")
            parts += [self.text[position:start], text]
            position = end
        parts.append(self.text[position:])

        def moved(place: int) -> int:
            return place + sum(len(text) - (end - start) for start, end, text in edits if end <= place)

        return "".join(parts), moved
