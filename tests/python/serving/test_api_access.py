"""Who may ask the API, and how often."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from shared.api_server import landed_ids, row, statuses, wait_until

from retail_warehouse.serving.tokens import READ, WRITE, LocalIssuer, Verifier


def test_without_a_good_token_nothing_is_told(api, issuer, tmp_path):
    expired = issuer.token([READ, WRITE], hours=-1)
    other = LocalIssuer(tmp_path / "other").token([READ, WRITE])
    head, claims, signature = issuer.token([READ, WRITE]).split(".")
    flipped = "A" if signature[10] != "A" else "B"
    bad = [None, "", "garbage", "ä", expired, other, f"{head}.{claims}.{signature[:10]}{flipped}{signature[11:]}"]
    bad += [f"{head}.{claims}.", f"eyJhbGciOiJub25lIn0.{claims}.", "x" * 20_000]
    answers = set()
    for token in bad:
        if token == "ä":
            client = api.of(None)
            client.session.headers["Authorization"] = "Bearer ä".encode()
        else:
            client = api.of(token)
        got = [
            client.pair(),
            client.get("/transactions"),
            client.get("/customers/x/invoices"),
            client.post(row()),
            client.post(b"nonsense", Content_Type="text/plain"),
        ]
        for answer in got:
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            answers.add((answer.status_code, answer.text))
    assert answers == {(401, '{"detail":"No valid token"}')}
    client = api.of(None)
    client.session.headers["Authorization"] = f"Basic {issuer.token([READ])}"
    assert client.pair().status_code == 401
    assert client.get("/transactions", access_token=issuer.token([READ])).status_code == 401
    api.close()
    assert landed_ids(api.folder) == []


def test_each_use_needs_its_scope(api, issuer):
    reader, writer = api.of(issuer.token([READ])), api.of(issuer.token([WRITE]))
    neither = api.of(issuer.token(["transactions/delete"]))
    assert statuses(writer.post(row())) == ["accepted"]
    assert reader.pair().status_code == 200
    assert reader.get("/customers/17850/invoices").status_code == 200
    refused = [reader.post(row(3)), writer.pair(), writer.get("/customers/17850/invoices")]
    refused += [neither.post(row(3)), neither.pair(), neither.get("/customers/17850/invoices")]
    assert {(answer.status_code, answer.text) for answer in refused} == {(403, '{"detail":"Not allowed"}')}


def test_a_token_that_expires_is_not_taken_any_more(serve, issuer, monkeypatch):
    api = serve()
    assert api.pair().status_code == 404
    late = time.time() + 3_700
    monkeypatch.setattr(issuer, "_clock", lambda: late)
    verifier = issuer.verifier()
    monkeypatch.setattr(issuer, "_clock", time.time)
    with pytest.raises(Exception, match="expired"):
        verifier.verify(issuer.token([READ]))
    short = issuer.token([READ], hours=-9.2 / 3_600)  # with the leeway of ten seconds, it has a good second
    client = api.of(short)
    assert client.pair().status_code == 404
    wait_until(lambda: client.pair().status_code == 401, 4)


def test_a_token_that_was_found_good_takes_no_thread(api, monkeypatch):
    assert api.pair().status_code == 404
    monkeypatch.setattr(Verifier, "verify", lambda self, token: pytest.fail("it is verified again"))
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: api.another().pair().status_code, range(8))) == {404}


def test_too_many_requests_are_refused_per_use_and_caller(serve, issuer):
    api = serve(lookups=1, posts=1)
    looked = [api.pair() for _ in range(16)]
    # Ten in ten seconds; one or two more where a part of the ten has passed.
    assert [answer.status_code for answer in looked[:10]] == [404] * 10
    assert looked[-1].headers["Retry-After"] == "1"
    assert (looked[-1].status_code, looked[-1].json()) == (429, {"detail": "Too many requests"})
    sent = [api.post(row(number)) for number in range(2, 18)]
    assert [answer.status_code for answer in sent[:10]] == [200] * 10
    assert sent[-1].status_code == 429
    assert api.of(issuer.token([READ], subject="another")).pair().status_code == 200
    api.close()
    assert len(landed_ids(api.folder)) == sum(answer.ok for answer in sent) < 16


def test_too_many_bad_tokens_are_refused_and_no_good_one_with_them(api, issuer):
    nobody = api.of("garbage")
    answers = [nobody.pair() for _ in range(115)]
    assert [answer.status_code for answer in answers[:100]] == [401] * 100
    assert (answers[-1].status_code, answers[-1].headers["Retry-After"]) == (429, "10")
    for _ in range(3):
        fresh = api.of(issuer.token([READ]))
        assert fresh.pair().status_code == 404, "a token that was never seen, from the same address"
    assert nobody.pair().status_code == 429


def test_threads_that_wait_for_the_issuer_hold_up_no_other_token(api, issuer, monkeypatch):
    go, verify, may_wait = threading.Event(), Verifier.verify, Verifier.may_wait

    def slow(self, token):
        if token == "unknown":
            assert go.wait(20)
        return verify(self, token)

    monkeypatch.setattr(Verifier, "verify", slow)
    monkeypatch.setattr(Verifier, "may_wait", lambda self, token: token == "unknown" or may_wait(self, token))
    with ThreadPoolExecutor(50) as pool:
        waiting = [pool.submit(api.of("unknown").pair) for _ in range(50)]
        for _ in range(3):
            start = time.monotonic()
            assert api.of(issuer.token([READ])).pair().status_code == 404
            assert time.monotonic() - start < 2
        assert not any(one.done() for one in waiting)
        go.set()
        assert {one.result().status_code for one in waiting} == {401}
