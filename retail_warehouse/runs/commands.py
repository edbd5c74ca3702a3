"""The command ``retail-warehouse run``."""

from pathlib import Path

import click

from retail_warehouse.errors import DataError


@click.command("run")
@click.argument("what", type=click.Choice(["nightly", "micro-batch", "train"]))
@click.option("--again", is_flag=True, help="Repeat every step, even if nothing has changed since the last run.")
@click.option("--full-refresh", is_flag=True, help="The same, and rebuild all tables from all raw files.")
def run(what: str, again: bool, full_refresh: bool) -> None:
    """Fill the warehouse on Amazon Redshift from the bucket RETAIL_WAREHOUSE_BUCKET: load, build, export, predict and
    publish. The next run resumes a run that was killed.

    Exit code 0: done, or nothing to do. 1: a step failed. 2: a setting is wrong. 3: another run is in progress. The
    last line is a summary in JSON.
    """
    from retail_warehouse.runs.run import FAILED, USAGE, perform, tell_end

    try:
        made, steps_of = _prepared(what)
    except DataError as error:
        tell_end({"run": what, "status": FAILED, "seconds": 0.0, "exit_code": USAGE, "steps": {}, "error": str(error)})
        raise SystemExit(USAGE) from error
    raise SystemExit(perform(made, steps_of, again, full_refresh))


def _prepared(what: str):
    """The run and its steps, once all settings and libraries have been checked.

    Raises:
        DataError: A setting or a library is missing, or a setting is wrong.
    """
    from retail_warehouse.predictions.libraries import require_installed
    from retail_warehouse.project import require_project_folder
    from retail_warehouse.redshift_connection import credentials_of
    from retail_warehouse.runs import site
    from retail_warehouse.runs.bucket import Bucket
    from retail_warehouse.runs.redshift import TARGET, Dbt
    from retail_warehouse.runs.run import Run
    from retail_warehouse.runs.state import project_digests
    from retail_warehouse.runs.steps import RUNS
    from retail_warehouse.settings import RunSettings, settings

    require_project_folder()
    given = RunSettings()
    if not given.retail_warehouse_bucket:
        raise DataError("Set RETAIL_WAREHOUSE_BUCKET to the name of the bucket that holds the raw files.")
    if "/" in given.retail_warehouse_bucket:
        raise DataError(
            "RETAIL_WAREHOUSE_BUCKET must be the name of a bucket alone, without s3:// "
            f"(now: {given.retail_warehouse_bucket})."
        )
    settings()
    credentials_of(TARGET)
    if what != "micro-batch":
        require_installed()
    if what == "nightly":
        site.require_installed()
    tables, code = project_digests()
    bucket, folder = Bucket(given.retail_warehouse_bucket), Path(given.run_folder).absolute()
    return Run(what, bucket, folder, Dbt(given.run_vars), tables_digest=tables, code_digest=code), RUNS[what]
