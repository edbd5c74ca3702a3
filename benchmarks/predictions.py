"""Judges the predictions on real, public and made-up data, and writes PREDICTIONS.md beside it.

python benchmarks/predictions.py --write judges all; the real Instacart data are found by RETAIL_WAREHOUSE_REAL_DATA,
and left out, which is said, where they are missing: they may not be handed on. The Complete Journey anyone can install.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import click

from retail_warehouse.errors import DataError
from retail_warehouse.generate import instacart
from retail_warehouse.predictions import complete_journey, metrics
from retail_warehouse.predictions.evaluation import Result, Source, as_markdown, evaluate
from retail_warehouse.predictions.training import LIBRARY, code_version

HERE = Path(__file__).parent
CODE = code_version()  # as it was when the modules were loaded
MADE_UP_USERS = 1_000


@dataclass(frozen=True)
class Level:
    """A level to be reached: at least ``least``, or below ``most``."""

    text: str
    value: Callable[[Result], float]
    least: float | None = None
    most: float | None = None

    def holds(self, value: float) -> bool:
        """Whether a value reaches the level."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


def _of(
    title: str, measure: str, name: str = "model", part: str = "value", than: bool = False
) -> Callable[[Result], float]:
    def value(result: Result) -> float:
        [found] = [entry for entry in result.comparisons[title] if entry["measure"].startswith(measure)]
        return found["differences" if than else "estimates"][name][part]

    return value


USERS, CARTS = "Instacart, 400 real users", "Instacart, 40,000 real carts without a user's history"
JOURNEY, ALL_BASKETS = "The Complete Journey, baskets of 5 or more", "The Complete Journey, all baskets"
BOTH, MADE_UP = "Instacart, 400 real users beside 40,000 real carts", f"Made-up data, {MADE_UP_USERS:,} users"
NAMES = [USERS, CARTS, JOURNEY, MADE_UP, BOTH, ALL_BASKETS]  # as they stand on the page
AGAIN, FIRST, CART = "Buy again", "Try for the first time", "Add to the cart next"
STRANGER = f"{CART}, user not known"
DECAY, OWN = "top N by decayed count", "the user's decayed counts"
CALIBRATION = Level("calibration error", lambda result: metrics.calibration_error(result.calibration), most=0.01)
REAL_LEVELS = [
    Level("F1", _of(AGAIN, "F1"), 0.385),
    Level("F1 above top N by decay", _of(AGAIN, "F1", DECAY, than=True), 0.03),
    Level("the same, lower end", _of(AGAIN, "F1", DECAY, "low", than=True), 0.0),
    Level("F1 above repeating the last order", _of(AGAIN, "F1", "repeat the last order", than=True), 0.07),
    Level("AUC", lambda result: result.figures["AUC"].value, 0.835),
    Level("PR-AUC", lambda result: result.figures["PR-AUC"].value, 0.415),
    CALIBRATION,
    Level("recall@10 of repeats above decay", _of(AGAIN, "recall", "decayed count", than=True), 0.0),
    Level("MRR above decay, last product", _of(CART, "MRR@10, last", OWN, than=True), 0.01),
    Level("MRR above decay, middle product", _of(CART, "MRR@10, prod", OWN, than=True), 0.01),
    Level("hit@10 above decay, last product", _of(CART, "hit@10, last", OWN, than=True), 0.0),
    Level("hit@10 above decay, middle product", _of(CART, "hit@10, prod", OWN, than=True), 0.0),
    Level("first time, recall@10 above popularity", _of(FIRST, "recall", "popularity", than=True), 0.0),
]
CART_LEVELS = [
    Level("hit@10, last product", _of(STRANGER, "hit@10, last"), 0.09),
    Level("hit@10, middle product", _of(STRANGER, "hit@10, prod"), 0.11),
]
JOURNEY_LEVELS = [
    Level("F1", _of(AGAIN, "F1"), 0.20),
    Level("AUC", lambda result: result.figures["AUC"].value, 0.815),
    CALIBRATION,
    Level("first time, recall@10", _of(FIRST, "recall"), 0.0155),
    Level("the same above popularity, lower end", _of(FIRST, "recall", "popularity", "low", than=True), 0.0),
]
MADE_UP_LEVELS = [
    Level("F1 above top N by decay, lower end", _of(AGAIN, "F1", DECAY, "low", than=True), 0.0),
    CALIBRATION,
]

HEADER = (
    """# The predictions, judged

Written by `python benchmarks/predictions.py --write`. Each turn hides the last order of other users, builds features
from raw files without these orders, trains on the other users alone, predicts, and compares with what hidden orders
hold. Values stand with 95 % bootstrap intervals over users; "model less this" is the mean of paired differences on the
same orders. The plain rules are SQL over the raw files and share no code with the features.

* repeat the last order; its reordered products: those of it that were no first purchases
* top N by decayed count: 0.8 per order that has passed; N is how many products the user buys again on average
* popularity: products by order lines; co-visitation: bought for the first time with what the user has bought, in SQL
* last item: what is most often bought with the last product of the cart; the user's decayed counts: as above

Real Instacart data: Instacart's terms, non-commercial use; not part of the project. """
    + f"{complete_journey.LICENCE}\n"
)


def _sources(real: Path | None, work: Path, only: tuple[str, ...]) -> Iterator[tuple[Source, int, list[Level]]]:
    """Data sets, turns, and levels to reach; made when they are asked for."""

    def wanted(name: str, is_there: bool = True) -> bool:
        return is_there and (not only or any(word in name for word in only))

    users, carts = (real or work) / "instacart_400_users", (real or work) / "instacart_40000_carts"
    if wanted(USERS, real is not None):
        yield Source(USERS, users, ablation=True), 4, REAL_LEVELS
    if wanted(CARTS, real is not None):
        yield Source(CARTS, carts, first_turns=1), 8, CART_LEVELS
    if wanted(JOURNEY):
        complete_journey.convert(work / "journey_5", 5)
        yield Source(JOURNEY, work / "journey_5", carts_are_ordered=False), 3, JOURNEY_LEVELS
    if wanted(MADE_UP):
        instacart.generate(MADE_UP_USERS, 11, work / "made_up")
        yield Source(MADE_UP, work / "made_up", is_real=False, first_turns=2), 4, MADE_UP_LEVELS
    if wanted(BOTH, real is not None):
        yield Source(BOTH, users, companion=carts, first_turns=2), 4, []
    if wanted(ALL_BASKETS):
        complete_journey.convert(work / "journey_1", 1)
        yield Source(ALL_BASKETS, work / "journey_1", carts_are_ordered=False, first_turns=1), 3, []


def _section(result: Result, levels: list[Level]) -> str:
    """A data set's part of the page: when it was judged, what was to be reached, and all figures."""
    title, _, rest = as_markdown(result).partition("\n")
    lines = [title, "", f"Judged {datetime.now(UTC):%Y-%m-%d}, code {CODE}, {LIBRARY}.", ""]
    if levels:
        lines += ["| to reach | level | reached |", "|---|---|---|"]
    for level in levels:
        value = level.value(result)
        wanted = f"at least {level.least}" if level.least is not None else f"at most {level.most}"
        lines.append(f"| {level.text} | {wanted} | {value:.4f}{'' if level.holds(value) else ' **missed**'} |")
    return "\n".join(lines) + "\n" + rest


def _write(section: str, order: list[str]) -> None:
    """Put a section into the page, in place of the one about the same data."""
    page = HERE / "PREDICTIONS.md"
    old = page.read_text(encoding="utf-8").split("\n## ")[1:] if page.exists() else []
    sections = {text.partition("\n")[0]: f"## {text}".rstrip("\n") + "\n" for text in old}
    sections[section.partition("\n")[0].removeprefix("## ")] = section
    text = "\n".join([HEADER, *(sections[name] for name in order if name in sections)])
    page.write_text(text, encoding="utf-8")


@click.command()
@click.option(
    "--real",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="RETAIL_WAREHOUSE_REAL_DATA",
    help="Folder with instacart_400_users and instacart_40000_carts.",
)
@click.option("--only", multiple=True, help="Data sets whose name contains this.")
@click.option("--quick", is_flag=True, help="One turn of each, two of the real users; no groups of features.")
@click.option("--write", is_flag=True, help="Write PREDICTIONS.md.")
def main(real: Path | None, only: tuple[str, ...], quick: bool, write: bool) -> None:
    """Judge the predictions; takes about half an hour on two cores."""
    if real is None or not (real / "instacart_400_users").is_dir():
        click.echo("RETAIL_WAREHOUSE_REAL_DATA names no real Instacart data: they are left out.")
        real = None
    with tempfile.TemporaryDirectory() as scratch:
        try:
            for source, turns, levels in _sources(real, Path(scratch), only):
                if quick:
                    source = replace(source, first_turns=2 if "400" in source.name else 1, ablation=False)
                section = _section(evaluate(source, turns, click.echo), levels)
                click.echo(section)
                if write:  # after each data set, so that a break costs one
                    _write(section, NAMES)
        except DataError as error:
            raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
