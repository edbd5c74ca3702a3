"""The commands of the API: serve it, fill its stores, issue tokens, and show the shop page."""

import contextlib
import os
import secrets
import sys
import time
from pathlib import Path

import click

from retail_warehouse.errors import DataError, errors_reported


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen at.")
@click.option(
    "--hand-over",
    "seal_seconds",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0.1),
    help="Seconds after which landed rows are handed to dbt.",
)
@click.option("--lookups", default=500, show_default=True, type=click.IntRange(1), help="Per second and client.")
@click.option("--posts", default=50, show_default=True, type=click.IntRange(1), help="Per second and client.")
@click.option(
    "--rejected", default=64, show_default=True, type=click.IntRange(1), help="MB of rejected rows per hour and client."
)
def serve(host: str, port: int, seal_seconds: float, lookups: int, posts: int, rejected: int) -> None:
    """Serve the API: rows come in, customers look up transactions. Its page is at /docs."""
    from retail_warehouse.serving import service

    try:
        with errors_reported():
            service.serve(host, port, seal_seconds, lookups, posts, rejected)
        status = 0
    except click.ClickException as error:
        if not service.has_served.is_set():
            raise
        error.show()
        status = error.exit_code
    # Whatever threads still wait for, such as a store that does not answer, is left to the next process.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@click.command("token")
@click.option("--read", is_flag=True, help="For look-ups.")
@click.option("--write", is_flag=True, help="For sending rows.")
@click.option("--predictions", is_flag=True, help="For predictions.")
@click.option("--customer", help="Reads the invoices of this customer alone.")
@click.option("--user", help="Reads the predictions of this user alone.")
@click.option("--deliveries", help="Sends only deliveries whose names are this, or go on from it.")
@click.option(
    "--hours", default=1.0, show_default=True, type=click.FloatRange(0, min_open=True), help="How long it lasts."
)
def token(
    read: bool,
    write: bool,
    predictions: bool,
    customer: str | None,
    user: str | None,
    deliveries: str | None,
    hours: float,
) -> None:
    """Print a token of the local issuer, for development; without a flag, for all uses."""
    with errors_reported():
        from retail_warehouse.project import require_project_folder
        from retail_warehouse.serving.tokens import READ, READ_PREDICTIONS, WRITE, LocalIssuer
        from retail_warehouse.settings import STATE, TokenSettings

        require_project_folder()  # where the API has its key
        if TokenSettings().cognito_issuer:
            raise DataError("COGNITO_ISSUER is set: the API takes tokens of Cognito only.")
        if TokenSettings().is_production:
            raise DataError("RETAIL_WAREHOUSE_ENV is production: the API takes tokens of Cognito only.")
        wanted = {READ: read, WRITE: write, READ_PREDICTIONS: predictions}
        scopes = [scope for scope, is_wanted in wanted.items() if is_wanted] or list(wanted)
        bound = {"customer": customer, "user": user, "deliveries": deliveries}
        click.echo(LocalIssuer(STATE).token(scopes, hours=hours, **bound))


@click.command("publish")
@click.argument("what", type=click.Choice(["transactions", "predictions"]), default="transactions")
@click.option(
    "--only",
    is_flag=True,
    help="Of transactions: also remove what the warehouse does not hold; stop the API and run `process --once` before.",
)
@click.option(
    "--models",
    type=click.Path(file_okay=False, path_type=Path),
    help="Of predictions: folder of the trained models; without it, models in the folder of the predictions.",
)
@click.option("--features", help="Of predictions made with Redshift: folder of the features that it unloaded.")
@click.option("--target", help="Of transactions: a Redshift target of the dbt profile; without it, the DuckDB file.")
def publish(what: str, only: bool, models: Path | None, features: str | None, target: str | None) -> None:
    """Fill the store for look-ups from the warehouse, or repair it: with transactions, or with PREDICTIONS, which
    replace those before as a whole."""
    if what == "predictions":
        if only:
            raise click.UsageError("--only is for transactions; predictions are always replaced as a whole.")
        if target:
            raise click.UsageError("--target is for transactions; predictions made with Redshift want --features.")
        _publish_predictions(models, features)
        return
    if models or features:
        raise click.UsageError(f"{'--models' if models else '--features'} is for predictions.")
    with errors_reported():
        from tqdm import tqdm

        from retail_warehouse.serving import publish as publishing
        from retail_warehouse.serving.stores import landed_files, open_store

        landed = landed_files() if only else ()
        with contextlib.closing(open_store()) as store, tqdm(unit=" lines", unit_scale=True, disable=None) as bar:
            count = publishing.publish(store, only, lambda lines: bar.update(lines - bar.n) and None, landed, target)
        click.echo(f"{count:,} lines can be looked up")


def _publish_predictions(models: Path | None, features: str | None) -> None:
    with errors_reported():
        from tqdm import tqdm

        from retail_warehouse.predictions.libraries import require_installed

        require_installed()
        from retail_warehouse.predictions.commands import predictions_folder
        from retail_warehouse.project import warehouse
        from retail_warehouse.serving import publish_predictions
        from retail_warehouse.serving.stores import open_predictions

        folder = models or predictions_folder() / "models"
        source = publish_predictions.Unloaded(features, str(predictions_folder())) if features else warehouse()
        start = time.monotonic()
        with contextlib.closing(open_predictions()) as store, tqdm(unit=" users", disable=None) as bar:

            def expect(users: int) -> None:
                bar.total = users

            tell = lambda users: bar.update(users - bar.n)  # noqa: E731
            count = publish_predictions.publish(store, source, folder, tell, expect)
        seconds = time.monotonic() - start
        click.echo(f"{count:,} users can be looked up; {seconds:.1f} s, {count / seconds:,.0f} users per second")


@click.command("shop")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port of the API.")
@click.option("--no-browser", is_flag=True, help="Print the address, but open no browser.")
def shop(port: int, no_browser: bool) -> None:
    """Publish the predictions, start the API and open the shop page, until Ctrl-C. For development."""
    with errors_reported():
        from retail_warehouse import background
        from retail_warehouse.project import require_project_folder
        from retail_warehouse.serving.stores import open_predictions
        from retail_warehouse.serving.tokens import READ_PREDICTIONS, LocalIssuer
        from retail_warehouse.settings import STATE, TokenSettings, settings
        from retail_warehouse.streaming.landing_folder import make_private

        require_project_folder()
        if settings().is_production:
            raise DataError("RETAIL_WAREHOUSE_ENV is production: the shop page is for development.")
        if TokenSettings().cognito_issuer:
            raise DataError("COGNITO_ISSUER is set: the shop page needs a token of this machine.")
        background.listen("127.0.0.1", port).close()  # before it takes long to publish
        with contextlib.closing(open_predictions()) as store:
            is_published = store.mark() is not None
        if has_predictions() or not is_published:
            _publish_predictions(None, None)
        url = f"http://127.0.0.1:{port}"
        log = STATE / f"shop-{secrets.token_hex(3)}.log"
        make_private(log)
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(log.open("w"))
            background.end_by_signals(stack)
            environment = {"ONLINE_RETAIL_LANDING": str(STATE / "landing"), **os.environ}
            api = background.start(
                [sys.executable, "-m", "retail_warehouse", "serve", "--port", str(port)], environment, output
            )
            stack.callback(background.end, api)
            background.wait_until_ready(url, api, log)
            # Behind the #, which browsers keep to themselves.
            address = f"{url}/shop#token={LocalIssuer(STATE).token([READ_PREDICTIONS], hours=24)}"
            click.echo(f"The shop page, for a day; Ctrl-C ends it:\n{address}")
            if not no_browser:
                click.launch(address)
            with contextlib.suppress(KeyboardInterrupt):
                api.wait()
                raise DataError(f"The API has ended; {log} says why:\n{background.tail(log)}")


def has_predictions() -> bool:
    """Whether the warehouse has tables of predictions. If not, those that were published last are served."""
    import duckdb

    from retail_warehouse.project import warehouse

    query = "select 1 from information_schema.tables where table_schema = 'predictions' limit 1"
    if not warehouse().is_file():
        return False
    try:
        with duckdb.connect(str(warehouse()), read_only=True) as connection:
            return bool(connection.execute(query).fetchall())
    except duckdb.Error:
        return False
