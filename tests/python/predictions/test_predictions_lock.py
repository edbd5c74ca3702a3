"""What only predictions need stays out of the core installation."""

import re
import subprocess
import sys

from conftest import PROJECT

ONLY_PREDICTIONS = {"lightgbm", "matplotlib", "scipy"}


def packages(name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    text = (PROJECT / name).read_text()
    for package, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE):
        found.setdefault(package, set()).add(version)
    return found


def test_the_locks_hold_one_another():
    core, predictions, development = (packages(f"requirements{name}.txt") for name in ("", "-predictions", "-dev"))
    assert not ONLY_PREDICTIONS & set(core)
    assert set(predictions) >= ONLY_PREDICTIONS
    for smaller, larger in ((core, predictions), (predictions, development)):
        assert {package: larger.get(package) for package in smaller} == smaller


def test_the_lock_names_no_host_and_every_hash():
    text = (PROJECT / "requirements-predictions.txt").read_text()
    assert "://" not in text
    found = re.findall(r"^\S+==\S+ .*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(found) > len(packages("requirements.txt"))
    assert all("--hash=sha256:" in package for package in found)


def test_the_command_starts_without_them():
    """Nothing of predictions is imported before one of its commands runs."""
    blocked = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ONLY_PREDICTIONS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
from retail_warehouse.cli import main
main()
"""
    help_ = subprocess.run(
        [sys.executable, "-c", blocked, "--help"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert help_.returncode == 0, help_.stderr
    assert all(command in help_.stdout for command in ("train", "predict", "evaluate", "suggest"))
    for command in (["train"], ["suggest", "--carts", "a", "--out", "b"]):
        done = subprocess.run(
            [sys.executable, "-c", blocked, *command], cwd=PROJECT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert done.stderr.startswith("Error: Predictions need the Python package "), done.stderr
        assert "make predictions" in done.stderr
