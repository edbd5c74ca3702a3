"""A small made-up shop with features, a model and predictions."""

import dataclasses
import json
import shutil
from pathlib import Path

import duckdb
from click.testing import CliRunner

from retail_warehouse.cli import main
from retail_warehouse.generate import instacart
from retail_warehouse.predictions import boosting, buy_again, first_purchases, next_in_cart, predicting

USERS = 90
TABLES = ("predicted_reorders", "predicted_baskets", "predicted_first_purchases", "next_in_cart")
WRITTEN = (*TABLES, "model_runs")


@dataclasses.dataclass
class Shop:
    """A warehouse with features, a model and predictions; `copy` is one that a test may change."""

    folder: Path

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse.duckdb"

    @property
    def predictions(self) -> Path:
        return self.folder / "predictions"

    @property
    def model(self) -> Path:
        [path] = [path for path in (self.predictions / "models").iterdir() if not path.name.startswith(".")]
        return path

    @property
    def card(self) -> dict:
        return json.loads((self.model / "card.json").read_text())

    def run(self, *arguments, **environment):
        variables = {"WAREHOUSE_PATH": str(self.warehouse), "PREDICTIONS_DATA": str(self.predictions), **environment}
        return CliRunner().invoke(main, [str(argument) for argument in arguments], env=variables)

    def done(self, *arguments, **environment) -> str:
        result = self.run(*arguments, **environment)
        assert result.exit_code == 0, result.output
        return result.output

    def refused(self, *arguments, **environment) -> str:
        """What a refusal says: one line, no traceback."""
        result = self.run(*arguments, **environment)
        assert result.exit_code == 1, result.output
        assert isinstance(result.exception, SystemExit), result.exception
        lines = [line for line in result.output.splitlines() if line.startswith("Error: ")]
        assert lines == result.output.strip().splitlines()[-1:], result.output
        return lines[0]

    def copy(self, folder: Path) -> "Shop":
        shutil.copytree(self.folder, folder / "copy")
        return Shop(folder / "copy")

    def query(self, sql: str) -> list[tuple]:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            for table in (*WRITTEN, predicting.STATE):
                path = self.predictions / f"{table}.parquet"
                if path.exists():
                    connection.execute(f"create temp view {table} as from read_parquet('{path}')")
            return connection.execute(sql).fetchall()

    def change(self, *statements: str) -> None:
        with duckdb.connect(str(self.warehouse)) as connection:
            for statement in statements:
                connection.execute(statement)


def make_trees_small(patch) -> None:
    """Few and small trees: enough to see that everything holds together."""
    patch.setattr(buy_again, "_FEW", boosting.Split(4, 4))
    patch.setattr(next_in_cart, "_SPLIT", boosting.Split(4, 4))
    patch.setattr(next_in_cart, "_MOST_QUERIES", dict.fromkeys(next_in_cart.FEATURES, 300))
    patch.setattr(next_in_cart, "FEWEST_QUERIES", 20)
    patch.setattr(first_purchases, "FEWEST_TARGETS", 50)
    for module in (buy_again, next_in_cart, first_purchases):
        patch.setattr(module, "PARAMETERS", module.PARAMETERS | {"rounds": 25, "patience": 5})


def load(shop: Shop) -> None:
    """Put the predictions into the warehouse, as dbt does."""
    shop.change(
        "create schema if not exists predictions",
        *(
            f"create or replace table predictions.{table} as from read_parquet('{shop.predictions / table}.parquet')"
            for table in TABLES
        ),
    )


def make(folder: Path, build_features) -> None:
    """Make a shop in a folder that is there."""
    instacart.generate(USERS, 5, folder / "data")
    build_features(folder / "data", folder / "warehouse.duckdb")
    shop = Shop(folder)
    shop.done("train")
    shop.done("predict")
    load(shop)


def rows(path: Path) -> list[tuple]:
    """All rows of a Parquet file in order, without the time at which they were written."""
    return (
        duckdb.connect().execute(f"select * exclude (predicted_at) from read_parquet('{path}') order by all").fetchall()
    )
