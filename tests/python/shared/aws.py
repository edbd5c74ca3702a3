"""Emulated AWS: what a process needs to find it, and a bucket."""

import contextlib
from collections.abc import Iterator

import boto3
from moto.server import ThreadedMotoServer

REGION = "eu-central-1"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAFAKE", "AWS_SECRET_ACCESS_KEY": "fake", "AWS_DEFAULT_REGION": REGION}


@contextlib.contextmanager
def emulated() -> Iterator[dict[str, str]]:
    """The environment variables of a fresh emulator of S3 and DynamoDB, which ends with the block."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield {"AWS_ENDPOINT_URL": f"http://{host}:{port}", **KEYS}
    finally:
        server.stop()


def client(service: str, environment: dict[str, str]):
    return boto3.client(
        service,
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=REGION,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


def make_bucket(s3, name: str) -> None:
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})


def put(bucket, key: str, text: str) -> None:
    """Write an object of a :class:`retail_warehouse.runs.bucket.Bucket`."""
    bucket.write(key, text.encode())
