"""Reads the relations of the schema `features` for training and predicting, a few users at a time."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from retail_warehouse.errors import DataError
from retail_warehouse.settings import ProjectSettings

CANDIDATES = "ftr_reorder_candidates"
LABEL = "is_bought"
# Columns of CANDIDATES that are no features.
_NO_FEATURES = ("user_id", "product_id", "orders_back", "order_id", "aisle_id", LABEL)
_RELATIONS = (
    CANDIDATES,
    "ftr_targets",
    "ftr_users",
    "ftr_products",
    "ftr_user_products",
    "ftr_user_aisles",
    "ftr_orders",
    "ftr_order_products",
    "ftr_product_pairs",
    "ftr_aisle_transitions",
    "ftr_cart_steps",
)
_BUILD = "Build them: dbt build --selector features"
CHUNK_USERS = 2_000


@dataclass
class Candidates:
    """Products that users bought before their targets, sorted by user, target and product.

    Attributes:
        users, products, orders_back: Key of each row.
        orders: Order id of the target; 0 for an order that is not placed yet.
        labels: 1 if the product was bought again, 0 if not, -1 if not known yet.
        values: A row per candidate, a column per feature; nan where a feature is null.
    """

    users: NDArray[np.int64]
    products: NDArray[np.int64]
    orders_back: NDArray[np.int64]
    orders: NDArray[np.int64]
    labels: NDArray[np.int8]
    values: NDArray[np.float32]

    def starts(self) -> NDArray[np.int64]:
        """Index of the first row of each target, and the number of rows at the end."""
        if not len(self.users):
            return np.zeros(1, np.int64)
        changes = (np.diff(self.users) != 0) | (np.diff(self.orders_back) != 0)
        return np.concatenate([[0], np.flatnonzero(changes) + 1, [len(self.users)]])


@dataclass
class Lines:
    """The rows of a query, an array per column, without nulls."""

    columns: dict[str, NDArray]

    def __getitem__(self, name: str) -> NDArray:
        """The values of a column."""
        return self.columns[name]

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())))


class Features:
    """The features of a warehouse, or of a folder with what Redshift unloaded, opened for reading only.

    Attributes:
        where: Name of the warehouse or folder, for messages.
        excluded: Users whose orders are not trained on.
    """

    def __init__(self, warehouse: Path, unloaded: str | None = None):
        """Open the features.

        Args:
            warehouse: The DuckDB file; not opened if ``unloaded`` is given.
            unloaded: Folder or ``s3://`` prefix that holds a folder of Parquet files for each relation.

        Raises:
            DataError: The features are not there.
        """
        self.where = unloaded or str(warehouse)
        self._schema = "memory.features" if unloaded else "warehouse.features"
        self._connection = duckdb.connect()
        given = ProjectSettings()
        for name, value in (("memory_limit", given.duckdb_memory_limit), ("threads", given.duckdb_threads)):
            if value:
                self._connection.execute(f"set {name} = '{value}'")
        try:
            if unloaded is None:
                self._attach(warehouse)
            else:
                self._create_views(unloaded.rstrip("/"))
        except duckdb.Error as error:
            raise DataError(f"The features of {self.where} cannot be read: {error}") from error
        self._connection.execute("create table memory.main.excluded (user_id integer)")

    def _attach(self, warehouse: Path) -> None:
        if not warehouse.is_file():
            raise DataError(
                f"There is no warehouse {warehouse}. Build it: make build, then dbt build --selector features"
            )
        path = str(warehouse).replace("'", "''")
        self._connection.execute(f"attach '{path}' as warehouse (read_only)")
        found = {
            name
            for (name,) in self._connection.execute(
                """
                select table_name from information_schema.tables
                where table_catalog = 'warehouse' and table_schema = 'features'"""
            ).fetchall()
        }
        missing = [name for name in _RELATIONS if name not in found]
        if missing:
            what = "no features" if len(missing) == len(_RELATIONS) else f"no features.{missing[0]}"
            raise DataError(f"The warehouse {warehouse} has {what}. {_BUILD}")
        self._connection.execute(f"use {self._schema}")

    def _create_views(self, folder: str) -> None:
        self._connection.execute("create schema features")
        for name in _RELATIONS:
            path = f"{folder}/{name}/*.parquet".replace("'", "''")
            try:
                self._connection.execute(f"create view features.{name} as select * from read_parquet('{path}')")
            except duckdb.IOException as error:
                raise DataError(
                    f"{folder} holds no {name}/*.parquet. Unload the features: dbt run-operation unload_features"
                ) from error
        self._connection.execute(f"use {self._schema}")

    def stand_for_warehouse(self, tables: Mapping[str, str]) -> None:
        """Let queries find tables of a warehouse on Redshift, in what it has unloaded or was loaded from.

        Args:
            tables: Parquet files by schema and table, such as ``instacart.products``; a glob or one file.

        Raises:
            DataError: Files are missing.
        """
        self._connection.execute("attach ':memory:' as warehouse")
        for name, files in tables.items():
            path = files.replace("'", "''")
            self._connection.execute(f"create schema if not exists warehouse.{name.partition('.')[0]}")
            try:
                self._connection.execute(f"create view warehouse.{name} as select * from read_parquet('{path}')")
            except duckdb.IOException as error:
                raise DataError(
                    f"There is no {files}. Unload the features (dbt run-operation unload_features) and predict "
                    "(retail-warehouse predict) first."
                ) from error

    def exclude(self, users: NDArray | list[int]) -> None:
        """Exclude users from training."""
        self._connection.register("given", {"user_id": np.asarray(users, np.int64)})
        self._connection.execute("insert into memory.main.excluded select user_id from given")
        self._connection.unregister("given")

    def for_thread(self) -> "Features":
        """A copy for another thread, which that thread closes."""
        same = copy.copy(self)
        same._connection = self._connection.cursor()
        same._connection.execute(f"use {self._schema}")
        return same

    def close(self) -> None:
        """Close the warehouse; dbt can write to it again."""
        self._connection.close()

    def columns(self, relation: str) -> list[str]:
        """Names of the columns of a relation, in order."""
        return [name for name, *_ in self._connection.execute(f"describe {relation}").fetchall()]

    def reorder_features(self) -> list[str]:
        """Names of the features of ``ftr_reorder_candidates``."""
        return [name for name in self.columns(CANDIDATES) if name not in _NO_FEATURES]

    def read(self, sql: str, parameters: list | None = None) -> Lines:
        """The rows of a query whose columns are never null.

        Raises:
            DataError: The warehouse does not have what the query reads.
        """
        found = self._execute(sql, parameters).fetchnumpy()
        return Lines({name: np.ma.getdata(column) for name, column in found.items()})

    def rows(self, sql: str) -> list[tuple]:
        """The rows of a query, nulls included.

        Raises:
            DataError: The warehouse does not have what the query reads.
        """
        return self._execute(sql).fetchall()

    def _execute(self, sql: str, parameters: list | None = None) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(sql, parameters)
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"The features of {self.where} are of another version: {reason}. {_BUILD}") from error

    def users(self) -> NDArray[np.int64]:
        """Users with an order to be predicted, ascending.

        Raises:
            DataError: There is none.
        """
        users = self.read("select user_id from ftr_targets where orders_back = 0 order by user_id")["user_id"]
        if not len(users):
            raise DataError(
                f"{self.where} holds no user with an order that has lines: nothing can be learned or predicted."
            )
        return users.astype(np.int64)

    def training_candidates(self, names: list[str]) -> Candidates:
        """Read the candidates of all training targets, with the features of these names."""
        return self._candidates(
            names, "orders_back >= 1 and user_order_count >= 2 and user_id not in (from memory.main.excluded)"
        )

    def candidates(self, names: list[str], users: NDArray[np.int64]) -> Candidates:
        """Read the candidates of the next orders of some users, whose ids ascend."""
        first, last = int(users[0]), int(users[-1])
        found = self._candidates(names, f"orders_back = 0 and user_id between {first} and {last}")
        if len(users) == last - first + 1:
            return found
        wanted = np.isin(found.users, users)
        return Candidates(*(getattr(found, name)[wanted] for name in Candidates.__dataclass_fields__))

    def _candidates(self, names: list[str], condition: str) -> Candidates:
        # Trees need no more than 32 bits, which halve the memory.
        columns = ", ".join(f"coalesce(cast({name} as float), 'nan'::float) as {name}" for name in names)
        found = self.read(f"""
            select
                user_id, product_id, orders_back, coalesce(order_id, 0) as order_id, coalesce({LABEL}, -1) as {LABEL},
                {columns}
            from {CANDIDATES} where {condition}
            order by user_id, orders_back, product_id
            """)
        values = np.empty((len(found), len(names)), np.float32)
        for place, name in enumerate(names):
            values[:, place] = found[name]
        return Candidates(
            found["user_id"].astype(np.int64),
            found["product_id"].astype(np.int64),
            found["orders_back"].astype(np.int64),
            found["order_id"].astype(np.int64),
            found[LABEL].astype(np.int8),
            values,
        )

    def product_names(self, products: list[int]) -> dict[int, str]:
        """Names of products by id."""
        rows = self._connection.execute(
            "select product_id, product_name from ftr_products where product_id in (select unnest(?))", [products]
        ).fetchall()
        return dict(rows)


def chunks(users: NDArray[np.int64], size: int = CHUNK_USERS) -> Iterator[NDArray[np.int64]]:
    """Divide users into parts that are read together."""
    for begin in range(0, len(users), size):
        yield users[begin : begin + size]
