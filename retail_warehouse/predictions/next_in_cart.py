"""Which product goes into the cart next: trains the ranking of carts, with a user and without one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from retail_warehouse.predictions import boosting, metrics
from retail_warehouse.predictions.cart_ranking import (
    CART_FEATURES,
    NEEDED,
    USER_FEATURES,
    Carts,
    Ranking,
    Shopper,
)
from retail_warehouse.predictions.co_visits import CoVisits
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
TREES, RULE = "trees", "rule"  # what may rank carts; other rules are only compared with them
FEWEST_QUERIES = 200
_MOST_QUERIES = {TASK: 8_000, ANONYMOUS: 16_000}  # a cart without a user tells less, so more carts are needed
_CUTS = 3  # training queries made of one cart
_SPLIT = boosting.Split(5, 3)
_OWN_CARTS = 20  # last carts of a user that are looked at
FEATURES = {TASK: CART_FEATURES + USER_FEATURES, ANONYMOUS: CART_FEATURES}
_BASKET = "user_mean_basket_size"


class Shoppers:
    """Finds the shoppers of carts, from ``ftr_reorder_candidates`` and the users' last carts."""

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
        """The carts of users, the latest first: how many orders ago, and the products."""
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
    """The result of training: the members, this task's part of the card, and the users whose carts were trained on."""

    boosters: list[lightgbm.Booster]
    card: dict[str, Any]
    users: frozenset[int]


def train(
    task: str,
    features: Features,
    co_visits: CoVisits,
    shoppers: dict[tuple[int, int], Shopper],
    seed: int,
    on_member: Callable[[], object] = lambda: None,
) -> Trained:
    """Train trees on cut carts, and choose trees or rule by the better mean reciprocal rank; the rule if carts are few.

    Args:
        task: TASK, for carts of the shoppers, or ANONYMOUS, for all carts.
        features: Features with the carts.
        co_visits: The statistics, which hold none of the carts.
        shoppers: Shoppers by user and target, with probabilities by trees that were not trained on them.
        seed: Seed of every random choice.
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
    """Carts that end at a position, by key; the product after it is to be predicted."""
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
    """The best of trees and rules by mean reciprocal rank, and the reciprocal ranks of all, of the best as ``model``.

    Args:
        scores: Of the trees, by cart.
        rankings: With the scores of the rules, by cart.
        is_next: Which candidate came next, by cart.
        judged: Carts of users that the trees were not trained on.
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
