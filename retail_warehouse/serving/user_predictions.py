"""What is predicted of a user, as the bytes that a store keeps, and why, in plain words."""

import struct
import zlib
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from retail_warehouse.serving.predictions_store import PublishedError

FORMAT = 1  # of the bytes
LAST_ORDERS = 5  # that "in 5 of the last 5 orders" speaks of
MILLION = 1_000_000  # probabilities have six decimals
# Format, then: user, open order or 0, orders with lines, products of the basket, whether "None" is in it, its
# probability and the expected F1 in millionths, mean size of the user's orders, and how long the parts are.
_HEAD = struct.Struct("<B3xiiiiiiifiii")
_PARTS = (
    ("products", "<i4"),
    ("probabilities", "<i4"),
    ("ranks", "<i4"),
    ("facts", "<f4"),
    ("last_five", "u1"),
    ("days_since_last", "<i2"),
    ("days_overdue", "<f4"),
)
_NEW_PARTS = (("new_products", "<i4"), ("new_scores", "<f8"), ("new_because", "<i4"))
_CART_PARTS = (("cart_sizes", "<i4"), ("cart_days", "<i4"))


@dataclass(frozen=True, slots=True, eq=False)
class UserPredictions:
    """What is predicted of a user, and what it rests on.

    Args:
        user_id: The user.
        order_id: The open order that is predicted; 0: the order to come.
        order_count: The user's orders with lines.
        basket_size: Products of the predicted basket: those of the first ranks.
        includes_none: Whether "nothing is bought again" is in the basket.
        none_probability: That nothing is bought again, in millionths.
        expected_f1: Of the basket, in millionths.
        mean_basket_size: Mean number of products in the user's orders.
        products: Ids of the products bought before, ascending.
        probabilities: Probability that each is in the next order, in millionths.
        ranks: Rank by probability, from 1.
        facts: A row each, what the ranking of carts knows of it (``cart_ranking.NEEDED``).
        last_five: Bits: 1 if it was in the last order, 2 in the one before, to 16.
        days_since_last: From its last purchase to the order that is predicted.
        days_overdue: How much longer that is than the mean between its purchases; nan with a single purchase.
        new_products: Ids of products never bought, best first.
        new_scores: Score of each new product.
        new_because: A product that the user buys and that each goes with; 0 if there is none.
        cart_sizes: Products of the last orders, the latest first.
        cart_days: Days from each to the order that is predicted.
        cart_products: Ids of their products, as they were put into the carts, one order after another.
    """

    user_id: int
    order_id: int
    order_count: int
    basket_size: int
    includes_none: bool
    none_probability: int
    expected_f1: int
    mean_basket_size: float
    products: NDArray[np.int32]
    probabilities: NDArray[np.int32]
    ranks: NDArray[np.int32]
    facts: NDArray[np.float32]
    last_five: NDArray[np.uint8]
    days_since_last: NDArray[np.int16]
    days_overdue: NDArray[np.float32]
    new_products: NDArray[np.int32]
    new_scores: NDArray[np.float64]
    new_because: NDArray[np.int32]
    cart_sizes: NDArray[np.int32]
    cart_days: NDArray[np.int32]
    cart_products: NDArray[np.int32]

    def pack(self) -> bytes:
        """The bytes that a store keeps."""
        head = _HEAD.pack(
            FORMAT,
            self.user_id,
            self.order_id,
            self.order_count,
            self.basket_size,
            self.includes_none,
            self.none_probability,
            self.expected_f1,
            self.mean_basket_size,
            len(self.products),
            len(self.new_products),
            len(self.cart_sizes),
        )
        parts = (*_PARTS, *_NEW_PARTS, *_CART_PARTS, ("cart_products", "<i4"))
        arrays = (np.ascontiguousarray(getattr(self, name), kind).tobytes() for name, kind in parts)
        return zlib.compress(head + b"".join(arrays), 1)

    @classmethod
    def unpack(cls, packed: bytes) -> "UserPredictions":
        """Read such bytes.

        Raises:
            PublishedError: Another version of this program wrote them, or they are damaged.
        """
        try:
            content = zlib.decompress(packed)
            kind, *values, count, new, carts = _HEAD.unpack_from(content)
            if kind != FORMAT:
                raise PublishedError(f"format {kind} instead of {FORMAT}")
            names = [field.name for field in fields(cls)]
            found = dict(zip(names, values, strict=False))
            at = _HEAD.size

            def take(name: str, kind: str, length: int) -> None:
                nonlocal at
                found[name] = np.frombuffer(content, kind, length, at)
                at += found[name].nbytes

            for name, kind in _PARTS:
                # As many facts of each product as there is room for.
                take(name, kind, count * FACTS if name == "facts" else count)
            for parts, length in ((_NEW_PARTS, new), (_CART_PARTS, carts)):
                for name, kind in parts:
                    take(name, kind, length)
            take("cart_products", "<i4", int(found["cart_sizes"].sum()))
            found["facts"] = found["facts"].reshape(count, FACTS)
            found["includes_none"] = bool(found["includes_none"])
            return cls(**found)
        except (zlib.error, struct.error, ValueError, TypeError) as error:
            raise PublishedError(f"the predictions of a user cannot be read ({type(error).__name__})") from error

    def carts(self, most: int | None = None) -> list[NDArray[np.int32]]:
        """Products of the last orders, the latest first; of all that are known, or of some."""
        return np.split(self.cart_products, np.cumsum(self.cart_sizes)[:-1])[:most] if len(self.cart_sizes) else []

    def why_again(self, at: int) -> str:
        """Why a product is likely to be bought again, for people.

        Args:
            at: Its place in ``products``.
        """
        seen = min(LAST_ORDERS, self.order_count)
        recent = int(self.last_five[at]).bit_count()
        times = int(self.facts[at, 0])
        if seen == 1:
            habit = "bought in the only order so far"
        elif recent:
            habit = f"bought in {recent} of the last {seen} orders"
        else:
            habit = f"bought in {times} of {self.order_count} orders, not in the last {seen}"
        overdue = float(self.days_overdue[at])
        since = int(self.days_since_last[at])
        if np.isnan(overdue):
            return f"{habit}, last {_days(since)} before the next one" if seen > 1 and since else habit
        if overdue >= 1:
            return f"{habit}, {_days(int(overdue))} overdue"
        if overdue > -1:
            return f"{habit}, due now"
        return f"{habit}, due in {_days(int(-overdue))}"


FACTS = 5  # of each product; the number of cart_ranking.NEEDED


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count:,} days"
