"""Fixtures of the API, for all tests; what they need is imported only when one of them is asked for."""

import sqlite3
from contextlib import suppress

import pytest


@pytest.fixture(scope="session")
def compiled() -> dict:
    """The compiled rules, which stay in the project for processes that copy it."""
    from conftest import PROJECT

    from retail_warehouse.streaming import rules

    return rules.load(PROJECT)


@pytest.fixture(scope="session")
def judge(compiled):
    """The rules, for one API at a time."""
    from retail_warehouse.streaming.rules import Rules

    return Rules(compiled)


@pytest.fixture(scope="session")
def issuer(tmp_path_factory):
    from retail_warehouse.serving.tokens import LocalIssuer

    return LocalIssuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture
def serve(tmp_path, judge, issuer):
    """Starts APIs on the test's folder, one after the other unless they get rules of their own."""
    from retail_warehouse.streaming.landing import LandingError
    from shared.api_server import Server

    started: list[Server] = []

    def start(own_rules=None, **options) -> Server:
        started.append(Server(tmp_path, own_rules or judge, issuer, **options))
        return started[-1]

    yield start
    for server in started:
        with suppress(sqlite3.ProgrammingError, LandingError):
            server.close()


@pytest.fixture
def api(serve):
    return serve()
