"""Plain rules that a model has to beat, and the products of the hidden orders, both in SQL over the raw files.

No code is shared with the features, so that a fault there cannot make both sides wrong in the same way.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import duckdb

from retail_warehouse.predictions.rotation import Rotation

DECAY = 0.8  # factor per order since the purchase
TOP = 10  # ranks that count
_PARTNERS = 200  # products kept for each product by co-visitation

_LOADED = """
create table target as
select distinct order_id, user_id, order_number from read_csv('{truth}');
create table truth as
select order_id, product_id, add_to_cart_order as position from read_csv('{truth}');
create table line as
select
    user_id::bigint as user_id, order_number::int as order_number, order_id, product_id, position,
    row_number() over (partition by user_id, product_id order by order_number) = 1 as is_first
from (
    select order_id::bigint as order_id, product_id::bigint as product_id, add_to_cart_order::int as position
    from read_csv(
        ['{data}/order_products__prior.csv', '{data}/order_products__train.csv'], header = true, all_varchar = true
    )
)
join (
    select order_id::bigint as order_id, user_id, order_number
    from read_csv('{data}/orders.csv', header = true, all_varchar = true)
) using (order_id);
create table history as
select target.order_id, target.order_number - line.order_number as orders_ago, product_id, position, is_first
from target join line on line.user_id = target.user_id and line.order_number < target.order_number;
create table popular as
select *, row_number() over (order by lines desc, product_id) as popularity
from (select product_id, count(*) as lines from line group by product_id);
"""
_BOUGHT_AGAIN = """
select order_id, product_id from truth semi join history using (order_id, product_id)"""
_BOUGHT_FIRST = """
select order_id, product_id from truth anti join history using (order_id, product_id)"""
_DECAYED = """
select order_id, product_id
from history group by all
order by order_id, sum(pow({decay}, orders_ago - 1)) desc, count(*) desc, product_id"""
# Mean number of products that a user buys again, over all orders but the first.
_REORDERED_ITEMS = """
select order_id, round(avg(reordered))::int
from (
    select order_id, orders_ago, sum((not is_first)::int) as reordered
    from history group by order_id, orders_ago
    qualify orders_ago < max(orders_ago) over (partition by order_id)
)
group by all"""
# P(j is bought for the first time | i is in the cart), summed over what the user has bought.
_COVISITED = """
with pair as (
    select one.product_id, other.product_id as next_product_id, count(*) as orders
    from line as one join line as other using (order_id)
    where other.is_first and other.product_id <> one.product_id
    group by all
),
kept as (
    select product_id, next_product_id, orders / (lines + 20.0) as probability
    from pair join popular using (product_id)
    qualify row_number() over (partition by product_id order by orders desc, next_product_id) <= {partners}
),
bought as (select order_id, product_id, sqrt(count(*)) as weight from history group by all)
select order_id, next_product_id
from (
    select order_id, next_product_id, sum(weight * probability) as score
    from bought join kept using (product_id) group by all
) as scored
anti join bought on bought.order_id = scored.order_id and bought.product_id = next_product_id
qualify row_number() over (partition by order_id order by score desc, next_product_id) <= {top}
order by order_id, score desc, next_product_id"""
_AFTER_LAST = """
with pair as (
    select one.product_id, other.product_id as next_product_id, count(*) as orders
    from line as one join line as other using (order_id)
    where one.product_id in (select product_id from last_item) and other.product_id <> one.product_id
    group by all
)
select pair.product_id, next_product_id from pair join popular on popular.product_id = next_product_id
qualify row_number() over (partition by pair.product_id order by orders desc, popularity) <= {deep}
order by pair.product_id, orders desc, popularity"""


@dataclass(frozen=True)
class Query:
    """A cart whose next product is hidden.

    Attributes:
        query_id: Name of the query.
        order_id: The order of the cart.
        place: Which product is hidden: the ``last``, the ``middle`` one, or ``any`` if the order is not known.
        cart: Products before it, in order.
        product: The hidden product.
        is_new: Whether the user had never bought it.
    """

    query_id: str
    order_id: int
    place: str
    cart: tuple[int, ...]
    product: int
    is_new: bool


class Baselines:
    """The hidden orders of one turn, and the predictions of plain rules."""

    def __init__(self, rotation: Rotation):
        """Load the raw files of a turn."""
        self._connection = duckdb.connect()
        self._connection.execute(_LOADED.format(truth=rotation.truth, data=rotation.data))
        self.users: dict[int, int] = dict(self._rows("select order_id, user_id from target"))
        self.bought_again = self._sets(_BOUGHT_AGAIN)
        self.bought_first = self._sets(_BOUGHT_FIRST)
        self.history = self._sets("select distinct order_id, product_id from history")
        self.popular = [product for (product,) in self._rows("select product_id from popular order by popularity")]
        self.decayed = self._lists(_DECAYED.format(decay=DECAY))

    def _rows(self, sql: str) -> list[tuple]:
        return self._connection.execute(sql).fetchall()

    def _lists(self, sql: str) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for key, product in self._rows(sql):
            found.setdefault(key, []).append(product)
        return found

    def _sets(self, sql: str) -> dict[int, set[int]]:
        return {key: set(products) for key, products in self._lists(sql).items()}

    def repeat_last(self) -> dict[int, set[int]]:
        """The products of the user's last order, by order."""
        return self._sets("select order_id, product_id from history where orders_ago = 1")

    def repeat_last_reordered(self) -> dict[int, set[int]]:
        """The products of the user's last order that were bought before it, by order."""
        return self._sets("select order_id, product_id from history where orders_ago = 1 and not is_first")

    def top_by_decay(self) -> dict[int, set[int]]:
        """The first products by decayed count, as many as the user buys again on average, by order."""
        sizes = dict(self._rows(_REORDERED_ITEMS))
        return {order: set(products[: sizes.get(order, 0)]) for order, products in self.decayed.items()}

    def popular_first(self) -> dict[int, list[int]]:
        """The most popular products that the user has not bought."""
        return {order: first_without(self.popular, self.history.get(order, set())) for order in self.users}

    def covisited(self) -> dict[int, list[int]]:
        """Products bought for the first time together with what the user has bought, filled up by popularity."""
        found = self._lists(_COVISITED.format(partners=_PARTNERS, top=TOP))
        return {
            order: first_without([*found.get(order, []), *self.popular], self.history.get(order, set()))
            for order in self.users
        }

    def queries(self, *, carts_are_ordered: bool) -> list[Query]:
        """Queries from hidden orders with two or more products: one hides the last product, one the middle
        product. If the order in the cart is not known, one query hides a random product."""
        carts: dict[int, list[int]] = {}
        order = "position" if carts_are_ordered else "md5(order_id || ':' || product_id)"
        for order_id, product in self._rows(f"select order_id, product_id from truth order by order_id, {order}"):
            carts.setdefault(order_id, []).append(product)
        found = []
        for order_id, products in carts.items():
            if len(products) < 2:
                continue
            places = (
                {"last": len(products) - 1, "middle": len(products) // 2}
                if carts_are_ordered
                else {"any": len(products) - 1}
            )
            for place, size in places.items():
                product = products[size]
                found.append(
                    Query(
                        f"{order_id}-{place}",
                        order_id,
                        place,
                        tuple(products[:size]),
                        product,
                        product not in self.history.get(order_id, set()),
                    )
                )
        return found

    def after_last(self, queries: Iterable[Query]) -> dict[int, list[int]]:
        """For the last product of each cart, the products most often bought with it."""
        self._connection.execute(
            "create or replace temp table last_item as select unnest(?) as product_id",
            [sorted({query.cart[-1] for query in queries})],
        )
        return self._lists(_AFTER_LAST.format(deep=TOP + 200))


def first_without(products: Iterable[int], excluded: set[int], count: int = TOP) -> list[int]:
    """The first ``count`` different products that are not excluded."""
    found: dict[int, None] = {}
    for product in products:
        if len(found) == count:
            break
        if product not in excluded:
            found[product] = None
    return list(found)
