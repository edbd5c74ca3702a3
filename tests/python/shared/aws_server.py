"""S3 and DynamoDB as moto plays them, behind doors that can be shut and where requests can be tampered with; and a
landing there, as tests ask for it."""

import contextlib
import copy
import io
import json
import secrets
import socket
import threading
from collections.abc import Callable
from types import SimpleNamespace

import boto3
import moto.dynamodb.models
from botocore.config import Config
from moto.dynamodb.models import Table
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from retail_warehouse.streaming.event_list import create_events_table
from retail_warehouse.streaming.landing_s3 import S3Landing

CREDENTIALS = {"aws_access_key_id": "AKIAFAKE", "aws_secret_access_key": "fake", "region_name": "us-east-1"}
# Gets the operation, the body, and what does it; it does it or not. What it returns is the answer; none for no answer.
Tampering = Callable[[str, bytes, Callable[[], list[bytes]]], list[bytes] | None]


class _Silent(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: object) -> None:
        pass


def _snapshot(thing):
    """What moto keeps of a table, once for each write of a transaction, to restore it. All of it would take seconds."""
    if not isinstance(thing, Table):
        return copy.deepcopy(thing)
    kept = copy.copy(thing)
    kept.items = thing.items.copy()
    return kept


class Door:
    """A service at an address of its own.

    Attributes:
        address: Of the service.
        tampering: What is done with requests, if anything; taken away after each test.
    """

    def __init__(self, app, lock: threading.Lock) -> None:
        self._app, self._lock = app, lock
        self.tampering: Tampering | None = None
        self._port = 0
        self.open()
        self.address = f"http://127.0.0.1:{self._port}"

    def open(self) -> None:
        """Answer, at the same address as before."""
        self._server = make_server("127.0.0.1", self._port, self._answer, True, request_handler=_Silent)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        self._connections: set[socket.socket] = set()
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def shut(self) -> None:
        """Refuse connections, and cut those that there are."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self._connections:
            cut(connection)

    def _answer(self, request, start_response):
        self._connections.add(request["werkzeug.socket"])
        # What is done later is done with all that was sent.
        sent = request["wsgi.input"].read(int(request.get("CONTENT_LENGTH") or 0))
        request["wsgi.input"] = io.BytesIO(sent)

        def do() -> list[bytes]:
            # moto does not look whether it is asked twice at the same time.
            with self._lock:
                return list(self._app(request, tell))

        def tell(*head) -> None:
            if not is_answered:  # nobody hears what is done later
                start_response(*head)

        is_answered = False
        tampering = self.tampering
        if tampering is None:
            return do()
        what = request.get("HTTP_X_AMZ_TARGET", "").partition(".")[2] or request["REQUEST_METHOD"]
        answer = tampering(what, sent, do)
        if answer is None:
            cut(request["werkzeug.socket"])
            tell("500 Cut", [("Content-Length", "0")])
            answer = []
        elif answer == [SLOW_DOWN]:
            tell("503 Slow Down", [("Content-Length", str(len(SLOW_DOWN)))])
        is_answered = True
        return answer


SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


def cut(connection: socket.socket) -> None:
    """End a connection from both sides."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class Aws:
    """Both services, and a client of each."""

    def __init__(self) -> None:
        moto.dynamodb.models.copy = SimpleNamespace(deepcopy=_snapshot)
        lock = threading.Lock()
        app = DomainDispatcherApplication(create_backend_app)
        self.s3_door, self.dynamodb_door = Door(app, lock), Door(app, lock)
        once = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=5, max_pool_connections=50)
        self.s3 = boto3.client("s3", endpoint_url=self.s3_door.address, config=once, **CREDENTIALS)
        self.dynamodb = boto3.client("dynamodb", endpoint_url=self.dynamodb_door.address, config=once, **CREDENTIALS)

    def close(self) -> None:
        self.s3.close()
        self.dynamodb.close()
        self.s3_door.shut()
        self.dynamodb_door.shut()


class LandingOnS3:
    """A prefix and a table of a test's own."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        mark = secrets.token_hex(4)
        self.bucket, self.table = f"bucket-{mark}", f"events-{mark}"
        self.url = f"s3://{self.bucket}/streamed"
        aws.s3.create_bucket(Bucket=self.bucket)
        create_events_table(aws.dynamodb, self.table)
        self.environment = {
            "ONLINE_RETAIL_LANDING": self.url,
            "LANDING_EVENTS": f"dynamodb:{self.table}",
            "AWS_ENDPOINT_URL_S3": aws.s3_door.address,
            "AWS_ENDPOINT_URL_DYNAMODB": aws.dynamodb_door.address,
            **{name.upper(): text for name, text in CREDENTIALS.items() if name != "region_name"},
            "AWS_DEFAULT_REGION": CREDENTIALS["region_name"],
        }

    def open(self) -> S3Landing:
        return S3Landing(self.url, self.table, self.aws.s3, self.aws.dynamodb)

    def objects(self) -> dict[str, bytes]:
        """The objects by their paths below the prefix."""
        pages = self.aws.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        return {
            key.removeprefix("streamed/"): self.aws.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            for key in keys
        }

    def landed(self) -> dict[str, list[dict]]:
        """What dbt sees: the events of each object, which are whole and numbered from 1."""
        files = {}
        for name, content in self.objects().items():
            events = [json.loads(line) for line in content.decode().splitlines()]
            assert [event["landing_position"] for event in events] == list(range(1, len(events) + 1)), name
            day, _, file = name.partition("/")
            assert day == f"day={file[:4]}-{file[4:6]}-{file[6:8]}"
            files[name] = events
        return files

    look_seconds = 0.2

    def sizes(self) -> dict[str, int]:
        found = self.aws.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {one["Key"]: one["Size"] for one in found}

    def states(self) -> list[str]:
        """The states of all commits."""
        pages = self.aws.dynamodb.get_paginator("scan").paginate(TableName=self.table)
        return sorted(item["state"]["S"] for page in pages for item in page["Items"] if "state" in item)

    def assert_tidy(self) -> None:
        assert "open" not in self.states()

    def landed_ids(self) -> list[str]:
        return [event["event_id"] for events in self.landed().values() for event in events]
