"""What `train`, `predict` and `suggest` say where they cannot go on, in one line."""

import json
import re
import shutil

import pytest

np = pytest.importorskip("numpy", reason="predictions are not installed: make predictions")
pytest.importorskip("lightgbm", reason="predictions are not installed: make predictions", exc_type=ImportError)

from shared.predicted_shop import rows  # noqa: E402

from retail_warehouse.errors import DataError  # noqa: E402
from retail_warehouse.predictions import (  # noqa: E402
    libraries,
    model_folder,
)

pytestmark = pytest.mark.slow


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
