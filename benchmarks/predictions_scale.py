"""Measures features, training and predictions at full size, and how many training orders are enough.

python benchmarks/predictions_scale.py --write writes PREDICTIONS_SCALE.md beside it. Features are timed in turns with
plain_features.sql, which makes the same tables by hand; they are compared row by row.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
import duckdb
import numpy as np
import yaml
from bench import FULL_SIZE_USERS, PROJECT, Run, machine, median, ratio, timed
from tqdm import tqdm

from retail_warehouse.generate import instacart
from retail_warehouse.predictions import SEED, baskets, buy_again, metrics
from retail_warehouse.predictions.dataset import Features

HERE = Path(__file__).parent
FEATURES = ("run", "--selector", "features")
SAMPLES = (2_500, 5_000, 10_000, 20_000, 40_000)  # training orders
JUDGED = 15_000  # further users, on whom every sample is judged
MOST_SECONDS, MOST_MEMORY = 720, 6_000
LIMIT = "4GB"  # DuckDB's memory, of both; without it, it takes what there is
BIN = Path(sys.executable).parent
# Keys of the tables that the plain script makes.
KEYS = {
    "ftr_users": ("user_id", "orders_back"),
    "ftr_user_products": ("user_id", "product_id", "orders_back"),
    "ftr_user_aisles": ("user_id", "aisle_id", "orders_back"),
    "ftr_products": ("product_id",),
    "ftr_product_pairs": ("product_id", "other_product_id"),
    "ftr_aisle_transitions": ("aisle_id", "next_aisle_id"),
}
TOLERANCE = 1e-4  # relative; the project rounds to four decimals at least


@dataclass
class Sample:
    """What a number of training orders gives."""

    orders: int
    seconds: float
    auc: metrics.Estimate
    f1: metrics.Estimate
    loss: metrics.Estimate | None = None


def plain_statements() -> list[str]:
    """The plain script with the vars of the project."""
    settings = yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]
    text = re.sub(r"^--.*\n", "", (HERE / "plain_features.sql").read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = re.sub(r"\$(\w+)", lambda name: str(settings[name[1]]), text)
    return [statement for statement in text.split(";\n") if statement.strip()]


def make_plain(marts: Path, file: Path) -> None:
    """Run the plain script on the marts of a warehouse."""
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"set memory_limit = '{LIMIT}'; attach '{marts}' as marts (read_only)")
        for statement in plain_statements():
            connection.execute(statement)


def compare(features: Path, plain: Path) -> int:
    """The number of values of the plain script that equal those of the features, row by row.

    Raises:
        click.ClickException: A row is missing on one side, or a value differs; the text names the column.
    """
    values = 0
    with duckdb.connect() as connection:
        connection.execute(f"attach '{features}' as dbt (read_only); attach '{plain}' as plain (read_only)")
        for table, key in KEYS.items():
            columns = [name for name, *_ in connection.execute(f"describe plain.main.{table}").fetchall()]
            joined = (
                f"from plain.main.{table} as p full join dbt.features.{table} as f"
                f" on {' and '.join(f'p.{name} = f.{name}' for name in key)}"
            )
            [(rows, lonely)] = connection.execute(
                f"select count(*), count(*) filter (p.{key[0]} is null or f.{key[0]} is null) {joined}"
            ).fetchall()
            if lonely:
                raise click.ClickException(f"{table}: {lonely:,} of {rows:,} rows stand on one side only")
            different = ", ".join(
                f"count(*) filter ((p.{name} is null) <> (f.{name} is null)"
                f" or abs(p.{name} - f.{name}) > {TOLERANCE} * greatest(1, abs(f.{name})))"
                for name in columns
            )
            [counts] = connection.execute(f"select {different} {joined}").fetchall()
            for name, count in zip(columns, counts, strict=True):
                if count:
                    raise click.ClickException(f"{table}.{name}: {count:,} of {rows:,} values differ")
            values += rows * len(columns)
    return values


class Bench:
    """The raw files of one size, and programs run on them."""

    def __init__(self, work: Path, data: Path):
        """Prepare; ``work`` is where everything is written."""
        self.work, self.data, self.warehouse = work, data, work / "warehouse.duckdb"
        shutil.copy(PROJECT / "profiles.yml.example", work / "profiles.yml")
        self._environment = {
            "INSTACART_DATA": str(data),
            "WAREHOUSE_PATH": str(self.warehouse),
            "PREDICTIONS_DATA": str(work / "predictions"),
            "DBT_TARGET_PATH": str(work / "target"),
            "DBT_LOG_PATH": str(work),
            "DBT_PROFILES_DIR": str(work),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DUCKDB_MEMORY_LIMIT": LIMIT,
        }

    def run(self, name: str, *arguments: str) -> Run:
        """Run dbt or retail-warehouse until it ends."""
        return timed([str(BIN / name), *arguments], self.work / f"{name}_{arguments[0]}.log", **self._environment)

    def plain(self) -> Run:
        """Run the plain script in a process of its own."""
        file = self.work / "plain.duckdb"
        file.unlink(missing_ok=True)
        arguments = [str(self.warehouse), str(file)]
        return timed([sys.executable, str(Path(__file__)), "--only-plain", *arguments], self.work / "plain.log")


def samples(warehouse: Path, sizes: tuple[int, ...], judged: int) -> list[Sample]:
    """Train on some of the training orders of a warehouse, and judge on others.

    Args:
        warehouse: A warehouse with features; each user has one training order.
        sizes: Numbers of training orders.
        judged: Number of users to judge on, which are trained on in none.
    """

    def limited(chosen: np.ndarray) -> Features:
        features = Features(warehouse)
        features.exclude(np.setdiff1d(every, chosen))
        return features

    features = Features(warehouse)
    every = features.read("select user_id from ftr_users where orders_back = 1 and order_count >= 2 order by user_id")[
        "user_id"
    ]
    names = features.reorder_features()
    features.close()
    drawn = np.random.default_rng(SEED).permutation(every)
    judged = min(judged, len(every) // 3)
    features = limited(drawn[:judged])
    test = features.training_candidates(names)
    features.close()
    starts = test.starts()
    found, f1_of = [], {}
    for size in (size for size in sizes if size <= len(every) - judged):
        features = limited(drawn[judged : judged + size])
        start = time.process_time()
        trained = buy_again.train(features, SEED)
        seconds = time.process_time() - start
        features.close()
        p = buy_again.probabilities(trained.boosters, test, names)
        calibration = baskets.NoneCalibration(trained.card["none_intercept"], trained.card["none_slope"])
        ranked = buy_again.ranked(test, p, calibration)
        labels, best = test.labels[ranked.order].astype(float), ranked.baskets
        f1_of[size] = buy_again.basket_f1(ranked.ranks(), labels, starts, best.sizes, best.includes_none)
        auc = metrics.auc(p, test.labels, test.users)
        found.append(Sample(size, seconds, auc, metrics.mean(f1_of[size], ranked.users)))
    for sample in found:
        if sample is not found[-1]:
            sample.loss = metrics.difference(f1_of[sample.orders], f1_of[found[-1].orders], ranked.users)
    return found


def report(
    users: int, features: list[Run], plain: list[Run], rest: dict[str, Run], values: int, learned: list[Sample]
) -> str:
    """The results as Markdown, ratios first."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=PROJECT, capture_output=True, text=True, check=False
    ).stdout.strip()
    total = median(features) + sum(run.seconds for run in rest.values())
    memory = max(run.memory for run in [*features, *rest.values()])
    lines = [
        "# Predictions at full size",
        "",
        f"`python benchmarks/predictions_scale.py --write`, commit {commit}, {len(features)} rounds in turns, medians. "
        f"{machine()}.",
        "",
        f"{users:,} made-up users. (a) `dbt {' '.join(FEATURES)}` on built marts, (b) `benchmarks/plain_features.sql`, "
        f"which makes the same tables for DuckDB alone, each with `DUCKDB_MEMORY_LIMIT={LIMIT}`. {values:,} values "
        "of both are equal.",
        "",
        "| | value | target |",
        "|---|---|---|",
        f"| features, time a / b | {ratio(features, plain):.2f} | |",
        f"| features, peak memory a / b | {ratio(features, plain, 'memory'):.2f} | |",
        f"| features, training and predictions | {total / 60:.1f} min | at most {MOST_SECONDS // 60} min |",
        f"| peak memory | {memory / 1000:.1f} GB | at most {MOST_MEMORY // 1000} GB |",
        "",
        "| part | s | times (b) | peak MB |",
        "|---|---|---|---|",
    ]
    base = median(plain)
    for name, runs in {"features": features, "plain script (b)": plain, **{k: [v] for k, v in rest.items()}}.items():
        seconds, most = median(runs), max(run.memory for run in runs)
        lines.append(f"| {name} | {seconds:.0f} | {seconds / base:.2f} | {most:,.0f} |")
    if learned:
        lines += [
            "",
            "How many training orders are enough: buy again, each judged on the same other users. The project takes "
            "20,000 (var `training_orders`). Loss: mean of paired differences in F1 to the most orders.",
            "",
            "| training orders | CPU s | AUC | F1 | loss of F1 |",
            "|---|---|---|---|---|",
        ]
        for sample in learned:
            loss = sample.loss
            text = f"{loss.value:+.4f} [{loss.low:+.4f}, {loss.high:+.4f}]" if loss else ""
            lines.append(f"| {sample.orders:,} | {sample.seconds:.0f} | {sample.auc} | {sample.f1} | {text} |")
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--users", type=click.IntRange(min=100), default=FULL_SIZE_USERS, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Of the features.")
@click.option("--write", is_flag=True, help="Write benchmarks/PREDICTIONS_SCALE.md.")
@click.option("--only-plain", nargs=2, type=click.Path(path_type=Path), hidden=True)
def main(users: int, rounds: int, write: bool, only_plain: tuple[Path, Path] | None) -> None:
    """Time features, training and predictions; about half an hour on two cores at full size."""
    if only_plain:
        make_plain(*only_plain)
        return
    with tempfile.TemporaryDirectory(prefix="bench_", ignore_cleanup_errors=True) as name:
        work = Path(name)
        steps = tqdm(total=2 * rounds + 6, desc="Generating", disable=None)

        def done(what: str) -> None:
            steps.update()
            steps.set_description(what)

        instacart.generate(users, 1, work / "data")
        done("Marts")
        bench = Bench(work, work / "data")
        bench.run("dbt", "run", "--select", "+fct_orders", "+order_products", "+products", "+aisles")
        features, plain = [], []
        for _ in range(rounds):
            done("Features")
            features.append(bench.run("dbt", *FEATURES))
            done("Plain script")
            plain.append(bench.plain())
        values = compare(bench.warehouse, work / "plain.duckdb")
        (work / "plain.duckdb").unlink()
        rest = {}
        done("Training")
        rest["training"] = bench.run("retail-warehouse", "train")
        done("Predictions")
        rest["predictions"] = bench.run("retail-warehouse", "predict")
        done("Tables of the predictions")
        rest["their tables and tests"] = bench.run("dbt", "build", "--selector", "predictions")
        done("Fewer and more training orders")
        most = max(SAMPLES) + JUDGED
        bench.run("dbt", *FEATURES, "--vars", f"{{training_orders: {most}}}")
        learned = samples(bench.warehouse, SAMPLES, JUDGED)
        done("Done")
        text = report(users, features, plain, rest, values, learned)
    click.echo(text)
    if write:
        (HERE / "PREDICTIONS_SCALE.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
