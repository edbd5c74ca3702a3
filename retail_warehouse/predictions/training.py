"""Trains the models of all three tasks and describes them on a card, ``card.json``."""

import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from retail_warehouse.errors import DataError
from retail_warehouse.predictions import SEED, buy_again, first_purchases, metrics, next_in_cart
from retail_warehouse.predictions.baskets import NoneCalibration
from retail_warehouse.predictions.co_visits import CoVisits
from retail_warehouse.predictions.dataset import Candidates, Features
from retail_warehouse.predictions.model_folder import Model, version_of

_CATALOGUE_SAMPLE = 500  # products on the card, by which data of another shop are recognized
STEPS = ("statistics", "buy again", "first purchases", "next in cart", "next in cart, anonymous")
LIBRARY = f"lightgbm {lightgbm.__version__}"


def train(
    features: Features,
    seed: int = SEED,
    on_step: Callable[[str], object] = lambda step: None,
    now: datetime | None = None,
) -> Model:
    """Train a model.

    Args:
        features: What to train on, without the users that it excludes.
        seed: The same data and seed give the same model on the same machine.
        on_step: Called with a few words before each part.
        now: Written as the time of training, UTC; the current time if None.

    Raises:
        DataError: The features are missing, or hold no user.
    """
    features.users()
    on_step(STEPS[0])
    co_visits = CoVisits.of(features)
    on_step(STEPS[1])
    again = buy_again.train(features, seed)
    on_step(STEPS[2])
    first = first_purchases.train(features, co_visits, seed)
    on_step(STEPS[3])
    shoppers = _shoppers(features, co_visits, again)
    known = next_in_cart.train(next_in_cart.TASK, features, co_visits, shoppers, seed)
    on_step(STEPS[4])
    anonymous = next_in_cart.train(next_in_cart.ANONYMOUS, features, co_visits, {}, seed)
    tasks = {
        buy_again.TASK: again.card,
        first_purchases.TASK: first.card,
        next_in_cart.TASK: known.card,
        next_in_cart.ANONYMOUS: anonymous.card,
    }
    boosters = {
        buy_again.TASK: again.boosters,
        first_purchases.TASK: first.boosters,
        next_in_cart.TASK: known.boosters,
        next_in_cart.ANONYMOUS: anonymous.boosters,
    }
    decisive = ("features", "way", "none_intercept", "none_slope")
    settings = {name: {key: task[key] for key in decisive if key in task} for name, task in tasks.items()}
    card = {
        "model_version": version_of(boosters, settings),
        "trained_at": (now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M:%S"),
        "code_version": code_version(),
        "library": LIBRARY,
        "seed": seed,
        "data": _data(features),
        "catalogue_sample": _catalogue_sample(co_visits),
        "tasks": tasks,
    }
    trained = frozenset(np.unique(again.candidates.users).tolist()) | first.users | known.users | anonymous.users
    return Model(card, boosters, trained)


def _shoppers(features: Features, co_visits: CoVisits, again: buy_again.Trained) -> dict:
    """The users of the training targets. Their probabilities come from trees that were not trained on them."""
    candidates, names = again.candidates, again.card["features"]
    scores = again.scores
    if not again.boosters:
        scores = buy_again.probabilities([], candidates, names)
    judged = np.flatnonzero(~np.isnan(scores))
    part = Candidates(*(getattr(candidates, name)[judged] for name in Candidates.__dataclass_fields__))
    return next_in_cart.Shoppers(features, co_visits, names).of(part, scores[judged]) if len(judged) else {}


def _data(features: Features) -> dict[str, Any]:
    """Facts about the features: counts of users, orders and products, for the card."""
    found = features.read("""
        select
            count(distinct user_id) as users, count(*) as orders, coalesce(sum(basket_size), 0) as lines,
            coalesce(max(order_number), 0) as most_orders_of_a_user,
            coalesce(max(order_day), 0) as longest_history_in_days
        from ftr_orders where order_age is not null
        """)
    counts = {name: int(column[0]) for name, column in found.columns.items()}
    products = features.read("select count(*) as products, count(distinct aisle_id) as aisles from ftr_products")
    targets = features.read("""
        select count(*) as training_targets, coalesce(max(orders_back), 0) as oldest_target_in_orders_back
        from ftr_targets where orders_back >= 1 and user_id not in (from memory.main.excluded)
        """)
    return {
        "features_of": Path(features.where).name,
        **counts,
        **{name: int(column[0]) for name, column in products.columns.items()},
        **{name: int(column[0]) for name, column in targets.columns.items()},
    }


def _catalogue_sample(co_visits: CoVisits) -> list[list[int]]:
    """Every n-th product of the catalogue with its aisle."""
    places = (
        np.unique(np.linspace(0, len(co_visits.ids) - 1, _CATALOGUE_SAMPLE).astype(int)) if len(co_visits.ids) else []
    )
    return [[int(co_visits.ids[at]), int(co_visits.aisle_ids[co_visits.aisles[at]])] for at in places]


def require_same_data(model: Model, co_visits: CoVisits) -> None:
    """Make sure that a model was trained on an earlier state of the same catalogue. Products may have been added, and a
    few moved to another aisle.

    Raises:
        DataError: More than half of the products that it knows are missing or stand in another aisle.
    """
    sample = np.array(model.card["catalogue_sample"], np.int64).reshape(-1, 2)
    places = co_visits.places(sample[:, 0])
    same = (places >= 0) & (co_visits.aisle_ids[co_visits.aisles[places]] == sample[:, 1])
    if len(sample) and same.mean() < 0.5:
        raise DataError(
            f"The model {model.version} was trained on other data: of its products {1 - same.mean():.0%} are not in "
            "this warehouse, or in another aisle. Train one on these data: retail-warehouse train"
        )


def none_calibration(model: Model) -> NoneCalibration:
    """The calibration of the chance of "None", read from the card."""
    task = model.card["tasks"][buy_again.TASK]
    return NoneCalibration(task["none_intercept"], task["none_slope"])


def code_version() -> str:
    """Version of this package, followed by the commit in a Git checkout."""
    version = metadata.version("retail-warehouse")
    git = shutil.which("git")
    folder = Path(__file__).parent
    if git is None:
        return version
    done = subprocess.run(
        [git, "describe", "--always", "--dirty", "--exclude=*"], cwd=folder, capture_output=True, text=True, check=False
    )
    return f"{version}+{done.stdout.strip()}" if done.returncode == 0 else version


def summary(card: dict[str, Any]) -> list[str]:
    """The measures of a model as lines of text, for the terminal."""
    lines = []
    for name, task in card["tasks"].items():
        lines.append(f"{name.replace('_', ' ')}: {task['targets']:,} targets")
        for measure in ("auc", "pr_auc"):
            if measure in task:
                lines.append(f"  {measure.upper().replace('_', '-')} {metrics.Estimate(**task[measure])}")
        for comparison in task.get("comparisons", []):
            for rule, estimate in comparison["estimates"].items():
                lines.append(f"  {comparison['measure']}, {rule}: {metrics.Estimate(**estimate)}")
    return lines
