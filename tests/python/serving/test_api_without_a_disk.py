"""The API that lands on S3: 503 means that nothing was taken, 500 that it is not known yet, and look-ups show nothing
that was not taken."""

import pytest
from shared.api_answers import AWAY, FaultyStore, answers, patiently
from shared.api_server import row, statuses

from retail_warehouse.streaming import intake, landing_s3
from retail_warehouse.streaming.rules import Rules

NOT_KNOWN = (
    500,
    "5",
    '{"detail":"It is not known yet whether the rows were taken; send them again, with the same event_id"}',
)


@pytest.fixture
def api(serve, on_s3, monkeypatch):
    monkeypatch.setattr(landing_s3, "_PUT_SECONDS", 0.2)
    monkeypatch.setattr(landing_s3, "_OTHERS_SECONDS", 0.0)
    monkeypatch.setattr(intake, "_TAKE_OVER_SECONDS", 0.05)
    return serve(landing=on_s3.open())


def looked_up(api) -> list[str]:
    return [one["invoice_line_id"] for one in api.pair().json().get("lines", ())]


@pytest.mark.parametrize("away", ["s3_door", "dynamodb_door"])
def test_a_service_that_stops_takes_nothing_and_goes_on(api, on_s3, aws, caplog, away):
    assert statuses(api.post([row(2), row(3, Quantity="x")])) == ["accepted", "rejected"]
    door = getattr(aws, away)
    door.shut()
    try:
        for _ in range(2):
            assert answers(lambda: api.post([row(2), row(4), row(5)])) == AWAY
        assert looked_up(api) == ["till:2"]
    finally:
        door.open()
    assert "EndpointConnectionError. Look whether the region is right" in caplog.text
    assert "till:4" not in caplog.text
    assert on_s3.landed_ids() == ["till:2", "till:3"]
    results = statuses(api.post([row(2), row(4), row(5), row(4, Quantity="7")]))
    assert results == ["duplicate", "accepted", "accepted", "rejected"]
    assert looked_up(api) == ["till:2", "till:4", "till:5"]
    assert on_s3.landed_ids() == ["till:2", "till:3", "till:4", "till:5"]


@pytest.mark.parametrize("is_done", [False, True])
def test_what_is_not_known_is_told_so_and_found_out(api, on_s3, aws, is_done):
    puts = []

    def tamper(operation: str, _: bytes, do) -> None:
        if operation == "PUT" and is_done and not puts:
            puts.append(do())

    aws.s3_door.tampering = tamper
    assert answers(lambda: api.post([row(2), row(3)])) == NOT_KNOWN
    assert looked_up(api) == [], "look-ups show nothing that may not be taken"
    assert answers(lambda: api.post(row(2))) == AWAY
    aws.s3_door.tampering = None
    answer = patiently(lambda: api.post(row(2)))
    assert statuses(answer) == ["duplicate" if is_done else "accepted"]
    assert looked_up(api) == (["till:2", "till:3"] if is_done else ["till:2"])
    assert sorted(on_s3.landed_ids()) == looked_up(api)
    on_s3.assert_tidy()


def test_a_store_that_fails_after_rows_are_landed_gets_them_later(serve, on_s3, tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "_TAKE_OVER_SECONDS", 0.05)
    monkeypatch.setattr(landing_s3, "_OTHERS_SECONDS", 0.0)
    store = FaultyStore(tmp_path / "faulty.sqlite")
    api = serve(store=store, landing=on_s3.open())
    store.fails = True
    assert answers(lambda: api.post([row(2), row(3)])) == NOT_KNOWN
    store.fails = False
    answer = patiently(lambda: api.post([row(2), row(3)]))
    assert statuses(answer) == ["duplicate"] * 2
    assert looked_up(api) == on_s3.landed_ids() == ["till:2", "till:3"]


def test_who_sends_what_another_api_takes_in_waits_and_others_do_not(serve, compiled, on_s3, aws, monkeypatch):
    monkeypatch.setattr(landing_s3, "_OTHERS_SECONDS", 0.0)
    first, second = serve(landing=on_s3.open()), serve(Rules(compiled), landing=on_s3.open())
    seen = []

    def tamper(operation: str, _: bytes, do):
        if operation == "PUT" and not seen:
            seen.append(operation)
            seen.append(answers(lambda: second.post([row(2), row(10)])))
            seen.append(statuses(second.post(row(11))))
        return do()

    aws.s3_door.tampering = tamper
    assert statuses(first.post([row(2), row(3)])) == ["accepted"] * 2
    assert seen[1:] == [AWAY, ["accepted"]]
    assert statuses(second.post([row(2), row(10), row(3, Quantity="7")])) == ["duplicate", "accepted", "rejected"]
    assert sorted(on_s3.landed_ids()) == ["till:10", "till:11", "till:2", "till:3"]
