"""Unit tests need no second run on the same code: they look at made-up rows alone, so that the same SQL in the same
versions of dbt and DuckDB gives the same answer, whatever the raw files hold."""

import hashlib
import os
from importlib import metadata
from pathlib import Path

from retail_warehouse.settings import ProjectSettings

#: What the SQL of models, macros and unit tests is made of.
_CODE = ("models", "macros", "seeds/reference", "dbt_project.yml", "profiles.yml")
#: Environment variables that the project or its profile may read.
_ENVIRONMENT = ("DBT_", "DUCKDB_", "INSTACART_", "ONLINE_RETAIL_", "PREDICTIONS_", "REDSHIFT_")
_PACKAGES = ("dbt-core", "dbt-adapters", "dbt-duckdb", "dbt-redshift", "duckdb")


def fingerprint(profiles: Path) -> str:
    """A hash of the code, of the versions of what runs it, and of the settings in the environment.

    Args:
        profiles: Folder of ``profiles.yml``.
    """
    digest = hashlib.sha256()
    for name in _CODE:
        root = profiles / name if name == "profiles.yml" else Path(name)
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file():
                content = path.read_bytes()
                digest.update(f"{path.name} {len(content)}\n".encode() + content)
    for package in _PACKAGES:
        digest.update(f"{package} {metadata.version(package)}\n".encode())
    for name, value in sorted(os.environ.items()):
        if name.startswith(_ENVIRONMENT):
            digest.update(f"{name}={value}\n".encode())
    return digest.hexdigest()


class PassedBefore:
    """What the last complete build noted in the folder of dbt's artifacts.

    Attributes:
        count: Unit tests that passed on the code as it is now; 0 where none are known.
    """

    def __init__(self) -> None:
        """Read the note, and compare it with the code."""
        settings = ProjectSettings()
        self._note = settings.dbt_target_path / "unit_tests_passed"
        self._fingerprint = fingerprint(settings.dbt_profiles_dir)
        self.count = 0
        try:
            noted, text = self._note.read_text().split()
            count = int(text)
        except (OSError, ValueError):
            return
        if noted == self._fingerprint:
            self.count = count

    def note(self, count: int) -> None:
        """Note for the next build that all unit tests have passed.

        Args:
            count: How many there are; none are noted where it is 0.

        Raises:
            OSError: The folder cannot be written.
        """
        if count:
            self._note.write_text(f"{self._fingerprint} {count}")
