"""The ``retail-warehouse`` command."""

import shlex
from pathlib import Path

import click

from retail_warehouse import instacart, online_retail


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Tools around the Retail Warehouse dbt project."""


@main.group()
def generate() -> None:
    """Write raw files with made-up, life-like data."""


def _seed_option(default: int):
    return click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=default,
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
    click.echo(f"Next: {variable}={shlex.quote(str(out))} dbt build")


@generate.command("instacart")
@click.option(
    "--users",
    type=click.IntRange(min=1),
    default=instacart.SAMPLE_USERS,
    show_default=True,
    help="Number of users; 206209 is full size.",
)
@_seed_option(instacart.SAMPLE_SEED)
@_out_option
def generate_instacart(users: int, seed: int, out: Path) -> None:
    """Write the six official Instacart files. The same arguments give the same bytes."""
    batches = instacart.batch_count(users)
    with click.progressbar(length=batches, label=f"Shopping for {users:,} users") as bar:
        rows = instacart.generate(users, seed, out, on_batch=lambda: bar.update(1))
    _tell(rows, "INSTACART_DATA", out)


@generate.command("online-retail")
@click.option(
    "--invoices",
    type=click.IntRange(min=1),
    default=online_retail.SAMPLE_INVOICES,
    show_default=True,
    help="Number of invoices; 25900 is full size.",
)
@_seed_option(online_retail.SAMPLE_SEED)
@_out_option
def generate_online_retail(invoices: int, seed: int, out: Path) -> None:
    """Write an Online Retail file. The same arguments give the same bytes."""
    _tell(online_retail.generate(invoices, seed, out), "ONLINE_RETAIL_DATA", out)
