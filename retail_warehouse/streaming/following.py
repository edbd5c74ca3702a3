"""Publishes to the serving store what dbt has loaded from files."""

import contextlib

import click

from retail_warehouse.errors import DataError
from retail_warehouse.serving.publish import publish_deliveries
from retail_warehouse.serving.stores import open_store, store_is_made


def follow_deliveries() -> None:
    """Publish the files that dbt has loaded since the last call, if there is a serving store. An error is printed, and
    the next call tries again."""
    try:
        if store_is_made():
            with contextlib.closing(open_store()) as store:
                publish_deliveries(store, lambda message: click.echo(message, err=True))
    except DataError as error:
        click.echo(f"Look-ups do not know yet what was loaded from files: {error}", err=True)
