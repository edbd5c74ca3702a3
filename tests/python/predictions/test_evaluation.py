"""`retail-warehouse evaluate`: the models are judged on orders that were hidden from them."""

import click
import duckdb
import pytest
from conftest import PROJECT

np = pytest.importorskip("numpy", reason="predictions are not installed: make predictions")
pytest.importorskip("lightgbm", reason="predictions are not installed: make predictions", exc_type=ImportError)

import predictions_scale  # noqa: E402
from bench import Run  # noqa: E402
from shared.predicted_shop import USERS  # noqa: E402

from retail_warehouse.predictions import (  # noqa: E402
    baselines,
    boosting,
    buy_again,
    dataset,
    evaluation,
    metrics,
    rotation,
)

pytestmark = pytest.mark.slow


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
        orders = dict(duckdb.connect().execute(f"select order_id, eval_set from '{turn.data}/orders.csv'").fetchall())
        assert orders[9] == "train"
        # An order that both have is the data's own.
        [(products,)] = (
            duckdb.connect()
            .execute(f"select count(*) from read_csv('{turn.data}/order_products__*.csv') where product_id = 7")
            .fetchall()
        )
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
