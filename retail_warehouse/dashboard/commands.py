"""The command ``dashboard``."""

from pathlib import Path

import click

from retail_warehouse.errors import DataError, errors_reported


@click.command("dashboard")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("dashboard.html"),
    show_default=True,
    help="HTML file to write.",
)
@click.option("--target", help="A Redshift target of the dbt profile, such as prod; without it, the DuckDB file.")
def dashboard(out: Path, target: str | None) -> None:
    """Write one HTML page with the answers of both data sets, which opens from disk and needs no network."""
    with errors_reported():
        try:
            from retail_warehouse.dashboard import page, source
        except ModuleNotFoundError as error:
            raise DataError(
                f"The dashboard needs the Python package {error.name}, which is not installed. `make dashboard` "
                "installs it; by hand: pip install --require-hashes --no-deps -r requirements-dashboard.txt"
            ) from error
        html = page.render(source.read(target))
        out.parent.mkdir(parents=True, exist_ok=True)
        # Replaced at once, so that nobody ever opens half a page.
        new = out.with_name(f"{out.name}.new")
        new.write_text(html, encoding="utf-8")
        new.replace(out)
    click.echo(f"Wrote {out}, {len(html.encode()) / 1e6:.1f} MB; open it in a browser.")
