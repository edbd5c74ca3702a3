"""Which products a user tries for the first time: ranked by co-visitation and the user's taste for aisles. With enough
targets, boosted trees rank the best of them again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from retail_warehouse.predictions import boosting, metrics
from retail_warehouse.predictions.co_visits import FLOOR, CoVisits
from retail_warehouse.predictions.dataset import Features

TASK = "first_purchases"
ABOUT = (
    "Candidates are the products that a user has not bought before. Figures are of training targets with a first "
    "purchase; the trees were trained and stopped on other users. The answer is what has the best recall@10; with "
    "fewer than 2,000 targets it is a blend of co-visitation, taste and popularity."
)
RANKS = 20  # products predicted per user
FEWEST_TARGETS = 2_000  # with fewer training targets, trees rank worse than the plain rules
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 7,
    "min_child_samples": 200,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.7,
    "lambda_l2": 20.0,
    "rounds": 400,
    "patience": 30,
}
_MANY_TARGETS = 5_000  # from here on, one member is as good as several
_FEW, _MANY = boosting.Split(5, 5), boosting.Split(5, 1)
_MOST_TARGETS = 8_000
_CANDIDATE_PRODUCTS = 5_000  # those with most first purchases; rarer ones are never suggested
_CHUNK = 200  # targets at a time, which bounds the memory of the scores
_DEPTH = 60  # products of each rule that the re-ranker sees
FEATURES = [
    "log_orders",
    "log_first_purchases",
    "first_purchase_share",
    "co_visits",
    "co_visits_recent",
    "co_visits_after",
    "co_visits_in_cart",
    "co_visits_excess",
    "taste",
    "popularity_in_aisle",
    "user_products",
    "user_orders",
    "user_first_purchases",
    "days_since_prior_order",
    "rank_by_popularity",
    "rank_by_co_visits",
    "rank_by_rule",
]
BLEND = "blend"
RULES = ("popularity", "co-visitation", "co-visitation and taste", BLEND)
_CANDIDATE_RULES = ("popularity", "co-visitation", BLEND)  # the first products of each are ranked again by trees
TREES = "trees"


@dataclass
class Targets:
    """Orders for which first purchases are suggested, with what their users had bought.

    Attributes:
        users, orders_back: Key of each target.
        starts: Index of each target's first product, and the number of products at the end.
        products: Places of the products bought before.
        order_counts, decays: Number of orders with each of these products, plain and weighted by 0.8 per order since.
        tastes: Row per target: the taste for each aisle.
        facts: Row per target: the features ``user_*`` and ``days_since_prior_order``.
    """

    users: NDArray[np.int64]
    orders_back: NDArray[np.int64]
    starts: NDArray[np.int64]
    products: NDArray[np.int64]
    order_counts: NDArray[np.float32]
    decays: NDArray[np.float32]
    tastes: NDArray[np.float32]
    facts: NDArray[np.float32]

    def of(self, wanted: NDArray[np.int64]) -> "Targets":
        """The targets with these indices, ascending."""
        lengths = np.diff(self.starts)[wanted]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        rows = np.arange(starts[-1]) + np.repeat(self.starts[wanted] - starts[:-1], lengths)
        return Targets(
            self.users[wanted],
            self.orders_back[wanted],
            starts,
            self.products[rows],
            self.order_counts[rows],
            self.decays[rows],
            self.tastes[wanted],
            self.facts[wanted],
        )


def targets_where(features: Features, co_visits: CoVisits, condition: str) -> Targets:
    """Read the targets that meet an SQL condition on ``user_id`` and ``orders_back``, sorted by both."""
    targets = features.read(f"""
        select user_id, orders_back, order_count,
            cast(coalesce(mean_first_purchases_last_3, 0) as float) as first_purchases,
            cast(coalesce(days_since_prior_order, 0) as float) as days
        from ftr_users where {condition} order by user_id, orders_back
        """)
    bought = features.read(f"""
        select user_id, orders_back, product_id, cast(order_count as float) as order_count,
            cast(decay_80 as float) as decay
        from ftr_user_products where {condition} order by user_id, orders_back, product_id
        """)
    tastes = features.read(f"""
        select user_id, orders_back, aisle_id, cast(taste as float) as taste
        from ftr_user_aisles where {condition} order by user_id, orders_back, aisle_id
        """)
    key = _key(targets)
    products = co_visits.places(bought["product_id"])
    starts = np.searchsorted(_key(bought), np.append(key, np.iinfo(np.int64).max))
    taste = np.repeat((15 / (np.diff(starts) + 15.0)).astype(np.float32)[:, None], len(co_visits.aisle_ids), axis=1)
    aisles = np.searchsorted(co_visits.aisle_ids, tastes["aisle_id"])
    taste[np.searchsorted(key, _key(tastes)), aisles] = tastes["taste"]
    return Targets(
        targets["user_id"].astype(np.int64),
        targets["orders_back"].astype(np.int64),
        starts,
        products,
        bought["order_count"],
        bought["decay"],
        taste,
        np.column_stack([np.diff(starts), targets["order_count"], targets["first_purchases"], targets["days"]]).astype(
            np.float32
        ),
    )


def _key(lines: Any) -> NDArray[np.int64]:
    return lines["user_id"].astype(np.int64) * 256 + lines["orders_back"].astype(np.int64)


class Ranker:
    """Scores products that a user has not bought."""

    def __init__(self, co_visits: CoVisits, way: str, boosters: list[lightgbm.Booster]):
        """Make a ranker.

        Args:
            co_visits: The statistics.
            way: What ranks the products: one of RULES, or TREES.
            boosters: The trees; not used by a rule.
        """
        self._co_visits, self._way, self._boosters = co_visits, way, boosters
        order = np.lexsort((np.arange(len(co_visits.ids)), -co_visits.orders, -co_visits.first_purchases))
        self.kept = np.sort(order[:_CANDIDATE_PRODUCTS])  # places
        self._matrices = {
            name: co_visits.matrix(getattr(co_visits, name), self.kept)
            for name in ("first_with", "first_after", "in_cart", "excess")
        }
        self._first = co_visits.first_purchases[self.kept].astype(np.float32)
        self._orders = co_visits.orders[self.kept].astype(np.float32)
        self._aisles = co_visits.aisles[self.kept]
        by_aisle = np.bincount(co_visits.aisles, co_visits.first_purchases, len(co_visits.aisle_ids))
        self._in_aisle = ((self._first + 0.1) / (by_aisle[self._aisles] + 10)).astype(np.float32)

    def scores(
        self, targets: Targets, begin: int, end: int, rules: tuple[str, ...] = RULES
    ) -> dict[str, NDArray[np.float32]]:
        """The scores of some targets by each rule: a row per target, a column per product of ``kept``. Products bought
        before score -1. Popularity breaks ties."""
        history = self._history(targets, begin, end, np.sqrt(targets.order_counts))
        co_visits = (history @ self._matrices["first_with"]).toarray()
        taste = np.sqrt(targets.tastes[begin:end])[:, self._aisles]
        tie = self._orders * FLOOR
        found = {}
        for rule in rules:
            if rule == "popularity":
                found[rule] = np.repeat(self._orders[None, :], end - begin, axis=0)
            elif rule == "co-visitation":
                found[rule] = co_visits + tie
            elif rule == "co-visitation and taste":
                found[rule] = co_visits * taste + tie
            else:
                popular = np.sqrt(self._orders * self._first)
                found[rule] = _standing(co_visits * taste) + _standing(popular * taste) + tie
        rows, columns = self._bought(targets, begin, end)
        for score in found.values():
            score[rows, columns] = -1
        return found

    def _history(self, targets: Targets, begin: int, end: int, weights: NDArray) -> sparse.csr_matrix:
        first, last = targets.starts[begin], targets.starts[end]
        return sparse.csr_matrix(
            (
                weights[first:last].astype(np.float32),
                targets.products[first:last],
                targets.starts[begin : end + 1] - first,
            ),
            shape=(end - begin, len(self._co_visits.ids)),
        )

    def _bought(self, targets: Targets, begin: int, end: int) -> tuple[NDArray, NDArray]:
        """Row and column in the scores of each product bought before."""
        first, last = targets.starts[begin], targets.starts[end]
        rows = np.repeat(np.arange(end - begin), np.diff(targets.starts[begin : end + 1]))
        products = targets.products[first:last]
        columns = np.minimum(np.searchsorted(self.kept, products), len(self.kept) - 1)
        known = self.kept[columns] == products
        return rows[known], columns[known]

    def candidates(
        self, targets: Targets, begin: int, end: int, scores: dict[str, NDArray[np.float32]]
    ) -> tuple[NDArray, NDArray, NDArray[np.float32]]:
        """The first products of each rule as rows for the trees: row and column in the scores, and features."""
        wanted = np.zeros(scores[BLEND].shape, np.bool_)
        for rule in _CANDIDATE_RULES:
            np.put_along_axis(wanted, _first(scores[rule], _DEPTH), True, axis=1)
        wanted &= scores["popularity"] >= 0
        rows, columns = np.nonzero(wanted)
        plain = self._history(targets, begin, end, np.sqrt(targets.order_counts))
        weight = np.maximum(np.asarray(plain.sum(axis=1)).ravel(), 1e-6)[rows]
        recent = self._history(targets, begin, end, targets.decays)
        recent_weight = np.asarray(recent.sum(axis=1)).ravel()[rows] + 0.1

        def taken(history: sparse.csr_matrix, name: str) -> NDArray:
            return (history @ self._matrices[name]).toarray()[rows, columns]

        facts = targets.facts[begin:end][rows]
        values = np.column_stack(
            [
                np.log1p(self._orders)[columns],
                np.log1p(self._first)[columns],
                ((self._first + 1) / (self._orders + 2))[columns],
                taken(plain, "first_with") / weight,
                taken(recent, "first_with") / recent_weight,
                taken(plain, "first_after") / weight,
                taken(plain, "in_cart") / weight,
                taken(plain, "excess") / weight,
                targets.tastes[begin:end][rows, self._aisles[columns]],
                self._in_aisle[columns],
                facts,
                *(_ranks(scores[rule], rows, columns) for rule in _CANDIDATE_RULES),
            ]
        ).astype(np.float32)
        return rows, columns, values

    def best(self, targets: Targets, count: int = RANKS) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Places and scores of the best products, a row per target; place -1 where there are too few."""
        places, best = [], []
        for begin in range(0, len(targets.users), _CHUNK):
            end = min(begin + _CHUNK, len(targets.users))
            rules = _CANDIDATE_RULES if self._way == TREES else (self._way,)
            scores = self.scores(targets, begin, end, rules)
            if self._way == TREES:
                rows, columns, values = self.candidates(targets, begin, end, scores)
                score = np.full(scores[BLEND].shape, -1.0)
                score[rows, columns] = boosting.score(self._boosters, values)
            else:
                score = scores[self._way].astype(np.float64)
            first = _first(score, count)
            found = np.take_along_axis(score, first, axis=1)
            places.append(_filled(np.where(found >= 0, self.kept[first], -1), count, -1))
            best.append(_filled(np.maximum(found, 0), count, 0.0))
        if not places:
            return np.zeros((0, count), np.int64), np.zeros((0, count))
        return np.concatenate(places), np.concatenate(best)


def _filled(found: NDArray, count: int, value: float) -> NDArray:
    return np.pad(found, ((0, 0), (0, count - found.shape[1])), constant_values=value)


def _standing(score: NDArray) -> NDArray:
    """Scores divided by the fiftieth best of their row, so that scores of different rules can be added."""
    fiftieth = min(50, score.shape[1])
    return score / (np.partition(score, -fiftieth, axis=1)[:, -fiftieth, None] + FLOOR)


def _first(score: NDArray, count: int) -> NDArray[np.int64]:
    """Columns of the greatest scores of each row, in descending order, ties by column."""
    count = min(count, score.shape[1])
    # Of equal scores at the last rank, the first columns are taken; argpartition would take any.
    edge = -np.partition(-score, count - 1, axis=1)[:, count - 1, None] if count else score[:, :0]
    found = np.empty((len(score), count), np.int64)
    for row in range(len(score)):
        above = np.flatnonzero(score[row] > edge[row])
        level = np.flatnonzero(score[row] == edge[row])[: count - len(above)]
        columns = np.concatenate([above, level])
        found[row] = columns[np.lexsort((columns, -score[row, columns]))]
    return found


def _ranks(score: NDArray, rows: NDArray, columns: NDArray) -> NDArray[np.int64]:
    """Rank of each chosen product among those of its row."""
    order = np.lexsort((columns, -score[rows, columns], rows))
    ranks = np.empty(len(rows), np.int64)
    starts = np.searchsorted(rows, rows[order])
    ranks[order] = np.arange(len(rows)) - starts
    return ranks


@dataclass
class Trained:
    """The result of training: the members, this task's part of the card, and the users whose orders were trained on."""

    boosters: list[lightgbm.Booster]
    card: dict[str, Any]
    users: frozenset[int]


def train(
    features: Features, co_visits: CoVisits, seed: int, on_member: Callable[[], object] = lambda: None
) -> Trained:
    """Compare the rules on the training targets, train the re-ranker if there are enough, and choose."""
    targets, truth = _training_targets(features, co_visits, seed)
    count = len(truth)
    card: dict[str, Any] = {"about": ABOUT, "features": FEATURES, "targets": count, "way": BLEND}
    if count < 2:
        return Trained([], card, frozenset())
    ranker = Ranker(co_visits, BLEND, [])
    recalls: dict[str, list[float]] = {rule: [] for rule in RULES}
    parts = []
    enough = count >= FEWEST_TARGETS
    for begin in range(0, count, _CHUNK):
        end = min(begin + _CHUNK, count)
        scores = ranker.scores(targets, begin, end)
        for rule in RULES:
            first = ranker.kept[_first(scores[rule], 10)]
            recalls[rule] += [metrics.recall_at(row.tolist(), truth[begin + place]) for place, row in enumerate(first)]
        if enough:
            rows, columns, values = ranker.candidates(targets, begin, end, scores)
            parts.append((rows + begin, columns, values))
    boosters: list[lightgbm.Booster] = []
    judged = list(range(count))
    card["users"] = len(np.unique(targets.users))
    if enough:
        rows, columns, values = (np.concatenate(part) for part in zip(*parts, strict=True))
        places = ranker.kept[columns]
        labels = np.array([place in truth[row] for row, place in zip(rows.tolist(), places.tolist(), strict=True)])
        users = targets.users[rows]
        split = _MANY if count >= _MANY_TARGETS else _FEW
        fitted = boosting.fit(
            boosting.Rows(values, labels.astype(np.float32), users), FEATURES, PARAMETERS, split, seed, on_member
        )
        boosters = fitted.boosters
        order = np.lexsort((columns, -fitted.scores, rows))
        starts = np.searchsorted(rows[order], np.arange(count + 1))
        # Rules and trees are compared on targets that the trees were not trained on.
        judged = [row for row in range(count) if not np.isnan(fitted.scores[order[starts[row]]])]
        recalls = {rule: [found[row] for row in judged] for rule, found in recalls.items()}
        recalls[TREES] = [
            metrics.recall_at(places[order[starts[row] : starts[row] + 10]].tolist(), truth[row]) for row in judged
        ]
        card |= {
            "parameters": PARAMETERS,
            "rows": len(labels),
            "rounds": [booster.best_iteration for booster in boosters],
            "gains": dict(zip(FEATURES, map(float, fitted.gains), strict=True)),
        }
    whose = targets.users[judged]
    way = _chosen(recalls, count)
    card["way"] = way
    values = {"model": np.array(recalls[way])} | {k: np.array(v) for k, v in recalls.items() if k != way}
    card["comparisons"] = [metrics.compared(f"recall@10 of first purchases; the model is: {way}", values, whose)]
    return Trained(boosters if way == TREES else [], card, frozenset(targets.users.tolist()))


def _chosen(recalls: dict[str, list[float]], targets: int) -> str:
    """The rule, or the trees, with the best mean recall; the blend among equals. With few targets the best one would be
    luck, so it is the blend, which includes popularity and is seldom worse than it."""
    if targets < FEWEST_TARGETS:
        return BLEND
    return max([BLEND, *recalls], key=lambda name: float(np.mean(recalls[name])))


def _training_targets(features: Features, co_visits: CoVisits, seed: int) -> tuple[Targets, list[set[int]]]:
    """Training targets with a history and a first purchase, and the places of the products first purchased."""
    condition = "orders_back >= 1 and user_id not in (from memory.main.excluded)"
    steps = features.read(f"""
        select user_id, orders_back, product_id from ftr_cart_steps
        where is_first_purchase and history_orders > 0 and {condition} order by user_id, orders_back, product_id
        """)
    targets = targets_where(features, co_visits, condition)
    key = targets.users * 256 + targets.orders_back
    truth: dict[int, set[int]] = {}
    for at, place in zip(_key(steps).tolist(), co_visits.places(steps["product_id"]).tolist(), strict=True):
        truth.setdefault(at, set()).add(place)
    wanted = np.flatnonzero(np.isin(key, np.fromiter(truth, np.int64, len(truth))))
    if len(wanted) > _MOST_TARGETS:
        wanted = np.sort(np.random.default_rng(seed).choice(wanted, _MOST_TARGETS, replace=False))
    return targets.of(wanted), [truth[at] for at in key[wanted].tolist()]
