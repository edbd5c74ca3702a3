"""`retail-warehouse check` tells what dbt would make of a folder."""

import gzip
import os
import subprocess
import sys

import pytest
from conftest import PROJECT

from retail_warehouse import online_retail

GOOD = "536365,85123A,HOLDER £,6,12/1/2010 8:26,2.55,17850,United Kingdom"


@pytest.mark.slow
def test_a_folder_is_checked_without_a_warehouse(dbt, tmp_path):
    lines = [GOOD.replace("536365", str(500_000 + n)) for n in range(40)]
    first = "\n".join([online_retail.HEADER, *lines, "1,x"])
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").write_bytes(first.encode("cp1252"))
    (folder / "b.csv.gz").write_bytes(gzip.compress("\r\n".join([online_retail.HEADER, *lines]).encode()))
    days = [GOOD.replace("12/1/2010", f"{day}/1/2026") for day in range(1, 32)]
    (folder / "c.csv").write_text("\n".join([online_retail.HEADER, *days]), encoding="utf-8")
    command = [sys.executable, "-c", "from retail_warehouse.cli import main; main()", "check", str(folder)]
    environment = {**os.environ, "DBT_PROFILES_DIR": str(dbt.folder), "DBT_TARGET_PATH": str(tmp_path / "target")}
    run = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stdout + run.stderr
    for told in (
        "41 rows in a.csv, is not valid UTF-8 and is read as Latin-1",
        "rejected: 1 wrong_field_count, such as line 42: 2 fields, the header has 8",
        "b.csv.gz: all rows of the file are in a.csv as well; it would be left out",
        "c.csv: the dates of 19 of the 31 rows of the file can only be read with day and month exchanged",
        "dbt build --vars '{online_retail_day_first: true}'",
        "dbt build would fail",
    ):
        assert told in run.stdout, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
