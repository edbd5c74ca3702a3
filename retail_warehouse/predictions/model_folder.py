"""A trained model on disk: a card in JSON, and LightGBM's text files. Loading a model executes none of its content."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightgbm

from retail_warehouse.errors import DataError

FORMAT = 2  # of the folder; raised when older versions would misread a new folder
CARD = "card.json"
REPORT = "report.html"


@dataclass
class Model:
    """A trained model, as it is written to disk and read back.

    Attributes:
        card: Description of the model, as plain JSON. ``tasks`` holds the features of each task in order.
        boosters: Boosters by task; their mean is the score. A task without boosters is answered by its plain rule.
        trained_users: Users whose orders were trained on. Not written to disk, so empty in a model that was read.
    """

    card: dict[str, Any]
    boosters: dict[str, list[lightgbm.Booster]] = field(default_factory=dict)
    trained_users: frozenset[int] = frozenset()

    @property
    def version(self) -> str:
        """Name of the model. It changes with whatever changes a prediction."""
        return self.card["model_version"]

    def features(self, task: str) -> list[str]:
        """Names of the features of a task's boosters, in order."""
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
        files: dict[str, list[str]] = {}
        for task, boosters in model.boosters.items():
            for number, booster in enumerate(boosters):
                text = booster.model_to_string().encode()  # the best rounds
                (new / _file(task, number)).write_bytes(text)
                files.setdefault(task, []).append(hashlib.sha256(text).hexdigest())
        card = model.card | {"format": FORMAT, "files": files}
        card["checksum"] = _checksum(card)
        (new / CARD).write_text(json.dumps(card, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        (new / REPORT).write_text(report, encoding="utf-8")
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        if old.exists():
            shutil.rmtree(old)


def _file(task: str, number: int) -> str:
    return f"{task}-{number}.txt"


def _checksum(card: dict[str, Any]) -> str:
    """SHA-256 of the card's content, whatever the order of its keys and its blanks."""
    told = {name: value for name, value in card.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _card(folder: Path) -> dict[str, Any]:
    """Read the card of a model and verify its checksum.

    Raises:
        DataError: It is damaged, or another version of this program wrote it.
    """
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        if card["format"] != FORMAT:
            raise _OtherFormat(
                f"The model in {folder} has format {card['format']}, and this version reads format {FORMAT}. {_AGAIN}"
            )
        if card["checksum"] != _checksum(card):
            raise DataError(f"The model in {folder} is damaged: {CARD} is not as it was written. {_AGAIN}")
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DataError(f"The model in {folder} is damaged: {CARD} cannot be read. {_AGAIN}") from error
    return card


class _OtherFormat(DataError):
    """Another version of this program wrote a model."""


_AGAIN = "Train it anew: retail-warehouse train"


def read(folder: Path) -> Model:
    """Read a model.

    Raises:
        DataError: There is none, it is damaged, or another version of this program wrote it.
    """
    path = folder / CARD
    if not path.is_file():
        raise DataError(f"There is no trained model in {folder}. Train one: retail-warehouse train")
    card = _card(folder)
    boosters: dict[str, list[lightgbm.Booster]] = {}
    for task, checksums in card["files"].items():
        for number, checksum in enumerate(checksums):
            name = _file(task, number)
            try:
                text = (folder / name).read_bytes()
            except OSError as error:
                raise DataError(f"The model in {folder} is damaged: {name} cannot be read. {_AGAIN}") from error
            # LightGBM ends the process where a tree is cut short.
            if hashlib.sha256(text).hexdigest() != checksum:
                raise DataError(f"The model in {folder} is damaged: {name} is not as it was written. {_AGAIN}")
            boosters.setdefault(task, []).append(lightgbm.Booster(model_str=text.decode()))
    return Model(card, boosters)


def require_columns(model: Model, task: str, columns: Sequence[str], relation: str) -> None:
    """Check that a relation has every feature of a task.

    Raises:
        DataError: A feature is missing; the text names it.
    """
    missing = [name for name in model.features(task) if name not in set(columns)]
    if missing:
        raise DataError(
            f"The model was trained on other features: {relation} has no {', '.join(missing[:5])}"
            f"{f' and {len(missing) - 5} more' if len(missing) > 5 else ''}. Train it anew: retail-warehouse train"
        )


def _cards(folder: Path) -> list[tuple[dict[str, Any], Path]]:
    """The cards in a folder of models, the oldest first; those of other formats are skipped.

    Raises:
        DataError: A card is damaged. It is not skipped, since it may be the newest.
    """
    found = []
    for path in sorted(folder.glob(f"*/{CARD}")):
        try:
            found.append((_card(path.parent), path.parent))
        except _OtherFormat:
            continue
        except DataError as error:
            raise DataError(f"{error}, or remove the folder.") from error
    return sorted(found, key=lambda entry: (entry[0]["trained_at"], entry[0]["model_version"]))


def cards(folder: Path) -> list[dict[str, Any]]:
    """The cards of all models in a folder, the oldest first; those of other formats are skipped.

    Raises:
        DataError: One is damaged.
    """
    return [card for card, _ in _cards(folder)]


def latest(folder: Path) -> Path:
    """The model that was trained last.

    Raises:
        DataError: There is none, or one is damaged.
    """
    found = _cards(folder)
    if found:
        return found[-1][1]
    others = sorted(path.parent.name for path in folder.glob(f"*/{CARD}"))
    if others:
        read(folder / others[-1])  # says what is wrong with it
    raise DataError(f"There is no trained model in {folder}. Train one: retail-warehouse train")
