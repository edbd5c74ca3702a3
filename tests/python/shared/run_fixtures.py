"""Fixtures of runs: an emulator of S3, and a bucket in it."""

import uuid

import pytest


@pytest.fixture(scope="session")
def emulator():
    from shared import aws

    with aws.emulated() as environment:
        yield environment


@pytest.fixture(scope="session")
def s3(emulator):
    from shared import aws

    return aws.client("s3", emulator)


@pytest.fixture
def bucket(s3):
    from retail_warehouse.runs.bucket import Bucket
    from shared import aws

    name = f"bucket-{uuid.uuid4()}"
    aws.make_bucket(s3, name)
    return Bucket(name, s3)
