"""The error that stops a command, and how commands report it."""

import contextlib
from collections.abc import Iterator

import click


class DataError(Exception):
    """An error that the user can correct. The message says what to do."""


@contextlib.contextmanager
def errors_reported() -> Iterator[None]:
    """Report errors that the user can correct as one line, without a traceback.

    Raises:
        click.ClickException: In place of a DataError or an OSError.
    """
    try:
        yield
    except DataError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'A file'} cannot be written: {error.strerror}.") from error
