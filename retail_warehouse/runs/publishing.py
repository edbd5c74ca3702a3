"""Publishes what was built on Redshift to the store that the API reads."""

import contextlib

from retail_warehouse.runs.bucket import FEATURES, MODELS, PREDICTIONS
from retail_warehouse.runs.redshift import TARGET
from retail_warehouse.runs.run import NothingToDo, Run
from retail_warehouse.settings import settings


def _require_store() -> None:
    if "serving_store" not in settings().model_fields_set:
        raise NothingToDo("SERVING_STORE is not set, so there is no API to publish for.")


def publish_lines(run: Run) -> str:
    """Publish the lines of files that were loaded, changed or withdrawn since the last publication.

    Raises:
        NothingToDo: There is no serving store.
        DataError: The store cannot be written, or the warehouse cannot be read; the next run starts over.
    """
    _require_store()
    from retail_warehouse.serving.publish import publish_deliveries
    from retail_warehouse.serving.stores import open_store

    with contextlib.closing(open_store()) as store:
        count = publish_deliveries(store, run.tell, TARGET)
    return f"{count:,} lines of files published"


def publish_predictions(run: Run) -> str:
    """Replace the predictions that the API serves.

    Raises:
        NothingToDo: There is no serving store.
        DataError: The store cannot be written, or the predictions were not made from these features; what was published
            before stays.
    """
    _require_store()
    from retail_warehouse.serving.publish_predictions import Unloaded, publish
    from retail_warehouse.serving.stores import open_predictions

    features, predictions, models = run.copy(FEATURES), run.copy(PREDICTIONS), run.copy(MODELS)
    with contextlib.closing(open_predictions()) as store:
        count = publish(store, Unloaded(str(features), str(predictions)), models)
    return f"predictions of {count:,} users published"
