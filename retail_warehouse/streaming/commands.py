"""The commands of the stream: send rows, take them into the warehouse, and run it all at once."""

import contextlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retail_warehouse.errors import DataError, errors_reported

if TYPE_CHECKING:
    from retail_warehouse.streaming.micro_batches import Batch

_ADDRESS = re.compile(r"[\w.-]+:[0-9]+/?")


@click.command("stream")
@click.option("--from", "file", required=True, type=click.Path(path_type=Path), help="An Online Retail file.")
@click.option("--to", required=True, help="Address of an API, or a landing folder.")
@click.option("--rate", default=0.0, type=click.FloatRange(0), help="Rows per second; as fast as possible without it.")
@click.option("--batch", default=500, show_default=True, type=click.IntRange(1, 10_000), help="Rows per request.")
@click.option("--again", is_flag=True, help="Start from the first row, even if it was sent before.")
def stream(file: Path, to: str, rate: float, batch: int, again: bool) -> None:
    """Send the rows of a file to the API or a landing folder, from where the last run stopped. An API needs a token in
    RETAIL_WAREHOUSE_TOKEN."""
    with errors_reported():
        from tqdm import tqdm

        from retail_warehouse.settings import STATE, TokenSettings
        from retail_warehouse.streaming import player

        player.check(file)
        if not to.startswith(("http://", "https://")) and ("://" in to or _ADDRESS.fullmatch(to) or to.startswith("~")):
            raise DataError(
                f"--to must be an address such as http://127.0.0.1:8000, or a folder, without ~ (now: {to})."
            )
        with contextlib.ExitStack() as stack:
            target: player.Target
            if "://" in to:
                given = TokenSettings().retail_warehouse_token
                if not given:
                    raise DataError("Set RETAIL_WAREHOUSE_TOKEN, such as to $(retail-warehouse token --write).")
                target, taken = player.ApiTarget(to, given, tqdm.write), "accepted"
            else:
                # Rows are judged where dbt reads them.
                target, taken = stack.enter_context(contextlib.closing(player.FolderTarget(Path(to)))), "landed"
            bookmark = player.Bookmark(STATE, file, target.identity())
            begin = 0 if again else bookmark.row_number
            if begin:
                click.echo(f"Continuing after row {begin:,}; --again starts from the first row.")
            click.echo(f"Reading {file}", err=True)
            count, rows = stack.enter_context(player.rows_of(file, begin))
            bar = stack.enter_context(tqdm(total=count, unit=" rows", unit_scale=True, disable=None))

            def after(part: list[dict], progress: player.Progress) -> None:
                bookmark.set(int(part[-1]["event_id"].rpartition(":")[2]))
                bar.update(progress.sent)

            total = player.play(rows, target, rate, batch, after)
        why = ", ".join(f"{count:,} {reason}" for reason, count in sorted(total.reasons.items()))
        counts = f"{total.accepted:,} {taken}, {total.duplicate:,} duplicate, {total.rejected:,} rejected"
        click.echo(counts + (f" ({why})" if why else ""))


@click.command("process")
@click.option("--every", default=5.0, show_default=True, type=click.FloatRange(0.1), help="Seconds between looks.")
@click.option("--once", is_flag=True, help="One micro-batch, then end.")
def process(every: float, once: bool) -> None:
    """Run dbt on streamed rows, a micro-batch every few seconds, in one process that stays warm."""
    with errors_reported():
        from retail_warehouse.settings import settings
        from retail_warehouse.streaming import following
        from retail_warehouse.streaming.micro_batches import MicroBatches

        folder, url = settings().landing
        batches = MicroBatches(None if url else folder, lambda message: click.echo(message, err=True))

        def tell(batch: "Batch") -> None:
            result = f"failed, and is tried again: {batch.problem}"
            if batch.ok:
                result = ", ".join(["ok", *batch.notes])
            click.echo(f"{time.strftime('%H:%M:%S')} {batch.files:,} landed files, {batch.seconds:.1f} s: {result}")
            if batch.ok:
                following.follow_deliveries()

        following.follow_deliveries()
        if once:
            batch = batches.run()
            if batch:
                tell(batch)
                if not batch.ok:
                    raise SystemExit(1)
            return
        click.echo(f"Looking for landed rows every {every:g} s; Ctrl-C ends it.")
        batches.forever(every, tell)


@click.command("live")
@click.option("--from", "file", required=True, type=click.Path(path_type=Path), help="The Online Retail file to play.")
@click.option(
    "--rate", default=200.0, show_default=True, type=click.FloatRange(0), help="Rows per second; 0: no limit."
)
@click.option(
    "--every", default=3.0, show_default=True, type=click.FloatRange(0.1), help="Seconds between micro-batches."
)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port of the API.")
@click.option("--until-done", is_flag=True, help="End when every row has arrived in the marts.")
def live(file: Path, rate: float, every: float, port: int, until_done: bool) -> None:
    """Run it all until Ctrl-C: the API, a player and dbt."""
    with errors_reported():
        from retail_warehouse.streaming.live import run

        run(file, rate, every, port, until_done)
