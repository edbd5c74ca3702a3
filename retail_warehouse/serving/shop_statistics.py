"""Data shared by all users: the catalogue, and the model that ranks products for carts."""

import io
import zlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from retail_warehouse.errors import DataError
from retail_warehouse.serving.predictions_store import PublishedError
from retail_warehouse.serving.product_search import Product, ProductSearch
from retail_warehouse.serving.user_predictions import UserPredictions

if TYPE_CHECKING:
    from retail_warehouse.predictions.co_visits import CoVisits
    from retail_warehouse.predictions.model_folder import Model

FORMAT = 1
MOST_ITEMS = 500  # of a cart
_TASKS = ("next_in_cart", "next_in_cart_anonymous")
# What the ranking of carts reads of CoVisits; the rest is for training and for first purchases.
_OF_CARTS = (
    *("ids", "aisles", "aisle_ids", "orders", "rows", "columns", "in_cart", "next_in_cart", "log_lift", "transitions"),
)
_LAST_ITEMS = 20  # of a cart, among which the reason for a product is looked for
_NO_PRODUCTS: NDArray[np.int64] = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Suggested:
    """A product that may be put into a cart next.

    Args:
        product: The product.
        score: Its score, which can be compared within one answer alone.
        why: Why it is there, for people.
    """

    product: Product
    score: float
    why: str


def pack(model: "Model", co_visits: "CoVisits", catalogue: list[Product], about: dict[str, Any]) -> bytes:
    """The bytes that a store keeps.

    Args:
        model: Ranks carts.
        co_visits: What the ranking rests on.
        catalogue: Every product.
        about: ``model_version``, ``predicted_at`` and ``users``.
    """
    told = about | {
        "format": FORMAT,
        "tasks": {task: {"way": model.card["tasks"][task]["way"]} for task in _TASKS},
        "boosters": {task: [booster.model_to_string() for booster in model.boosters.get(task, [])] for task in _TASKS},
        "products": [[item.product_id, item.product_name, item.aisle, item.order_count] for item in catalogue],
    }
    content = io.BytesIO()
    arrays = {name: getattr(co_visits, name) for name in _OF_CARTS}
    np.savez(content, about=np.frombuffer(orjson.dumps(told), np.uint8), **arrays)
    return zlib.compress(content.getbuffer(), 1)


class Shop:
    """What was published for all users.

    Attributes:
        model_version: The model that predicted.
        predicted_at: When, ISO 8601 in UTC.
        users: Of how many users.
        products: The catalogue.
    """

    def __init__(self, packed: bytes) -> None:
        """Read it. What ranks carts is made ready by :meth:`prepare`.

        Raises:
            PublishedError: Another version of this program wrote it, or it is damaged.
        """
        try:
            arrays = np.load(io.BytesIO(zlib.decompress(packed)), allow_pickle=False)
            about = orjson.loads(arrays["about"].tobytes())
            if about["format"] != FORMAT:
                raise PublishedError(f"format {about['format']} instead of {FORMAT}")
            self._arrays = {name: arrays[name] for name in _OF_CARTS}
            self.model_version: str = about["model_version"]
            self.predicted_at: str = about["predicted_at"]
            self.users: int = about["users"]
            self.products = ProductSearch([Product(*values) for values in about["products"]])
            self._tasks, self._boosters = about["tasks"], about["boosters"]
        except (zlib.error, ValueError, KeyError, TypeError, OSError, EOFError) as error:
            raise PublishedError(f"the statistics cannot be read ({type(error).__name__})") from error
        self._rank: Any = None
        self._co: CoVisits | None = None

    def prepare(self) -> None:
        """Make ready to rank carts.

        Raises:
            DataError: The libraries of predictions are missing; the text says how to install them.
        """
        from retail_warehouse.predictions.libraries import require_installed

        require_installed()
        import lightgbm

        from retail_warehouse.predictions import cart_ranking, suggesting
        from retail_warehouse.predictions.co_visits import CoVisits
        from retail_warehouse.predictions.model_folder import Model

        boosters = {
            task: [lightgbm.Booster(model_str=text) for text in texts] for task, texts in self._boosters.items()
        }
        model = Model({"tasks": self._tasks, "model_version": self.model_version}, boosters)
        empty = np.zeros(0)
        co_visits = CoVisits(**{field.name: self._arrays.get(field.name, empty) for field in fields(CoVisits)})
        ranker = cart_ranking.Carts(co_visits)

        def rank(cart: list[int], user: UserPredictions | None, ranks: int) -> suggesting.Suggestion:
            shopper = None
            if user is not None and len(user.products):
                places = co_visits.places(user.products)
                known = places >= 0
                shopper = cart_ranking.Shopper(
                    places[known],
                    user.probabilities[known] / 1e6,
                    user.facts[known].astype(float),
                    user.mean_basket_size,
                    _known(co_visits.places(user.cart_products), user),
                )
            return suggesting.answer(model, co_visits, ranker, suggesting.Cart("", None, cart), shopper, ranks)

        self._boosters = {}
        self._co, self._rank = co_visits, rank

    @property
    def can_rank(self) -> bool:
        """Whether carts can be answered."""
        return self._rank is not None

    def next_in_cart(self, cart: list[int], user: UserPredictions | None, ranks: int) -> list[Suggested]:
        """Products to put into a cart next, as ``retail-warehouse suggest`` ranks them.

        Args:
            cart: Product ids, in order; those that are not known are left out.
            user: Whose cart it is, if that is known.
            ranks: Most products.

        Raises:
            DataError: The libraries of predictions are missing.
        """
        if self._rank is None:
            raise DataError("Carts cannot be ranked yet.")
        found = self._rank(cart, user, ranks)
        owned = {} if user is None else {product: at for at, product in enumerate(user.products.tolist())}
        others = [product for product in found.products if product not in owned]
        with_what = self._goes_with(cart, others)
        answer = []
        for product, score in zip(found.products, found.scores, strict=True):
            known = self.product(product)
            if product in owned and user is not None:
                why = user.why_again(owned[product])
            elif product in with_what:
                why = f"goes with {self.product(with_what[product]).name}"
            else:
                why = f"popular in {known.aisle}"
            answer.append(Suggested(known, score, why))
        return answer

    def product(self, product_id: int) -> Product:
        """A product by its id, also one that is no longer in the catalogue."""
        return self.products.by_id.get(product_id) or Product(product_id, None, "", 0)

    def _goes_with(self, cart: list[int], products: list[int]) -> dict[int, int]:
        """For each product the one of the cart that it is bought with most often, if there is one."""
        co = self._co
        if co is None or not products or not cart:
            return {}
        inside = co.places(np.array(cart[-_LAST_ITEMS:], np.int64))
        wanted = co.places(np.array(products, np.int64))
        best: dict[int, tuple[float, int]] = {}
        for place in inside[inside >= 0].tolist():
            begin, end = co.rows[place], co.rows[place + 1]
            columns = co.columns[begin:end]
            if not len(columns):
                continue
            at = np.minimum(np.searchsorted(columns, wanted), len(columns) - 1)
            for product, share in zip(
                products, np.where(columns[at] == wanted, co.in_cart[begin:end][at], 0).tolist(), strict=True
            ):
                if share > best.get(product, (0.0, 0))[0]:
                    best[product] = (share, int(co.ids[place]))
        return {product: other for product, (_, other) in best.items()}


def _known(places: NDArray[np.int64], user: UserPredictions) -> list[list[int]]:
    """The last carts of a user as places, without products that are not known."""
    carts, begin, every = [], 0, places.tolist()
    for size in user.cart_sizes.tolist():
        carts.append([place for place in every[begin : begin + size] if place >= 0])
        begin += size
    return carts
