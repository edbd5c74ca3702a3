"""`retail-warehouse train|predict|suggest|evaluate` on a small made-up shop: what they write, and say to bad input."""

import json
import re

import duckdb
import pytest
from conftest import PROJECT

np = pytest.importorskip("numpy", reason="predictions are not installed: make predictions")
pytest.importorskip("lightgbm", reason="predictions are not installed: make predictions", exc_type=ImportError)

from shared.predicted_shop import USERS, WRITTEN, rows  # noqa: E402

from retail_warehouse.predictions import (  # noqa: E402
    dataset,
    first_purchases,
    predicting,
)
from retail_warehouse.predictions.co_visits import CoVisits  # noqa: E402

pytestmark = pytest.mark.slow


def test_training_again_gives_the_same_model(shop, tmp_path):
    shop.done("train", "--models", tmp_path / "again")
    [again] = (tmp_path / "again").iterdir()
    assert again.name == shop.model.name
    for path in shop.model.glob("*.txt"):
        assert (again / path.name).read_bytes() == path.read_bytes()
    card = json.loads((again / "card.json").read_text())
    when = {"trained_at": "", "checksum": ""}
    assert card | when == shop.card | when


def test_the_card_tells_what_was_trained_on_and_how_good_it_is(shop):
    card = shop.card
    assert card["data"]["users"] == USERS
    [(lines,)] = shop.query("select count(*) from features.ftr_order_products where order_age is not null")
    assert card["data"]["lines"] == lines
    assert card["code_version"]
    assert card["library"].startswith("lightgbm ")
    again = card["tasks"]["buy_again"]
    [(candidates,)] = shop.query(
        "select count(*) from features.ftr_reorder_candidates where orders_back >= 1 and user_order_count >= 2"
    )
    assert again["rows"] == candidates
    assert sum(again["gains"].values()) == pytest.approx(1)
    assert set(again["gains"]) == set(again["features"])
    assert sum(group["pairs"] for group in again["calibration"]) > 0
    assert again["auc"]["low"] < again["auc"]["value"] < again["auc"]["high"]
    for task, measure, rule in (
        ("buy_again", "F1 with None", "repeat the last order"),
        ("first_purchases", "recall@10", None),
        ("next_in_cart", "hit@10", "the user's decayed counts"),
        ("next_in_cart_anonymous", "MRR", "popularity"),
    ):
        [found] = [entry for entry in card["tasks"][task]["comparisons"] if entry["measure"].startswith(measure)]
        assert "model" in found["estimates"]
        assert rule is None or rule in found["differences"] or card["tasks"][task]["way"] == rule


def test_the_report_is_one_page_that_asks_nobody(shop):
    text = (shop.model / "report.html").read_text()
    assert text.count("<svg") >= 3
    assert "Users" not in re.findall(r"<script", text)
    assert not re.search(r"(src|href|action)\s*=\s*[\"']?(?!#)\w", text.replace("xlink:href=", "href="))
    assert not re.search(r"@import|url\((?!#)", text)
    assert 'class="basket good"' in text
    assert 'class="basket bad"' in text


def test_a_model_is_text_that_runs_nothing(shop):
    assert {path.suffix for path in shop.model.iterdir()} == {".txt", ".json", ".html"}
    for path in shop.model.glob("*.txt"):
        assert path.read_text().startswith("tree\n")
    source = "".join(path.read_text() for path in (PROJECT / "retail_warehouse/predictions").glob("*.py"))
    assert not re.search(r"\b(pickle|joblib|marshal|eval|exec)\b\s*[.(]", source)


def test_files_have_the_columns_that_dbt_declares(shop):
    stamp = [("model_version", "VARCHAR"), ("predicted_at", "TIMESTAMP")]
    share, integer = "DECIMAL(7,6)", "INTEGER"
    wanted = {
        "predicted_reorders": [
            ("user_id", integer),
            ("product_id", integer),
            ("order_id", integer),
            ("probability", share),
            ("rank", integer),
            ("is_in_basket", "BOOLEAN"),
            *stamp,
        ],
        "predicted_baskets": [
            ("user_id", integer),
            ("order_id", integer),
            ("product_count", integer),
            ("includes_none", "BOOLEAN"),
            ("none_probability", share),
            ("expected_f1", share),
            *stamp,
        ],
        "predicted_first_purchases": [
            ("user_id", integer),
            ("rank", integer),
            ("product_id", integer),
            ("score", "DOUBLE"),
            *stamp,
        ],
        "next_in_cart": [
            ("product_id", integer),
            ("rank", integer),
            ("next_product_id", integer),
            ("probability", share),
            ("lift", "DECIMAL(18,6)"),
            *stamp,
        ],
    }
    for table, columns in wanted.items():
        assert [row[:2] for row in shop.query(f"describe {table}")] == columns
    runs = shop.query(
        "select model_version, user_count, target_count, row_count, feature_count, reorder_f1 from model_runs"
    )
    again = shop.card["tasks"]["buy_again"]
    [f1] = [entry for entry in again["comparisons"] if entry["measure"].startswith("F1")]
    counts = again["users"], again["targets"], again["rows"], len(again["features"])
    assert [(row[:5], float(row[5])) for row in runs] == [
        ((shop.model.name, *counts), pytest.approx(f1["estimates"]["model"]["value"], abs=1e-6))
    ]


def test_every_user_is_predicted_completely(shop):
    assert shop.query("select count(*), count(distinct user_id) from predicted_baskets") == [(USERS, USERS)]
    assert (
        shop.query("""
        select * from (select user_id, product_id from predicted_reorders)
        full join (select user_id, product_id, 1 as is_known from features.ftr_user_products where orders_back = 0)
        using (user_id, product_id) where is_known is null or user_id is null
        """)
        == []
    )
    assert (
        shop.query("""
        select * from predicted_reorders
        qualify rank <> row_number() over (partition by user_id order by probability desc, product_id)
            or is_in_basket and not lag(is_in_basket, 1, true) over (partition by user_id order by rank)
        """)
        == []
    )
    assert (
        shop.query("""
        select user_id from predicted_baskets
        join (select user_id, count_if(is_in_basket) as products from predicted_reorders group by all) using (user_id)
        where product_count <> products or (product_count = 0 and not includes_none)
        """)
        == []
    )
    # Open orders carry their id, orders to come none.
    assert shop.query("""
        select count(*) from predicted_baskets join features.ftr_targets using (user_id)
        where orders_back = 0 and predicted_baskets.order_id is distinct from ftr_targets.order_id
        """) == [(0,)]
    assert len({order is None for (order,) in shop.query("select order_id from predicted_baskets")}) == 2


def test_first_purchases_are_new_to_the_user(shop):
    assert shop.query("select count(*), count(distinct user_id) from predicted_first_purchases") == [
        (20 * USERS, USERS)
    ]
    assert (
        shop.query("""
        select * from predicted_first_purchases join features.ftr_user_products using (user_id, product_id)
        """)
        == []
    )
    assert (
        shop.query("""
        select * from predicted_first_purchases
        qualify rank <> row_number() over (partition by user_id order by rank)
            or score > lag(score, 1, score) over (partition by user_id order by rank)
        """)
        == []
    )


def test_trees_rank_first_purchases_where_they_are_chosen(shop, tmp_path, monkeypatch):
    monkeypatch.setattr(first_purchases, "_chosen", lambda recalls, targets: first_purchases.TREES)
    features = dataset.Features(shop.warehouse)
    co_visits = CoVisits.of(features)
    trained = first_purchases.train(features, co_visits, 1)
    assert trained.boosters
    assert len(trained.card["rounds"]) == len(trained.boosters)
    ranker = first_purchases.Ranker(co_visits, first_purchases.TREES, trained.boosters)
    targets = first_purchases.targets_where(features, co_visits, "orders_back = 0")
    places, scores = ranker.best(targets)
    assert places.shape == (USERS, 20)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert (scores > 0).all()
    for row in range(USERS):
        bought = targets.products[targets.starts[row] : targets.starts[row + 1]]
        assert not set(bought.tolist()) & set(places[row].tolist())
        assert len(set(places[row].tolist())) == 20
    monkeypatch.setattr(first_purchases, "_CHUNK", 7)
    assert (ranker.best(targets)[0] == places).all()
    features.close()


def test_the_best_way_is_chosen_and_the_blend_where_luck_would_choose():
    chosen, many = first_purchases._chosen, first_purchases.FEWEST_TARGETS
    recalls = {"popularity": [0.2, 0.0, 0.1], "trees": [0.2, 0.1, 0.1], "blend": [0.1, 0.1, 0.1]}
    assert chosen(recalls, many) == "trees"
    assert chosen(recalls, many - 1) == "blend"
    assert chosen(recalls | {"trees": [0.1, 0.1, 0.1]}, many) == "blend", "of equals"


def test_next_products_go_with_a_product(shop):
    [(products, most, least)] = shop.query(
        "select count(distinct product_id), max(rank), min(lift) from next_in_cart where product_id <> next_product_id"
    )
    assert products > 100
    assert most == predicting.NEXT_PRODUCTS
    assert least > 0
    assert (
        shop.query("""
        select * from next_in_cart
        qualify rank <> row_number() over (partition by product_id order by probability desc, next_product_id)
        """)
        == []
    )
    [(most,)] = shop.query(
        "select max(total) from (select sum(probability) as total from next_in_cart group by product_id)"
    )
    assert float(most) <= 1 + predicting.NEXT_PRODUCTS * 5e-7  # each is rounded


def test_users_scored_in_small_chunks_get_the_same(shop, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset.chunks, "__defaults__", (7,))
    monkeypatch.setattr(first_purchases, "_CHUNK", 3)
    shop.done("predict", "--models", shop.predictions / "models", PREDICTIONS_DATA=str(tmp_path))
    for table in WRITTEN[:4]:
        assert rows(tmp_path / f"{table}.parquet") == rows(shop.predictions / f"{table}.parquet"), table


def test_scoring_users_with_new_orders_equals_scoring_all(shop, tmp_path):
    mine = shop.copy(tmp_path)
    # As if these users' last predictions stood for an earlier order, and were wrong.
    [(users,)] = mine.query("select list(user_id order by user_id) from predicted_baskets where user_id % 9 = 4")
    with duckdb.connect() as connection:
        for table in (*WRITTEN[:3], predicting.STATE):
            path = mine.predictions / f"{table}.parquet"
            connection.execute(f"create or replace table old as from read_parquet('{path}')")
            if table == predicting.STATE:
                connection.execute(f"update old set order_number = order_number - 1 where user_id in {tuple(users)}")
            else:
                connection.execute(f"delete from old where user_id in {tuple(users)}")
            connection.execute(f"copy old to '{path}' (format parquet)")
    output = mine.done("predict", "--only-new-orders")
    assert f"{USERS - len(users)} users without new orders" in output
    for table in WRITTEN[:4]:
        assert rows(mine.predictions / f"{table}.parquet") == rows(shop.predictions / f"{table}.parquet"), table
    # Nothing new: nothing is scored.
    assert f"{USERS} users without new orders" in mine.done("predict", "--only-new-orders")
    # Another seed gives another model, whose predictions are not mixed with the old ones.
    mine.done("train", "--seed", 3)
    assert "without new orders" not in mine.done("predict", "--only-new-orders")
    [(versions,)] = mine.query("select count(distinct model_version) from predicted_reorders")
    assert versions == 1
    assert mine.query("select count(*) from model_runs") == [(2,)]
