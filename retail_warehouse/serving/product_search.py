"""Finds products by name: accents, case and typing errors are forgiven."""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz import process
from rapidfuzz.distance import OSA

LONGEST = 100  # characters that are searched for
_MOST_WORDS = 8  # of a search; what follows is not looked at
_WORD = re.compile(r"[^\W_]+")
_JOINED = re.compile(r"(?<=\w)['’](?=s\b)")  # Amy's: Amys
# Letters that Unicode does not take for others with an accent.
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "þ": "th", "ı": "i", "ħ": "h"}
)


@dataclass(frozen=True, slots=True)
class Product:
    """A product of the catalogue.

    Args:
        product_id: Its id.
        product_name: Its name, if it has one.
        aisle: Name of its aisle.
        order_count: Orders with it, by which equal hits are ordered.
    """

    product_id: int
    product_name: str | None
    aisle: str
    order_count: int

    @property
    def name(self) -> str:
        """Its name for people."""
        return self.product_name or f"Product {self.product_id}"


def folded(text: str) -> str:
    """A text in lower case without accents, in which ``Crème fraîche`` is ``creme fraiche``."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).casefold().translate(_LETTERS)


def words(text: str) -> list[str]:
    """The words of a text, folded; a number is a word."""
    return _WORD.findall(_JOINED.sub("", folded(text)))


def errors_forgiven(word: str) -> int:
    """How many letters of a word may be missing, too many, wrong, or swapped with their neighbour."""
    if word.isdigit():
        return 0  # 2 % is not 1 %
    return 0 if len(word) < 4 else 1 if len(word) < 8 else 2


class ProductSearch:
    """A catalogue, and its words.

    Each word of a search must match a word of the name exactly, as a prefix, or with typing errors. If no word begins
    with it, a prefix with errors counts too. Exact matches come first, then prefixes, then matches with errors; among
    equals, what is ordered most often.
    """

    def __init__(self, products: Sequence[Product]) -> None:
        """Prepare to find products."""
        self.by_id = {product.product_id: product for product in products}
        self._products = sorted(products, key=lambda product: (-product.order_count, product.product_id))
        self._places: dict[str, set[int]] = {}  # by word, in the order above
        self._aisles: dict[str, list[int]] = {}  # by folded name, likewise
        for place, product in enumerate(self._products):
            for word in words(product.name):
                self._places.setdefault(word, set()).add(place)
            self._aisles.setdefault(" ".join(words(product.aisle)), []).append(place)
        self._words = sorted(self._places)

    def find(self, text: str, aisle: str | None = None) -> list[Product]:
        """Products whose names fit, the best first; of all aisles, or of one, whose name must fit but for case, accents
        and signs. An empty text fits every name.

        Args:
            text: What is searched for.
            aisle: Name of an aisle.
        """
        allowed = None if aisle is None else self._aisles.get(" ".join(words(aisle)), [])
        wanted = list(dict.fromkeys(words(text)))[:_MOST_WORDS]
        if not wanted:
            # Signs alone fit nothing.
            places = range(len(self._products)) if allowed is None else allowed
            return [] if text.strip() else [self._products[place] for place in places]
        found = self._fitting(wanted[0])
        for word in wanted[1:]:
            more = self._fitting(word)
            found = {place: errors + more[place] for place, errors in found.items() if place in more}
        if allowed is not None:
            found = {place: found[place] for place in allowed if place in found}
        return [self._products[place] for place in sorted(found, key=lambda place: (found[place], place))]

    def _fitting(self, word: str) -> dict[int, int]:
        """Distance of each product's name from a word, by product index: 0 exact, 1 prefix, above 1 typing errors."""
        found: dict[int, int] = {}

        def add(known: str, errors: int) -> None:
            for place in self._places[known]:
                found[place] = min(found.get(place, errors), errors)

        begun_by_it = self._beginning_with(word)
        for known in begun_by_it:
            add(known, 0 if known == word else 1)
        most = errors_forgiven(word)
        if most:
            close = process.extract(word, self._words, scorer=OSA.distance, score_cutoff=most, limit=None)
            for known, errors, _ in close:
                add(known, 2 * errors)
        if most and not begun_by_it:
            # The beginning of a word, with errors, which make it longer or shorter.
            for length in range(max(1, len(word) - 1), len(word) + 2):
                begun = [known[:length] for known in self._words]
                for _, errors, at in process.extract(word, begun, scorer=OSA.distance, score_cutoff=most, limit=None):
                    add(self._words[at], 2 * errors + 1)
        return found

    def _beginning_with(self, word: str) -> list[str]:
        first = bisect_left(self._words, word)
        last = bisect_left(self._words, word + chr(0x10FFFF))
        return self._words[first:last]
