"""`retail-warehouse suggest`: what goes into a cart next, on whatever is known."""

import csv
import shutil
from pathlib import Path

import duckdb
import pytest

np = pytest.importorskip("numpy", reason="predictions are not installed: make predictions")
pytest.importorskip("lightgbm", reason="predictions are not installed: make predictions", exc_type=ImportError)

from shared.predicted_shop import WRITTEN, Shop, rows  # noqa: E402

from retail_warehouse.predictions import (  # noqa: E402
    dataset,
    next_in_cart,
)

pytestmark = pytest.mark.slow


def suggested(shop: Shop, folder: Path, carts: list[tuple], *options) -> dict[str, list[tuple[int, float]]]:
    asked, answered = folder / "carts.csv", folder / "suggestions.csv"
    lines = ["query_id,user_id,position,product_id", *(",".join(map(str, cart)) for cart in carts)]
    asked.write_text("\n".join(lines) + "\n")
    shop.done("suggest", "--carts", asked, "--out", answered, *options)
    with answered.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == ["query_id", "rank", "product_id", "score"]
    answers: dict[str, list[tuple[int, float]]] = {}
    for row in found:
        answer = answers.setdefault(row["query_id"], [])
        answer.append((int(row["product_id"]), float(row["score"])))
        assert int(row["rank"]) == len(answer)
    for query, answer in answers.items():
        products = [product for product, _ in answer]
        assert len(set(products)) == len(products) >= 10
        assert not set(products) & {cart[3] for cart in carts if cart[0] == query}
        assert [score for _, score in answer] == sorted((score for _, score in answer), reverse=True)
    return answers


def popular(shop: Shop, condition: str = "true") -> list[int]:
    sql = (
        f"select product_id from features.ftr_products where {condition} order by order_count desc, product_id limit 10"
    )
    return [product for (product,) in shop.query(sql)]


def products_of(answer: list[tuple[int, float]]) -> list[int]:
    return [product for product, _ in answer]


def test_suggestions_rest_on_the_best_that_is_known(shop, tmp_path):
    one, two = popular(shop)[:2]
    [(user,)] = shop.query("select max(user_id) from features.ftr_targets")
    carts = [
        ("known", user, 1, one),
        ("known", user, 2, two),
        ("nobody", "", 1, one),
        ("nobody", "", 2, two),
        ("stranger", 999_999, 1, one),
        ("stranger", 999_999, 2, two),
        ("twice", "", 1, one),
        ("twice", "", 2, two),
        ("twice", "", 3, two),
        ("unknown and known", "", 1, 888_888),
        ("unknown and known", "", 2, one),
        ("unknown and known", "", 3, two),
        ("unknown", "", 1, 888_888),
        ("empty", "", "", ""),
        ("empty of a user", user, "", ""),
    ]
    found = suggested(shop, tmp_path, carts)
    assert set(found) == {cart[0] for cart in carts}
    assert found["nobody"] == found["stranger"] == found["twice"] == found["unknown and known"]
    assert found["known"] != found["nobody"]
    assert products_of(found["empty"]) == products_of(found["unknown"]) == popular(shop)
    again = shop.query(f"select product_id from predicted_reorders where user_id = {user} order by rank limit 3")
    assert products_of(found["empty of a user"])[:3] == [product for (product,) in again]
    assert [len(answer) for answer in suggested(shop, tmp_path, carts[:4], "--ranks", 40).values()] == [40, 40]


def test_a_cart_is_read_by_position_not_by_line(shop, tmp_path):
    one, two, three = popular(shop)[:3]
    carts = [("a", "", 1, one), ("a", "", 2, two), ("a", "", 10, three), ("b", "", 1, three), ("b", "", 2, one)]
    found = suggested(shop, tmp_path, [carts[2], carts[0], carts[1], *carts[3:]])
    assert found["a"] == suggested(shop, tmp_path, carts)["a"]


def test_a_grown_catalogue_falls_back_to_the_aisle_and_then_to_everything(shop, tmp_path):
    grown = shop.copy(tmp_path)
    [(columns,)] = grown.query(
        "select string_agg(column_name) from information_schema.columns where table_name = 'ftr_products' "
        "and column_name not in ('product_id', 'aisle_id', 'department_id', 'product_name')"
    )
    [(aisle,)] = grown.query("select aisle_id from features.ftr_products group by all order by count(*) desc limit 1")
    zeros = ", ".join(f"0 as {name}" for name in columns.split(","))
    grown.change(
        *(
            f"insert into features.ftr_products by name select {product} as product_id, {aisle_of} as aisle_id, "
            f"1 as department_id, 'new' as product_name, {zeros}"
            for product, aisle_of in ((700_001, aisle), (700_002, 9_999))
        )
    )
    found = suggested(grown, tmp_path, [("new", "", 1, 700_001), ("new aisle", "", 1, 700_002)])
    in_aisle = popular(grown, f"aisle_id = {aisle} and order_count > 0")
    assert products_of(found["new"])[: len(in_aisle)] == in_aisle
    assert products_of(found["new aisle"]) == popular(grown)
    grown.done("predict")


def test_without_enough_users_plain_rules_answer(shop, tmp_path, monkeypatch):
    monkeypatch.setattr(next_in_cart, "FEWEST_QUERIES", 200)
    few = shop.copy(tmp_path)
    tables = ("ftr_targets", "ftr_users", "ftr_user_products", "ftr_user_aisles", "ftr_cart_steps")
    few.change(*(f"delete from features.{table} where user_id > 6" for table in tables))
    few.done("train", "--models", tmp_path / "few")
    [model] = (tmp_path / "few").iterdir()
    assert not list(model.glob("*.txt"))
    few.done("predict", "--models", tmp_path / "few", PREDICTIONS_DATA=str(tmp_path / "written"))
    suggested(few, tmp_path, [("a", 1, 1, popular(few)[0])], "--models", tmp_path / "few")
    answered = {user for user, *_ in rows(tmp_path / "written/predicted_baskets.parquet")}
    assert answered == {user for (user,) in few.query("select user_id from features.ftr_targets")}
    assert 0 < len(answered) <= 6


def test_features_that_redshift_unloaded_are_read_alike(shop, tmp_path):
    with duckdb.connect(str(shop.warehouse), read_only=True) as connection:
        for relation in dataset._RELATIONS:
            (tmp_path / relation).mkdir()
            connection.execute(f"copy features.{relation} to '{tmp_path / relation}/0000.parquet' (format parquet)")
    models = shop.predictions / "models"
    out = tmp_path / "out"
    shop.done("predict", "--features", tmp_path, "--models", models, PREDICTIONS_DATA=str(out), WAREHOUSE_PATH="none")
    for table in WRITTEN[:4]:
        assert rows(out / f"{table}.parquet") == rows(shop.predictions / f"{table}.parquet"), table
    shutil.rmtree(tmp_path / "ftr_products")
    said = shop.refused("predict", "--features", tmp_path, "--models", models)
    assert "ftr_products/*.parquet" in said
    assert "unload_features" in said
