"""Ranks products for a cart: the user's own products and those that often share a cart with it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retail_warehouse.predictions.co_visits import FLOOR, CoVisits

DECAYED = "the user's decayed counts"
_AGE = 0.85  # weight of a product for each one put in after it
# Number of candidates taken by each score.
_OWN, _WITH_CART, _WITH_LAST, _LIFTED, _AFTER, _POPULAR, _IN_AISLES = 150, 100, 40, 40, 20, 40, 60
_POPULAR_IN_AISLES = 2_000  # most popular products, among which those of fitting aisles are searched
CART_FEATURES = [
    "log_orders",
    "with_cart",
    "with_cart_decayed",
    "lift_with_cart",
    "with_cart_most",
    "with_last",
    "lift_with_last",
    "after_last",
    "after_last_but_one",
    "lift_with_last_three",
    "aisle_after_last",
    "aisle_after_last_but_one",
    "is_in_aisle_of_last",
    "aisle_share_of_cart",
    "aisle_after_cart",
    "orders_by_aisle_after_cart",
    "aisle_popularity",
    "cart_size",
    "rank_with_cart",
    "rank_with_cart_decayed",
    "rank_with_last",
]
USER_FEATURES = [
    "buy_again_probability",
    "order_count",
    "decayed_count",
    "orders_since_last",
    "order_share_since_first",
    "position_gap",
    "own_with_last",
    "own_after_last",
    "own_soon_after_last",
    "own_first_products",
    "usual_products_left",
    "bought_before_share_of_cart",
    "rank_by_probability",
    "is_new",
]
# Columns of ftr_reorder_candidates that the features of a user need.
NEEDED = ("order_count", "decay_80", "orders_since_last", "order_share_since_first", "mean_relative_position")


@dataclass
class Shopper:
    """The user of a cart, as known before this cart.

    Attributes:
        products: Places of the products bought before.
        probabilities: Chance of each of them to be bought again, from 0 to 1.
        facts: A row per product with the columns NEEDED.
        basket_size: Mean number of products in the user's carts.
        carts: The user's last carts, the latest first, each the places of its products in order.
    """

    products: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    facts: NDArray[np.float64]
    basket_size: float
    carts: list[list[int]]


@dataclass
class Ranking:
    """The candidates of one cart, and their scores.

    Attributes:
        places: Places of the products.
        values: A row per candidate, a column per feature.
        plain: The score of the plain rule.
        rules: The scores of rules to compare with, by name.
        is_bare: No product shares a cart with these often enough to have statistics.
    """

    places: NDArray[np.int64]
    values: NDArray[np.float32]
    plain: NDArray[np.float64]
    rules: dict[str, NDArray[np.float64]]
    is_bare: bool


@dataclass
class _Reached:
    """The products that may become candidates of a cart, and their pairs with its products.

    Attributes:
        places: Places of the products, ascending.
        positions: Position of each pair in the sparse pattern.
        owners: Index in the cart of each pair's product.
        at: Index in ``places`` of each pair's other product.
        aisle_after_cart: Lift of each aisle after those of the cart.
    """

    places: NDArray[np.int64]
    positions: NDArray[np.int64]
    owners: NDArray[np.int64]
    at: NDArray[np.int64]
    aisle_after_cart: NDArray[np.float64]

    def sum(self, values: NDArray, wanted: NDArray | None = None, weights: NDArray | None = None) -> NDArray:
        """The sum of a statistic over the pairs of each product; only of the wanted pairs, if given."""
        found = values[self.positions] if weights is None else values[self.positions] * weights
        if wanted is None:
            return np.bincount(self.at, found, len(self.places))
        return np.bincount(self.at[wanted], found[wanted], len(self.places))


@dataclass
class _Scores:
    """How well each product of ``_Reached`` goes with a cart, by several statistics.

    Attributes:
        with_cart, decayed: Sum of the chances to share a cart with each of its products; the last ones count most in
            ``decayed``.
        lifted: Sum of the logarithms of the lifts with each of its products.
        with_last, after_last: Chance to share a cart with its last product, and to be added directly after it.
        plain: The score of the plain rule.
    """

    with_cart: NDArray[np.float64]
    decayed: NDArray[np.float64]
    lifted: NDArray[np.float64]
    with_last: NDArray[np.float64]
    after_last: NDArray[np.float64]
    plain: NDArray[np.float64]


class Carts:
    """Ranks products for carts."""

    def __init__(self, co_visits: CoVisits):
        """Prepare the statistics."""
        self._co = co_visits
        self._popular = co_visits.popular()
        self._log_orders = np.log1p(co_visits.orders)
        self._tie = co_visits.orders * FLOOR
        by_aisle = co_visits.aisle_popularity()
        self._log_aisle = np.log1p(by_aisle)

    def _rows(self, cart: list[int]) -> tuple[NDArray, NDArray]:
        """Positions in the sparse pattern of all pairs with a product of the cart, and the product's index in it."""
        begins, ends = self._co.rows[cart], self._co.rows[np.asarray(cart) + 1]
        positions = np.concatenate([np.arange(b, e) for b, e in zip(begins, ends, strict=True)])
        return positions, np.repeat(np.arange(len(cart)), ends - begins)

    def rank(self, cart: list[int], shopper: Shopper | None) -> Ranking:
        """Find and score the candidates of a cart.

        Args:
            cart: Places of its products in order, at least one.
            shopper: Its user; None if not known.
        """
        reached = self._reached(cart, shopper)
        scores = self._scores(cart, reached)
        local, orders, tie = reached.places, self._co.orders[reached.places], self._tie[reached.places]
        depths = (
            (scores.plain, _WITH_CART),
            (scores.with_cart + tie, _WITH_CART // 2),
            (scores.with_last + tie, _WITH_LAST),
            (scores.lifted * np.sqrt(orders) + tie, _LIFTED),
            (scores.after_last + tie, _AFTER),
            (orders, _POPULAR),
            (orders * reached.aisle_after_cart[self._co.aisles[local]], _IN_AISLES),
        )
        chosen = _chosen(local, depths, shopper)
        columns = [column[chosen] for column in self._cart_columns(cart, reached, scores)]
        columns += [_rank(score[chosen]) for score in (scores.with_cart, scores.decayed, scores.with_last)]
        places, tie = local[chosen], tie[chosen]
        rules = {"popularity": orders[chosen], "last item": scores.with_last[chosen] + tie}
        plain = scores.plain[chosen]
        if shopper is not None:
            user_columns, probability, decay = self._user_columns(cart, places, shopper)
            columns += user_columns
            rules[DECAYED] = decay + tie
            plain = probability / 2 + scores.with_cart[chosen] / len(cart) + tie
        return Ranking(places, np.column_stack(columns).astype(np.float32), plain, rules, not len(reached.positions))

    def _reached(self, cart: list[int], shopper: Shopper | None) -> "_Reached":
        co = self._co
        positions, owners = self._rows(cart)
        own = shopper.products if shopper is not None else np.zeros(0, np.int64)
        # The later a product was added, the more its aisle counts.
        ages = _AGE ** np.arange(len(cart))[::-1]
        aisle_after_cart = ages @ co.transitions[co.aisles[cart]] / ages.sum()
        places = self._within_reach(cart, positions, aisle_after_cart, own)
        inside = ~np.isin(co.columns[positions], cart)
        positions, owners = positions[inside], owners[inside]
        return _Reached(places, positions, owners, np.searchsorted(places, co.columns[positions]), aisle_after_cart)

    def _scores(self, cart: list[int], reached: "_Reached") -> "_Scores":
        co, size, aisle = self._co, len(cart), self._co.aisles[reached.places]
        is_last = reached.owners == size - 1
        decayed = reached.sum(co.in_cart, weights=_AGE ** (size - 1 - reached.owners))
        if len(reached.positions):
            plain = decayed * np.sqrt(co.transitions[co.aisles[cart[-1]]][aisle])
        else:
            # No statistics of these products: what is popular in their aisles, then overall.
            plain = co.orders[reached.places] * np.where(np.isin(aisle, co.aisles[cart]), 1.0, 1e-6)
        return _Scores(
            with_cart=reached.sum(co.in_cart),
            decayed=decayed,
            lifted=reached.sum(co.log_lift),
            with_last=reached.sum(co.in_cart, is_last),
            after_last=reached.sum(co.next_in_cart, is_last),
            plain=plain + self._tie[reached.places],
        )

    def _cart_columns(self, cart: list[int], reached: "_Reached", scores: "_Scores") -> list[NDArray]:
        """The columns CART_FEATURES in order, but for the ranks at their end."""
        co, size, aisle = self._co, len(cart), self._co.aisles[reached.places]
        last_aisle, before_aisle = co.aisles[cart[-1]], co.aisles[cart[max(size - 2, 0)]]
        cart_aisles = np.bincount(co.aisles[cart], minlength=len(co.aisle_ids))
        most = np.zeros(len(reached.places))
        np.maximum.at(most, reached.at, co.in_cart[reached.positions])
        return [
            self._log_orders[reached.places],
            scores.with_cart / size,
            scores.decayed / (_AGE ** np.arange(size)).sum(),
            scores.lifted / size,
            most,
            scores.with_last,
            reached.sum(co.log_lift, reached.owners == size - 1),
            scores.after_last,
            reached.sum(co.next_in_cart, reached.owners == max(size - 2, 0)),
            reached.sum(co.log_lift, reached.owners >= size - 3),
            co.transitions[last_aisle][aisle],
            co.transitions[before_aisle][aisle],
            aisle == last_aisle,
            cart_aisles[aisle] / size,
            reached.aisle_after_cart[aisle],
            np.log1p(co.orders[reached.places] * reached.aisle_after_cart[aisle]),
            self._log_aisle[aisle],
            np.full(len(reached.places), size),
        ]

    def _within_reach(
        self, cart: list[int], positions: NDArray, aisle_after_cart: NDArray, own: NDArray
    ) -> NDArray[np.int64]:
        """Places of all products that may become candidates. The other products are not scored.

        Args:
            cart: Places of the products in the cart.
            positions: Rows of the statistics of pairs with them.
            aisle_after_cart: Lift of each aisle after those of the cart.
            own: Places of the products that the shopper has bought.
        """
        co, size = self._co, len(cart)
        head = self._popular[:_POPULAR_IN_AISLES]
        fitting = head[_top(co.orders[head] * aisle_after_cart[co.aisles[head]], _IN_AISLES + size)]
        found = [co.columns[positions], self._popular[: _POPULAR + size], fitting, own]
        if not len(positions):
            found.append(np.flatnonzero(np.isin(co.aisles, co.aisles[cart])))
        local = np.unique(np.concatenate(found))
        return local[~np.isin(local, cart)]

    def _user_columns(
        self, cart: list[int], places: NDArray, shopper: Shopper
    ) -> tuple[list[NDArray], NDArray, NDArray]:
        size = len(cart)

        at = np.searchsorted(places, shopper.products)
        own = np.flatnonzero(at < len(places))
        own = own[places[at[own]] == shopper.products[own]]

        def spread(values: NDArray, missing: float = 0.0) -> NDArray[np.float64]:
            every = np.full(len(places), missing)
            every[at[own]] = values[own]
            return every

        probability = spread(shopper.probabilities)
        count, decay, since, share, position = (
            spread(shopper.facts[:, place], missing) for place, missing in enumerate((0.0, 0.0, np.nan, np.nan, np.nan))
        )
        mine = set(shopper.products.tolist())
        past_with: dict[str, list[int]] = {"with": [], "after": [], "soon": [], "first": []}
        met = 0
        for past in shopper.carts:
            past_with["first"] += past[:3]
            if cart[-1] in past:
                met += 1
                last = past.index(cart[-1])
                past_with["with"] += past
                past_with["after"] += past[last + 1 : last + 2]
                past_with["soon"] += past[last + 1 : last + 4]
        past_counts = {name: _counted(places, found) for name, found in past_with.items()}
        gap = position - (size + 1) / max(size + 1, shopper.basket_size)
        columns = [
            probability,
            count,
            decay,
            since,
            share,
            gap,
            *(past_counts[name] / (met + 1) for name in ("with", "after", "soon")),
            past_counts["first"] / (len(shopper.carts) + 1),
            np.full(len(places), shopper.basket_size - size),
            np.full(len(places), np.mean([product in mine for product in cart])),
            _rank(probability),
            count == 0,
        ]
        return columns, probability, decay

    def without_cart(self, shopper: Shopper | None, count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Places and scores for an empty cart: the products that the user most likely buys again, then popular ones."""
        score = self._tie.copy()
        if shopper is not None:
            score[shopper.products] += shopper.probabilities
        best = _top(score, count)
        return best, score[best]

    def popular_without(self, excluded: set[int], count: int) -> list[int]:
        """Places of the most popular products that are not excluded."""
        if count <= 0:
            return []
        # The excluded products are among these at most.
        popular = self._popular[: count + len(excluded)].tolist()
        return [place for place in popular if place not in excluded][:count]


def _counted(places: NDArray[np.int64], products: list[int]) -> NDArray[np.int64]:
    """How often each place occurs among products; the places ascend."""
    found, counts = np.unique(np.array(products, np.int64), return_counts=True)
    at = np.minimum(np.searchsorted(found, places), max(len(found) - 1, 0))
    return np.where(found[at] == places, counts[at], 0) if len(found) else np.zeros(len(places), np.int64)


def _top(score: NDArray, count: int) -> NDArray[np.int64]:
    """Indices of the greatest scores, descending, ties by index."""
    if len(score) > count:
        edge = -np.partition(-score, count - 1)[count - 1]
        above = np.flatnonzero(score > edge)
        found = np.concatenate([above, np.flatnonzero(score == edge)[: count - len(above)]])
    else:
        found = np.arange(len(score))
    return found[np.lexsort((found, -score[found]))]


def _rank(score: NDArray) -> NDArray[np.int64]:
    ranks = np.empty(len(score), np.int64)
    ranks[np.argsort(-score, kind="stable")] = np.arange(len(score))
    return ranks


def _chosen(local: NDArray, depths: Iterable[tuple[NDArray, int]], shopper: Shopper | None) -> NDArray[np.bool_]:
    """The candidates: the best products by each score, and those that the shopper most likely buys again."""
    chosen = np.zeros(len(local), np.bool_)
    for score, depth in depths:
        chosen[_top(score, depth)] = True
    if shopper is not None:
        own = shopper.products
        likely = own if len(own) <= _OWN else own[_top(shopper.probabilities, _OWN)]
        chosen |= np.isin(local, likely)
    return chosen
