"""`retail-warehouse train|predict|suggest|evaluate` on a small made-up shop: what they write, and say to bad input."""

import csv
import json
import re
import shutil
from pathlib import Path

import click
import duckdb
import pytest
from conftest import PROJECT

np = pytest.importorskip("numpy", reason="predictions are not installed: make predictions")
pytest.importorskip("lightgbm", reason="predictions are not installed: make predictions", exc_type=ImportError)

import predictions_scale  # noqa: E402
from bench import Run  # noqa: E402
from shared.predicted_shop import USERS, WRITTEN, Shop, make_trees_small  # noqa: E402

from retail_warehouse.errors import DataError  # noqa: E402
from retail_warehouse.predictions import (  # noqa: E402
    baselines,
    boosting,
    buy_again,
    dataset,
    evaluation,
    first_purchases,
    libraries,
    metrics,
    model_folder,
    next_in_cart,
    predicting,
    rotation,
)
from retail_warehouse.predictions.co_visits import CoVisits  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quick():
    """Few and small trees: enough to see that everything holds together."""
    with pytest.MonkeyPatch.context() as patch:
        make_trees_small(patch)
        yield


@pytest.fixture(scope="module")
def shop(quick, predicted, tmp_path_factory) -> Shop:
    return predicted.copy(tmp_path_factory.mktemp("shop"))


def rows(path: Path) -> list[tuple]:
    return (
        duckdb.connect().execute(f"select * exclude (predicted_at) from read_parquet('{path}') order by all").fetchall()
    )


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


def no_model(shop):
    shutil.rmtree(shop.predictions / "models")


def other_format(shop):
    (shop.model / "card.json").write_text(json.dumps(shop.card | {"format": 99}))


def broken_card(shop):
    (shop.model / "card.json").write_text((shop.model / "card.json").read_text()[:-200])


def edited_card(shop):
    (shop.model / "card.json").write_text(
        json.dumps({name: value for name, value in shop.card.items() if name != "seed"})
    )


def broken_trees(shop):
    """Cut within a tree, which LightGBM would end the process for."""
    path = shop.model / "buy_again-0.txt"
    path.write_text(path.read_text()[:3000])


def missing_trees(shop):
    (shop.model / "buy_again-0.txt").unlink()


def other_trees(shop):
    path = shop.model / "buy_again-0.txt"
    path.write_text(path.read_text().replace("decay_80", "decay_81"))


def missing_column(shop):
    shop.change(
        "alter view features.ftr_reorder_candidates rename to whole",
        "create view features.ftr_reorder_candidates as select * exclude (decay_80, streak) from features.whole",
    )


def other_data(shop):
    shop.change("update features.ftr_products set aisle_id = aisle_id % 7 + 1000")


def no_warehouse(shop):
    shop.warehouse.unlink()


def no_features(shop):
    shop.change("drop schema features cascade")


def one_relation_less(shop):
    shop.change("drop table features.ftr_product_pairs")


def older_features(shop):
    shop.change("alter table features.ftr_product_pairs drop column next_in_cart")


def no_users(shop):
    shop.change("delete from features.ftr_targets")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_model, "There is no trained model in .*retail-warehouse train"),
        (other_format, "has format 99, and this version reads format 2.*retail-warehouse train"),
        (broken_card, "is damaged: card.json cannot be read.*retail-warehouse train"),
        (edited_card, "is damaged: card.json is not as it was written.*retail-warehouse train"),
        (broken_trees, "is damaged: buy_again-0.txt is not as it was written.*retail-warehouse train"),
        (missing_trees, "is damaged: buy_again-0.txt cannot be read.*retail-warehouse train"),
        (other_trees, "is damaged: buy_again-0.txt is not as it was written.*retail-warehouse train"),
        (missing_column, "has no decay_80, streak.*retail-warehouse train"),
        (other_data, "was trained on other data: of its products 100%.*retail-warehouse train"),
        (no_warehouse, "There is no warehouse .*make build"),
        (no_features, "has no features. Build them: dbt build --selector features"),
        (one_relation_less, "has no features.ftr_product_pairs.*dbt build --selector features"),
        (older_features, "of another version: .*next_in_cart.*dbt build --selector features"),
        (no_users, "holds no user with an order that has lines"),
    ],
)
def test_what_cannot_be_predicted_is_said_in_one_line(shop, tmp_path, spoil, said):
    mine = shop.copy(tmp_path)
    before = rows(mine.predictions / "predicted_baskets.parquet")
    spoil(mine)
    assert re.search(said, mine.refused("predict"))
    assert rows(mine.predictions / "predicted_baskets.parquet") == before
    if spoil in (no_model, missing_column, other_data, no_warehouse, no_features):
        carts = tmp_path / "carts.csv"
        carts.write_text("query_id,user_id,position,product_id\n1,,1,1\n")
        assert re.search(said, mine.refused("suggest", "--carts", carts, "--out", tmp_path / "out.csv"))
    if spoil in (no_warehouse, no_features, older_features, no_users):
        assert re.search(said, mine.refused("train"))


def test_a_locked_warehouse_is_named(shop, tmp_path):
    (tmp_path / "w.duckdb").write_text("no database")
    assert "w.duckdb cannot be read" in shop.refused("train", WAREHOUSE_PATH=str(tmp_path / "w.duckdb"))


def test_a_model_does_not_replace_other_files(shop, tmp_path):
    (tmp_path / shop.model.name).mkdir()
    (tmp_path / shop.model.name / "notes").write_text("mine")
    with pytest.raises(DataError, match="holds something else than a model"):
        model_folder.write(model_folder.read(shop.model), tmp_path / shop.model.name, "")
    assert (tmp_path / shop.model.name / "notes").read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "There is no file"),
        ("", "has no column query_id, user_id, position, product_id"),
        ("query_id,user_id,product_id\n1,,3\n", "has no column position"),
        ("query_id,user_id,position,product_id\n1,,1\n", "line 2: 3 fields instead of 4"),
        ("query_id,user_id,position,product_id\n1,,1,x\n", "line 2: product_id 'x' is not a whole number"),
        ("query_id,user_id,position,product_id\n1,-4,1,1\n", "line 2: user_id '-4' is not a whole number"),
        (
            f"query_id,user_id,position,product_id\n1,,1,{'9' * 5000}\n",
            "is not a whole number of at most 18 digits",
        ),
        ("query_id,user_id,position,product_id\n,,1,1\n", "line 2: query_id is empty"),
        ("query_id,user_id,position,product_id\n1,,1,\n", "line 2: position and product_id go together"),
        ("query_id,user_id,position,product_id\n1,4,1,1\n1,5,2,2\n", "line 3: the query 1 names two users"),
        ("query_id,user_id,position,product_id\n1,,1,\xff\n", "is not a CSV file in UTF-8"),
    ],
)
def test_carts_that_cannot_be_read_are_refused(shop, tmp_path, text, said):
    path = tmp_path / "carts.csv"
    if text is not None:
        path.write_text(text, encoding="latin-1")
    assert said in shop.refused("suggest", "--carts", path, "--out", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError("libgomp.so.1: cannot open shared object file: No such file or directory"),
            "apt-get install libgomp1",
        ),
        (OSError("lib_lightgbm.so: invalid ELF header"), "lightgbm cannot be loaded: lib_lightgbm.so"),
        (ModuleNotFoundError("No module named 'lightgbm'", name="lightgbm"), "`make predictions` installs it"),
    ],
)
@pytest.mark.parametrize("command", ["train", "predict", "suggest", "evaluate"])
def test_a_missing_library_is_one_command_away(shop, tmp_path, monkeypatch, command, error, said):
    real = libraries.importlib.import_module

    def fails(name: str):
        if name == "lightgbm":
            raise error
        return real(name)

    monkeypatch.setattr(libraries.importlib, "import_module", fails)
    more = ["--carts", tmp_path / "carts.csv", "--out", tmp_path / "out.csv"] if command == "suggest" else []
    assert said in shop.refused(command, *more)


def test_every_last_order_is_hidden_once(shop, tmp_path):
    data = shop.folder / "data"
    hidden = rotation.Hidden(data, 3)
    seen: list[int] = []
    connection = duckdb.connect()
    [(lines,)] = connection.execute(
        f"select count(*) from read_csv(['{data}/order_products__prior.csv', '{data}/order_products__train.csv'])"
    ).fetchall()
    for turn in range(3):
        found = hidden.turn(turn, tmp_path / str(turn))
        files = f"['{found.data}/order_products__prior.csv', '{found.data}/order_products__train.csv']"
        orders = f"read_csv('{found.data}/orders.csv', all_varchar = true)"
        truth = connection.execute(f"select distinct user_id, order_id, order_number from '{found.truth}'").fetchall()
        seen += [user for user, *_ in truth]
        assert len(truth) == found.users
        # The hidden order is the user's last, open, and its lines are nowhere else.
        last = connection.execute(f"""
            select user_id::int, max_by(order_id, order_number::int)::int, max(order_number::int)
            from {orders} group by user_id having max_by(eval_set, order_number::int) = 'test'
            """).fetchall()
        assert set(last) == set(truth)
        [(left,)] = connection.execute(
            f"select count(*) from read_csv({files}) where order_id in (select order_id from '{found.truth}')"
        ).fetchall()
        assert left == 0
        [(kept,)] = connection.execute(f"select count(*) from read_csv({files})").fetchall()
        [(gone,)] = connection.execute(f"select count(*) from '{found.truth}'").fetchall()
        assert kept + gone == lines
    assert sorted(seen) == list(range(1, USERS + 1))


FILES = {
    "aisles": "aisle_id,aisle\n1,a\n",
    "departments": "department_id,department\n1,d\n",
    "products": "product_id,product_name,aisle_id,department_id\n" + "".join(f"{p},p{p},1,1\n" for p in range(1, 9)),
    "orders": "order_id,user_id,eval_set,order_number,order_dow,order_hour_of_day,days_since_prior_order\n"
    + "".join(f"{order},{user},prior,{number},1,10,\n" for order, user, number in
              [(1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 2, 1), (5, 2, 2)]),
    "order_products__train": "order_id,product_id,add_to_cart_order,reordered\n",
    "order_products__prior": "order_id,product_id,add_to_cart_order,reordered\n"
    # User 1 buys 1 2 3, then 1 2 4, then (hidden) 1 4 5; user 2 buys 1 5, then 5 6.
    "1,1,1,0\n1,2,2,0\n1,3,3,0\n2,2,1,1\n2,1,2,1\n2,4,3,0\n3,1,1,1\n3,4,2,1\n3,5,3,0\n4,1,1,0\n4,5,2,0\n5,5,1,1\n5,6,2,0\n",
}  # fmt: skip


def test_the_plain_rules_are_what_one_works_out_by_hand(tmp_path):
    for name, text in FILES.items():
        (tmp_path / f"{name}.csv").write_text(text)
    hidden = rotation.Hidden(tmp_path, 2)
    turns = [hidden.turn(number, tmp_path / str(number)) for number in (0, 1)]
    plain = next(found for found in map(baselines.Baselines, turns) if 3 in found.users)
    assert plain.users == {3: 1}
    assert plain.bought_again == {3: {1, 4}}
    assert plain.bought_first == {3: {5}}
    assert plain.repeat_last() == {3: {1, 2, 4}}
    assert plain.repeat_last_reordered() == {3: {1, 2}}
    assert plain.decayed == {3: [1, 2, 4, 3]}  # 1.8, 1.8, 1, 0.8
    assert plain.top_by_decay() == {3: {1, 2}}  # two were bought again in the second order
    assert plain.popular == [1, 2, 5, 3, 4, 6]
    assert plain.popular_first() == {3: [5, 6]}
    assert plain.covisited() == {3: [5, 6]}
    queries = plain.queries(carts_are_ordered=True)
    assert [(query.place, query.cart, query.product, query.is_new) for query in queries] == [
        ("last", (1, 4), 5, True),
        ("middle", (1,), 4, False),
    ]
    assert plain.after_last(queries) == {4: [1, 2], 1: [2, 5, 3, 4]}
    [query] = plain.queries(carts_are_ordered=False)
    assert {*query.cart, query.product} == {1, 4, 5}


def test_a_companion_is_there_but_never_hidden(tmp_path):
    for name, text in FILES.items():
        (tmp_path / f"{name}.csv").write_text(text)
    companion = tmp_path / "companion"
    companion.mkdir()
    carts = {
        "orders": FILES["orders"].splitlines()[0] + "\n9,1,train,1,0,12,\n3,2,train,1,0,12,\n",
        "order_products__prior": FILES["order_products__train"],
        "order_products__train": FILES["order_products__train"] + "9,7,1,0\n9,8,2,0\n3,7,1,0\n",
    }
    for name, text in (FILES | carts).items():
        (companion / f"{name}.csv").write_text(text)
    hidden = rotation.Hidden(tmp_path, 2, companion)
    found = [hidden.turn(number, tmp_path / str(number)) for number in (0, 1)]
    assert sum(turn.users for turn in found) == 2
    for turn in found:
        orders = dict(duckdb.execute(f"select order_id, eval_set from '{turn.data}/orders.csv'").fetchall())
        assert orders[9] == "train"
        # An order that both have is the data's own.
        [(products,)] = duckdb.execute(
            f"select count(*) from read_csv('{turn.data}/order_products__*.csv') where product_id = 7"
        ).fetchall()
        assert products == 1


@pytest.fixture(scope="module")
def judged(shop, build_features):
    """One turn on the made-up shop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "build_features", build_features)
        # So that the alarm is seen to ring.
        patch.setattr(evaluation, "SUSPICIOUS_AUC", 0.55)
        source = evaluation.Source("made up", shop.folder / "data", first_turns=1, ablation=True)
        return evaluation.evaluate(source, 3)


def test_judging_compares_on_the_same_orders(judged):
    assert judged.facts["hidden orders"] == USERS // 3
    again, recall = judged.comparisons["Buy again"]
    assert again["orders"] == USERS // 3
    assert set(again["estimates"]) == {
        "model",
        "repeat the last order",
        "its reordered products",
        "top N by decayed count",
    }
    assert recall["orders"] <= again["orders"]
    assert judged.figures["AUC"].low < judged.figures["AUC"].value < judged.figures["AUC"].high
    assert judged.comparisons["Add to the cart next"][0]["users"] == USERS // 3


def test_judging_checks_itself(judged):
    checks = dict(judged.checks)
    assert checks.pop("No user is both trained on and judged")
    assert checks.pop("Every product that was bought again is a candidate")
    assert checks.pop("With shuffled labels the AUC is .5 within its interval")
    [(text, holds)] = checks.items()
    assert not holds
    assert "leak" in text
    assert f"**FAILS**: {text}" in evaluation.as_markdown(judged)


def test_judging_shows_what_groups_of_features_add(judged):
    names = [name for name, *_ in judged.ablation]
    assert names[0] == "counts"
    assert names[-1] == "+ user"
    sizes = [count for _, count, *_ in judged.ablation]
    assert sizes == sorted(set(sizes))


def test_the_checks_can_fail(shop, monkeypatch):
    """A user who is trained on though hidden, and labels that are not shuffled at all."""
    features = dataset.Features(shop.warehouse)
    every = set(features.users().tolist())
    candidates = features.training_candidates(["decay_80"])
    assert set(candidates.users.tolist()) <= every
    features.exclude(np.array(sorted(every))[:10])
    left = features.training_candidates(["decay_80"])
    assert set(candidates.users.tolist()) - set(left.users.tolist()) == set(sorted(every)[:10]) & set(
        candidates.users.tolist()
    )
    features.close()
    found = metrics.auc(candidates.values[:, 0], candidates.labels, candidates.users)
    assert not found.low <= 0.5 <= found.high


def test_shuffled_labels_tell_when_trees_have_seen_whom_they_are_judged_by(shop, monkeypatch):
    features = dataset.Features(shop.warehouse)
    fair = metrics.Estimate(**buy_again.train(features, 1, shuffled=True).card["auc"])
    assert fair.low <= 0.5 <= fair.high
    real = boosting._dataset

    def greedy(rows, wanted, names, reference=None):
        return real(rows, wanted if reference is not None else np.ones_like(wanted), names, reference)

    monkeypatch.setattr(boosting, "_dataset", greedy)
    unfair = metrics.Estimate(**buy_again.train(features, 1, shuffled=True).card["auc"])
    features.close()
    assert unfair.low > 0.5


def test_a_folder_without_the_official_files_cannot_be_judged(shop, tmp_path, monkeypatch):
    monkeypatch.chdir(PROJECT)
    assert "holds no order_products__prior.csv" in shop.refused("evaluate", "--data", f"mine={tmp_path}")
    assert "NAME=FOLDER is wanted" in shop.refused("evaluate", "--data", str(tmp_path))
    assert "NAME=FOLDER is wanted" in shop.refused("evaluate", "--data", f"mine={tmp_path / 'none'}")


@pytest.fixture
def plain_features(shop, tmp_path):
    predictions_scale.make_plain(shop.warehouse, tmp_path / "plain.duckdb")
    return tmp_path / "plain.duckdb"


def test_a_plain_script_makes_the_same_features(shop, plain_features):
    assert predictions_scale.compare(shop.warehouse, plain_features) > 100_000
    for fault, said in (  # the table that is compared first comes last
        ("delete from ftr_product_pairs where rowid = 5", "ftr_product_pairs: 1 of .* on one side only"),
        ("update ftr_user_products set decay_95 = decay_95 + 0.01 where rowid = 5", "ftr_user_products.decay_95: 1 of"),
        ("update ftr_users set sd_basket_size = null where rowid = 5", "ftr_users.sd_basket_size: 1 of"),
    ):
        with duckdb.connect(str(plain_features)) as connection:
            connection.execute(fault)
        with pytest.raises(click.ClickException, match=said):
            predictions_scale.compare(shop.warehouse, plain_features)


def test_the_loss_of_fewer_training_orders_is_shown(shop):
    found = predictions_scale.samples(shop.warehouse, (25, 50), 20)
    assert [sample.orders for sample in found] == [25, 50]
    assert found[0].loss is not None
    assert found[1].loss is None
    runs = [Run(2.0, 100.0)]
    text = predictions_scale.report(USERS, runs, [Run(1.0, 50.0)], {"training": Run(60.0, 700.0)}, 7, found)
    assert "| features, time a / b | 2.00 | |" in text
    assert "| features, training and predictions | 1.0 min | at most 12 min |" in text
    assert "| peak memory | 0.7 GB | at most 6 GB |" in text
    assert "| 25 | " in text
