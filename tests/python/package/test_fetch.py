"""`retail-warehouse fetch`, against a server on this machine that cuts, refuses and lies as servers do."""

import gzip
import io
import threading
import zipfile
from datetime import date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import pytest
import xlsxwriter
from click.testing import CliRunner
from conftest import REAL_FILE, needs_the_real_file

from retail_warehouse import official
from retail_warehouse.cli import main
from retail_warehouse.errors import DataError
from retail_warehouse.fetch import download as downloads
from retail_warehouse.fetch.online_retail import cell_text

CONTENT = bytes(range(256)) * 8_192  # 2 MiB, so that what a cut leaves is whole pieces
GOOD_ROW = (536365, "85123A", "HOLDER", 6, datetime(2010, 12, 1, 8, 26), 2.55, 17850, "United Kingdom")


class Server(ThreadingHTTPServer):
    """Serves `content` at every address; each entry of `plan` spoils one answer, in order."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.version, self.plan, self.ranges = CONTENT, '"one"', [], []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/online+retail.zip"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server = self.server
        step = server.plan.pop(0) if server.plan else ""
        server.ranges.append(self.headers.get("Range"))
        self.close_connection = True
        if isinstance(step, int) and step >= 400:
            self.send_response(step)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        begin = 0
        if self.headers.get("Range") and self.headers.get("If-Range") == server.version and step != "no ranges":
            begin = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        body = server.content[begin:]
        self.send_response(206 if begin else 200)
        if step != "no length":
            self.send_header("Content-Length", str(len(body)))
        if server.version:
            self.send_header("ETag", server.version)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if step == "cut" else body)


@pytest.fixture
def server():
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def get(server, folder: Path, first_wait: float = 0) -> Path:
    path = folder / "file"
    downloads.download(server.url, path, first_wait)
    assert [path.name for path in folder.iterdir()] == ["file"], "nothing else is left"
    return path


@pytest.mark.parametrize(
    ("plan", "ranges"),
    [
        ([], [None]),
        (["no length"], [None]),
        (["cut"], [None, "bytes=1048576-"]),
        (["cut", "cut"], [None, "bytes=1048576-", "bytes=1572864-"]),
        (["cut", "no ranges"], [None, "bytes=1048576-"]),
        (["cut", 416], [None, "bytes=1048576-", None]),
        ([503, 429], [None, None, None]),
    ],
)
def test_a_download_comes_whole(server, tmp_path, plan, ranges):
    server.plan = list(plan)
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ranges


def test_a_download_goes_on_in_the_next_run(server, tmp_path):
    server.plan = ["cut"] * downloads.ATTEMPTS
    with pytest.raises(DataError, match="failed 5 times") as error:
        get(server, tmp_path)
    assert "run the same command again" in str(error.value)
    assert not (tmp_path / "file").exists()
    server.ranges.clear()
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=2031616-"]


@pytest.mark.parametrize("version", ['"two"', "", 'W/"one"'])
def test_a_file_that_changed_meanwhile_starts_over(server, tmp_path, version):
    server.plan = ["cut"]
    if version.startswith("W/"):
        server.version = version

    def change(*_):
        server.version, server.content = version, CONTENT[::-1]

    original, downloads.time.sleep = downloads.time.sleep, change
    try:
        assert get(server, tmp_path).read_bytes() == CONTENT[::-1]
    finally:
        downloads.time.sleep = original


def test_a_full_disk_is_told_and_the_part_kept(server, tmp_path):
    """/dev/full takes no byte."""
    (tmp_path / "file.part").symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"file.part cannot be written: No space left on device.*make room"):
        downloads.download(server.url, tmp_path / "file", 0)


def test_a_refusal_is_told(server, tmp_path):
    server.plan = [404]
    with pytest.raises(DataError, match=r"404 Not Found.*--url"):
        get(server, tmp_path)
    with pytest.raises(DataError, match="not an http or https address"):
        downloads.download("ftp://example.org/x", tmp_path / "file")
    with pytest.raises(DataError, match=r"failed 5 times.*Nothing has arrived"):
        downloads.download("http://127.0.0.1:1/x", tmp_path / "file", 0)


def workbook(path: Path, rows, sheet: str = "Online Retail") -> bytes:
    """A zip archive with a workbook as the official one: numbers and timestamps are no text in it."""
    book = xlsxwriter.Workbook(path.with_suffix(".xlsx"), {"constant_memory": True})
    page = book.add_worksheet(sheet)
    timestamp = book.add_format({"num_format": "m/d/yyyy h:mm"})
    for line, row in enumerate(rows):
        for column, value in enumerate(row):
            match value:
                case str():
                    page.write_string(line, column, value)
                case datetime():
                    page.write_datetime(line, column, value, timestamp)
                case None:
                    pass
                case _:
                    page.write_number(line, column, value)
    book.close()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path.with_suffix(".xlsx"), "Online Retail.xlsx")
    return path.read_bytes()


def fetch(server, out: Path):
    return CliRunner().invoke(main, ["fetch", "online-retail", "--out", str(out), "--url", server.url])


@pytest.fixture
def of_three_rows(monkeypatch):
    """As if the official file had the three rows of `ONLINE_RETAIL_ROWS`."""
    monkeypatch.setattr(official, "ONLINE_RETAIL_ROWS", 3)
    monkeypatch.setattr(
        official,
        "ONLINE_RETAIL_FIGURES",
        dict(
            zip(
                official.ONLINE_RETAIL_FIGURES,
                map(Decimal, ("3", "3", "2", "1", "1", "15.3", "1", "-2.55")),
                strict=True,
            )
        ),
    )
    return [
        official.ONLINE_RETAIL,
        GOOD_ROW,
        ("C536366", 71053, "TWO\nLINES £", -1, datetime(2011, 1, 1), 2.55, None, "United Kingdom"),
        ("A536367", "B", None, 1, datetime(2011, 1, 1, 12, 59, 59), 11062.06, None, "United Kingdom"),
    ]


def test_a_workbook_becomes_a_csv_file(server, tmp_path, of_three_rows):
    server.content = workbook(tmp_path / "w.zip", of_three_rows)
    out = tmp_path / "a new folder"
    result = fetch(server, out)
    assert result.exit_code == 0, result.output
    assert (out / "online_retail.csv").read_text(encoding="utf-8").splitlines() == [
        ",".join(official.ONLINE_RETAIL),
        "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom",
        "C536366,71053,TWO LINES £,-1,2011-01-01 00:00:00,2.55,,United Kingdom",
        "A536367,B,,1,2011-01-01 12:59:59,11062.06,,United Kingdom",
    ]
    assert "SHA-256 " in result.output
    assert f"Next: ONLINE_RETAIL_DATA='{out}' dbt build --vars '{{online_retail_complete: true}}'" in result.output
    # A second run finds all there; without the CSV file it converts the archive again; neither asks the server.
    server.ranges.clear()
    assert "is there already" in fetch(server, out).output
    (out / "online_retail.csv").unlink()
    assert fetch(server, out).exit_code == 0
    assert server.ranges == []
    # A changed file is told, and stays.
    with (out / "online_retail.csv").open("a") as file:
        file.write("536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom\n")
    result = fetch(server, out)
    assert result.exit_code == 1
    assert "rows 4 instead of 3" in result.output
    assert "sales 2 instead of 1" in result.output


def test_other_files_in_the_folder_would_be_further_deliveries(server, tmp_path):
    (tmp_path / "data.csv").touch()
    result = fetch(server, tmp_path)
    assert result.exit_code == 1
    assert "already holds data.csv" in result.output
    assert server.ranges == []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content[: len(content) // 2], "is not a complete zip archive"),
        (lambda content: content[:300] + bytes([content[300] ^ 255]) + content[301:], "is not a complete zip archive"),
        (lambda content: b"<!DOCTYPE html><html>Please sign in</html>", "begins with b'<!DOCTYPE html>"),
        (lambda content: b"", "is not a complete zip archive"),
    ],
)
def test_a_damaged_archive_is_told(server, tmp_path, of_three_rows, spoil, message):
    server.content = spoil(workbook(tmp_path / "w.zip", of_three_rows))
    out = tmp_path / "out"
    result = fetch(server, out)
    assert result.exit_code == 1
    assert message in result.output
    assert "run the same command again" in result.output
    assert list(out.iterdir()) == [], "so that the next run starts over"


@pytest.mark.parametrize(
    ("change", "sheet", "message"),
    [
        (lambda rows: rows, "Year 2009-2010", "no sheet 'Online Retail'; it has 'Year 2009-2010'"),
        (
            lambda rows: [("Invoice", *official.ONLINE_RETAIL[1:]), *rows[1:]],
            "Online Retail",
            "header is Invoice, StockCode",
        ),
        (lambda rows: rows[:-1], "Online Retail", "has 2 rows, the official one has 3"),
        (lambda rows: [], "Online Retail", "header is empty"),
        (lambda rows: [*rows[:-1], GOOD_ROW], "Online Retail", "sales 2 instead of 1; amount of sales 30.600"),
    ],
)
def test_another_workbook_is_told(server, tmp_path, of_three_rows, change, sheet, message):
    server.content = workbook(tmp_path / "w.zip", change(of_three_rows), sheet)
    result = fetch(server, tmp_path / "out")
    assert result.exit_code == 1
    assert message in result.output
    assert "is removed; run the same command again, or name another address with --url" in result.output
    assert list((tmp_path / "out").iterdir()) == [], "so that another address is asked next time"


def test_an_archive_without_a_workbook_is_told(server, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
        archive.writestr("broken.xlsx", "no workbook")
    server.content = (tmp_path / "x.zip").read_bytes()
    assert "cannot be read" in fetch(server, tmp_path / "a").output
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    server.content = (tmp_path / "x.zip").read_bytes()
    assert "holds readme.txt, not one workbook" in fetch(server, tmp_path / "b").output


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("", ""),
        ("85123A", "85123A"),
        (" untrimmed  £ ", " untrimmed  £ "),
        ("a\r\nb\rc\nd", "a b c d"),
        (0, "0"),
        (-9360.0, "-9360"),
        (2.5499999999999998, "2.55"),
        (0.001, "0.001"),
        (1e-7, "0.0000001"),
        (-11062.06, "-11062.06"),
        (True, "TRUE"),
        (datetime(2010, 12, 1, 8, 26), "2010-12-01 08:26:00"),
        (datetime(2010, 12, 1, 8, 25, 59, 999_000), "2010-12-01 08:26:00"),
        (datetime(2010, 12, 31, 23, 59, 59, 500_000), "2011-01-01 00:00:00"),
        (date(2011, 1, 1), "2011-01-01 00:00:00"),
    ],
)
def test_the_text_of_a_cell(cell, text):
    assert cell_text(cell) == text


# All rows as `xlsxwriter` writes them, which takes 15 s for it.
ROWS = r"""
create macro text(place, value) as coalesce(
    '<c r="' || place || '" t="inlineStr"><is><t xml:space="preserve">'
    || replace(replace(replace(value, '&', '&amp;'), '<', '&lt;'), '>', '&gt;') || '</t></is></c>', ''
);
create macro number(place, value) as case
    when regexp_full_match(value, '-?[0-9]+([.][0-9]*)?')
        then '<c r="' || place || '"><v>' || value::double || '</v></c>'
    else text(place, value)
end;
create macro moment(place, value) as '<c r="' || place || '" s="1"><v>'
    || (epoch(strptime(value, '%-m/%-d/%Y %-H:%M')) / 86400 + 25569) || '</v></c>';
copy (
    select '<row r="' || line || '">' || number('A' || line, InvoiceNo) || number('B' || line, StockCode)
        || text('C' || line, Description) || number('D' || line, Quantity) || moment('E' || line, InvoiceDate)
        || number('F' || line, UnitPrice) || number('G' || line, CustomerID) || text('H' || line, Country) || '</row>'
    from (
        select 1 + row_number() over () as line, *
        from read_csv('{file}', header = true, quote = '"', escape = '"', all_varchar = true, encoding = 'latin-1')
    )
) to '{target}' (format csv, header false, quote '', delimiter '\x1f')
"""


def full_size_workbook(folder: Path, file: Path) -> bytes:
    """Like `workbook`, with all rows of a file."""
    with duckdb.connect() as connection:
        connection.execute(ROWS.replace("{file}", str(file)).replace("{target}", str(folder / "rows.xml")))
    # Styles and all other parts are those of a book with one row.
    small = zipfile.ZipFile(io.BytesIO(workbook(folder / "small.zip", [official.ONLINE_RETAIL, GOOD_ROW])))
    parts = zipfile.ZipFile(io.BytesIO(small.read("Online Retail.xlsx")))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book:
        for name in parts.namelist():
            text = parts.read(name)
            if name == "xl/worksheets/sheet1.xml":
                before, after = text.partition(b'<row r="2"')[0], text.partition(b"</sheetData>")[2]
                last = f":H{1 + official.ONLINE_RETAIL_ROWS}".encode()
                text = before.replace(b":H2", last, 1) + (folder / "rows.xml").read_bytes() + b"</sheetData>" + after
            book.writestr(name, text)
    with zipfile.ZipFile(folder / "full.zip", "w") as archive:
        archive.writestr("Online Retail.xlsx", made.getvalue())
    return (folder / "full.zip").read_bytes()


@pytest.mark.slow
@needs_the_real_file
def test_a_full_size_workbook_of_the_real_rows_comes_back_row_by_row(server, tmp_path):
    server.content = full_size_workbook(tmp_path, REAL_FILE)
    server.plan = ["cut"]
    out = tmp_path / "out"
    result = fetch(server, out)
    assert result.exit_code == 0, result.output
    assert server.ranges[1].startswith("bytes=")
    assert "541,909 rows, as published" in result.output
    options = """header = true, quote = '"', escape = '"', all_varchar = true"""
    [(rows_compared, different)] = (
        duckdb.connect()
        .execute(
            f"""
        with published as (
            select row_number() over () as place, *
                replace (strptime(InvoiceDate, '%-m/%-d/%Y %-H:%M')::varchar as InvoiceDate)
            from read_csv('{REAL_FILE}', encoding = 'latin-1', {options})
        ),
        fetched as (select row_number() over () as place, * from read_csv('{out}/online_retail.csv', {options}))
        select count(*), count(*) filter (published is distinct from fetched)
        from published full join fetched using (place)
        """
        )
        .fetchall()
    )
    assert (rows_compared, different) == (541_909, 0)


def official_folder(folder: Path, monkeypatch) -> Path:
    """The six files with the official header and one row each, as if that were all."""
    folder.mkdir()
    small = {name: (columns, 1) for name, (columns, _) in official.INSTACART.items()}
    monkeypatch.setattr(official, "INSTACART", small)
    for name, (columns, _) in small.items():
        (folder / name).write_text(",".join(columns) + "\n" + ",".join("1" for _ in columns) + "\n")
    return folder


def check(folder: Path):
    return CliRunner().invoke(main, ["fetch", "instacart", "--out", str(folder)])


def test_a_complete_instacart_folder_passes(tmp_path, monkeypatch):
    folder = official_folder(tmp_path / "x", monkeypatch)
    (folder / "aisles.csv").write_bytes(b'\xef\xbb\xbf"aisle_id","aisle"\r\n"1","one"')
    (folder / "orders.csv.gz").write_bytes(gzip.compress((folder / "orders.csv").read_bytes()))
    (folder / "orders.csv").unlink()
    result = check(folder)
    assert result.exit_code == 0, result.output
    assert result.output.count("1 rows in ") == 6
    assert f"Next: INSTACART_DATA={folder} dbt build --vars '{{complete_histories: true}}'" in result.output


def test_all_that_is_wrong_with_an_instacart_folder_is_told_at_once(tmp_path, monkeypatch):
    folder = official_folder(tmp_path / "x", monkeypatch)
    (folder / "aisles.csv").unlink()
    (folder / "aisles.csv.zip").touch()
    (folder / "departments.csv").unlink()
    (folder / "products.csv.gz").touch()
    (folder / "orders.csv").write_text("order_id,user_id\n1,2\n")
    (folder / "order_products__prior.csv").unlink()
    (folder / "order_products__prior.csv.gz").write_bytes(gzip.compress(b"x" * 99)[:-12])
    with (folder / "order_products__train.csv").open("a") as file:
        file.write("1,2,3,4")
    result = check(folder)
    assert result.exit_code == 1
    for message in (
        "aisles.csv is missing: unpack aisles.csv.zip.",
        "departments.csv is missing.",
        "products.csv and products.csv.gz are both there",
        "orders.csv has no column eval_set, order_number, order_dow, order_hour_of_day, days_since_prior_order",
        "order_products__prior.csv.gz is not a complete gzip file",
        "order_products__train.csv has 2 rows instead of 1",
    ):
        assert message in result.output


def test_the_instacart_licence_step_is_explained():
    result = CliRunner().invoke(main, ["fetch", "instacart"])
    assert result.exit_code == 0
    assert "non-commercial" in result.output
    assert all(name in result.output for name in official.INSTACART)


def test_the_official_row_counts_are_those_of_the_design():
    assert sum(rows for name, (_, rows) in official.INSTACART.items() if "__" in name) == 33_819_106
