"""Which product goes into the cart next: a ranking of the user's own products and of what goes with the cart."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from retail_warehouse.predictions import boosting, metrics
from retail_warehouse.predictions.co_visits import FLOOR, CoVisits
from retail_warehouse.predictions.dataset import Candidates, Features

TASK, ANONYMOUS = "next_in_cart", "next_in_cart_anonymous"
ABOUT = {
    TASK: "Carts of users with a history, cut anywhere. Figures are of carts of users that the trees had not seen.",
    ANONYMOUS: "Carts alone, cut anywhere, no user known. Figures are of carts that the trees had not seen.",
}
PARAMETERS: dict[str, Any] = {
    "objective": "lambdarank",
    "metric": "ndcg",
    "eval_at": [10],
    "lambdarank_truncation_level": 20,
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_child_samples": 40,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.8,
    "lambda_l2": 10.0,
    "rounds": 500,
    "patience": 40,
}
TREES, RULE = "trees", "rule"  # ways to rank, beside those that are only compared with
DECAYED = "the user's decayed counts"
FEWEST_QUERIES = 200
_MOST_QUERIES = {TASK: 8_000, ANONYMOUS: 16_000}  # a cart alone tells less: more of them are needed
_CUTS = 3  # training queries of a cart
_SPLIT = boosting.Split(5, 3)
_AGE = 0.85  # weight of a product for each one put in after it
_OWN_CARTS = 20  # last carts of a user that are looked at
# Candidates by each way.
_OWN, _WITH_CART, _WITH_LAST, _LIFTED, _AFTER, _POPULAR, _IN_AISLES = 150, 100, 40, 40, 20, 40, 60
_POPULAR_IN_AISLES = 2_000  # products among which those of fitting aisles are looked for
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
FEATURES = {TASK: CART_FEATURES + USER_FEATURES, ANONYMOUS: CART_FEATURES}
# Of the candidates of buy again.
NEEDED = ("order_count", "decay_80", "orders_since_last", "order_share_since_first", "mean_relative_position")
_BASKET = "user_mean_basket_size"


@dataclass
class Shopper:
    """What is known of the user of a cart as of before it.

    Attributes:
        products: Places of the products bought before.
        probabilities: Chance of each to be bought again.
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
    """Candidates of a cart.

    Attributes:
        places: Places of the products.
        values: A row each, the features.
        plain: The score of the plain rule.
        rules: The scores of rules to compare with, by name.
        is_bare: Whether nothing is known to go with the cart.
    """

    places: NDArray[np.int64]
    values: NDArray[np.float32]
    plain: NDArray[np.float64]
    rules: dict[str, NDArray[np.float64]]
    is_bare: bool


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
        """Positions in the pattern of all pairs of the cart's products, and which of them each belongs to."""
        begins, ends = self._co.rows[cart], self._co.rows[np.asarray(cart) + 1]
        positions = np.concatenate([np.arange(b, e) for b, e in zip(begins, ends, strict=True)])
        return positions, np.repeat(np.arange(len(cart)), ends - begins)

    def rank(self, cart: list[int], shopper: Shopper | None) -> Ranking:
        """Candidates for a cart with at least one product, whose places it holds in order."""
        co, size = self._co, len(cart)
        positions, owners = self._rows(cart)
        own = shopper.products if shopper is not None else np.zeros(0, np.int64)
        # How the aisles of the cart lead to other aisles, the last ones most.
        ages = _AGE ** np.arange(size)[::-1]
        aisle_after_cart = ages @ co.transitions[co.aisles[cart]] / ages.sum()
        local = self._within_reach(cart, positions, aisle_after_cart, own)
        inside = ~np.isin(co.columns[positions], cart)
        positions, owners = positions[inside], owners[inside]
        at = np.searchsorted(local, co.columns[positions])

        def summed(values: NDArray, wanted: NDArray | None = None, weights: NDArray | None = None) -> NDArray:
            found = values[positions] if weights is None else values[positions] * weights
            if wanted is None:
                return np.bincount(at, found, len(local))
            return np.bincount(at[wanted], found[wanted], len(local))

        aisle, orders = co.aisles[local], co.orders[local]
        tie = self._tie[local]
        is_last, is_before = owners == size - 1, owners == max(size - 2, 0)
        with_cart = summed(co.in_cart)
        decayed = summed(co.in_cart, weights=_AGE ** (size - 1 - owners))
        lifted = summed(co.log_lift)
        most = np.zeros(len(local))
        np.maximum.at(most, at, co.in_cart[positions])
        with_last, after_last = summed(co.in_cart, is_last), summed(co.next_in_cart, is_last)
        last_aisle, before_aisle = co.aisles[cart[-1]], co.aisles[cart[max(size - 2, 0)]]
        aisle_after = co.transitions[last_aisle][aisle]
        plain_cart = decayed * np.sqrt(aisle_after)
        if not len(positions):
            # Nothing is known to go with these products: what is popular in their aisles, then overall.
            plain_cart = orders * np.where(np.isin(aisle, co.aisles[cart]), 1.0, 1e-6)
        plain_cart = plain_cart + tie

        depths = (
            (plain_cart, _WITH_CART),
            (with_cart + tie, _WITH_CART // 2),
            (with_last + tie, _WITH_LAST),
            (lifted * np.sqrt(orders) + tie, _LIFTED),
            (after_last + tie, _AFTER),
            (orders, _POPULAR),
            (orders * aisle_after_cart[aisle], _IN_AISLES),
        )
        chosen = _chosen(local, depths, shopper)

        in_cart_aisles = np.bincount(co.aisles[cart], minlength=len(co.aisle_ids))
        columns = [
            self._log_orders[local],
            with_cart / size,
            decayed / (_AGE ** np.arange(size)).sum(),
            lifted / size,
            most,
            with_last,
            summed(co.log_lift, is_last),
            after_last,
            summed(co.next_in_cart, is_before),
            summed(co.log_lift, owners >= size - 3),
            aisle_after,
            co.transitions[before_aisle][aisle],
            aisle == last_aisle,
            in_cart_aisles[aisle] / size,
            aisle_after_cart[aisle],
            np.log1p(orders * aisle_after_cart[aisle]),
            self._log_aisle[aisle],
            np.full(len(local), size),
        ]
        columns = [column[chosen] for column in columns]
        columns += [_rank(score[chosen]) for score in (with_cart, decayed, with_last)]
        places, tie = local[chosen], tie[chosen]
        rules = {"popularity": orders[chosen], "last item": with_last[chosen] + tie}
        plain = plain_cart[chosen]
        if shopper is not None:
            user_columns, probability, decay = self._user_columns(cart, places, shopper)
            columns += user_columns
            rules[DECAYED] = decay + tie
            plain = probability / 2 + with_cart[chosen] / size + tie
        return Ranking(places, np.column_stack(columns).astype(np.float32), plain, rules, not len(positions))

    def _within_reach(
        self, cart: list[int], positions: NDArray, aisle_after_cart: NDArray, own: NDArray
    ) -> NDArray[np.int64]:
        """Places of all products that may become candidates; nothing is computed for the others.

        Args:
            cart: Places of the products in the cart.
            positions: Rows of the statistics of pairs with them.
            aisle_after_cart: How the aisles of the cart lead to each aisle.
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
        """Places and scores for an empty cart: what the user buys again most likely, then what is popular."""
        score = self._tie.copy()
        if shopper is not None:
            score[shopper.products] += shopper.probabilities
        best = _top(score, count)
        return best, score[best]

    def popular_without(self, excluded: set[int], count: int) -> list[int]:
        """Places of the most popular products that are not excluded."""
        if count <= 0:
            return []
        # No more of them can be excluded.
        popular = self._popular[: count + len(excluded)].tolist()
        return [place for place in popular if place not in excluded][:count]


def _counted(places: NDArray[np.int64], products: list[int]) -> NDArray[np.int64]:
    """How often each of ascending places occurs among products."""
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


class Shoppers:
    """What is known of users, from rows of the candidates of buy again and from their carts."""

    def __init__(self, features: Features, co_visits: CoVisits, names: list[str]):
        """Prepare to look up users; ``names`` are the features of the candidates, in order."""
        self._features, self._co = features, co_visits
        self._columns = [names.index(name) for name in NEEDED]
        self._basket = names.index(_BASKET)

    def of(self, candidates: Candidates, probabilities: NDArray[np.float64]) -> dict[tuple[int, int], Shopper]:
        """The shoppers of candidates, by user and target."""
        starts = candidates.starts()
        keys = list(
            zip(candidates.users[starts[:-1]].tolist(), candidates.orders_back[starts[:-1]].tolist(), strict=True)
        )
        carts = self._carts(sorted({user for user, _ in keys}))
        found = {}
        places = self._co.places(candidates.products)
        for (user, back), begin, end in zip(keys, starts[:-1], starts[1:], strict=True):
            known = np.flatnonzero(places[begin:end] >= 0) + begin
            own = [cart for age, cart in carts.get(user, []) if age > back][:_OWN_CARTS]
            found[user, back] = Shopper(
                places[known],
                probabilities[known],
                candidates.values[known][:, self._columns].astype(float),
                float(candidates.values[begin, self._basket]),
                own,
            )
        return found

    def _carts(self, users: list[int]) -> dict[int, list[tuple[int, list[int]]]]:
        """Age and products of the carts of users, the latest first."""
        lines = self._features.read(
            """
            select user_id, order_age, product_id from ftr_order_products
            where user_id in (select unnest(?)) and order_age is not null
            order by user_id, order_age, add_to_cart_order, product_id
            """,
            [users],
        )
        places = self._co.places(lines["product_id"])
        found: dict[int, list[tuple[int, list[int]]]] = {}
        for user, age, place in zip(
            lines["user_id"].tolist(), lines["order_age"].tolist(), places.tolist(), strict=True
        ):
            carts = found.setdefault(user, [])
            if not carts or carts[-1][0] != age:
                carts.append((age, []))
            if place >= 0:
                carts[-1][1].append(place)
        return found


@dataclass
class Trained:
    """What training gives: the members, their part of the card, and whose carts were trained on."""

    boosters: list[lightgbm.Booster]
    card: dict[str, Any]
    users: frozenset[int]


def _chosen(local: NDArray, depths: Iterable[tuple[NDArray, int]], shopper: Shopper | None) -> NDArray[np.bool_]:
    """Which products become candidates: the best by each score, and what the shopper is most likely to buy again."""
    chosen = np.zeros(len(local), np.bool_)
    for score, depth in depths:
        chosen[_top(score, depth)] = True
    if shopper is not None:
        own = shopper.products
        likely = own if len(own) <= _OWN else own[_top(shopper.probabilities, _OWN)]
        chosen |= np.isin(local, likely)
    return chosen


def train(
    task: str,
    features: Features,
    co_visits: CoVisits,
    shoppers: dict[tuple[int, int], Shopper],
    seed: int,
    on_member: Callable[[], object] = lambda: None,
) -> Trained:
    """Train a ranking on cut carts, and choose the way with the best MRR; the plain rule where carts are too few.

    Args:
        task: TASK, for carts of the shoppers, or ANONYMOUS, for all carts.
        features: Where the carts are.
        co_visits: The statistics, which hold none of the carts.
        shoppers: Users by user and target, with probabilities of trees that had not seen them.
        seed: Of all that is drawn.
        on_member: Called after each member.
    """
    carts = _training_carts(features, co_visits)
    if task == TASK:
        carts = {key: cart for key, cart in carts.items() if key in shoppers}
    card: dict[str, Any] = {"about": ABOUT[task], "features": FEATURES[task], "way": RULE}
    queries = _cut_carts(carts, _MOST_QUERIES[task], seed)
    card |= {"targets": len(queries), "users": len({user for (user, _), _ in queries})}
    if len(queries) < FEWEST_QUERIES:
        return Trained([], card, frozenset())
    ranker = Carts(co_visits)
    rankings = [ranker.rank(carts[key][:cut], shoppers[key] if task == TASK else None) for key, cut in queries]
    is_next = [ranking.places == carts[key][cut] for ranking, (key, cut) in zip(rankings, queries, strict=True)]
    counts = [len(found) for found in is_next]
    whose = np.array([user for (user, _), _ in queries])
    rows = boosting.Rows(
        np.concatenate([ranking.values for ranking in rankings]),
        np.concatenate(is_next).astype(np.float32),
        np.repeat(whose, counts),
        queries=np.repeat(np.arange(len(queries)), counts),
    )
    if rows.labels.sum() < FEWEST_QUERIES:
        return Trained([], card, frozenset())
    fitted = boosting.fit(rows, FEATURES[task], PARAMETERS, _SPLIT, seed, on_member)
    scores = np.split(fitted.scores, np.cumsum(counts)[:-1])
    judged = [at for at, found in enumerate(scores) if not np.isnan(found[0])]
    way, measures = _best_way(scores, rankings, is_next, judged)
    hits = {name: values >= 1 / 10 for name, values in measures.items()}
    card |= {
        "way": way,
        "parameters": PARAMETERS,
        "rows": len(rows.labels),
        "rounds": [booster.best_iteration for booster in fitted.boosters],
        "gains": dict(zip(FEATURES[task], map(float, fitted.gains), strict=True)),
        "comparisons": [
            metrics.compared(f"MRR; the model is: {way}", measures, whose[judged]),
            metrics.compared(f"hit@10; the model is: {way}", hits, whose[judged]),
        ],
    }
    return Trained(fitted.boosters if way == TREES else [], card, frozenset(whose.tolist()))


def _cut_carts(carts: dict[tuple[int, int], list[int]], most: int, seed: int) -> list[tuple[tuple[int, int], int]]:
    """Carts that are cut at a position, by their keys: what comes next is to be found."""
    generator = np.random.default_rng(seed)
    queries: list[tuple[tuple[int, int], int]] = []
    keys = list(carts)
    for at in generator.permutation(len(keys)):
        cart = carts[keys[at]]
        cuts = generator.choice(np.arange(1, len(cart)), min(_CUTS, len(cart) - 1), replace=False)
        queries += [(keys[at], int(cut)) for cut in cuts]
        if len(queries) >= most:
            break
    return queries


def _best_way(
    scores: list[NDArray], rankings: list[Ranking], is_next: list[NDArray[np.bool_]], judged: list[int]
) -> tuple[str, dict[str, NDArray]]:
    """The way of ranking with the best mean reciprocal rank, and those ranks of all ways, its own as ``model``.

    Args:
        scores: Of the trees, by cart.
        rankings: With the scores of the rules, by cart.
        is_next: Which candidate came next, by cart.
        judged: Carts whose users the trees had not seen.
    """
    found = {TREES: [_reciprocal(scores[at], is_next[at]) for at in judged]}
    found[RULE] = [_reciprocal(rankings[at].plain, is_next[at]) for at in judged]
    for name in rankings[0].rules:
        found[name] = [_reciprocal(rankings[at].rules[name], is_next[at]) for at in judged]
    way = max(found, key=lambda name: float(np.mean(found[name])))
    measures = {"model": np.array(found[way])} | {name: np.array(rr) for name, rr in found.items() if name != way}
    return way, measures


def _reciprocal(scores: NDArray, is_next: NDArray[np.bool_]) -> float:
    return float(1 / ((scores > scores[is_next].max()).sum() + 1)) if is_next.any() else 0.0


def _training_carts(features: Features, co_visits: CoVisits) -> dict[tuple[int, int], list[int]]:
    """Carts with two or more products, by user and target, in order."""
    steps = features.read("""
        select user_id, orders_back, product_id from ftr_cart_steps
        where user_id not in (from memory.main.excluded)
        order by user_id, orders_back, add_to_cart_order, product_id
        """)
    carts: dict[tuple[int, int], list[int]] = {}
    for user, back, place in zip(
        steps["user_id"].tolist(),
        steps["orders_back"].tolist(),
        co_visits.places(steps["product_id"]).tolist(),
        strict=True,
    ):
        carts.setdefault((user, back), []).append(place)
    return {key: cart for key, cart in carts.items() if len(cart) >= 2}
