"""The bundled sample of Online Retail: what the generator writes, in the official format, with every special case."""

import duckdb
import pytest
from click.testing import CliRunner
from conftest import PROJECT

from retail_warehouse import official
from retail_warehouse.cli import main
from retail_warehouse.generate import online_retail

SAMPLE = PROJECT / "seeds/samples/online_retail"


def test_the_bundled_sample_is_the_generators_output(tmp_path):
    result = CliRunner().invoke(main, ["generate", "online-retail", "--invoices", "400", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert f"ONLINE_RETAIL_DATA={tmp_path} dbt build" in result.output
    assert (tmp_path / "data.csv").read_bytes() == (SAMPLE / "data.csv").read_bytes(), "run `make sample`"
    online_retail.generate(50, 2, tmp_path)
    first = (tmp_path / "data.csv").read_bytes()
    online_retail.generate(50, 2, tmp_path)
    assert (tmp_path / "data.csv").read_bytes() == first
    online_retail.generate(50, 3, tmp_path)
    assert (tmp_path / "data.csv").read_bytes() != first


SPECIAL_CASES = {
    "cancellation": "InvoiceNo like 'C%'",
    "three rows of bad debt": "(select count(*) from lines where InvoiceNo like 'A%') = 3",
    "bad debt with a positive price": "InvoiceNo like 'A%' and UnitPrice::float > 0",
    "bad debt with a negative price": "UnitPrice::float < 0",
    "stock adjustment": "InvoiceNo not like 'C%' and Quantity::int < 0",
    "free item": "Quantity::int > 0 and UnitPrice::float = 0",
    "missing customer": "CustomerID is null",
    "missing description": "Description is null",
    "description with blanks at the end": "Description like '% '",
    "description with a comma": "Description like '%,%'",
    "description with a double quote": "Description like '%\"%'",
    "pound sign": "Description like '%£%'",
    "letter beyond ASCII": "Description like '%É%'",
    "postage": "StockCode = 'POST'",
    "manual amount, in lower case": "StockCode = 'm'",
    "discount": "StockCode = 'D' and Quantity::int < 0",
    "bank charges": "StockCode = 'BANK CHARGES'",
    "price of a tenth of a penny": "UnitPrice = '0.001'",
    "whole price": "UnitPrice not like '%.%'",
    "stock code in both cases": "StockCode <> upper(StockCode) and upper(StockCode) in (select StockCode from lines)",
    "exact duplicate": "(select count(*) from (select 1 from lines group by all having count(*) > 1)) > 0",
    "one pair, several lines": "(select count(*) from (select 1 from lines group by InvoiceNo, StockCode"
    " having count(distinct Quantity) > 1)) > 0",
    "two times in one invoice": "(select count(*) from (select 1 from lines group by InvoiceNo"
    " having count(distinct InvoiceDate) > 1)) > 0",
    "several descriptions of one item": "(select count(*) from (select 1 from lines where Quantity::int > 0"
    " group by upper(StockCode) having count(distinct trim(Description)) > 1)) > 0",
    "customer in two countries": "(select count(*) from (select 1 from lines where CustomerID is not null"
    " group by CustomerID having count(distinct Country) > 1)) > 0",
    "country that is not known": "Country = 'Unspecified'",
}


@pytest.fixture(scope="module")
def sample_lines():
    with duckdb.connect() as connection:
        connection.execute(
            f"create view lines as from read_csv('{SAMPLE}/data.csv', header = true, all_varchar = true,"
            " encoding = 'latin-1', quote = '\"', escape = '\"')"
        )
        yield connection


@pytest.mark.parametrize("case", SPECIAL_CASES)
def test_the_bundled_sample_holds_every_special_case(sample_lines, case):
    [(count,)] = sample_lines.execute(f"select count(*) from lines where {SPECIAL_CASES[case]}").fetchall()
    assert count >= 1


def test_official_format(sample_lines):
    raw = (SAMPLE / "data.csv").read_bytes()
    assert raw.startswith(official.ONLINE_RETAIL_HEADER.encode() + b"\n5")
    assert b"\r" not in raw
    with pytest.raises(UnicodeDecodeError):
        raw.decode("utf-8")
    formats = (
        "select count(*) from lines where not regexp_full_match(InvoiceDate, '1?\\d/[123]?\\d/201[01] [12]?\\d:\\d\\d')"
    )
    assert sample_lines.execute(formats).fetchall() == [(0,)]
