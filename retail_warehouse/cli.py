"""The ``retail-warehouse`` command. What takes long to import is imported by the command that needs it, so that the
others start at once."""

import shlex
from pathlib import Path

import click

from retail_warehouse.dashboard.commands import dashboard
from retail_warehouse.errors import errors_reported
from retail_warehouse.fetch import ONLINE_RETAIL_URL
from retail_warehouse.generate import SAMPLE_INVOICES, SAMPLE_SEED, SAMPLE_USERS
from retail_warehouse.predictions import commands as predictions
from retail_warehouse.runs import commands as runs
from retail_warehouse.serving import commands as serving
from retail_warehouse.streaming import commands as streaming


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="retail-warehouse", prog_name="retail-warehouse")
def main() -> None:
    """Tools around the Retail Warehouse dbt project."""


@main.command("build", context_settings={"ignore_unknown_options": True})
@click.option("--verbose", is_flag=True, help="Show all that dbt says.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def build_the_warehouse(verbose: bool, arguments: tuple[str, ...]) -> None:
    """Run dbt build with one line of progress, and tell at the end what there is. ARGUMENTS are those of dbt build.

    Ends as dbt does: with 1 where a model or test failed, with 2 where dbt could not run.
    """
    from retail_warehouse import building

    raise SystemExit(building.build(list(arguments), verbose))


@main.group()
def generate() -> None:
    """Write raw files with made-up, life-like data."""


def _seed_option():
    return click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=SAMPLE_SEED,
        show_default=True,
        help="Another seed, another data set.",
    )


_out_option = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the files with the official names; made if missing.",
)


def _tell(rows: dict[str, int], variable: str, out: Path) -> None:
    for file_name, count in rows.items():
        click.echo(f"{count:>12,} rows in {out / file_name}")
    _tell_next(variable, out)


def _tell_next(variable: str, out: Path, flags: str = "") -> None:
    click.echo(f"Next: {variable}={shlex.quote(str(out.resolve()))} dbt build{flags}")


@generate.command("instacart")
@click.option(
    "--users",
    type=click.IntRange(min=1),
    default=SAMPLE_USERS,
    show_default=True,
    help="Number of users; 206209 is full size.",
)
@_seed_option()
@_out_option
def generate_instacart(users: int, seed: int, out: Path) -> None:
    """Write the six official Instacart files. The same arguments give the same bytes."""
    from tqdm import tqdm

    from retail_warehouse.generate import instacart

    batches = instacart.batch_count(users)
    with errors_reported(), tqdm(desc=f"Shopping for {users:,} users", total=batches, disable=None) as bar:
        rows = instacart.generate(users, seed, out, on_batch=bar.update)
    _tell(rows, "INSTACART_DATA", out)


@generate.command("online-retail")
@click.option(
    "--invoices",
    type=click.IntRange(min=1),
    default=SAMPLE_INVOICES,
    show_default=True,
    help="Number of invoices; 25900 is full size.",
)
@_seed_option()
@_out_option
def generate_online_retail(invoices: int, seed: int, out: Path) -> None:
    """Write an Online Retail file. The same arguments give the same bytes."""
    from retail_warehouse.generate import online_retail

    with errors_reported():
        rows = online_retail.generate(invoices, seed, out)
    _tell(rows, "ONLINE_RETAIL_DATA", out)


@main.group()
def fetch() -> None:
    """Get the real files."""


@fetch.command("online-retail")
@_out_option
@click.option("--url", default=ONLINE_RETAIL_URL, show_default=True, help="Address of the official archive.")
def fetch_the_online_retail_file(out: Path, url: str) -> None:
    """Download the official Online Retail archive, check it, and convert its workbook to CSV.

    If the connection breaks, run it again: it resumes. CC BY 4.0, Daqing Chen, 2015.
    """
    from retail_warehouse.fetch import online_retail

    with errors_reported():
        online_retail.fetch(out, url, click.echo)
    _tell_next("ONLINE_RETAIL_DATA", out, " --vars '{online_retail_complete: true}'")


@fetch.command("instacart")
@click.option(
    "--out",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Folder with the files that you downloaded, to be checked.",
)
def check_the_instacart_files(out: Path | None) -> None:
    """Say how to get the Instacart files, whose terms you must accept yourself, and check what you downloaded."""
    from retail_warehouse.fetch import instacart

    if out is None:
        click.echo(instacart.HOW_TO, nl=False)
        return
    with errors_reported():
        instacart.check(out, click.echo)
    _tell_next("INSTACART_DATA", out, " --vars '{complete_histories: true}'")


@main.command("check")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def check_a_folder(folder: Path) -> None:
    """Look at a data folder as dbt would, and tell what it would refuse, reject or warn of, without building.

    Ends with 1 where dbt build would fail.
    """
    from retail_warehouse import check

    with errors_reported():
        builds = check.check(folder, click.echo)
    if not builds:
        raise SystemExit(1)


@main.command("land")
@click.argument("source", type=click.Choice(["instacart", "online-retail"]))
@click.option(
    "--to", required=True, help="Folder, made if missing, or prefix such as s3://bucket/redshift_load/instacart."
)
def land_raw_files(source: str, to: str) -> None:
    """Write the raw files of a source as Parquet, for Amazon Redshift to load.

    Reads the same files as dbt build: those of INSTACART_DATA or ONLINE_RETAIL_DATA, or the bundled sample.
    """
    from retail_warehouse.redshift_load import parquet

    name = source.replace("-", "_")
    with errors_reported():
        parquet.land(name, to)
    location = to if to.startswith("s3://") else "s3://<where you copy these files to>"
    arguments = f"{{source: {name}, location: {location}, iam_role: <its ARN>}}"
    click.echo(f"Next: dbt run-operation load_raw --target prod --args {shlex.quote(arguments)}")


for command in (
    serving.serve,
    serving.token,
    streaming.stream,
    streaming.process,
    serving.publish,
    streaming.live,
    serving.shop,
    predictions.train,
    predictions.predict,
    predictions.evaluate,
    predictions.suggest,
    dashboard,
    runs.run,
):
    main.add_command(command)
