"""A trained model on disk: a card in JSON and LightGBM's own text files. Nothing in it is run when it is loaded."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightgbm

from retail_warehouse.deliveries import DataError

FORMAT = 1  # of the folder; raised whenever an older program would read it wrongly
CARD = "card.json"
REPORT = "report.html"


@dataclass
class Model:
    """What training gives and predicting needs.

    Attributes:
        card: What is told about the model, all of it plain JSON; ``tasks`` says for each task the features in
            order.
        boosters: LightGBM's boosters by task; the mean of a task's boosters is its score. A task without boosters is
            answered by its plain rule.
        trained_users: Whose orders were trained on; known only right after training.
    """

    card: dict[str, Any]
    boosters: dict[str, list[lightgbm.Booster]] = field(default_factory=dict)
    trained_users: frozenset[int] = frozenset()

    @property
    def version(self) -> str:
        """A name that changes with anything that the model predicts."""
        return self.card["model_version"]

    def features(self, task: str) -> list[str]:
        """Names of the columns that the boosters of a task want, in order."""
        return self.card["tasks"][task]["features"]


def version_of(boosters: dict[str, list[lightgbm.Booster]], settings: dict[str, Any]) -> str:
    """The name of a model: the same for the same boosters and settings, 12 hexadecimal digits."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for task in sorted(boosters):
        for booster in boosters[task]:
            digest.update(task.encode() + booster.model_to_string().encode())
    return digest.hexdigest()[:12]


def write(model: Model, folder: Path, report: str) -> None:
    """Write a model in place of what the folder holds; it is replaced as a whole, or not at all.

    Args:
        model: The model.
        folder: Made if missing.
        report: The page for people, HTML.

    Raises:
        DataError: The folder holds something else than a model.
        OSError: It cannot be written.
    """
    folder = folder.resolve()
    if folder.exists() and not (folder.is_dir() and ((folder / CARD).exists() or not any(folder.iterdir()))):
        raise DataError(f"{folder} holds something else than a model; name another one with --model.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        new.mkdir()
        for task, boosters in model.boosters.items():
            for number, booster in enumerate(boosters):
                (new / _file(task, number)).write_text(booster.model_to_string(), encoding="utf-8")  # the best rounds
        card = model.card | {"format": FORMAT, "files": {task: len(found) for task, found in model.boosters.items()}}
        (new / CARD).write_text(json.dumps(card, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        (new / REPORT).write_text(report, encoding="utf-8")
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        if old.exists():
            shutil.rmtree(old)


def _file(task: str, number: int) -> str:
    return f"{task}-{number}.txt"


def read(folder: Path) -> Model:
    """Read a model.

    Raises:
        DataError: There is none, it is damaged, or another version of this program wrote it.
    """
    path = folder / CARD
    if not path.is_file():
        raise DataError(f"There is no trained model in {folder}. Train one: retail-warehouse train")
    again = "Train it anew: retail-warehouse train"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        if card["format"] != FORMAT:
            raise DataError(
                f"The model in {folder} has format {card['format']}, and this version reads format {FORMAT}. {again}"
            )
        boosters = {
            task: [lightgbm.Booster(model_file=str(folder / _file(task, number))) for number in range(count)]
            for task, count in card["files"].items()
        }
        for task, found in boosters.items():
            for booster in found:
                if booster.feature_name() != card["tasks"][task]["features"]:
                    raise DataError(f"The model of {task} in {folder} has other features than its card. {again}")
    except (ValueError, KeyError, TypeError, AttributeError, OSError, lightgbm.basic.LightGBMError) as error:
        raise DataError(f"The model in {folder} is damaged: {error}. {again}") from error
    return Model(card, boosters)


def must_fit_columns(model: Model, task: str, columns: Sequence[str], relation: str) -> None:
    """Make sure that a relation has every feature of a task.

    Raises:
        DataError: It has not; the text names what is missing.
    """
    missing = [name for name in model.features(task) if name not in set(columns)]
    if missing:
        raise DataError(
            f"The model was trained on other features: {relation} has no {', '.join(missing[:5])}"
            f"{f' and {len(missing) - 5} more' if len(missing) > 5 else ''}. Train it anew: retail-warehouse train"
        )


def _cards(folder: Path) -> list[tuple[dict[str, Any], Path]]:
    """The cards in a folder of models that can be read, the oldest first."""
    found = []
    for path in sorted(folder.glob(f"*/{CARD}")):
        try:
            card = json.loads(path.read_text(encoding="utf-8"))
            if card["format"] == FORMAT:
                found.append((card, path.parent))
        except (ValueError, KeyError, TypeError, OSError):
            continue
    return sorted(found, key=lambda entry: (entry[0]["trained_at"], entry[0]["model_version"]))


def cards(folder: Path) -> list[dict[str, Any]]:
    """The cards of all models in a folder, the oldest first; those of other formats are passed over."""
    return [card for card, _ in _cards(folder)]


def latest(folder: Path) -> Path:
    """The model that was trained last.

    Raises:
        DataError: There is none.
    """
    found = _cards(folder)
    if found:
        return found[-1][1]
    others = sorted(path.parent.name for path in folder.glob(f"*/{CARD}"))
    if others:
        read(folder / others[-1])  # says what is wrong with it
    raise DataError(f"There is no trained model in {folder}. Train one: retail-warehouse train")
