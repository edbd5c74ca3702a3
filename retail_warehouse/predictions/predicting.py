"""Predicts every user's next order and writes Parquet files, which dbt reads as a source."""

import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from retail_warehouse.predictions import buy_again, cart_ranking, first_purchases, next_in_cart, training
from retail_warehouse.predictions.co_visits import CoVisits
from retail_warehouse.predictions.dataset import CANDIDATES, Candidates, Features, chunks
from retail_warehouse.predictions.model_folder import Model, require_columns

_STAMP = "cast($version as varchar) as model_version, cast($at as timestamp) as predicted_at"
# Exactly the columns, types and order that the source of dbt declares.
_TABLES = {
    "predicted_reorders": f"""
        cast(user_id as integer) as user_id, cast(product_id as integer) as product_id,
        cast(nullif(order_id, 0) as integer) as order_id, cast(probability as decimal(7, 6)) as probability,
        cast(rank as integer) as rank, cast(is_in_basket as boolean) as is_in_basket, {_STAMP}""",
    "predicted_baskets": f"""
        cast(user_id as integer) as user_id, cast(nullif(order_id, 0) as integer) as order_id,
        cast(product_count as integer) as product_count, cast(includes_none as boolean) as includes_none,
        cast(none_probability as decimal(7, 6)) as none_probability, cast(expected_f1 as decimal(7, 6)) as expected_f1,
        {_STAMP}""",
    "predicted_first_purchases": f"""
        cast(user_id as integer) as user_id, cast(rank as integer) as rank, cast(product_id as integer) as product_id,
        cast(score as double) as score, {_STAMP}""",
    "next_in_cart": f"""
        cast(product_id as integer) as product_id, cast(rank as integer) as rank,
        cast(next_product_id as integer) as next_product_id, cast(probability as decimal(7, 6)) as probability,
        cast(lift as decimal(18, 6)) as lift, {_STAMP}""",
}
_BY_USER = ("predicted_reorders", "predicted_baskets", "predicted_first_purchases")
# For which order and by which model each user was predicted; dbt does not read this file.
STATE = "predicted_targets"
_STATE_COLUMNS = ("user_id", "order_id", "order_number", "history_orders", "order_day")
NEXT_PRODUCTS = 20  # of each product
_PSEUDO_CARTS = 20.0


@dataclass
class Written:
    """What was written: users predicted, users left unchanged, rows by file."""

    scored: int
    kept: int
    rows: dict[str, int]


class _Parts:
    """Rows of each table, written to Parquet files in pieces and joined at the end."""

    def __init__(self, folder: Path, version: str, at: datetime):
        self._connection = duckdb.connect()
        self._folder = folder
        self._stamp = {"version": version, "at": at.strftime("%Y-%m-%d %H:%M:%S")}
        self._counts: dict[str, int] = {}

    def add(self, table: str, **columns: NDArray) -> None:
        number = self._counts[table] = self._counts.get(table, -1) + 1
        self._connection.register("rows", columns)
        path = self._folder / f"{table}-{number:06d}.part"
        self._connection.execute(
            f"copy (select {_TABLES.get(table, '*')} from rows) to '{_quoted(path)}' (format parquet)",
            self._stamp if table in _TABLES else None,
        )
        self._connection.unregister("rows")

    def joined(self, table: str, to: Path, kept: str = "") -> int:
        """Write a table as one file; ``kept`` is a query of rows that come first."""
        parts = f"select * from read_parquet('{_quoted(self._folder / table)}-*.part')"
        if table not in self._counts:
            parts = ""
        query = " union all by name ".join(filter(None, (kept, parts)))
        order = {"next_in_cart": "product_id, rank", "predicted_baskets": "user_id", STATE: "user_id"}.get(
            table, "user_id, rank"
        )
        if kept:
            query = f"select * from ({query}) order by {order}"
        [(rows,)] = self._connection.execute(f"copy ({query}) to '{_quoted(to)}' (format parquet)").fetchall()
        return rows


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


_STATE_QUERY = """
select user_id, coalesce(order_id, 0) as order_id, coalesce(order_number, 0) as order_number, history_orders,
    coalesce(order_day, 0) as order_day
from ftr_targets where orders_back = 0 order by user_id
"""


def predict(
    features: Features,
    model: Model,
    runs: list[dict[str, Any]],
    out: Path,
    *,
    only_new_orders: bool = False,
    on_users: Callable[[int], object] = lambda count: None,
    now: datetime | None = None,
) -> Written:
    """Predict the next order of every user and write all files, or none.

    Args:
        features: The state before the orders to be predicted.
        model: Trained on features of the same kind.
        runs: Cards of the models for ``model_runs``, this one among them.
        out: Folder, made if missing.
        only_new_orders: Keep the rows in ``out`` of users whose next order and model have not changed.
        on_users: Called with the number of users that were predicted or kept.
        now: Written as the time of prediction, UTC; the current time if None.

    Raises:
        DataError: The features are missing, or do not fit the model.
        OSError: A file cannot be written.
    """
    require_columns(model, buy_again.TASK, features.columns(CANDIDATES), f"features.{CANDIDATES}")
    co_visits = CoVisits.of(features)
    training.require_same_data(model, co_visits)
    users = features.users()
    state = features.read(_STATE_QUERY)
    new = users
    if only_new_orders and (out / f"{STATE}.parquet").is_file():
        new = _changed(out, model.version, state.columns)
    on_users(len(users) - len(new))
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".new-") as scratch:
        parts = _Parts(Path(scratch), model.version, now or datetime.now(UTC))
        for chunk, rows in _by_chunk(features, model, co_visits, state.columns, new):
            for table, columns in rows.items():
                parts.add(table, **columns)
            on_users(len(chunk))
        _next_in_cart(parts, co_visits)
        parts.add(
            STATE, **{name: state[name] for name in _STATE_COLUMNS}, model_version=_repeated(model.version, len(state))
        )
        written = _replace_files(parts, Path(scratch), out, runs, new if len(new) < len(users) else None)
    return Written(len(new), len(users) - len(new), written)


def _by_chunk(
    features: Features, model: Model, co_visits: CoVisits, state: dict[str, NDArray], users: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], dict[str, dict[str, NDArray]]]]:
    """Predict users in chunks, several at a time; yields each chunk and its columns by table, in order."""
    names = model.features(buy_again.TASK)
    way = model.card["tasks"][first_purchases.TASK]["way"]
    ranker = first_purchases.Ranker(co_visits, way, model.boosters.get(first_purchases.TASK, []))

    def rows_of(chunk: NDArray[np.int64]) -> dict[str, dict[str, NDArray]]:
        own = features.for_thread()
        try:
            rows = _reorders(own.candidates(names, chunk), chunk, state, model)
            condition = f"orders_back = 0 and user_id between {chunk[0]} and {chunk[-1]}"
            targets = first_purchases.targets_where(own, co_visits, condition)
            return rows | _first_purchases(ranker, targets, chunk, co_visits)
        finally:
            own.close()

    # Sorting, sparse products and trees take most of the time, and release the GIL.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from zip(chunks(users), pool.map(rows_of, chunks(users)), strict=True)


def _replace_files(
    parts: "_Parts", scratch: Path, out: Path, runs: list[dict[str, Any]], new: NDArray[np.int64] | None
) -> dict[str, int]:
    """Write all files beside the old ones, then put them in their place; return their rows.

    Args:
        parts: The rows.
        scratch: A folder on the disk of ``out``.
        out: Where the files are to be.
        runs: Cards of the trainings.
        new: Users that were predicted; rows of others are kept. None if all were.
    """
    written, done = {}, scratch / "done"
    done.mkdir()
    for table in (*_TABLES, STATE):
        old = ""
        if new is not None and table in _BY_USER:
            # Rows of users who no longer exist are dropped.
            everyone = f"select user_id from read_parquet('{_quoted(scratch)}/{STATE}-*.part')"
            old = f"""
                select * from read_parquet('{_quoted(out / table)}.parquet')
                where user_id in ({everyone}) and user_id not in ({_list(new)})"""
        written[table] = parts.joined(table, done / f"{table}.parquet", old)
    _write_runs(done / "model_runs.parquet", runs)
    written["model_runs"] = len(runs)
    for path in sorted(done.iterdir()):
        path.replace(out / path.name)
    return written


def _repeated(text: str, count: int) -> NDArray:
    return np.full(count, text, dtype=object)


def _list(users: NDArray[np.int64]) -> str:
    return f"select unnest([{', '.join(map(str, users))}])" if len(users) else "-1"


def _changed(out: Path, version: str, state: dict[str, NDArray]) -> NDArray[np.int64]:
    """Users whose next order or model is not the one in ``out``."""
    with duckdb.connect() as connection:
        connection.register("state", state)
        same = " and ".join(f"state.{name} = old.{name}" for name in _STATE_COLUMNS)
        found = connection.execute(
            f"""
            select user_id from state where not exists (
                select 1 from read_parquet('{_quoted(out / STATE)}.parquet') as old
                where {same} and old.model_version = $version
            ) order by user_id""",
            {"version": version},
        ).fetchnumpy()
    return found["user_id"].astype(np.int64)


def _reorders(
    candidates: Candidates, users: NDArray[np.int64], state: dict[str, NDArray], model: Model
) -> dict[str, dict[str, NDArray]]:
    """Columns by table."""
    names = model.features(buy_again.TASK)
    # Rounded as they are written, so that ranks follow what can be read.
    chances = np.round(buy_again.probabilities(model.boosters.get(buy_again.TASK, []), candidates, names), 6)
    found = buy_again.ranked(candidates, chances, training.none_calibration(model), users)
    orders = state["order_id"][np.searchsorted(state["user_id"], users)]
    counts = np.diff(found.starts)
    ranks = found.ranks()
    return {
        "predicted_reorders": {
            "user_id": np.repeat(users, counts),
            "product_id": found.products,
            "order_id": np.repeat(orders, counts),
            "probability": found.probabilities,
            "rank": ranks,
            "is_in_basket": ranks <= np.repeat(found.baskets.sizes, counts),
        },
        "predicted_baskets": {
            "user_id": users,
            "order_id": orders,
            "product_count": found.baskets.sizes,
            "includes_none": found.baskets.includes_none,
            "none_probability": np.clip(found.none, 0, 1),
            "expected_f1": np.clip(found.baskets.expected_f1, 0, 1),
        },
    }


def _first_purchases(
    ranker: first_purchases.Ranker,
    targets: first_purchases.Targets,
    users: NDArray[np.int64],
    co_visits: CoVisits,
) -> dict[str, dict[str, NDArray]]:
    """Columns by table."""
    targets = targets.of(np.flatnonzero(np.isin(targets.users, users)))
    places, scores = ranker.best(targets)
    rows, columns = np.nonzero(places >= 0)
    return {
        "predicted_first_purchases": {
            "user_id": targets.users[rows],
            "rank": columns + 1,
            "product_id": co_visits.ids[places[rows, columns]],
            "score": scores[rows, columns],
        }
    }


def _next_in_cart(parts: _Parts, co_visits: CoVisits) -> None:
    """For carts without a user: how often a product was added directly after another one. With few carts, this share is
    shrunk towards how often both are in one cart, which more carts tell."""
    owners = np.repeat(np.arange(len(co_visits.ids)), np.diff(co_visits.rows))
    met = co_visits.counts > 0
    owners, others = owners[met], co_visits.columns[met]
    every = np.bincount(owners, co_visits.counts[met], len(co_visits.ids))
    share = co_visits.counts[met] / every[owners]
    chance = (co_visits.next_counts[met] + _PSEUDO_CARTS * share) / (co_visits.carts[owners] + _PSEUDO_CARTS)
    # Rounded as it is written, so that ranks follow what can be read.
    chance = np.round(np.minimum(chance, 1), 6)
    order = np.lexsort((others, -chance, owners))
    owners = owners[order]
    rank = np.arange(len(owners)) - np.searchsorted(owners, owners) + 1
    top = rank <= NEXT_PRODUCTS
    parts.add(
        "next_in_cart",
        product_id=co_visits.ids[owners[top]],
        rank=rank[top],
        next_product_id=co_visits.ids[others[order][top]],
        probability=chance[order][top],
        lift=co_visits.lift[met][order][top].astype(float),
    )


def run_of(card: dict[str, Any]) -> dict[str, Any]:
    """The card of a model as a row of ``model_runs``."""
    tasks = card["tasks"]
    again, first, cart = (tasks[name] for name in (buy_again.TASK, first_purchases.TASK, next_in_cart.TASK))

    def estimate(task: dict, measure: str, name: str, part: str = "value") -> float | None:
        for comparison in task.get("comparisons", []):
            if comparison["measure"].startswith(measure) and name in comparison["estimates"]:
                return comparison["estimates"][name][part]
            # The rule that was chosen is listed as "model", not under its own name.
            if comparison["measure"].startswith(measure) and task.get("way") == name:
                return comparison["estimates"]["model"][part]
        return None

    decayed = cart_ranking.DECAYED
    return {
        "model_version": card["model_version"],
        "trained_at": card["trained_at"],
        "code_version": card["code_version"],
        "library": card["library"],
        "seed": card["seed"],
        "user_count": again.get("users"),
        "target_count": again["targets"],
        "row_count": again["rows"],
        "feature_count": len(again["features"]),
        "reorder_auc": again.get("auc", {}).get("value"),
        "reorder_pr_auc": again.get("pr_auc", {}).get("value"),
        "reorder_calibration_error": again.get("calibration_error"),
        "reorder_f1": estimate(again, "F1", "model"),
        "reorder_f1_lower": estimate(again, "F1", "model", "low"),
        "reorder_f1_upper": estimate(again, "F1", "model", "high"),
        "decay_f1": estimate(again, "F1", "top N by decayed count"),
        "repeat_last_f1": estimate(again, "F1", "repeat the last order"),
        "first_purchase_recall_at_10": estimate(first, "recall@10", "model"),
        "popularity_recall_at_10": estimate(first, "recall@10", "popularity"),
        "next_in_cart_mrr": estimate(cart, "MRR", "model"),
        "next_in_cart_hit_at_10": estimate(cart, "hit@10", "model"),
        "decay_mrr": estimate(cart, "MRR", decayed),
        "decay_hit_at_10": estimate(cart, "hit@10", decayed),
    }


_RUN_TYPES = {
    "trained_at": "timestamp",
    "seed": "integer",
    "user_count": "integer",
    "target_count": "integer",
    "row_count": "bigint",
    "feature_count": "integer",
    **dict.fromkeys(("model_version", "code_version", "library"), "varchar"),
}


def _write_runs(path: Path, runs: list[dict[str, Any]]) -> None:
    columns = list(runs[0])
    types = [_RUN_TYPES.get(name, "decimal(7, 6)") for name in columns]
    with duckdb.connect() as connection:
        connection.execute(f"create table runs ({', '.join(f'{n} {t}' for n, t in zip(columns, types, strict=True))})")
        connection.executemany(
            f"insert into runs values ({', '.join('?' for _ in columns)})", [list(run.values()) for run in runs]
        )
        connection.execute(f"copy (from runs order by trained_at, model_version) to '{_quoted(path)}' (format parquet)")
