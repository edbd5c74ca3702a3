"""Opens the stores that ``SERVING_STORE`` names, for the API and for the commands that fill them."""

from pathlib import Path

from retail_warehouse.errors import DataError
from retail_warehouse.serving.predictions_store import PredictionsStore, SqlitePredictions
from retail_warehouse.serving.store import ServingStore, StoreError
from retail_warehouse.settings import DYNAMODB, settings
from retail_warehouse.streaming.landing import LandingError
from retail_warehouse.streaming.landing_folder import handed_over, set_aside_files


def open_store() -> ServingStore:
    """The serving store that ``SERVING_STORE`` names: a path, or ``dynamodb:<table>``.

    Raises:
        DataError: It cannot be opened.
    """
    name = settings().serving_store
    try:
        if name.startswith(DYNAMODB):
            # boto3 takes a while to import.
            from retail_warehouse.serving.dynamodb_store import DynamoDbStore

            return DynamoDbStore(name.removeprefix(DYNAMODB))
        from retail_warehouse.serving.sqlite_store import SqliteStore

        return SqliteStore(Path(name))
    except StoreError as error:
        raise DataError(str(error)) from error


def open_predictions() -> PredictionsStore:
    """The store of predictions beside the serving store: ``<name>.predictions<suffix>`` beside its file, or the table
    ``<table>-predictions``.

    Raises:
        DataError: It cannot be opened.
    """
    name = settings().serving_store
    try:
        if name.startswith(DYNAMODB):
            from retail_warehouse.serving.predictions_dynamodb import DynamoDbPredictions

            return DynamoDbPredictions(f"{name.removeprefix(DYNAMODB)}-predictions")
        path = Path(name)
        return SqlitePredictions(path.with_name(f"{path.stem}.predictions{path.suffix}"))
    except StoreError as error:
        raise DataError(str(error)) from error


def store_is_made() -> bool:
    """Whether the serving store exists already. :func:`open_store` creates a missing file."""
    name = settings().serving_store
    return name.startswith(DYNAMODB) or Path(name).is_file()


def landed_files() -> set[str]:
    """The landed files, as paths below ``ONLINE_RETAIL_LANDING``, including those that dbt cannot see yet. Empty if the
    variable is not set.

    Raises:
        DataError: They cannot be listed.
    """
    given = settings()
    if not given.online_retail_landing:
        return set()
    folder, url = given.landing
    paths = [*handed_over(folder), *set_aside_files(folder)]
    paths += [path for path in folder.glob(".open/*") if path.stat().st_size]
    names = {path.relative_to(folder).as_posix() for path in paths}
    if not url:
        return names
    # boto3 takes a while to import.
    from retail_warehouse.streaming.s3_prefix import S3Prefix

    try:
        return names | S3Prefix(url, folder).names()
    except LandingError as error:
        raise DataError(str(error)) from error
