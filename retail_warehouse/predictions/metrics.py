"""Measures of predictions, with bootstrap intervals over users."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from retail_warehouse.predictions import SEED

REPETITIONS = 1_000  # bootstrap draws of a mean; measures over all pairs use a fifth of them
CALIBRATION_GROUPS = 10


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Value and interval."""
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def mean(values: NDArray, users: NDArray) -> Estimate:
    """The mean of a value per order, with the interval in which it lies if other users are drawn.

    Args:
        values: One value per order or query.
        users: User of each value; values of one user are drawn together.
    """
    values = np.asarray(values, float)
    if not len(values):
        return Estimate(float("nan"), float("nan"), float("nan"))
    _, index = np.unique(users, return_inverse=True)
    sums, counts = np.bincount(index, values), np.bincount(index)
    drawn = np.random.default_rng(SEED).integers(0, len(sums), (REPETITIONS, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return Estimate(float(values.mean()), *map(float, np.percentile(means, (2.5, 97.5))))


def difference(values: NDArray, others: NDArray, users: NDArray) -> Estimate:
    """The mean of ``value`` less ``other`` over the same orders."""
    return mean(np.asarray(values, float) - np.asarray(others, float), users)


@dataclass(frozen=True)
class _Ranking:
    """Pairs sorted by score. Pairs of equal score form one level, so that their order does not matter."""

    level: NDArray[np.int64]
    label: NDArray[np.bool_]

    @classmethod
    def of(cls, scores: NDArray, labels: NDArray) -> "_Ranking":
        return cls(np.unique(scores, return_inverse=True)[1], np.asarray(labels) > 0)

    def counts(self, weights: NDArray | None) -> tuple[NDArray, NDArray]:
        """Weight of the positive and of the negative pairs at each level, ascending."""
        levels = int(self.level.max()) + 1
        weights = np.ones(len(self.level)) if weights is None else weights
        every = np.bincount(self.level, weights, levels)
        positive = np.bincount(self.level[self.label], weights[self.label], levels)
        return positive, every - positive

    def auc(self, weights: NDArray | None = None) -> float:
        positive, negative = self.counts(weights)
        below = np.cumsum(negative) - negative / 2
        pairs = positive.sum() * negative.sum()
        return float((positive * below).sum() / pairs) if pairs else float("nan")

    def pr_auc(self, weights: NDArray | None = None) -> float:
        positive, negative = (side[::-1] for side in self.counts(weights))
        right, all_ = np.cumsum(positive), np.cumsum(positive + negative)
        precision = np.divide(right, all_, out=np.zeros(len(right)), where=all_ > 0)
        return float((positive * precision).sum() / right[-1]) if right[-1] else float("nan")

    def estimate(self, figure: Callable[..., float], users: NDArray) -> Estimate:
        _, index = np.unique(users, return_inverse=True)
        count = int(index.max()) + 1
        generator = np.random.default_rng(SEED)
        drawn = [
            figure(self, np.bincount(generator.integers(0, count, count), minlength=count).astype(float)[index])
            for _ in range(REPETITIONS // 5)
        ]
        return Estimate(figure(self), *map(float, np.nanpercentile(drawn, (2.5, 97.5))))


def auc(scores: NDArray, labels: NDArray, users: NDArray) -> Estimate:
    """Area under the ROC curve over all pairs of user and product; ties count half."""
    return _Ranking.of(scores, labels).estimate(_Ranking.auc, users)


def pr_auc(scores: NDArray, labels: NDArray, users: NDArray) -> Estimate:
    """Area under the precision-recall curve (average precision) over all pairs of user and product."""
    return _Ranking.of(scores, labels).estimate(_Ranking.pr_auc, users)


@dataclass(frozen=True)
class CalibrationGroup:
    """Pairs of about the same probability.

    Attributes:
        pairs: Their number.
        probability: Mean of the predicted probabilities.
        share: Share of pairs that came true.
    """

    pairs: int
    probability: float
    share: float


def calibration_table(probabilities: NDArray, labels: NDArray) -> list[CalibrationGroup]:
    """Ten groups of equal size by ascending probability."""
    parts = np.array_split(np.argsort(probabilities, kind="stable"), CALIBRATION_GROUPS)
    labels = np.asarray(labels, float)
    return [
        CalibrationGroup(len(part), float(probabilities[part].mean()), float(labels[part].mean()))
        for part in parts
        if len(part)
    ]


def calibration_error(table: list[CalibrationGroup]) -> float:
    """Mean distance of probability and share over the groups, weighted by their pairs."""
    return sum(group.pairs * abs(group.probability - group.share) for group in table) / sum(
        group.pairs for group in table
    )


def recall_at(ranked: list[int], bought: set[int], k: int = 10) -> float:
    """Share of the products bought that are among the first k. At least one product must be bought."""
    return len(bought.intersection(ranked[:k])) / len(bought)


def reciprocal_rank(ranked: list[int], product: int) -> float:
    """1 / rank of the product; 0 if it is not ranked."""
    return 1 / (ranked.index(product) + 1) if product in ranked else 0.0


def compared(measure: str, values: dict[str, NDArray], users: NDArray) -> dict:
    """Compare a measure of the model with that of plain rules on the same orders, as plain JSON.

    Args:
        measure: Name of the measure.
        values: One value per order, by name of the rule; those of the model are under ``model``.
        users: User of each order.

    Returns:
        ``measure``, ``orders``, ``users``; ``estimates`` by name, and ``differences``: the model less each rule.
    """
    return {
        "measure": measure,
        "orders": len(users),
        "users": len(np.unique(users)),
        "estimates": {name: asdict(mean(found, users)) for name, found in values.items()},
        "differences": {
            name: asdict(difference(values["model"], found, users)) for name, found in values.items() if name != "model"
        },
    }


def precision_recall(scores: NDArray, labels: NDArray, points: int = 101) -> list[tuple[float, float]]:
    """The precision-recall curve at ``points`` values of recall: pairs of recall and precision."""
    positive, negative = (side[::-1] for side in _Ranking.of(scores, labels).counts(None))
    right, every = np.cumsum(positive), np.cumsum(positive + negative)
    wanted = np.searchsorted(right, np.linspace(right[-1] / points, right[-1], points))
    wanted = np.minimum(wanted, len(right) - 1)
    return [(float(right[at] / right[-1]), float(right[at] / every[at])) for at in wanted]
