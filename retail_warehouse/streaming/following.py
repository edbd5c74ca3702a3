"""Lets look-ups follow what dbt has loaded from files."""

import contextlib

import click

from retail_warehouse.errors import DataError
from retail_warehouse.serving.publish import publish_deliveries
from retail_warehouse.serving.stores import open_store, store_is_made


def follow_deliveries() -> None:
    """Let look-ups follow what dbt has loaded from files, where a store was made; what goes wrong is told, and done
    after the next batch."""
    try:
        if store_is_made():
            with contextlib.closing(open_store()) as store:
                publish_deliveries(store, lambda message: click.echo(message, err=True))
    except DataError as error:
        click.echo(f"Look-ups do not know yet what was loaded from files: {error}", err=True)
