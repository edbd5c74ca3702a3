"""Which steps are done, and for which input: where a run resumes."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from retail_warehouse.errors import DataError
from retail_warehouse.runs.bucket import RUNS, Bucket

KEY = f"{RUNS}/state.json"
_FORMAT = 2
# A change here rebuilds all tables.
_OF_DBT = ("dbt_project.yml", "models", "macros", "seeds/reference")
# A change here repeats all steps, but keeps the tables.
_OTHERS = ("selectors.yml", "tests/generic", "tests/singular")


@dataclass(frozen=True, slots=True)
class Done:
    """A step that is done.

    Args:
        input: Digest of its input.
        after: Digests of the inputs of the steps before it at that time, by name.
        at: When it ended, ISO 8601 in UTC.
    """

    input: str
    after: dict[str, str]
    at: str


@dataclass
class State:
    """What runs keep in the bucket.

    Attributes:
        steps: Steps that are done, by name.
        built_with: Digest of the dbt project that last built the tables; empty before the first build.
        processed_at: When the warehouse had last processed a file, by its ledger, after that build.
        with_files: Sources that were loaded from files, ``instacart`` or ``online_retail``.
    """

    steps: dict[str, Done] = field(default_factory=dict)
    built_with: str = ""
    processed_at: str = ""
    with_files: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, bucket: Bucket) -> "State":
        """Read the state; an empty one before the first run.

        Raises:
            DataError: It cannot be read.
        """
        found = bucket.read(KEY)
        if found is None:
            return cls()
        try:
            told = json.loads(found[0])
            if told["format"] != _FORMAT:
                raise ValueError(f"format {told['format']}")
            steps = {name: Done(**one) for name, one in told["steps"].items()}
            return cls(steps, told["built_with"], told["processed_at"], set(told["with_files"]))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{bucket.url(KEY)} cannot be read ({error}). Remove it: the next run then repeats every step."
            ) from error

    def forget(self, in_full: bool) -> None:
        """Repeat all steps, in this run or the next.

        Args:
            in_full: Also rebuild all tables.
        """
        self.steps = {}
        self.processed_at = ""
        if in_full and self.built_with:
            self.built_with = "to be built in full"

    def write(self, bucket: Bucket) -> None:
        """Write the state; only the run that holds the lock may.

        Raises:
            DataError: It cannot be written.
        """
        told: dict[str, object] = {"format": _FORMAT, "steps": {name: asdict(one) for name, one in self.steps.items()}}
        told |= {"built_with": self.built_with, "processed_at": self.processed_at}
        told |= {"with_files": sorted(self.with_files)}
        bucket.write(KEY, json.dumps(told, indent=1).encode())


def digest_of(value: object) -> str:
    """A digest of any value that can be written as JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _digest_of_files(names: Iterable[str], root: Path) -> str:
    digest = hashlib.sha256()
    for name in names:
        path = root / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(root).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def project_digests() -> tuple[str, str]:
    """Digests of the project in the working folder: of the code that tables are built from, and of all code,
    including this package."""
    tables = _digest_of_files(_OF_DBT, Path())
    package = Path(__file__).parents[1]
    others = [_digest_of_files(_OTHERS, Path()), _digest_of_files([package.name], package.parent)]
    return tables, digest_of([tables, *others])
