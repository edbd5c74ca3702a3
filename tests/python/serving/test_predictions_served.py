"""Predictions through the API: the same as in the warehouse and as `retail-warehouse suggest` ranks carts."""

import dataclasses
import itertools
import json
import random
from pathlib import Path

import lookups
import numpy as np
import pytest
from click.testing import CliRunner

from retail_warehouse.cli import main
from retail_warehouse.predictions import cart_ranking, suggesting
from retail_warehouse.serving import user_predictions
from retail_warehouse.serving.predictions_store import PublishedError
from retail_warehouse.serving.shop_statistics import MOST_ITEMS, Shop
from retail_warehouse.serving.tokens import READ
from retail_warehouse.serving.user_predictions import UserPredictions

pytestmark = pytest.mark.slow


# Carts


def carts_of(shop) -> list[suggesting.Cart]:
    """Of each kind that there is."""
    products = [product for (product,) in shop.query("select product_id from instacart.products order by product_id")]
    [(bought,)] = shop.query("select list(product_id) from predicted_reorders where user_id = 7")
    [(unsold,)] = shop.query(
        "select product_id from instacart.products where product_id not in"
        " (select product_id from features.ftr_products where order_count > 0) order by all limit 1"
    ) or [(products[-1],)]
    carts: list[tuple[int | None, list[int]]] = [
        (None, []),
        (7, []),
        (10**9, []),
        (7, bought[:1]),
        (None, bought[:1]),
        (7, bought[:5]),
        (10**9, bought[:5]),
        (8, bought[:5]),
        (7, [products[3], products[3], products[5], products[3]]),
        (7, [99_999_999]),
        (None, [99_999_999, products[9]]),
        (None, [unsold]),
        (7, bought),
        (9, list(itertools.islice(itertools.cycle(products), MOST_ITEMS))),
        (None, products[:MOST_ITEMS]),
    ]
    return [suggesting.Cart(f"q{at}", user, list(items)) for at, (user, items) in enumerate(carts)]


@pytest.fixture(scope="module")
def suggested(predicted, tmp_path_factory) -> dict[str, list[tuple[int, str]]]:
    """What the command answers."""
    folder = tmp_path_factory.mktemp("suggest")
    lines = ["query_id,user_id,position,product_id"]
    for cart in carts_of(predicted):
        user = "" if cart.user_id is None else cart.user_id
        lines += [f"{cart.query_id},{user},{at},{product}" for at, product in enumerate(cart.products)]
        lines += [] if cart.products else [f"{cart.query_id},{user},,"]
    (folder / "carts.csv").write_text("\n".join(lines) + "\n")
    predicted.done("suggest", "--carts", folder / "carts.csv", "--out", folder / "out.csv", "--ranks", "50")
    answers: dict[str, list[tuple[int, str]]] = {}
    for line in (folder / "out.csv").read_text().splitlines()[1:]:
        query, _, product, score = line.split(",")
        answers.setdefault(query, []).append((int(product), score))
    return answers


def differences(served, predicted, suggested, limit: int = 50) -> list[str]:
    """Carts that the API answers in another way than the command."""
    api = served.of()
    found = []
    for cart in carts_of(predicted):
        sent = {"user_id": cart.user_id, "product_ids": cart.products, "limit": limit}
        answer = ask(api, sent)
        assert answer.status_code == 200, answer.text
        got = [(one["product_id"], f"{one['score']:.6g}") for one in answer.json()["products"]]
        if got != suggested[cart.query_id][:limit]:
            found.append(cart.query_id)
    return found


def ask(api, cart, **headers):
    body = cart if isinstance(cart, bytes) else json.dumps(cart).encode()
    return api.session.post(
        f"{api.url}/carts/next", data=body, headers={"Content-Type": "application/json"} | headers, timeout=30
    )


def test_carts_are_answered_as_by_the_command(served, predicted, suggested):
    assert {task: part["way"] for task, part in predicted.card["tasks"].items() if "way" in part}
    assert differences(served, predicted, suggested) == []
    assert differences(served, predicted, suggested, 3) == []


@pytest.mark.parametrize(
    "fault",
    [
        lambda user: dataclasses.replace(user, probabilities=user.probabilities // 2),
        lambda user: dataclasses.replace(user, facts=user.facts[::-1].copy()),
        lambda user: dataclasses.replace(user, cart_products=user.cart_products[::-1].copy()),
    ],
    ids=["probabilities", "facts", "last carts"],
)
def test_a_planted_fault_in_what_is_published_is_seen(served, predicted, suggested, monkeypatch, fault):
    unpack = UserPredictions.unpack
    monkeypatch.setattr(UserPredictions, "unpack", staticmethod(lambda packed: fault(unpack(packed))))
    assert differences(served, predicted, suggested)


def test_what_an_answer_rests_on_is_told(served, predicted):
    api, carts = served.of(), carts_of(predicted)
    told = [ask(api, {"user_id": cart.user_id, "product_ids": cart.products}).json()["based_on"] for cart in carts]
    assert told[:7] == ["popularity", "user", "popularity", "user and cart", "cart", "user and cart", "cart"]
    assert told[9] == "user"
    for one in ask(api, {"product_ids": carts[3].products}).json()["products"]:
        assert one["why"].startswith(("goes with ", "popular in "))


@pytest.mark.parametrize(
    ("cart", "status", "place"),
    [
        ({"product_ids": [1] * 500}, 200, None),
        ({"product_ids": [1] * 501}, 422, ["body", "product_ids"]),
        ({"product_ids": ["1"]}, 422, ["body", "product_ids", 0]),
        ({"product_ids": [True]}, 422, ["body", "product_ids", 0]),
        ({"product_ids": [-1]}, 422, ["body", "product_ids", 0]),
        ({"product_ids": [10**18]}, 422, ["body", "product_ids", 0]),
        ({"product_ids": [1.5]}, 422, ["body", "product_ids", 0]),
        ({"product_ids": None}, 422, ["body", "product_ids"]),
        ({}, 422, ["body", "product_ids"]),
        ({"product_ids": [], "user": 1}, 422, ["body", "user"]),
        ({"product_ids": [], "user_id": "1"}, 422, ["body", "user_id"]),
        ({"product_ids": [], "limit": 0}, 422, ["body", "limit"]),
        ({"product_ids": [], "limit": 101}, 422, ["body", "limit"]),
        ([], 422, ["body"]),
        (b"{", 422, ["body"]),
        (b"", 422, ["body"]),
        (b'{"product_ids": [' + b" " * (64 << 10) + b"]}", 413, None),
    ],
)
def test_carts_that_make_no_sense_are_refused(served, cart, status, place):
    answer = ask(served.of(), cart)
    assert answer.status_code == status, answer.text
    if place is not None:
        assert answer.json()["detail"][0]["loc"] == place


def test_a_cart_must_be_json_and_a_token_is_needed(served):
    assert ask(served.of(), b"{}", **{"Content-Type": "text/plain"}).status_code == 415
    assert ask(served.of(), b"{}", **{"Content-Encoding": "gzip"}).status_code == 415
    for path in ("/users/1/next-order", "/products?search=a", "/shop/users"):
        assert served.api.of(None).get(path).status_code == 401
        assert served.of(READ).get(path).status_code == 403
    assert ask(served.api.of(None), {}).status_code == 401
    assert ask(served.of(READ), {}).status_code == 403


# The next order


@pytest.mark.parametrize("user", [1, 7, 90])
def test_the_next_order_is_that_of_the_tables(served, predicted, user):
    answer = served.of().get(f"/users/{user}/next-order").json()
    [(version, order, count, none, includes)] = predicted.query(
        "select model_version, order_id, product_count, none_probability, includes_none"
        f" from predictions.predicted_baskets where user_id = {user}"
    )
    ranked = predicted.query(
        "select product_id, product_name, aisle, rank, probability from predictions.predicted_reorders"
        " inner join instacart.products using (product_id) inner join instacart.aisles using (aisle_id)"
        f" where user_id = {user} order by rank limit {count + 10}"
    )
    names = ("product_id", "product_name", "aisle", "rank", "probability")
    got = [tuple(one[name] for name in names) for one in answer["basket"] + answer["also_likely"]]
    assert got == [(*rest, float(probability)) for *rest, probability in ranked]
    assert len(answer["basket"]) == count
    assert (answer["model_version"], answer["order_id"]) == (version, order)
    assert (answer["none_probability"], answer["includes_none"]) == (float(none), includes)
    [(expected,)] = predicted.query(
        f"select sum(probability) from predictions.predicted_reorders where user_id = {user}"
    )
    assert answer["expected_size"] == pytest.approx(float(expected), abs=0.005)
    assert [one["product_id"] for one in answer["first_time"]] == [
        product
        for (product,) in predicted.query(
            f"select product_id from predicted_first_purchases where user_id = {user} and rank <= 10 order by rank"
        )
    ]
    placed = predicted.query(
        "select list(product_id order by add_to_cart_order) from features.ftr_order_products"
        f" where user_id = {user} and order_age is not null group by order_age order by order_age limit 3"
    )
    assert [[one["product_id"] for one in past["products"]] for past in answer["last_orders"]] == [
        products for (products,) in placed
    ]


@pytest.mark.parametrize("user", ["0", "91", "999999999999999999"])
def test_an_unknown_user_is_not_found(served, user):
    answer = served.of().get(f"/users/{user}/next-order")
    assert (answer.status_code, answer.json()) == (404, {"detail": "There is no such user"})


@pytest.mark.parametrize("user", ["x", "-1", "1.0", "9" * 19, "١"])
def test_a_user_is_a_number(served, user):
    assert served.of().get(f"/users/{user}/next-order").status_code == 422


def person(order_count: int = 5, **changes) -> UserPredictions:
    """A user with one product."""
    values = {
        "user_id": 1,
        "order_id": 0,
        "order_count": order_count,
        "basket_size": 1,
        "includes_none": False,
        "none_probability": 0,
        "expected_f1": 0,
        "mean_basket_size": 1.5,
        "products": [7],
        "probabilities": [500_000],
        "ranks": [1],
        "facts": np.array([[5, 1, 1, 1, 0.5]], np.float32),
        "last_five": [31],
        "days_since_last": [9],
        "days_overdue": [3.4],
        "new_products": [8, 9],
        "new_scores": [2.5, 1.25],
        "new_because": [7, 0],
        "cart_sizes": [1, 2],
        "cart_days": [9, 18],
        "cart_products": [7, 7, 8],
    } | changes
    return UserPredictions(
        **{name: np.array(value) if isinstance(value, list) else value for name, value in values.items()}
    )


@pytest.mark.parametrize(
    ("user", "why"),
    [
        (person(), "bought in 5 of the last 5 orders, 3 days overdue"),
        (person(days_overdue=[1.99]), "bought in 5 of the last 5 orders, 1 day overdue"),
        (person(days_overdue=[1.0]), "bought in 5 of the last 5 orders, 1 day overdue"),
        (person(days_overdue=[0.99]), "bought in 5 of the last 5 orders, due now"),
        (person(days_overdue=[0.0]), "bought in 5 of the last 5 orders, due now"),
        (person(days_overdue=[-0.99]), "bought in 5 of the last 5 orders, due now"),
        (person(days_overdue=[-1.0]), "bought in 5 of the last 5 orders, due in 1 day"),
        (person(days_overdue=[-12.7]), "bought in 5 of the last 5 orders, due in 12 days"),
        (person(3, last_five=[5]), "bought in 2 of the last 3 orders, 3 days overdue"),
        (
            person(9, last_five=[0], facts=np.array([[2, 1, 6, 1, 0.5]], np.float32)),
            "bought in 2 of 9 orders, not in the last 5, 3 days overdue",
        ),
        (
            person(last_five=[2], days_overdue=[float("nan")]),
            "bought in 1 of the last 5 orders, last 9 days before the next one",
        ),
        (person(last_five=[1], days_overdue=[float("nan")], days_since_last=[0]), "bought in 1 of the last 5 orders"),
        (person(1, last_five=[1], days_overdue=[float("nan")]), "bought in the only order so far"),
    ],
)
def test_why_a_product_is_there_is_told_in_words(user, why):
    assert UserPredictions.unpack(user.pack()).why_again(0) == why


def test_what_is_packed_comes_out_again():
    nobody = person(products=[], probabilities=[], ranks=[], facts=np.zeros((0, 5), np.float32), last_five=[])
    nobody = dataclasses.replace(nobody, **dict.fromkeys(("days_since_last", "days_overdue"), np.zeros(0)))
    nobody = dataclasses.replace(nobody, **dict.fromkeys(("cart_sizes", "cart_days", "cart_products"), np.zeros(0)))
    for user in (person(), person(order_id=2**31 - 1, includes_none=True, days_since_last=[32_767]), nobody):
        again = UserPredictions.unpack(user.pack())
        for field in dataclasses.fields(user):
            np.testing.assert_allclose(getattr(again, field.name), getattr(user, field.name), rtol=1e-6)
    assert len(cart_ranking.NEEDED) == user_predictions.FACTS
    packed = person().pack()
    for damaged in (b"", packed[:-9], b"x" + packed, Path(__file__).read_bytes()):
        with pytest.raises(PublishedError):
            UserPredictions.unpack(damaged)
        with pytest.raises(PublishedError):
            Shop(damaged)


# Publishing


def refused(shop, folder: Path, *options: str) -> str:
    return shop.refused("publish", "predictions", *options, SERVING_STORE=str(folder / "serving.sqlite"))


def test_predictions_that_do_not_fit_are_not_published(predicted, tmp_path):
    shop = predicted.copy(tmp_path)
    shop.done("publish", "predictions", SERVING_STORE=str(tmp_path / "serving.sqlite"))
    before = (tmp_path / "serving.predictions.sqlite").stat()
    assert "which is not in" in refused(shop, tmp_path, "--models", str(tmp_path / "nowhere"))
    reorders, baskets = "predictions.predicted_reorders", "predictions.predicted_baskets"
    for statements, said in (
        ((f"delete from {reorders} where user_id = 90 and rank = 1",), "of user 90 has no prediction"),
        ((f"delete from {baskets} where user_id = 90",), "User 90 has no predicted basket"),
        ((f"update {baskets} set order_id = 1 where user_id = 3",), "Another order of user 3"),
        ((f"update {reorders} set model_version = 'x' where user_id = 3",), "of several models"),
        (("drop schema predictions cascade",), "holds no predictions. Make them: make predictions"),
    ):
        shop.change(f"create table kept as from {reorders}", f"create table kept_baskets as from {baskets}")
        shop.change(*statements)
        assert said in refused(shop, tmp_path)
        shop.change(
            "create schema if not exists predictions",
            f"create or replace table {reorders} as from kept",
            f"create or replace table {baskets} as from kept_baskets",
            "drop table kept",
            "drop table kept_baskets",
        )
    after = (tmp_path / "serving.predictions.sqlite").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_options_belong_to_what_is_published():
    runner = CliRunner()
    assert "--only is for transactions" in runner.invoke(main, ["publish", "predictions", "--only"]).output
    assert "--models is for predictions" in runner.invoke(main, ["publish", "--models", "x"]).output


def test_the_benchmark_asks_carts_and_tells_what_clients_waited(served):
    generation = served.published.now().generation
    asked = lookups.carts_of(generation, 40, random.Random(1))
    carts = [json.loads(body) for _, _, body in asked]
    assert 0 < sum("user_id" not in cart for cart in carts) < 20
    for cart in carts[:5]:
        assert ask(served.of(), cart).status_code == 200
    assert lookups.into_dynamodb(generation, 30) > 0
    answers = {("next-order", 0.1): lookups.Answers(450.0, 1.5, 7.25), ("next-order", 0.0): lookups.Answers(9, 9, 9)}
    text = lookups.report(206_209, 45.0, 1_000.0, 2, answers)
    assert "| next-order, pauses of 100 ms | 450 | 1.5 | 7.2 | at most 10 ms |" in text
    assert "206,209 made-up users" in text
    assert "in 45 s" in text
