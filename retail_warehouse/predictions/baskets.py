"""The basket with the greatest expected F1: the likeliest products of a user, and whether the item "None" is in it.

The measure is Kaggle's for the Instacart data: the F1 of the predicted and the true set of products that are bought
again, where "None" is an item of its own, true exactly if nothing is bought again. The best set for given probabilities
always consists of the k likeliest products; k and the expectation are exact (Ye, Chai, Lee and Chieu, "Optimizing
F-measures: a tale of two approaches", ICML 2012), in O(n^2) for n products.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

LARGEST_BASKET = 100  # products; the largest of the 3.3 million real carts holds 145, of which fewer are bought again
_ELEMENTS = 4_000_000  # largest array of a batch of users, in numbers


@dataclass(frozen=True)
class Baskets:
    """The best set of each user.

    Attributes:
        sizes: Number of products, the likeliest ones.
        includes_none: Whether "None" is part of the set.
        expected_f1: Its expected F1, from 0 to 1.
    """

    sizes: NDArray[np.int64]
    includes_none: NDArray[np.bool_]
    expected_f1: NDArray[np.float64]


def best_baskets(
    probabilities: NDArray[np.float64], starts: NDArray[np.int64], none_probabilities: NDArray[np.float64]
) -> Baskets:
    """Find the best set of each user.

    Products are assumed to be bought independently of one another. Only the chance that none is bought is given: the
    chances of all other outcomes are scaled so that all add up to 1.

    Args:
        probabilities: Chance of each product to be bought, the users' products one after the other, each user's in
            descending order.
        starts: Index of each user's first product, ascending, with the number of products at the end: one more than
            there are users. A user may have no product.
        none_probabilities: Chance of each user to buy no product again.

    Raises:
        ValueError: A user's probabilities do not descend.
    """
    counts = np.diff(starts)
    rising = np.flatnonzero(np.diff(probabilities) > 0) + 1
    if not np.isin(rising, starts).all():
        raise ValueError("the probabilities of a user must descend")
    sizes = np.zeros(len(counts), np.int64)
    includes_none = np.ones(len(counts), np.bool_)
    expected = none_probabilities.astype(np.float64)  # of a user without products
    # Users with a similar number of products form a batch, which needs little padding.
    order = np.argsort(counts, kind="stable")
    begin = int(np.searchsorted(counts[order], 1))
    while begin < len(order):
        end = begin + 1
        while end < len(order) and (end + 1 - begin) * _elements(int(counts[order[end]])) <= _ELEMENTS:
            end += 1
        users = order[begin:end]
        width = int(counts[users[-1]])
        padded = np.zeros((len(users), width))
        columns = np.arange(width)
        present = columns < counts[users, None]
        padded[present] = probabilities[(starts[users, None] + columns)[present]]
        sizes[users], includes_none[users], expected[users] = _batch(padded, none_probabilities[users])
        begin = end
    return Baskets(sizes, includes_none, expected)


def _elements(count: int) -> int:
    return (min(count, LARGEST_BASKET) + 1) ** 2 + count


def _batch(
    p: NDArray[np.float64], none: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """Like best_baskets, for a matrix with a row per user, padded with zeros, which never improve a set."""
    users, products = p.shape
    largest = min(products, LARGEST_BASKET)
    # hits[k][:, a]: chance that a of the k likeliest products are bought.
    hits = np.zeros((largest + 1, users, largest + 1))
    hits[0, :, 0] = 1
    for k in range(1, largest + 1):
        chance = p[:, k - 1, None]
        hits[k, :, :k] = hits[k - 1, :, :k] * (1 - chance)
        hits[k, :, 1 : k + 1] += hits[k - 1, :, :k] * chance
    nothing = np.prod(1 - p, axis=1)
    something = np.divide(1 - none, 1 - nothing, out=np.zeros(users), where=nothing < 1)
    # inverse[:, m - 1]: expectation of 1 / (m + the number of products bought among those after the k likeliest).
    inverse = np.broadcast_to(1 / np.arange(1, largest + products + 3), (users, largest + products + 2))
    size = np.zeros(users, np.int64)
    with_none = np.ones(users, np.bool_)
    best = np.full(users, -1.0)
    for k in range(products, -1, -1):
        if k <= largest:
            twice = 2 * np.arange(1, k + 1) * hits[k, :, 1 : k + 1]
            for adds_none in (True, False) if k else (True,):
                first = k + adds_none
                value = np.einsum("ij,ij->i", twice, inverse[:, first : first + k]) * something
                if adds_none:
                    value += none * 2 / (k + 2)
                # Of equal sets the smallest.
                better = value >= best
                best = np.where(better, value, best)
                size[better] = k
                with_none[better] = adds_none
        if k:
            chance = p[:, k - 1, None]
            inverse = chance * inverse[:, 1:] + (1 - chance) * inverse[:, :-1]
    return size, with_none, best


def f1(
    hits: NDArray[np.int64], predicted: NDArray[np.int64], bought: NDArray[np.int64], includes_none: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """F1 with "None", one value per order, from 0 to 1.

    Args:
        hits: Products predicted and bought again.
        predicted: Products predicted.
        bought: Products bought again; with 0, "None" is true.
        includes_none: Whether "None" is predicted.
    """
    is_none = bought == 0
    right = hits + (includes_none & is_none)
    size = predicted + includes_none + bought + is_none
    return np.divide(2.0 * right, size, out=np.zeros(len(size)), where=size > 0)


def none_of(probabilities: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Chance of each user to buy none of the products, if they are independent; 1 without products."""
    logs = np.append(np.log1p(-np.minimum(probabilities, 1 - 1e-9)), 0.0)
    sums = np.add.reduceat(logs, starts[:-1]) if len(starts) > 1 else np.zeros(0)
    return np.exp(np.where(np.diff(starts) > 0, sums, 0.0))


@dataclass(frozen=True)
class NoneCalibration:
    """Corrects the chance of "None" of independent products by a logistic function of its log-odds.

    Attributes:
        intercept: Added to the log-odds; 0 changes nothing.
        slope: Factor of the log-odds; 1 changes nothing.
    """

    intercept: float = 0.0
    slope: float = 1.0

    def __call__(self, independent: NDArray[np.float64]) -> NDArray[np.float64]:
        """The calibrated chances."""
        return expit(self.intercept + self.slope * _log_odds(independent))

    @classmethod
    def fitted(cls, independent: NDArray[np.float64], is_none: NDArray[np.bool_]) -> "NoneCalibration":
        """Fit to orders that were not trained on. A penalty with the weight of one order keeps few orders, or orders of
        one kind only, from giving extreme values.

        Args:
            independent: Chance of "None" if the products of each order were independent.
            is_none: Whether nothing was bought again.
        """
        x, y = _log_odds(independent), np.asarray(is_none, float)

        def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            off = weights - (0.0, 1.0)
            z = weights[0] + weights[1] * x
            wrong = expit(z) - y
            return (
                float((np.logaddexp(0, z) - y * z).sum() + off @ off / 2),
                np.array([wrong.sum(), wrong @ x]) + off,
            )

        weights = minimize(loss, (0.0, 1.0), jac=True, method="BFGS").x
        return cls(float(weights[0]), float(max(weights[1], 0.0)))


def _log_odds(p: NDArray[np.float64]) -> NDArray[np.float64]:
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return np.log(p / (1 - p))
