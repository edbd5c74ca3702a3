"""`retail-warehouse check` tells what dbt would make of a folder."""

import gzip
import re

import pytest
from click.testing import CliRunner
from conftest import PROJECT

from retail_warehouse import check, official
from retail_warehouse.cli import main

GOOD = "536365,85123A,HOLDER £,6,12/1/2010 8:26,2.55,17850,United Kingdom"


@pytest.mark.slow
def test_a_folder_is_checked_without_a_warehouse(dbt, tmp_path, monkeypatch):
    lines = [GOOD.replace("536365", str(500_000 + n)) for n in range(40)]
    first = "\n".join([official.ONLINE_RETAIL_HEADER, *lines, "1,x"])
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").write_bytes(first.encode("cp1252"))
    (folder / "b.csv.gz").write_bytes(gzip.compress("\r\n".join([official.ONLINE_RETAIL_HEADER, *lines]).encode()))
    days = [GOOD.replace("12/1/2010", f"{day}/1/2026") for day in range(1, 32)]
    (folder / "c.csv").write_text("\n".join([official.ONLINE_RETAIL_HEADER, *days]), encoding="utf-8")
    (folder / "d.csv").write_text(official.ONLINE_RETAIL_HEADER + "\n", encoding="utf-8")
    others = [GOOD.replace("536365", str(600_000 + n)) for n in range(110)]
    (folder / "e.csv").write_text("\n".join([official.ONLINE_RETAIL_HEADER, *others, ",,,,,,,"]), encoding="utf-8")
    more = [GOOD.replace("536365", str(700_000 + n)) for n in range(50)]
    (folder / "f.csv").write_text("\n".join([official.ONLINE_RETAIL_HEADER, *others[:101], *more]), encoding="utf-8")
    (folder / "._a.csv").touch()
    monkeypatch.chdir(PROJECT)
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "target"))

    def dbt_says(arguments, target, environment):
        variables = {name: environment[name] for name in ("WAREHOUSE_PATH", "ONLINE_RETAIL_DATA")}
        outcome = dbt("--quiet", *arguments, "--target-path", str(target), **variables)
        return outcome.ok, outcome.output

    # The same command, in a process that has parsed.
    monkeypatch.setattr(check, "dbt_says", dbt_says)
    run = CliRunner().invoke(main, ["check", str(folder)])
    assert run.exit_code == 1, run.output
    for told in (
        "41 rows in a.csv, is not valid UTF-8 and is read as Latin-1",
        f"mend: cat {folder}/a.csv | iconv -f WINDOWS-1252 -t UTF-8 > mended && mv mended {folder}/a.csv; or, if all",
        "export ONLINE_RETAIL_ENCODING=windows-1252",
        "rejected: 1 wrong_field_count, such as line 42: 2 fields, the header has 8",
        f"complete a row that is cut off; see it: cat {folder}/a.csv | sed -n 42p",
        f"mend: rm {folder}/b.csv.gz",
        f"mend: it holds no rows; get it again, or remove it: rm {folder}/d.csv",
        "rejected: 1 missing_key, such as line 112",
        "mend: remove empty rows: ",
        "f.csv: 101 of the 151 rows of the file are in e.csv as well; all its rows count",
        "c.csv | sed -E ",
        "In the folder 1 hidden or temporary file is skipped, such as ._a.csv.",
        "Not the complete official files, but 374 of 541,909 invoice_lines.",
        "b.csv.gz: all rows of the file are in a.csv as well; it would be left out",
        "c.csv: the dates of 19 of the 31 rows of the file can only be read with day and month exchanged",
        "dbt build --vars '{online_retail_day_first: true}'",
        "dbt build would fail",
    ):
        assert told in run.output, run.output
    assert "> in macro" not in run.output
    # Of two files that share rows, one keeps them.
    [command] = re.findall("mend: nothing, if they are to count twice; else awk .* mv mended (.*)", run.output)
    assert command == f"{folder}/f.csv"
    assert not [*(tmp_path / "target").rglob("*.duckdb*")]
    (folder / "a.csv").write_text(first.replace(",", ";"), encoding="utf-8")
    refused = CliRunner().invoke(main, ["check", str(folder)])
    assert refused.exit_code == 1
    assert refused.output.count("cannot be read:") == 1
    assert "separated by commas; write commas for semicolons: cat" in refused.output
    assert "> in macro" not in refused.output
    assert "Compilation Error" not in refused.output
