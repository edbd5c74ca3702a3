"""Writes documentation, column lineage and dashboard to the bucket as web pages."""

import shutil
import subprocess
import sys
from pathlib import Path

from retail_warehouse import docs_site
from retail_warehouse.errors import DataError
from retail_warehouse.runs.bucket import SITE
from retail_warehouse.runs.redshift import TARGET
from retail_warehouse.runs.run import Run
from retail_warehouse.settings import ProjectSettings

_MISSING = "{} is not installed, but the pages of the site need it: {}"


def require_installed() -> None:
    """Check, before the run starts, that the libraries which write the pages are installed.

    Raises:
        DataError: One is missing; the text says how to install it.
    """
    try:
        import dbt_colibri  # noqa: F401
    except ModuleNotFoundError as error:
        raise DataError(_MISSING.format(error.name, "pip install dbt-colibri")) from error
    try:
        from retail_warehouse.dashboard import page  # noqa: F401
    except ModuleNotFoundError as error:
        how = "pip install --require-hashes --no-deps -r requirements-dashboard.txt"
        raise DataError(_MISSING.format(error.name, how)) from error


def write_docs(run: Run) -> str:
    """Write the documentation (``index.html``) and the column lineage (``lineage.html``).

    Raises:
        DataError: They cannot be generated or written.
    """
    run.dbt.write_docs()
    target = ProjectSettings().dbt_target_path
    pages = _empty(run.folder / "pages")
    docs_site.rearrange(target / "static_index.html")
    shutil.copy(target / "static_index.html", pages / "index.html")
    if (target / "docs").is_dir():  # images of the pages
        shutil.copytree(target / "docs", pages / "docs")
    command = [sys.executable, "-c", "from dbt_colibri.cli.cli import cli; cli()", "generate", "--light"]
    command += ["--disable-telemetry", "--output-dir", str(run.folder / "lineage")]
    command += ["--manifest", str(target / "manifest.json"), "--catalog", str(target / "catalog.json")]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise DataError(f"The column lineage cannot be generated: {(done.stderr or done.stdout).strip()[-500:]}")
    shutil.copy(run.folder / "lineage" / "index.html", pages / "lineage.html")
    return _upload(run, pages)


def write_dashboard(run: Run) -> str:
    """Write the dashboard (``dashboard.html``) from the reports on Redshift.

    Raises:
        DataError: It cannot be generated or written.
    """
    from retail_warehouse.dashboard import page, source

    pages = _empty(run.folder / "pages")
    (pages / "dashboard.html").write_text(page.render(source.read(TARGET)), encoding="utf-8")
    return _upload(run, pages)


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _upload(run: Run, pages: Path) -> str:
    names = sorted(path.relative_to(pages).as_posix() for path in pages.rglob("*") if path.is_file())
    run.bucket.upload(pages, SITE, names)
    return f"{len(names)} files in {run.bucket.url(SITE)}"
