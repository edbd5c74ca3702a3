"""The steps of the runs, in order.

A step first copies to the disk what it reads there: the task that did the step before it may be gone."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from retail_warehouse import official
from retail_warehouse.errors import DataError
from retail_warehouse.project import environment_variables
from retail_warehouse.redshift_connection import connected
from retail_warehouse.redshift_load import parquet
from retail_warehouse.runs import merging, publishing, set_aside, site
from retail_warehouse.runs.bucket import EXPORTS, FEATURES, MODELS, PREDICTIONS, RAW, REDSHIFT_LOAD, STREAMED
from retail_warehouse.runs.redshift import TARGET
from retail_warehouse.runs.run import NothingToDo, Run, Step
from retail_warehouse.runs.set_aside import SET_ASIDE
from retail_warehouse.runs.state import KEY as STATE

_INSTACART, _ONLINE_RETAIL = f"{RAW}/instacart", f"{RAW}/online_retail"
# The file of Online Retail where all rows are streamed: a header without rows.
_NO_ROWS = "no_rows.csv"
# Of the source online_retail, what changes when rows are streamed.
_STREAMED_TABLES = ("data_files", "streamed_lines")
Do = Callable[[Run], str]
# Number of landed files at which a micro-batch merges too.
_MANY_FILES = 256


# Raw files to raw tables


def land_instacart(run: Run) -> str:
    """Copy the files of Instacart to the disk, convert them to Parquet, and upload that."""
    return _land(run, "instacart", {"INSTACART_DATA": run.copy(_INSTACART)})


def land_online_retail(run: Run) -> str:
    """The same for Online Retail, streamed rows included."""
    return _land(run, "online_retail", _online_retail_files(run))


def land_streamed(run: Run) -> str:
    """The same for streamed rows only."""
    return _land(run, "online_retail", _online_retail_files(run), _STREAMED_TABLES)


def _online_retail_files(run: Run) -> dict[str, Path]:
    _require_files_that_were_loaded(run, "online_retail")
    folder = run.copy(_ONLINE_RETAIL)
    if not run.files(_ONLINE_RETAIL):
        path = folder / _NO_ROWS
        path.write_text(f"{official.ONLINE_RETAIL_HEADER}\n", encoding="utf-8")
        os.utime(path, (0, 0))  # the same file in every run: dbt identifies a file by its size and time
    return {"ONLINE_RETAIL_DATA": folder, "ONLINE_RETAIL_LANDING": run.copy(STREAMED)}


def _require_files_that_were_loaded(run: Run, source: str) -> None:
    """Check that a source which was loaded from files still has files.

    Raises:
        DataError: It has none.
    """
    if source in run.state.with_files and not run.files(f"{RAW}/{source}"):
        raise DataError(
            f"There are no files in {run.bucket.url(RAW, source)} any more, but the warehouse was loaded from there. "
            f"Put the files back. To continue without them, remove {run.bucket.url(STATE)}."
        )


def _land(run: Run, source: str, folders: dict[str, Path], tables: Sequence[str] = ()) -> str:
    folder = run.folder / REDSHIFT_LOAD / source
    shutil.rmtree(folder, ignore_errors=True)
    # Absolute, since dbt identifies a file by its folder too.
    with environment_variables({name: str(path.resolve()) for name, path in folders.items()}):
        parquet.land(source, str(folder), tables)
    names = sorted(path.name for path in folder.glob("*.parquet"))
    run.bucket.upload(folder, f"{REDSHIFT_LOAD}/{source}", names)
    return f"{len(names)} files in {run.bucket.url(REDSHIFT_LOAD, source)}"


def load_instacart(run: Run) -> str:
    """Replace the rows of the raw tables of Instacart."""
    return _load(run, "instacart")


def load_online_retail(run: Run) -> str:
    """Replace the rows of the raw tables of Online Retail, streamed rows included."""
    return _load(run, "online_retail")


def load_streamed(run: Run) -> str:
    """Replace the streamed rows in the raw tables."""
    return _load(run, "online_retail", tables=list(_STREAMED_TABLES))


def _load(run: Run, source: str, **tables: list[str]) -> str:
    run.dbt.operation("load_raw", source=source, location=run.bucket.url(REDSHIFT_LOAD, source), **tables)
    if run.files(f"{RAW}/{source}"):
        run.state.with_files |= {source}
    return "loaded"


# Tables


def build(run: Run) -> str:
    """Build and test everything except features and predictions; rebuild all tables after a change of the project."""
    sources = sources_of(run)
    selected = () if len(sources) > 1 else ("--selector", *sources)
    is_changed = run.state.built_with not in ("", run.tables_digest)
    said = _build(run, land_online_retail, load_online_retail, *selected, *(("--full-refresh",) if is_changed else ()))
    run.state.built_with = run.tables_digest
    run.state.processed_at = run.dbt.last_processed() or ""
    return said


def build_streamed(run: Run) -> str:
    """Build everything that new streamed rows affect, except the reports. Tests run with the next nightly build."""
    return _build(run, land_streamed, load_streamed, "--selector", "micro_batch")


def _build(run: Run, land: Do, load: Do, *arguments: str) -> str:
    """Build; if that fails, set the streamed rows aside that cannot be built, and build again without them."""
    try:
        return run.dbt.build(*arguments)
    except DataError as failure:
        if not run.files(STREAMED):
            raise
        run.tell("Looking for streamed rows that cannot be built")
        try:
            count = set_aside.separate(run, _online_retail_files(run))
        except DataError as error:
            raise DataError(f"{failure} Streamed rows were not set aside: {error}") from error
        if not count:
            raise
    land(run)
    load(run)
    said = run.dbt.build(*arguments)
    return f"{said}; {count:,} streamed rows cannot be built and were set aside (audit.set_aside_lines)"


def land_set_aside(run: Run) -> str:
    """Land the streamed rows again that were set aside."""
    return set_aside.land_again(run)


def merge_streamed(run: Run) -> str:
    """Merge the many landed files that have been built into few; the rows stay the same."""
    from retail_warehouse.streaming.merging import S3
    from retail_warehouse.streaming.micro_batches import models_by_landed_file

    if not run.files(STREAMED):
        raise NothingToDo("There are no streamed rows.")
    place = S3(run.bucket.url(STREAMED), run.bucket.client)
    with connected(TARGET) as (connection, _):
        removed, made = merging.merge(connection, place, models_by_landed_file(run.dbt.manifest()))
    run.written(STREAMED)
    return f"{removed:,} landed files merged into {made:,}"


def publish_lines(run: Run) -> str:
    """Publish the lines of files for the look-ups of the API."""
    return publishing.publish_lines(run)


def export(run: Run) -> str:
    """Write the facts of Online Retail as Parquet, and remove months that no longer exist."""
    if "online_retail" not in sources_of(run):
        raise NothingToDo("Online Retail, whose facts are exported, has no rows yet.")
    prefix = f"{EXPORTS}/{TARGET}"
    before = run.bucket.files(prefix)
    run.dbt.operation("export_parquet", to=run.bucket.url(EXPORTS))
    after = run.bucket.files(prefix)
    # UNLOAD empties each month that it writes, so an object that has not changed is in a month that was not written.
    stale = {name for name, one in after.items() if before.get(name) == one}
    written = {name.partition("/")[0] for name in after.keys() - stale}
    stale = {name for name in stale if name.partition("/")[0] in written}
    run.bucket.remove(prefix, sorted(stale))
    return f"{len(after) - len(stale)} files in {run.bucket.url(prefix)}, {len(stale)} of old months removed"


# Predictions


def features(run: Run) -> str:
    """Build and unload the features that models train on and predict from."""
    run.dbt.build("--selector", "features")
    run.dbt.operation("unload_features", location=run.bucket.url(FEATURES))
    run.written(FEATURES)
    return f"unloaded to {run.bucket.url(FEATURES)}"


def train(run: Run) -> str:
    """Train a model and upload it."""
    from retail_warehouse.predictions import SEED
    from retail_warehouse.predictions.commands import train as command

    trained = run.folder / "trained"
    shutil.rmtree(trained, ignore_errors=True)
    command.callback(unloaded=str(run.copy(FEATURES)), models=trained, seed=SEED)
    for folder in sorted(path for path in trained.iterdir() if path.is_dir()):
        names = sorted(path.name for path in folder.iterdir())
        # The card last: a folder without one is not a model yet.
        for some in ([name for name in names if name != "card.json"], ["card.json"]):
            run.bucket.upload(folder, f"{MODELS}/{folder.name}", some)
    run.written(MODELS)
    return f"uploaded to {run.bucket.url(MODELS)}"


def predict(run: Run) -> str:
    """Predict the next orders of users with new orders, or of all users after a training."""
    from retail_warehouse.predictions.commands import predict as command

    models, folder = run.copy(MODELS), run.copy(PREDICTIONS)
    with environment_variables({"PREDICTIONS_DATA": str(folder)}):
        command.callback(unloaded=str(run.copy(FEATURES)), models=models, version=None, only_new_orders=True)
    names = sorted(path.name for path in folder.glob("*.parquet"))
    run.bucket.upload(folder, PREDICTIONS, names)
    run.written(PREDICTIONS)
    return f"{len(names)} files in {run.bucket.url(PREDICTIONS)}"


def load_predictions(run: Run) -> str:
    """Replace the rows of the raw tables of predictions."""
    run.dbt.operation("load_raw", source="predictions", location=run.bucket.url(PREDICTIONS))
    return "loaded"


def build_predictions(run: Run) -> str:
    """Build and test the tables of predictions."""
    return run.dbt.build("--selector", "predictions")


def publish_predictions(run: Run) -> str:
    """Replace the predictions that the API serves."""
    return publishing.publish_predictions(run)


# For people


def docs(run: Run) -> str:
    """Write documentation and column lineage to the bucket."""
    return site.write_docs(run)


def dashboard(run: Run) -> str:
    """Write the dashboard to the bucket."""
    return site.write_dashboard(run)


# The runs


def sources_of(run: Run) -> list[str]:
    """The sources that have files or, for Online Retail, streamed rows.

    Raises:
        DataError: No source has any, or a source that was loaded from files has none left.
    """
    # An object without bytes is a refused commit of the API.
    has_streamed = any(found.size for found in run.files(STREAMED).values())
    has_rows = {
        "instacart": bool(run.files(_INSTACART)),
        "online_retail": bool(run.files(_ONLINE_RETAIL)) or has_streamed,
    }
    for source in has_rows:
        _require_files_that_were_loaded(run, source)
    if not any(has_rows.values()):
        raise DataError(f"There are no raw files. Put them into {run.bucket.url(_INSTACART)} (docs/real_files.md).")
    return [source for source, has_some in has_rows.items() if has_some]


def forget_another_warehouse(run: Run) -> None:
    """Repeat all steps if the warehouse was recreated, or restored to a time before the last build. Only nightly runs
    check this, since a query wakes Redshift Serverless, which costs money.

    Raises:
        DataError: The warehouse cannot be reached, or the bucket cannot be written.
    """
    if not {"load_instacart", "load_online_retail"} & run.state.steps.keys():
        return
    found = run.dbt.last_processed()
    if found is not None and found >= run.state.processed_at:
        return
    run.tell("The warehouse was recreated or restored since the last run, so all steps are repeated.")
    if found is None:
        run.state.built_with = ""
    run.state.forget(in_full=True)
    run.state.write(run.bucket)


_LAND_INSTACART = Step(land_instacart, of=(_INSTACART,))
_LOAD_INSTACART = Step(load_instacart, after=("land_instacart",))
_LAND_STREAMED = Step(land_streamed, of=(STREAMED,))
_LOAD_STREAMED = Step(load_streamed, after=("land_streamed",))
# Once for the same rows and the same code; the step after it reads what it lands.
_LAND_SET_ASIDE = Step(land_set_aside, of=(SET_ASIDE,))
_BUILD_STREAMED = Step(build_streamed, after=("load_streamed",))
_LAND_ONLINE_RETAIL = Step(land_online_retail, of=(_ONLINE_RETAIL, STREAMED), with_it=(_LAND_STREAMED,))
_LOAD_ONLINE_RETAIL = Step(load_online_retail, after=("land_online_retail",), with_it=(_LOAD_STREAMED,))
_BUILD = Step(build, after=("load_instacart", "load_online_retail"), with_it=(_BUILD_STREAMED,))
_MERGE_STREAMED = Step(merge_streamed, after=("build", "build_streamed"))
_PUBLISH_LINES = Step(publish_lines, after=("build", "build_streamed"))
_FEATURES = Step(features, after=("build.load_instacart",))
_TRAIN = Step(train, after=("features",))
_PREDICTIONS = (
    Step(predict, of=(MODELS,), after=("features",)),
    Step(load_predictions, after=("predict",)),
    Step(build_predictions, after=("load_predictions",)),
    Step(publish_predictions, after=("build_predictions",)),
)
_OF_SOURCE = {
    "instacart": (_LAND_INSTACART, _LOAD_INSTACART),
    "online_retail": (_LAND_ONLINE_RETAIL, _LOAD_ONLINE_RETAIL),
}


def nightly(run: Run) -> list[Step]:
    """Everything, with predictions of the latest model, if there is one."""
    forget_another_warehouse(run)
    sources = sources_of(run)
    steps = [_LAND_SET_ASIDE] if run.files(SET_ASIDE) else []
    steps += [step for source in sources for step in _OF_SOURCE[source]]
    steps += [_BUILD, _PUBLISH_LINES, Step(export, after=("build",))]
    if "instacart" in sources and run.files(MODELS):
        steps += [_FEATURES, *_PREDICTIONS]
    if run.files(STREAMED):
        steps.append(_MERGE_STREAMED)
    return [*steps, Step(docs, after=("build",)), Step(dashboard, after=("build",))]


def micro_batch(run: Run) -> list[Step]:
    """Load and build streamed rows; many landed files are merged.

    Raises:
        NothingToDo: This version of the code has not built the tables yet.
    """
    if not run.state.built_with:
        raise NothingToDo("Nothing is built yet. The first nightly run builds the tables.")
    if run.state.built_with != run.tables_digest:
        raise NothingToDo("The project has changed since the last build. The next nightly run rebuilds the tables.")
    if "load_online_retail" not in run.state.steps:
        raise NothingToDo("Online Retail is not loaded yet. The next nightly run loads it.")
    steps = [_LAND_STREAMED, _LOAD_STREAMED, _BUILD_STREAMED, _PUBLISH_LINES]
    # Merged files are landed and loaded again by the next run, which wakes Redshift Serverless.
    return [*steps, _MERGE_STREAMED] if len(run.files(STREAMED)) >= _MANY_FILES else steps


def train_and_predict(run: Run) -> list[Step]:
    """Train a model and predict with it.

    Raises:
        NothingToDo: Instacart is not built yet.
    """
    if "load_instacart" not in run.state.steps or not run.state.built_with:
        raise NothingToDo("Models are trained on Instacart, which is not built yet. Do a nightly run first.")
    return [_FEATURES, _TRAIN, *_PREDICTIONS]


#: The runs of ``retail-warehouse run``, by name.
RUNS = {"nightly": nightly, "micro-batch": micro_batch, "train": train_and_predict}
