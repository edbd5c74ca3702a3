"""Which products and aisles are bought together or after one another, from the features."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from retail_warehouse.predictions.dataset import Features

# Added to the orders of a product, so that a pair of products that were bought together once does not score high.
_PSEUDO_ORDERS = 20.0
_PSEUDO_CARTS = 5.0
FLOOR = 1e-9  # factor of a popularity that only breaks ties


@dataclass
class CoVisits:
    """Products by place (their index in ascending order of ids), and pairs of them as one sparse matrix pattern.

    Attributes:
        ids: Product ids.
        aisles: Place of each product's aisle in ``aisle_ids``.
        departments: Department ids.
        aisle_ids: Aisle ids, ascending.
        orders, first_purchases: Orders with each product, and how many of them were a user's first of it.
        rows, columns: The pattern, as in CSR: the partners of product i are ``columns[rows[i]:rows[i + 1]]``.
        in_cart: P(other in the cart | product in it), shrunk.
        first_with: P(other bought for the first time | product in the cart), shrunk.
        first_after: P(other bought for the first time in the next order | product in this one), shrunk.
        next_in_cart: P(other put in directly after the product), shrunk.
        excess: First purchases with the product beyond those expected by chance, divided by the spread of both.
        log_lift: Logarithm of the shrunk lift of both in a cart, at least 0.
        lift: The lift of both in a cart.
        counts: Carts with both.
        next_counts: Carts in which the other was put in directly after the product.
        carts: Of each product, carts in the sample that pairs are counted in.
        transitions: Lift of an aisle (column) directly after another one (row).
    """

    ids: NDArray[np.int64]
    aisles: NDArray[np.int64]
    departments: NDArray[np.int64]
    aisle_ids: NDArray[np.int64]
    orders: NDArray[np.float64]
    first_purchases: NDArray[np.float64]
    rows: NDArray[np.int64]
    columns: NDArray[np.int32]
    in_cart: NDArray[np.float32]
    first_with: NDArray[np.float32]
    first_after: NDArray[np.float32]
    next_in_cart: NDArray[np.float32]
    excess: NDArray[np.float32]
    log_lift: NDArray[np.float32]
    lift: NDArray[np.float32]
    counts: NDArray[np.int64]
    next_counts: NDArray[np.int64]
    carts: NDArray[np.float64]
    transitions: NDArray[np.float32]

    @classmethod
    def of(cls, features: Features) -> "CoVisits":
        """Read the statistics of a warehouse."""
        products = features.read("""
            select
                product_id, aisle_id, department_id, order_count, first_purchase_count, sampled_order_count,
                sampled_first_purchase_count, sampled_followed_count
            from ftr_products order by product_id
            """)
        ids = products["product_id"].astype(np.int64)
        aisle_ids, aisles = np.unique(products["aisle_id"].astype(np.int64), return_inverse=True)
        pairs = features.read("""
            select product_id, other_product_id, orders_with_both, first_purchases_with, first_purchases_after,
                next_in_cart, cast(coalesce(lift, 0) as float) as lift
            from ftr_product_pairs order by product_id, other_product_id
            """)
        one = np.searchsorted(ids, pairs["product_id"])
        other = np.searchsorted(ids, pairs["other_product_id"])
        rows = np.concatenate([[0], np.cumsum(np.bincount(one, minlength=len(ids)))])
        carts = products["sampled_order_count"].astype(float)
        first = products["sampled_first_purchase_count"].astype(float)
        followed = products["sampled_followed_count"].astype(float)
        sampled = float(features.read("select count(*) as orders from ftr_orders where is_in_pair_sample")["orders"][0])
        both, first_with = pairs["orders_with_both"].astype(float), pairs["first_purchases_with"].astype(float)
        by_chance = carts[one] * first[other] / max(sampled, 1)
        expected = carts[one] * carts[other] / max(sampled, 1)
        transitions = np.ones((len(aisle_ids), len(aisle_ids)), np.float32)
        found = features.read("select aisle_id, next_aisle_id, cast(lift as float) as lift from ftr_aisle_transitions")
        known = np.isin(found["aisle_id"], aisle_ids) & np.isin(found["next_aisle_id"], aisle_ids)
        transitions[
            np.searchsorted(aisle_ids, found["aisle_id"][known]),
            np.searchsorted(aisle_ids, found["next_aisle_id"][known]),
        ] = found["lift"][known]
        return cls(
            ids=ids,
            aisles=aisles,
            departments=products["department_id"].astype(np.int64),
            aisle_ids=aisle_ids,
            orders=products["order_count"].astype(float),
            first_purchases=products["first_purchase_count"].astype(float),
            rows=rows,
            columns=other.astype(np.int32),
            in_cart=(both / (carts[one] + _PSEUDO_CARTS)).astype(np.float32),
            first_with=(first_with / (carts[one] + _PSEUDO_ORDERS)).astype(np.float32),
            first_after=(pairs["first_purchases_after"] / (followed[one] + _PSEUDO_ORDERS)).astype(np.float32),
            next_in_cart=(pairs["next_in_cart"] / (carts[one] + _PSEUDO_CARTS)).astype(np.float32),
            excess=(np.maximum(0, first_with - by_chance) / np.sqrt((carts[one] + 10) * (first[other] + 10))).astype(
                np.float32
            ),
            log_lift=np.maximum(0, np.log((both + 1) / (expected + 1))).astype(np.float32),
            lift=pairs["lift"].astype(np.float32),
            counts=pairs["orders_with_both"].astype(np.int64),
            next_counts=pairs["next_in_cart"].astype(np.int64),
            carts=carts,
            transitions=transitions,
        )

    def places(self, products: NDArray) -> NDArray[np.int64]:
        """Places of products by id; -1 for an unknown id."""
        products = np.asarray(products, np.int64)
        if not len(self.ids):
            return np.full(len(products), -1)
        found = np.minimum(np.searchsorted(self.ids, products), len(self.ids) - 1)
        return np.where(self.ids[found] == products, found, -1)

    def matrix(self, values: NDArray[np.float32], kept: NDArray[np.int64]) -> sparse.csr_matrix:
        """A measure as a sparse matrix: a row per product, a column per product of ``kept``."""
        count = len(self.ids)
        return sparse.csr_matrix((values, self.columns, self.rows), shape=(count, count))[:, kept].tocsr()

    def popular(self) -> NDArray[np.int64]:
        """Places by descending number of orders, ties by id."""
        return np.lexsort((np.arange(len(self.ids)), -self.orders))

    def aisle_popularity(self) -> NDArray[np.float64]:
        """Orders of all products of each aisle."""
        return np.bincount(self.aisles, self.orders, len(self.aisle_ids))
