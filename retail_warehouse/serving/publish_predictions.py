"""Fills the store of predictions from the warehouse: everything at once, or nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retail_warehouse.errors import DataError
from retail_warehouse.predictions import cart_ranking, model_folder, training
from retail_warehouse.predictions.co_visits import CoVisits
from retail_warehouse.predictions.dataset import Features, Lines
from retail_warehouse.serving import shop_statistics
from retail_warehouse.serving.predictions_store import PredictionsStore
from retail_warehouse.serving.product_search import Product
from retail_warehouse.serving.store import StoreError
from retail_warehouse.serving.user_predictions import UserPredictions

CHUNK_USERS = 10_000
LAST_CARTS = 20  # that the ranking of carts looks at
FIRST_PURCHASES = 10  # products that a user has never bought
_OWN_PRODUCTS = 20  # a user's commonest, among which the reason for a first purchase is looked for
_AGAIN = "Predict anew: retail-warehouse predict, then dbt build --selector predictions"
_PREDICTED = ("predicted_reorders", "predicted_baskets", "predicted_first_purchases")
_CATALOGUE = """
select
    products.product_id,
    coalesce(products.product_name, '') as product_name,
    coalesce(aisles.aisle, '') as aisle,
    coalesce(ftr_products.order_count, 0) as order_count
from warehouse.instacart.products as products
left join warehouse.instacart.aisles as aisles on products.aisle_id = aisles.aisle_id
left join ftr_products on products.product_id = ftr_products.product_id
order by products.product_id
"""
# One row for all predictions if they belong together.
_RUNS = """
select model_version, predicted_at::varchar as predicted_at, sum(row_count)::bigint as row_count from (
    select model_version, max(predicted_at) as predicted_at, count(*) as row_count
    from warehouse.predictions.predicted_baskets group by model_version
    union all
    select model_version, null, 0 from warehouse.predictions.predicted_reorders group by model_version
    union all
    select model_version, null, 0 from warehouse.predictions.predicted_first_purchases group by model_version
) group by all
"""
_BASKETS = """
select
    users.user_id,
    coalesce(baskets.product_count, -1) as product_count,
    coalesce(baskets.includes_none, false) as includes_none,
    coalesce(cast(baskets.none_probability * 1000000 as integer), 0) as none_probability,
    coalesce(cast(baskets.expected_f1 * 1000000 as integer), 0) as expected_f1,
    coalesce(baskets.order_id, 0) as order_id,
    users.history_orders as order_count,
    coalesce(users.order_id, 0) as target_order_id,
    coalesce(users.order_day, -1) as order_day
from ftr_targets as users
left join warehouse.predictions.predicted_baskets as baskets on users.user_id = baskets.user_id
where users.orders_back = 0 and users.user_id between ? and ?
order by users.user_id
"""
_FACTS = ", ".join(f"coalesce(cast(own.{name} as float), 'nan'::float) as {name}" for name in cart_ranking.NEEDED)
# The facts are those that the ranking of carts reads, in the same precision.
_REORDERS = f"""
select
    own.user_id, own.product_id,
    coalesce(cast(predicted.probability * 1000000 as integer), -1) as probability,
    coalesce(predicted.rank, 0) as rank,
    {_FACTS},
    cast(own.user_mean_basket_size as float) as mean_basket_size,
    own.was_in_last_1 + 2 * own.was_in_last_2 + 4 * own.was_in_last_3 + 8 * own.was_in_last_4 + 16 * own.was_in_last_5
        as last_five,
    cast(least(own.days_since_last, 32767) as smallint) as days_since_last,
    coalesce(cast(own.days_overdue as float), 'nan'::float) as days_overdue
from ftr_reorder_candidates as own
left join warehouse.predictions.predicted_reorders as predicted
    on own.user_id = predicted.user_id and own.product_id = predicted.product_id
where own.orders_back = 0 and own.user_id between $1 and $2
order by own.user_id, own.product_id
"""
_FIRST = f"""
with suggested as (
    select user_id, product_id, rank, score from warehouse.predictions.predicted_first_purchases
    where rank <= {FIRST_PURCHASES} and user_id between $1 and $2
), own as (
    select user_id, product_id, order_count from ftr_user_products
    where orders_back = 0 and user_id between $1 and $2
    qualify row_number() over (partition by user_id order by order_count desc, product_id) <= {_OWN_PRODUCTS}
), goes_with as (
    select
        suggested.user_id, suggested.product_id,
        arg_max(own.product_id, (pairs.first_purchases_with, own.order_count, -own.product_id)) as because
    from suggested
    inner join own on suggested.user_id = own.user_id
    inner join ftr_product_pairs as pairs
        on own.product_id = pairs.product_id and suggested.product_id = pairs.other_product_id
    where pairs.first_purchases_with > 0
    group by suggested.user_id, suggested.product_id
)
select suggested.user_id, suggested.product_id, suggested.score, coalesce(goes_with.because, 0) as because
from suggested
left join goes_with on suggested.user_id = goes_with.user_id and suggested.product_id = goes_with.product_id
order by suggested.user_id, suggested.rank
"""
# As `next_in_cart.Shoppers` reads them.
_CARTS = f"""
select user_id, order_age, product_id, coalesce(order_day, 0) as order_day from ftr_order_products
where user_id between ? and ? and order_age between 1 and {LAST_CARTS}
order by user_id, order_age, add_to_cart_order, product_id
"""


@dataclass(frozen=True, slots=True)
class Unloaded:
    """Where features and predictions are that belong to a warehouse on Redshift.

    Args:
        features: Folder or ``s3://`` prefix that ``unload_features`` has written.
        predictions: Folder or ``s3://`` prefix that ``retail-warehouse predict`` has written, and that was loaded.
    """

    features: str
    predictions: str

    def __str__(self) -> str:
        """What people know it by."""
        return self.predictions

    def tables(self) -> dict[str, str]:
        """The Parquet files of what is read beside the features, by schema and table."""
        features, predictions = self.features.rstrip("/"), self.predictions.rstrip("/")
        return {
            "instacart.products": f"{features}/products/*.parquet",
            "instacart.aisles": f"{features}/aisles/*.parquet",
            **{f"predictions.{name}": f"{predictions}/{name}.parquet" for name in _PREDICTED},
        }


def publish(
    store: PredictionsStore,
    warehouse: Path | Unloaded,
    models: Path,
    tell: Callable[[int], object] = lambda users: None,
    about: Callable[[int], object] = lambda users: None,
) -> int:
    """Put the predictions of a warehouse in place of what the store holds, and return the number of users.

    Args:
        store: Gets them.
        warehouse: A DuckDB file with features and predictions, or the files of a warehouse on Redshift.
        models: Folder with the model that has predicted, by its version.
        tell: Gets the number of users after each part.
        about: Gets the number of all users, before the first part.

    Raises:
        DataError: There are no predictions, or they do not belong to the features or the model; or the store cannot be
            written. What was published before stays.
    """
    features = _features_of(warehouse)
    try:
        version, predicted_at = _run_of(features, warehouse)
        if not (models / version / model_folder.CARD).is_file():
            raise DataError(
                f"The predictions of {warehouse} were made by the model {version}, which is not in {models}. Name its "
                f"folder: --models. {_AGAIN}"
            )
        model = model_folder.read(models / version)
        co_visits = CoVisits.of(features)
        training.require_same_data(model, co_visits)
        users = features.users()
        about(len(users))
        catalogue = _catalogue(features)
        told = {"model_version": version, "predicted_at": predicted_at, "users": len(users)}
        statistics = shop_statistics.pack(model, co_visits, catalogue, told)
        return store.replace(statistics, _users(features, users, tell))
    except StoreError as error:
        raise DataError(str(error)) from error
    finally:
        features.close()


def _features_of(warehouse: Path | Unloaded) -> Features:
    if isinstance(warehouse, Path):
        return Features(warehouse)
    features = Features(Path(), warehouse.features)
    try:
        features.stand_for_warehouse(warehouse.tables())
    except DataError:
        features.close()
        raise
    return features


def _run_of(features: Features, warehouse: Path | Unloaded) -> tuple[str, str]:
    """Version of the model that has predicted, and when."""
    try:
        runs = features.rows(_RUNS)
    except DataError as error:
        raise DataError(f"{warehouse} holds no predictions. Make them: make predictions") from error
    if not runs:
        raise DataError(f"{warehouse} holds no predictions. Make them: make predictions")
    versions = sorted({version for version, *_ in runs})
    if len(versions) > 1:
        raise DataError(f"The predictions of {warehouse} are of several models ({', '.join(versions)}). {_AGAIN}")
    [version] = versions
    at = max(found for _, found, _ in runs if found)
    return version, at[:19].replace(" ", "T") + "Z"


def _catalogue(features: Features) -> list[Product]:
    return [Product(product, name or None, aisle, orders) for product, name, aisle, orders in features.rows(_CATALOGUE)]


def _users(features: Features, users: NDArray[np.int64], tell: Callable[[int], object]) -> Iterator[tuple[int, bytes]]:
    for begin in range(0, len(users), CHUNK_USERS):
        chunk = users[begin : begin + CHUNK_USERS]
        between = [int(chunk[0]), int(chunk[-1])]
        for user in _packed(*(features.read(query, between) for query in (_BASKETS, _REORDERS, _FIRST, _CARTS))):
            yield user.user_id, user.pack()
        tell(min(begin + CHUNK_USERS, len(users)))


def _packed(baskets: Lines, own: Lines, new: Lines, carts: Lines) -> Iterator[UserPredictions]:
    """Users with what is predicted, from rows that are ordered by user."""
    ids = baskets["user_id"]
    _must_fit(baskets, own)
    facts = np.column_stack([own[name] for name in cart_ranking.NEEDED]).astype(np.float32)
    own_at, new_at = _edges(own["user_id"], ids), _edges(new["user_id"], ids)
    # Where a cart begins: another user, or another age.
    is_first = np.ones(len(carts), np.bool_)
    is_first[1:] = (np.diff(carts["user_id"]) != 0) | (np.diff(carts["order_age"]) != 0)
    starts = np.flatnonzero(is_first)
    sizes = np.diff(np.append(starts, len(carts))).astype(np.int32)
    days = carts["order_day"][starts]
    cart_at, line_at = _edges(carts["user_id"][starts], ids), _edges(carts["user_id"], ids)
    for at, user in enumerate(ids.tolist()):
        mine, fresh, cart, line = own_at[at], new_at[at], cart_at[at], line_at[at]
        day = baskets["order_day"][at]
        yield UserPredictions(
            user,
            int(baskets["order_id"][at]),
            int(baskets["order_count"][at]),
            int(baskets["product_count"][at]),
            bool(baskets["includes_none"][at]),
            int(baskets["none_probability"][at]),
            int(baskets["expected_f1"][at]),
            float(own["mean_basket_size"][mine.start]) if mine.stop > mine.start else 0.0,
            own["product_id"][mine],
            own["probability"][mine],
            own["rank"][mine],
            facts[mine],
            own["last_five"][mine],
            own["days_since_last"][mine],
            own["days_overdue"][mine],
            new["product_id"][fresh],
            new["score"][fresh],
            new["because"][fresh],
            sizes[cart],
            np.maximum(day - days[cart], 0),
            carts["product_id"][line],
        )


def _must_fit(baskets: Lines, own: Lines) -> None:
    """Make sure that predictions and features are of the same orders.

    Raises:
        DataError: They are not.
    """
    missing = baskets["user_id"][baskets["product_count"] < 0]
    if len(missing):
        raise DataError(f"User {missing[0]} has no predicted basket: there are newer orders. {_AGAIN}")
    other = baskets["user_id"][baskets["order_id"] != baskets["target_order_id"]]
    if len(other):
        raise DataError(f"Another order of user {other[0]} was predicted than is next now. {_AGAIN}")
    unknown = np.flatnonzero(own["probability"] < 0)
    if len(unknown):
        at = unknown[0]
        raise DataError(
            f"Product {own['product_id'][at]} of user {own['user_id'][at]} has no prediction: there are newer orders. "
            f"{_AGAIN}"
        )


def _edges(keys: NDArray, users: NDArray) -> list[slice]:
    """Where the rows of each user are."""
    begins, ends = (np.searchsorted(keys, users, side).tolist() for side in ("left", "right"))
    return list(map(slice, begins, ends))
