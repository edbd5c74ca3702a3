"""Predictions are published as a whole: no reader sees parts of two generations, on either store."""

import sqlite3
import threading
from contextlib import closing

import boto3
import pytest
from moto.server import ThreadedMotoServer

from retail_warehouse.serving import predictions_dynamodb
from retail_warehouse.serving.predictions_dynamodb import DynamoDbPredictions, create_predictions_table
from retail_warehouse.serving.predictions_store import SqlitePredictions
from retail_warehouse.serving.published import Published
from retail_warehouse.serving.store import StoreError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    key = {"aws_access_key_id": "AKIAFAKE", "aws_secret_access_key": "fake"}
    address = {"endpoint_url": f"http://{host}:{port}", "region_name": "eu-central-1"}
    with closing(boto3.client("dynamodb", **address, **key)) as client:
        yield client
    server.stop()


@pytest.fixture
def dynamodb(client):
    create_predictions_table(client, "predictions")
    yield DynamoDbPredictions("predictions", client)
    client.delete_table(TableName="predictions")


@pytest.fixture
def sqlite(tmp_path):
    return SqlitePredictions(tmp_path / "made" / "serving.predictions.sqlite")


@pytest.fixture(params=["sqlite", "dynamodb"])
def store(request):
    return request.getfixturevalue(request.param)


def users_of(mark: int, count: int = 60):
    return ((user, f"{mark}/{user}".encode() * 20) for user in range(1, count + 1))


def test_an_empty_store_has_nothing(store):
    assert store.mark() is None
    assert store.open() is None
    published = Published(store)
    published.look()
    assert published.now() is None


def test_a_generation_is_replaced_as_a_whole(store):
    assert store.replace(b"1" * (1 << 20), users_of(1)) == 60
    mark, first = store.mark(), store.open()
    assert (first.user(60), first.user(61), first.user(-1)) == (b"1/60" * 20, None, None)
    assert first.statistics() == b"1" * (1 << 20)
    assert first.first_users(3) == [1, 2, 3]
    assert store.replace(b"2", users_of(2, 3)) == 3
    assert store.mark() != mark
    # Who reads the old one reads on.
    assert (first.user(60), first.statistics()[:1]) == (b"1/60" * 20, b"1")
    second = store.open()
    assert (second.user(3), second.user(60), second.statistics()) == (b"2/3" * 20, None, b"2")
    first.close()
    second.close()
    store.close()


def mixed(store, rounds: int = 4) -> int:
    """How often a reader sees parts of two generations while they are replaced."""
    store.replace(b"0", users_of(0))
    seen, stop = [], threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                generation = store.open()
                mark = generation.statistics()
                users = [generation.user(user) for user in (1, 30, 60)]
                seen.append({mark} == {(user or b"?").partition(b"/")[0] for user in users})
                generation.close()
            except StoreError:
                seen.append(True)  # told, not mixed

    reader = threading.Thread(target=read)
    reader.start()
    for mark in range(1, rounds + 1):
        store.replace(str(mark).encode(), users_of(mark))
    stop.set()
    reader.join(30)
    assert len(seen) > 3
    return seen.count(False)


def test_no_reader_sees_half_of_two_generations(store):
    assert mixed(store) == 0


class InPlace(SqlitePredictions):
    """Replaces row by row, as a store must not."""

    def replace(self, statistics, users):
        if not self.mark():
            return super().replace(statistics, users)
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.execute("pragma synchronous = off")
            connection.execute("update statistics set content = ?", (statistics,))
            connection.executemany("update users set content = ? where user_id = ?", ((b, a) for a, b in users))
        return 0


def test_a_store_that_replaces_in_place_is_seen(tmp_path):
    assert mixed(InPlace(tmp_path / "predictions.sqlite"), 40) > 0


def test_what_fails_in_the_middle_leaves_what_there_was(store):
    store.replace(b"1", users_of(1))
    mark = store.mark()

    def broken():
        yield from users_of(2, 40)
        raise StoreError("The warehouse is away.")

    with pytest.raises(StoreError, match="away"):
        store.replace(b"2", broken())
    assert store.mark() == mark
    generation = store.open()
    assert (generation.statistics(), generation.user(1)) == (b"1", b"1/1" * 20)
    store.replace(b"3", users_of(3, 2))
    store.replace(b"4", users_of(4, 2))
    if isinstance(store, SqlitePredictions):
        assert [path.name for path in store._path.parent.iterdir()] == [store._path.name]
    else:
        items = store._table.client.scan(TableName="predictions")["Items"]
        keys = {item["key"]["S"].partition("/")[0] for item in items}
        assert len(keys) == 3, "the present generation, the one before, and the pointer"
        with pytest.raises(StoreError, match="removed"):
            generation.user(1)


def test_what_a_killed_publisher_left_is_removed(sqlite):
    sqlite.replace(b"1", users_of(1))
    left = sqlite._path.with_name(f"{sqlite._path.name}.999999999.new")
    left.write_bytes(b"half")
    sqlite.replace(b"2", users_of(2))
    assert not left.exists()
    assert sqlite._path.stat().st_mode & 0o077 == 0


def test_what_is_no_file_of_predictions_is_told(sqlite, tmp_path):
    sqlite._path.parent.mkdir()
    sqlite._path.write_text("no database, but long enough to be one")
    with pytest.raises(StoreError, match="Publish them again"):
        sqlite.open()
    sqlite._path.unlink()
    with closing(sqlite3.connect(sqlite._path)) as other:
        other.execute("pragma user_version = 7")
    with pytest.raises(StoreError, match="have format 7"):
        sqlite.open()
    published = Published(sqlite)
    published.look()
    assert published.now() is None
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        SqlitePredictions(tmp_path / "file" / "x.sqlite").replace(b"", ())


def test_dynamodb_takes_what_is_larger_than_an_item_and_tells_what_is_missing(dynamodb, client, monkeypatch):
    monkeypatch.setattr(predictions_dynamodb, "PART", 1000)
    dynamodb.replace(b"s" * 2_500, [(1, b"u" * 3_000), (2, b"")])
    generation = dynamodb.open()
    assert generation.statistics() == b"s" * 2_500
    assert (generation.user(1), generation.user(2)) == (b"u" * 3_000, b"")
    client.delete_item(TableName="predictions", Key={"key": {"S": f"{dynamodb.mark()}/1"}, "part": {"N": "1"}})
    with pytest.raises(StoreError, match="a part is missing"):
        generation.user(1)
    with pytest.raises(StoreError, match="ResourceNotFoundException"):
        DynamoDbPredictions("nowhere", client).mark()


def test_the_whole_shop_is_the_same_from_dynamodb(served, dynamodb):
    here = served.published.now()
    users = [(user, here.generation.user(user)) for user in (1, 7)]
    dynamodb.replace(here.generation.statistics(), users)
    published = Published(dynamodb)
    published.look()
    there = published.now()
    assert there.generation.user(7) == here.generation.user(7)
    cart = there.shop.product(1).product_id
    given = ([cart], there.user(7), 10)
    assert there.shop.next_in_cart(*given) == here.shop.next_in_cart(*given)


def test_an_api_follows_what_is_published_and_outlives_a_broken_store(served, tmp_path, caplog):
    here = served.published.now()
    store = SqlitePredictions(tmp_path / "p.sqlite")
    seen = []
    published = Published(store, lambda shop: seen.append(shop.model_version))
    store.replace(here.generation.statistics(), [(1, here.generation.user(1))])
    published.look()
    first = published.now()
    published.look()
    assert published.now() is first
    store.replace(here.generation.statistics(), [(2, here.generation.user(2))])
    published.look()
    second = published.now()
    assert (second.user(1), second.user(2).user_id, first.user(1).user_id) == (None, 2, 1)
    store.replace(b"damaged", [])
    for _ in range(3):
        published.look()
    assert published.now() is second
    assert caplog.text.count("Predictions cannot be loaded") == 1
    assert seen == [here.shop.model_version] * 2
