"""Next products for given carts.

An answer uses the user's history and the cart. If the user is not known, it uses the cart alone; if no product of the
cart has statistics yet, what is popular in its aisles; if the cart is empty, the user's history alone; if neither is
known, what is popular overall. Unknown products in a cart are ignored. Popular products fill an answer that is too
short.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from retail_warehouse.errors import DataError
from retail_warehouse.predictions import boosting, buy_again, cart_ranking, next_in_cart, training
from retail_warehouse.predictions.co_visits import CoVisits
from retail_warehouse.predictions.dataset import CANDIDATES, Features
from retail_warehouse.predictions.model_folder import Model, require_columns

COLUMNS = ("query_id", "user_id", "position", "product_id")
RANKS = 10
_CHUNK_USERS = 500
_MOST_DIGITS = 18  # digits of a number; more do not fit into 64 bits


@dataclass
class Cart:
    """A cart to suggest products for.

    Attributes:
        query_id: Name of the cart in file and answer.
        user_id: Its user; None if not known.
        products: Product ids, in order.
    """

    query_id: str
    user_id: int | None = None
    products: list[int] = field(default_factory=list)


@dataclass
class Suggestion:
    """The answer for one cart: product ids, best first, and their scores, which never rise."""

    query_id: str
    products: list[int]
    scores: list[float]


def read_carts(path: Path) -> list[Cart]:
    """Read carts from a CSV file, in the order in which they first occur.

    An empty cart is one line with neither position nor product.

    Raises:
        DataError: The file cannot be read; the text names line and column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _carts(path, csv.reader(file))
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8: {error}.") from error


def _carts(path: Path, lines: "csv._reader") -> list[Cart]:  # type: ignore[name-defined]
    header = [name.strip() for name in next(lines, [])]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise DataError(f"{path} has no column {', '.join(missing)}; its first line must name {','.join(COLUMNS)}.")
    at = [header.index(name) for name in COLUMNS]
    carts: dict[str, Cart] = {}
    positions: dict[str, list[tuple[int, int]]] = {}
    for row in lines:
        if not row:
            continue
        if len(row) != len(header):
            raise DataError(f"{path}, line {lines.line_num}: {len(row)} fields instead of {len(header)}.")
        query, user, position, product = (row[column].strip() for column in at)
        if not query:
            raise DataError(f"{path}, line {lines.line_num}: query_id is empty.")
        numbers = {}
        for name, text in (("user_id", user), ("position", position), ("product_id", product)):
            if text and not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
                told = text if len(text) <= 50 else f"{text[:50]}..."
                raise DataError(
                    f"{path}, line {lines.line_num}: {name} {told!r} is not a whole number of at most "
                    f"{_MOST_DIGITS} digits."
                )
            numbers[name] = int(text) if text else None
        cart = carts.setdefault(query, Cart(query, numbers["user_id"]))
        if cart.user_id != numbers["user_id"]:
            raise DataError(f"{path}, line {lines.line_num}: the query {query} names two users.")
        if (numbers["position"] is None) != (numbers["product_id"] is None):
            raise DataError(f"{path}, line {lines.line_num}: position and product_id go together.")
        if numbers["product_id"] is not None:
            positions.setdefault(query, []).append((numbers["position"], numbers["product_id"]))
    for query, found in positions.items():
        carts[query].products = [product for _, product in sorted(found, key=lambda item: item[0])]
    return list(carts.values())


def write_suggestions(suggestions: list[Suggestion], path: Path) -> int:
    """Write answers as ``query_id,rank,product_id,score``; returns the number of rows.

    Raises:
        OSError: The file cannot be written.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(("query_id", "rank", "product_id", "score"))
        rows = 0
        for suggestion in suggestions:
            for rank, (product, score) in enumerate(zip(suggestion.products, suggestion.scores, strict=True), 1):
                lines.writerow((suggestion.query_id, rank, product, f"{score:.6g}"))
                rows += 1
    return rows


def suggest(
    features: Features,
    model: Model,
    carts: list[Cart],
    ranks: int = RANKS,
    on_carts: Callable[[int], object] = lambda count: None,
) -> list[Suggestion]:
    """Rank products for carts; the answers come in the order of the carts.

    Raises:
        DataError: The features are missing, or do not fit the model.
    """
    require_columns(model, buy_again.TASK, features.columns(CANDIDATES), f"features.{CANDIDATES}")
    co_visits = CoVisits.of(features)
    training.require_same_data(model, co_visits)
    ranker = cart_ranking.Carts(co_visits)
    names = model.features(buy_again.TASK)
    shoppers = next_in_cart.Shoppers(features, co_visits, names)
    known = set(features.users().tolist())
    by_user: dict[int, list[int]] = {}
    answers: list[Suggestion | None] = [None] * len(carts)
    for at, cart in enumerate(carts):
        if cart.user_id in known:
            by_user.setdefault(cart.user_id, []).append(at)
        else:
            answers[at] = answer(model, co_visits, ranker, cart, None, ranks)
            on_carts(1)
    users = np.array(sorted(by_user), np.int64)
    for begin in range(0, len(users), _CHUNK_USERS):
        chunk = users[begin : begin + _CHUNK_USERS]
        candidates = features.candidates(names, chunk)
        # Rounded as `predict` writes them, so that what was published of them gives the same answers.
        chances = np.round(buy_again.probabilities(model.boosters.get(buy_again.TASK, []), candidates, names), 6)
        found = shoppers.of(candidates, chances)
        for user in chunk.tolist():
            for at in by_user[user]:
                answers[at] = answer(model, co_visits, ranker, carts[at], found.get((user, 0)), ranks)
                on_carts(1)
    return [answer for answer in answers if answer is not None]


def answer(
    model: Model,
    co_visits: CoVisits,
    ranker: cart_ranking.Carts,
    cart: Cart,
    shopper: cart_ranking.Shopper | None,
    ranks: int,
) -> Suggestion:
    """Rank products for one cart.

    Args:
        model: The trained model.
        co_visits: Statistics of products and pairs.
        ranker: The ranker of these statistics.
        cart: The cart.
        shopper: Its user; None if not known.
        ranks: Number of products to return, if there are as many.
    """
    # A product counts once, at its first position.
    places = co_visits.places(np.array(list(dict.fromkeys(cart.products)), np.int64))
    inside = places[places >= 0].tolist()
    if inside:
        ranking = ranker.rank(inside, shopper)
        task = next_in_cart.TASK if shopper is not None else next_in_cart.ANONYMOUS
        way = model.card["tasks"][task]["way"]
        if way == next_in_cart.RULE or (ranking.is_bare and shopper is None):
            scores = ranking.plain
        elif way == next_in_cart.TREES:
            scores = boosting.score(model.boosters[task], ranking.values)
        else:
            scores = ranking.rules[way]
        best = np.lexsort((ranking.places, -scores))[:ranks]
        found, score = ranking.places[best], scores[best]
    else:
        found, score = ranker.without_cart(shopper, ranks)
    products, scores_ = found.tolist(), np.asarray(score, float).tolist()
    # There may be fewer candidates than ranks.
    for place in ranker.popular_without({*inside, *products}, ranks - len(products)):
        products.append(place)
        scores_.append(scores_[-1] if scores_ else 0.0)
    return Suggestion(cart.query_id, co_visits.ids[products].tolist() if products else [], scores_)
