"""Which products a user buys again: boosted trees score pairs of user and product, then the best basket is chosen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from retail_warehouse.predictions import baskets, boosting, metrics
from retail_warehouse.predictions.baskets import NoneCalibration
from retail_warehouse.predictions.dataset import Candidates, Features

TASK = "buy_again"
ABOUT = (
    "Candidates are the products that a user bought before. The basket is the set of products, and the item None, with "
    "the greatest expected F1. Figures are of each user's last order, scored by trees that were trained and stopped on "
    "other users."
)
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_child_samples": 40,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.8,
    "lambda_l2": 5.0,
    "rounds": 1_500,
    "patience": 30,
}
# Above this number of rows, one member is as good as several; below it, several members share the rows.
_MANY_ROWS = 500_000
_FEW, _MANY = boosting.Split(8, 8), boosting.Split(5, 1)
FEWEST_TARGETS = 20


@dataclass
class Ranked:
    """Candidates of some users. Those of each user are in descending order of probability, ties by product.

    Attributes:
        users: One entry per target.
        starts: Index of each target's first product, and the number of products at the end.
        order: Index of each product among the candidates that were given.
        products: The products.
        probabilities: Chance of each product to be bought again, from 0 to 1.
        none: Chance of each user to buy none of them, from 0 to 1.
        baskets: The set of each user with the greatest expected F1.
    """

    users: NDArray[np.int64]
    starts: NDArray[np.int64]
    order: NDArray[np.int64]
    products: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    none: NDArray[np.float64]
    baskets: baskets.Baskets

    def ranks(self) -> NDArray[np.int64]:
        """The rank of each product with its user, from 1."""
        return np.arange(len(self.products)) - np.repeat(self.starts[:-1], np.diff(self.starts)) + 1


def ranked(
    candidates: Candidates,
    probabilities: NDArray[np.float64],
    calibration: NoneCalibration,
    users: NDArray[np.int64] | None = None,
) -> Ranked:
    """Order the candidates of each target and find the best basket.

    Args:
        candidates: The candidates.
        probabilities: Chance of each candidate to be bought again, from 0 to 1.
        calibration: Corrects the chance of "None".
        users: The users to rank, ascending, with one target each at most; all users of the candidates if None.
    """
    if users is None:
        starts = candidates.starts()
        users = candidates.users[starts[:-1]]
    else:
        starts = np.searchsorted(candidates.users, np.append(users, np.iinfo(np.int64).max))
    target = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    order = np.lexsort((candidates.products, -probabilities, target))
    sorted_ = probabilities[order]
    none = calibration(baskets.none_of(sorted_, starts))
    best = baskets.best_baskets(sorted_, starts, none)
    return Ranked(users, starts, order, candidates.products[order], sorted_, none, best)


@dataclass
class Trained:
    """The result of training.

    Attributes:
        boosters: The trained members; their mean is the score.
        card: This task's part of the card.
        candidates: The rows that were trained on.
        scores: Chance of each candidate by trees that were not trained on its user; nan where there are none.
    """

    boosters: list[lightgbm.Booster]
    card: dict[str, Any]
    candidates: Candidates
    scores: NDArray[np.float64]


def train(
    features: Features,
    seed: int,
    *,
    names: list[str] | None = None,
    shuffled: bool = False,
    split: boosting.Split | None = None,
    on_member: Callable[[], object] = lambda: None,
) -> Trained:
    """Train the trees, and measure them on users that they were not trained on.

    Args:
        features: Features with training targets.
        seed: Seed of every random choice.
        names: Names of the features to use; all of them if None.
        shuffled: Shuffle the labels first. Nothing can be learned then, which checks the measures.
        split: How users are divided; chosen by the number of rows if None.
        on_member: Called after each member is trained.
    """
    names = features.reorder_features() if names is None else names
    candidates = features.training_candidates(names)
    labels = candidates.labels.astype(np.float32)
    if shuffled:
        labels = np.random.default_rng(seed).permutation(labels)
    targets = len(candidates.starts()) - 1
    about: dict[str, Any] = {"about": ABOUT, "features": names, "targets": targets, "rows": len(labels)}
    about["users"] = len(np.unique(candidates.users))
    judges = candidates.orders_back == 1
    if about["users"] < FEWEST_TARGETS or not 0 < labels[judges].sum() < judges.sum():
        return _untrained(about, candidates)
    split = split or (_MANY if len(labels) > _MANY_ROWS else _FEW)
    rows = boosting.Rows(candidates.values, labels, candidates.users, judges)
    fitted = boosting.fit(rows, names, PARAMETERS, split, seed, on_member)
    judged = ~np.isnan(fitted.scores) & judges
    about |= {
        "parameters": PARAMETERS,
        "rounds": [booster.best_iteration for booster in fitted.boosters],
        "gains": dict(zip(names, map(float, fitted.gains), strict=True)),
        **_judged(features, candidates, labels, fitted.scores, judged, names),
    }
    return Trained(fitted.boosters, about, candidates, fitted.scores)


def _untrained(about: dict[str, Any], candidates: Candidates) -> Trained:
    """Too few users to train on: the chance is the share of orders that had the product."""
    about["about"] = (
        f"Fewer than {FEWEST_TARGETS} users have orders to train on: the chance of a product is the share of their "
        "last ten orders that held it."
    )
    none = {"none_intercept": 0.0, "none_slope": 1.0}
    return Trained([], about | none, candidates, np.full(len(candidates.users), np.nan))


def _part(candidates: Candidates, wanted: NDArray[np.bool_]) -> Candidates:
    return Candidates(*(getattr(candidates, name)[wanted] for name in Candidates.__dataclass_fields__))


def _judged(
    features: Features,
    candidates: Candidates,
    labels: NDArray,
    scores: NDArray,
    wanted: NDArray[np.bool_],
    names: list[str],
) -> dict[str, Any]:
    """The measures of the trees and of plain rules, on the same targets and candidates."""
    part, p, y = _part(candidates, wanted), scores[wanted], labels[wanted]
    starts = part.starts()
    bought = np.add.reduceat(y, starts[:-1]).astype(np.int64)
    plain = ranked(part, p, NoneCalibration())
    order = plain.order
    calibration = NoneCalibration.fitted(baskets.none_of(plain.probabilities, starts), bought == 0)
    # Each half of the users is calibrated on the other half, so that no order is measured with a fit to itself.
    none = np.empty(len(bought))
    independent = baskets.none_of(plain.probabilities, starts)
    half = np.random.default_rng(metrics.SEED).permutation(len(bought)) % 2 == 0
    for side in (half, ~half):
        none[side] = NoneCalibration.fitted(independent[~side], bought[~side] == 0)(independent[side])
    best = baskets.best_baskets(plain.probabilities, starts, none)
    users = plain.users
    values = {"model": basket_f1(plain.ranks(), y[order], starts, best.sizes, best.includes_none)}
    recalls = {"model": recall(plain.ranks(), y[order], starts)}
    column = {name: part.values[:, place] for place, name in enumerate(names)}
    if {"was_in_last_1", "order_count", "rank_by_decay", "user_mean_reordered_items"} <= set(column):
        last = column["was_in_last_1"] > 0
        size = np.round(np.nan_to_num(column["user_mean_reordered_items"]))
        for name, chosen in {
            "repeat the last order": last,
            "its reordered products": last & (column["order_count"] > 1),
            "top N by decayed count": column["rank_by_decay"] <= size,
        }.items():
            values[name] = chosen_f1(chosen, y, starts)
        recalls["decayed count"] = recall(column["rank_by_decay"], y, starts)
    some = bought > 0
    table = metrics.calibration_table(p, y)
    found = {
        "auc": vars(metrics.auc(p, y, part.users)),
        "pr_auc": vars(metrics.pr_auc(p, y, part.users)),
        "base_rate": float(y.mean()),
        "judged_orders": len(users),
        "comparisons": [
            metrics.compared("F1 with None", values, users),
            metrics.compared(
                "recall@10 of products bought again", {k: v[some] for k, v in recalls.items()}, users[some]
            ),
        ],
        "calibration": [vars(group) for group in table],
        "calibration_error": metrics.calibration_error(table),
        "precision_recall": metrics.precision_recall(p, y),
        "none_intercept": calibration.intercept,
        "none_slope": calibration.slope,
    }
    found["examples"] = _examples(features, plain, best, y[order], values["model"], bought)
    return found


def _examples(
    features: Features,
    plain: Ranked,
    best: baskets.Baskets,
    labels: NDArray,
    f1: NDArray[np.float64],
    bought: NDArray[np.int64],
) -> list[dict[str, Any]]:
    """Good and bad baskets for the report, among orders with several products bought again."""
    several = np.flatnonzero(bought >= min(3, bought.max()))
    by_f1 = several[np.argsort(-f1[several], kind="stable")]
    # Not the very best and worst, which are there by chance.
    good = [by_f1[int(len(by_f1) * share)] for share in (0.02, 0.06, 0.1)]
    bad = [by_f1[int(len(by_f1) * share)] for share in (0.9, 0.94, 0.98)]
    found = []
    for kind, targets in (("good", good), ("bad", bad)):
        for target in dict.fromkeys(map(int, targets)):
            begin, end = plain.starts[target : target + 2]
            predicted = plain.products[begin : begin + best.sizes[target]].tolist()
            true = plain.products[begin:end][labels[begin:end] > 0].tolist()
            name = features.product_names([*predicted, *true])
            found.append(
                {
                    "kind": kind,
                    "user_id": int(plain.users[target]),
                    "f1": float(f1[target]),
                    "predicted": [name[product] for product in predicted] + ["None"] * bool(best.includes_none[target]),
                    "bought": [name[product] for product in true],
                }
            )
    return found


def basket_f1(
    ranks: NDArray, labels: NDArray, starts: NDArray, sizes: NDArray, includes_none: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """F1 of each target where its first ``sizes`` products are predicted, and "None" where ``includes_none``."""
    chosen = ranks <= np.repeat(sizes, np.diff(starts))
    return chosen_f1(chosen, labels, starts, includes_none)


def chosen_f1(
    chosen: NDArray[np.bool_], labels: NDArray, starts: NDArray, includes_none: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """F1 of the chosen products of each target; without ``includes_none``, "None" is predicted if nothing is chosen."""
    sizes = np.add.reduceat(chosen.astype(np.int64), starts[:-1])
    hits = np.add.reduceat((chosen & (labels > 0)).astype(np.int64), starts[:-1])
    bought = np.add.reduceat((labels > 0).astype(np.int64), starts[:-1])
    return baskets.f1(hits, sizes, bought, sizes == 0 if includes_none is None else includes_none)


def recall(ranks: NDArray, labels: NDArray, starts: NDArray, k: int = 10) -> NDArray[np.float64]:
    """Share of the products bought again that are among the first k, by target; nan if nothing was bought again."""
    bought = np.add.reduceat((labels > 0).astype(float), starts[:-1])
    hits = np.add.reduceat(((ranks <= k) & (labels > 0)).astype(float), starts[:-1])
    return np.divide(hits, bought, out=np.full(len(bought), np.nan), where=bought > 0)


def probabilities(boosters: list[lightgbm.Booster], candidates: Candidates, names: list[str]) -> NDArray[np.float64]:
    """Chance of each candidate to be bought again, from 0 to 1. Without trees, its share of the last ten orders."""
    if boosters:
        return boosting.score(boosters, candidates.values)
    last = candidates.values[:, names.index("orders_in_last_10")].astype(float)
    orders = candidates.values[:, names.index("user_order_count")].astype(float)
    return np.clip(last / (np.minimum(orders, 10) + 1), 0.0, 1.0)
