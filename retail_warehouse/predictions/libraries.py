"""Checks the libraries that predictions need and the core installation does not have."""

import importlib
from types import ModuleType

from retail_warehouse.errors import DataError

_NEEDED = ("numpy", "scipy", "matplotlib", "lightgbm")


def require_installed() -> None:
    """Import what predictions need.

    Raises:
        DataError: A package is missing, or the OpenMP library of the system that LightGBM loads.
    """
    for name in _NEEDED:
        _imported(name)


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise DataError(
            f"Predictions need the Python package {error.name}, which is not installed. `make predictions` installs "
            "it; by hand: pip install --require-hashes --no-deps -r requirements-predictions.txt"
        ) from error
    except OSError as error:  # raised if libgomp is missing: LightGBM loads it while it is imported
        if "omp" not in str(error):
            raise DataError(f"The Python package {name} cannot be loaded: {error}") from error
        raise DataError(
            "LightGBM needs the OpenMP library of the system, which is missing. On Debian or Ubuntu: "
            "apt-get install libgomp1 (macOS: brew install libomp)"
        ) from error
