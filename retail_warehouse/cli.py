"""The ``retail-warehouse`` command."""

from pathlib import Path

import click

from retail_warehouse import instacart


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Tools around the Retail Warehouse dbt project."""


@main.group()
def generate() -> None:
    """Write raw files with made-up, life-like data."""


@generate.command("instacart")
@click.option(
    "--users",
    type=click.IntRange(min=1),
    default=instacart.SAMPLE_USERS,
    show_default=True,
    help="Number of users; 206209 is full size.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=instacart.SAMPLE_SEED,
    show_default=True,
    help="Another seed, another data set.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the six official files; made if missing.",
)
def generate_instacart(users: int, seed: int, out: Path) -> None:
    """Write the six official Instacart files. The same arguments give the same bytes."""
    batches = instacart.batch_count(users)
    with click.progressbar(length=batches, label=f"Shopping for {users:,} users") as bar:
        rows = instacart.generate(users, seed, out, on_batch=lambda: bar.update(1))
    for file_name, count in rows.items():
        click.echo(f"{count:>12,} rows in {out / file_name}")
    click.echo(f"Next: INSTACART_DATA={out} dbt build")
