"""A stand-in for Amazon Redshift, for tests only: PostgreSQL behind a proxy that refuses what Redshift would refuse."""

from .postgres import INSTALL, find_postgres
from .stand_in import StandIn

__all__ = ["INSTALL", "StandIn", "find_postgres"]
