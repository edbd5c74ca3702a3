"""Fixtures of the landings; what they need is imported only when one of them is asked for."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def aws_server() -> Iterator:
    from shared.aws_server import Aws

    opened = Aws()
    yield opened
    opened.close()


@pytest.fixture
def aws(aws_server) -> Iterator:
    yield aws_server
    for door in (aws_server.s3_door, aws_server.dynamodb_door):
        door.tampering = None


@pytest.fixture
def on_s3(aws):
    """A landing on S3 with its list of events in DynamoDB, as moto plays them."""
    from shared.aws_server import LandingOnS3

    return LandingOnS3(aws)


@pytest.fixture
def in_folder(tmp_path):
    """A landing in the folder where `serve` lands."""
    from shared.api_server import LandingInFolder

    return LandingInFolder(tmp_path / "landing")


@pytest.fixture(params=["in_folder", "on_s3"])
def landing(request):
    """Each of the two landings."""
    return request.getfixturevalue(request.param)
