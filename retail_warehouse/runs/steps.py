"""The steps of the runs, in the order in which they are done.

A step that reads the disk copies what it needs there first: the task that did the step before it may be gone."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from retail_warehouse import official
from retail_warehouse.errors import DataError
from retail_warehouse.project import environment_variables
from retail_warehouse.redshift_connection import connected
from retail_warehouse.redshift_load import parquet
from retail_warehouse.runs import merging, publishing, site
from retail_warehouse.runs.bucket import EXPORTS, FEATURES, MODELS, PREDICTIONS, RAW, REDSHIFT_LOAD, STREAMED
from retail_warehouse.runs.redshift import TARGET
from retail_warehouse.runs.run import NothingToDo, Run, Step
from retail_warehouse.runs.state import KEY as STATE

_INSTACART, _ONLINE_RETAIL = f"{RAW}/instacart", f"{RAW}/online_retail"
# The file of Online Retail where all rows are streamed: a header without rows.
_NO_ROWS = "no_rows.csv"
# Of the source online_retail, what changes when rows are streamed.
_STREAMED_TABLES = ("data_files", "streamed_lines")


# Raw files to raw tables


def land_instacart(run: Run) -> str:
    """Copy the files of Instacart to the disk, write them as Parquet, and put that into the bucket."""
    return _land(run, "instacart", {"INSTACART_DATA": run.copy(_INSTACART)})


def land_online_retail(run: Run) -> str:
    """The same for Online Retail, with the streamed rows."""
    return _land(run, "online_retail", _online_retail_files(run))


def land_streamed(run: Run) -> str:
    """The same for the streamed rows alone."""
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
    # Absolute, since dbt knows a file by its folder too.
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
    """Build and test everything but features and predictions, in full after a change of the project."""
    sources = sources_of(run)
    selected = () if len(sources) > 1 else ("--selector", *sources)
    is_changed = run.state.built_with not in ("", run.tables_digest)
    said = run.dbt.build(*selected, *(("--full-refresh",) if is_changed else ()))
    run.state.built_with = run.tables_digest
    run.state.processed_at = run.dbt.last_processed() or ""
    return said


def build_streamed(run: Run) -> str:
    """Build what further streamed rows change, but the reports; the tests run with the next nightly build."""
    return run.dbt.build("--selector", "micro_batch")


def merge_streamed(run: Run) -> str:
    """Make few files of the many that were landed and are built; the rows stay the same."""
    from retail_warehouse.streaming.merging import S3
    from retail_warehouse.streaming.micro_batches import models_by_landed_file

    if not run.files(STREAMED):
        raise NothingToDo("Nothing has streamed in.")
    place = S3(run.bucket.url(STREAMED), run.bucket.client)
    with connected(TARGET) as (connection, _):
        removed, made = merging.merge(connection, place, models_by_landed_file(run.dbt.manifest()))
    run.written(STREAMED)
    return f"{removed:,} landed files have become {made:,}"


def publish_lines(run: Run) -> str:
    """Let the look-ups of the API know what was loaded from files."""
    return publishing.publish_lines(run)


def export(run: Run) -> str:
    """Write the facts of Online Retail as Parquet, and remove the months that are gone."""
    if "online_retail" not in sources_of(run):
        raise NothingToDo("Online Retail, whose facts are exported, is not loaded.")
    prefix = f"{EXPORTS}/{TARGET}"
    before = run.bucket.files(prefix)
    run.dbt.operation("export_parquet", to=run.bucket.url(EXPORTS))
    after = run.bucket.files(prefix)
    # UNLOAD empties the months that it writes, so that what stands as it stood is of a month that it has not written.
    stale = {name for name, one in after.items() if before.get(name) == one}
    written = {name.partition("/")[0] for name in after.keys() - stale}
    stale = {name for name in stale if name.partition("/")[0] in written}
    run.bucket.remove(prefix, sorted(stale))
    return f"{len(after) - len(stale)} files in {run.bucket.url(prefix)}, {len(stale)} of gone months removed"


# Predictions


def features(run: Run) -> str:
    """Build what models train on and predict from, and unload it."""
    run.dbt.build("--selector", "features")
    run.dbt.operation("unload_features", location=run.bucket.url(FEATURES))
    run.written(FEATURES)
    return f"unloaded to {run.bucket.url(FEATURES)}"


def train(run: Run) -> str:
    """Train a model and keep it in the bucket."""
    from retail_warehouse.predictions import SEED
    from retail_warehouse.predictions.commands import train as command

    trained = run.folder / "trained"
    shutil.rmtree(trained, ignore_errors=True)
    command.callback(unloaded=str(run.copy(FEATURES)), models=trained, seed=SEED)
    for folder in sorted(path for path in trained.iterdir() if path.is_dir()):
        names = sorted(path.name for path in folder.iterdir())
        # The card last: a folder without one is no model yet.
        for some in ([name for name in names if name != "card.json"], ["card.json"]):
            run.bucket.upload(folder, f"{MODELS}/{folder.name}", some)
    run.written(MODELS)
    return f"kept in {run.bucket.url(MODELS)}"


def predict(run: Run) -> str:
    """Predict the next orders of users who have ordered since the last time, or of all with another model."""
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
    """Build and test the tables of the predictions."""
    return run.dbt.build("--selector", "predictions")


def publish_predictions(run: Run) -> str:
    """Let the API answer with them."""
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
    """Do all steps again where the warehouse is not the one that they were done on: it was made anew, or restored from
    a time before the last build. Only a nightly run asks, since a question wakes a warehouse that sleeps, at a price.

    Raises:
        DataError: The warehouse cannot be reached, or the bucket cannot be written.
    """
    if not {"load_instacart", "load_online_retail"} & run.state.steps.keys():
        return
    found = run.dbt.last_processed()
    if found is not None and found >= run.state.processed_at:
        return
    run.tell("The warehouse was made anew or restored since the last run: all steps are done again.")
    if found is None:
        run.state.built_with = ""
    run.state.forget(in_full=True)
    run.state.write(run.bucket)


_LAND_INSTACART = Step(land_instacart, of=(_INSTACART,))
_LOAD_INSTACART = Step(load_instacart, after=("land_instacart",))
_LAND_STREAMED = Step(land_streamed, of=(STREAMED,))
_LOAD_STREAMED = Step(load_streamed, after=("land_streamed",))
_BUILD_STREAMED = Step(build_streamed, after=("load_streamed",))
_LAND_ONLINE_RETAIL = Step(land_online_retail, of=(_ONLINE_RETAIL, STREAMED), with_it=(_LAND_STREAMED,))
_LOAD_ONLINE_RETAIL = Step(load_online_retail, after=("land_online_retail",), with_it=(_LOAD_STREAMED,))
_BUILD = Step(build, after=("load_instacart", "load_online_retail"), with_it=(_BUILD_STREAMED,))
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
    """Everything, with predictions by the model that was trained last, if there is one."""
    forget_another_warehouse(run)
    sources = sources_of(run)
    steps = [step for source in sources for step in _OF_SOURCE[source]]
    steps += [_BUILD, _PUBLISH_LINES, Step(export, after=("build",))]
    if "instacart" in sources and run.files(MODELS):
        steps += [_FEATURES, *_PREDICTIONS]
    if run.files(STREAMED):
        steps.append(Step(merge_streamed, after=("build",)))
    return [*steps, Step(docs, after=("build",)), Step(dashboard, after=("build",))]


def micro_batch(run: Run) -> list[Step]:
    """What has streamed in.

    Raises:
        NothingToDo: The tables are not built by this code yet.
    """
    if not run.state.built_with:
        raise NothingToDo("Nothing is built yet: the first nightly run does that.")
    if run.state.built_with != run.tables_digest:
        raise NothingToDo("The project has changed since the last build: the next nightly run builds its tables anew.")
    if "load_online_retail" not in run.state.steps:
        raise NothingToDo("Online Retail is not loaded yet: the next nightly run does that.")
    return [_LAND_STREAMED, _LOAD_STREAMED, _BUILD_STREAMED, _PUBLISH_LINES]


def train_and_predict(run: Run) -> list[Step]:
    """A new model, and the predictions of it.

    Raises:
        NothingToDo: Instacart is not built yet.
    """
    if "load_instacart" not in run.state.steps or not run.state.built_with:
        raise NothingToDo("Instacart, which models are trained on, is not built yet: a nightly run does that.")
    return [_FEATURES, _TRAIN, *_PREDICTIONS]


#: What ``retail-warehouse run`` takes.
RUNS = {"nightly": nightly, "micro-batch": micro_batch, "train": train_and_predict}
