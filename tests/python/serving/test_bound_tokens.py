"""A token that is bound to a customer or user reads nothing else, and does not learn whether there is anything else."""

import json

import jwt
import pytest
from click.testing import CliRunner
from shared.api_server import row

from retail_warehouse.cli import main
from retail_warehouse.serving import lookups_api, predictions_api
from retail_warehouse.serving.tokens import LOCAL_CLAIMS, READ, WRITE, Caller, Claims, TokenError

pytestmark = pytest.mark.slow

OWN, OTHER, NOBODY = "17850", "12374", "99999"


def told(answer) -> tuple:
    """All that an answer tells but when it was given."""
    headers = {name: text for name, text in answer.headers.items() if name.lower() != "date"}
    return answer.status_code, headers, answer.text


def carts(api, user) -> tuple:
    sent = json.dumps({"user_id": user, "product_ids": []})
    return told(api.session.post(f"{api.url}/carts/next", sent, headers={"Content-Type": "application/json"}))


def leaks(served) -> list[str]:
    """What bound tokens learn of others."""
    customer, user = served.of(customer=OWN), served.of(user="7")
    found = []

    def same(name: str, other, nobody) -> None:
        if told(other) != told(nobody):
            found.append(name)

    for name, api in (("customer", customer), ("user", user)):
        invoices = f"{name}: invoices"
        same(invoices, api.get(f"/customers/{OTHER}/invoices"), api.get(f"/customers/{NOBODY}/invoices"))
        same(f"{name}: transactions", api.pair("536380"), api.pair("999999"))
        same(f"{name}: page", *(api.get(f"/customers/{one}/invoices", limit="1") for one in (OTHER, NOBODY)))
        same(f"{name}: next order", api.get("/users/8/next-order"), api.get("/users/91/next-order"))
        if carts(api, 8) != carts(api, 91):
            found.append(f"{name}: carts")
    shared = customer.pair("536400")
    if shared.status_code != 200 or {line["customer_id"] for line in shared.json()["lines"]} != {OWN}:
        found.append("lines of others")
    elif (shared.json()["line_count"], shared.json()["quantity"]) != (1, 1):
        found.append("totals of others")
    if user.get(f"/customers/{OWN}/invoices").status_code != 404 or customer.get("/users/7/next-order").ok:
        found.append("a token of one kind reads the other")
    return found


def test_a_bound_token_reads_what_is_its_own(served):
    customer, user, program = served.of(customer=OWN), served.of(user="7"), served.of()
    assert told(customer.get(f"/customers/{OWN}/invoices")) == told(program.get(f"/customers/{OWN}/invoices"))
    assert told(customer.get("/customers/017850.0/invoices")) == told(program.get(f"/customers/{OWN}/invoices"))
    assert told(customer.pair()) == told(program.pair())
    assert told(user.get("/users/7/next-order")) == told(program.get("/users/7/next-order"))
    assert told(user.get("/users/007/next-order")) == told(program.get("/users/7/next-order"))
    assert carts(user, 7) == carts(program, 7) != carts(program, 91)
    assert user.get("/products", search="a").ok
    assert customer.get("/shop/users").json() == {"users": [], "count": 1}
    assert user.get("/shop/users").json() == {"users": [7], "count": 1}


def test_a_bound_token_learns_nothing_of_others(served):
    assert leaks(served) == []


def test_a_program_reads_everything(served):
    program = served.of()
    assert program.get(f"/customers/{OTHER}/invoices").ok
    assert program.pair("536400").json()["quantity"] == 111
    assert program.get("/users/8/next-order").ok


def test_faults_that_let_others_through_are_seen(served, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(predictions_api, "_seen_by", lambda caller, user_id: user_id)
        assert {"customer: next order", "user: next order", "user: carts"} <= set(leaks(served))
    with monkeypatch.context() as patch:
        patch.setattr(lookups_api, "_own_customer", lambda caller: OTHER)
        assert {"customer: invoices", "customer: transactions"} <= set(leaks(served))
    with monkeypatch.context() as patch:
        lines = served.api.store.lines
        patch.setattr(served.api.store, "lines", lambda *given: lines(*given[:4]))
        assert {"customer: transactions", "lines of others"} <= set(leaks(served))
    with monkeypatch.context() as patch:
        patch.setattr(Claims, "caller", lambda self, claims, *whom: Caller(*whom))
        assert len(leaks(served)) > 6


def test_the_same_is_asked_of_the_stores_whether_there_is_another_one_or_none(served, monkeypatch):
    """So that time does not tell either: each question is one of what does not exist."""
    asked: list[tuple] = []
    store, generation = served.api.store, type(served.published.now().generation)

    def watched(owner, name):
        real = getattr(owner, name)

        def call(*given):
            found = real(*given)
            asked.append((name, len(found) if found is not None else None))
            return found

        monkeypatch.setattr(owner, name, call)

    watched(store, "lines")
    watched(store, "invoices")
    watched(generation, "user")
    customer, user = served.of(customer=OWN), served.of(user="7")
    for other, nobody, question in (
        (
            lambda: customer.get(f"/customers/{OTHER}/invoices"),
            lambda: customer.get(f"/customers/{NOBODY}/invoices"),
            ("invoices", 0),
        ),
        (lambda: customer.pair("536380"), lambda: customer.pair("999999"), ("lines", 0)),
        (lambda: user.get("/users/8/next-order"), lambda: user.get("/users/91/next-order"), ("user", None)),
        (lambda: carts(user, 8), lambda: carts(user, 91), ("user", None)),
    ):
        for ask in (other, nobody):
            asked.clear()
            ask()
            assert asked == [question]


def test_a_writer_sends_its_own_deliveries_alone(served):
    till = served.of(WRITE, deliveries="till-1")
    sent = [row(at, "till-1/monday") for at in range(2, 4)]
    assert till.post(sent).json()["accepted"] == 2
    for deliveries in (["till-2"], ["till-10"], ["till"], ["till-1", "till-2"], [" till-1"], ["TILL-1"]):
        refused = till.post([row(2, delivery) for delivery in deliveries])
        assert (refused.status_code, refused.json()["detail"]) == (
            403,
            "Not allowed: the token is bound to other deliveries",
        )
    assert served.of(WRITE).post(row(2, "till-2")).json()["accepted"] == 1, "nothing of what was refused was taken"
    # Whether another delivery has such a row is not told.
    assert till.post(row(2, "till-2", Quantity="7")).status_code == 403


@pytest.mark.parametrize(
    ("prefix", "delivery", "may"),
    [
        (None, "anything", True),
        ("till-1", "till-1", True),
        ("till-1", "till-1.csv.gz", True),
        ("till-1", "till-1:7", True),
        ("till-1", "till-10", False),
        ("till-1", "till-1a", False),
        ("till-1", "till-1é", False),
        ("till-1/", "till-1/x", True),
        ("till-1/", "till-1", False),
        ("till-", "till-10", True),
        ("é", "e\u0301", False),
    ],
)
def test_a_prefix_ends_where_a_word_ends(prefix, delivery, may):
    assert Caller("s", "c", frozenset(), deliveries=prefix).sends(delivery) == may


CLAIMS = Claims("custom:customer", "username", "custom:till")


@pytest.mark.parametrize(
    ("claims", "subject", "bound"),
    [
        # A program: the subject is the client.
        ({}, "client", (None, None, None, False, True)),
        ({"custom:customer": "5"}, "client", ("5", None, None, True, True)),
        ({"custom:till": "a"}, "client", (None, None, "a", False, True)),
        # A person without what binds it reads and sends nothing.
        ({}, "ann", (None, None, None, True, False)),
        ({"username": "7"}, "ann", (None, "7", None, True, False)),
        ({"custom:customer": 5, "username": "7", "custom:till": "a"}, "ann", ("5", "7", "a", True, True)),
    ],
)
def test_claims_bind_a_token(claims, subject, bound):
    caller = CLAIMS.caller(claims, subject, "client", frozenset({READ}))
    assert (caller.customer, caller.user, caller.deliveries, caller.is_bound, caller.may_send) == bound


@pytest.mark.parametrize("value", ["", [], ["5"], {}, True, 5.0, "x" * 251])
def test_a_claim_that_makes_no_sense_makes_the_token_worthless(value):
    with pytest.raises(TokenError, match="no text"):
        CLAIMS.caller({"custom:customer": value}, "client", "client", frozenset())


def test_without_names_of_claims_nothing_binds():
    caller = Claims().caller({"custom:customer": "5", "customer_id": "5"}, "ann", "client", frozenset())
    assert (caller.customer, caller.is_bound, caller.may_send) == (None, False, True)
    assert not LOCAL_CLAIMS.caller({}, "ann", "local", frozenset()).is_bound


@pytest.mark.parametrize("customer", ["Unknown", "nobody", "x", "5 or 1=1", "1e3"])
def test_a_claim_that_is_no_customer_reads_nothing(served, customer):
    api = served.of(customer=customer, user=customer)
    for path in (f"/customers/{OWN}/invoices", "/users/1/next-order"):
        assert api.get(path).status_code == 404
    assert api.pair("536400").status_code == 404


def test_long_answers_are_of_the_customer_too(served, monkeypatch):
    monkeypatch.setattr(lookups_api, "USUAL_PAGE", 1)
    found = served.of(customer=OTHER).get("/transactions", InvoiceNo="536400", StockCode="85123A", limit="1").json()
    assert (found["line_count"], found["quantity"], len(found["lines"])) == (1, 10, 1)
    assert found["next_cursor"] is None


@pytest.mark.parametrize(
    ("arguments", "scopes", "bound"),
    [
        ((), "transactions/read transactions/write predictions/read", {}),
        (("--read", "--customer", OWN), "transactions/read", {"customer": OWN}),
        (("--predictions", "--user", "7"), "predictions/read", {"user": "7"}),
        (("--write", "--deliveries", "till-1"), "transactions/write", {"deliveries": "till-1"}),
    ],
)
def test_the_command_prints_a_token_that_is_bound(tmp_path, monkeypatch, arguments, scopes, bound):
    (tmp_path / "dbt_project.yml").touch()
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["token", *arguments])
    assert done.exit_code == 0, done.output
    claims = jwt.decode(done.stdout.strip(), options={"verify_signature": False})
    assert claims["scope"] == scopes
    names = {"customer": LOCAL_CLAIMS.customer, "user": LOCAL_CLAIMS.user, "deliveries": LOCAL_CLAIMS.deliveries}
    assert {kind: claims[name] for kind, name in names.items() if name in claims} == bound
