"""The commands that messages name mend what they say: each is run by a shell, and the reader reads the result."""

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
import zipfile

import pytest

from retail_warehouse import mending, raw_files
from retail_warehouse.raw_files import FileProblem, list_files, look

COLUMNS = [["id"], ["name", "label"], ["price"]]
HEADER = [spellings[0] for spellings in COLUMNS]
ROWS = b"1,caf\xc3\xa9,2.5\n2,b,3\n"
TEXT = b"id,name,price\n" + ROWS


def run(command: str, folder) -> None:
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stderr)


def content(path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.name.endswith(".gz") else data


@pytest.fixture(params=["data.csv", "it's data.csv.gz"])
def file(request, tmp_path):
    """A file to be written, whose folder and name need quotes."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    path = folder / request.param

    def write(data: bytes):
        path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
        return path

    return write


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (b"sep=,\n" + TEXT, "remove the first line"),
        (TEXT.replace(b",", b";"), "write commas for semicolons"),
        (TEXT.replace(b",", b"\t"), "write commas for tabs"),
        (TEXT.replace(b",", b"|"), "write commas for vertical bars"),
        (b"Id,Name,Price\n" + ROWS, "correct the first line"),
        (b"id,nome,price\n" + ROWS, "correct the first line"),
        (b"id,id,price\n" + ROWS, "correct the first line"),
        (b'"id,name,price\n' + ROWS, ""),
        (b"name,price\n" + ROWS, "cannot be made up"),
        (ROWS, "put it before"),
    ],
)
def test_a_header_is_mended(file, tmp_path, given, told):
    path = file(given)
    text = mending.of_header(str(path), look(str(path)).header, COLUMNS)
    assert told in text
    if told == "cannot be made up" or not told:
        return
    run(text.partition(": ")[2], tmp_path)
    assert content(path) == TEXT
    assert mending.of_header(str(path), look(str(path)).header, COLUMNS) == ""


def test_a_header_that_is_right_needs_nothing():
    assert mending.of_header("a.csv", ["price", "more", "label", "id"], COLUMNS) == ""
    assert mending.of_header("a.csv", None, COLUMNS) == ""


def test_what_excel_calls_unicode_text_is_mended(file, tmp_path):
    """UTF-16 with tabs; and, on Windows, semicolons with single bytes, which stay what they are."""
    path = file(TEXT.decode().replace(",", "\t").replace("\n", "\r\n").encode("utf-16"))
    found = look(str(path))
    run(mending.of_header(str(path), found.header, COLUMNS, found.encoding).partition(": ")[2], tmp_path)
    assert content(path).lstrip(b"\xef\xbb\xbf") == TEXT
    single = TEXT.decode().encode("cp1252")
    path = file(single.replace(b",", b";"))
    run(mending.of_header(str(path), look(str(path)).header, COLUMNS).partition(": ")[2], tmp_path)
    assert content(path) == single


def test_lines_that_end_with_a_return_alone_are_lines(file, tmp_path):
    path = file(b"sep=,\n".replace(b"\n", b"\r") + TEXT.replace(b"\n", b"\r"))
    command = mending.shown(str(path), 4)
    assert subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout == b"2,b,3\n"
    run(mending.of_header(str(path), look(str(path)).header, COLUMNS).partition(": ")[2], tmp_path)
    assert content(path) == TEXT


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        ("1,200", "1200"),
        ("-1,234,567.50", "-1234567.50"),
        ("2,5", "2.5"),
        ("£2.5", "2.5"),
        ("2.5 €", "2.5"),
        ("$ 3", "3"),
    ],
)
def test_numbers_are_mended(file, tmp_path, cell, wanted):
    path = file(f'id,name,price\n1,"{cell}, as text","{cell}"\n2,,7\n'.encode())
    text = mending.of_rejected("unreadable_value", str(path), 2, None, f"price = '{cell}'")
    run(text.partition(": ")[2], tmp_path)
    assert content(path).decode() == f'id,name,price\n1,"{cell}, as text",{wanted}\n2,,7\n'


def test_the_mark_of_the_end_is_removed(file, tmp_path):
    path = file(TEXT + b"\x1a")
    text = mending.of_rejected("wrong_field_count", str(path), 4, "\x1a", "1 fields, the header has 3")
    run(text.rpartition(": ")[2], tmp_path)
    assert content(path) == TEXT


def test_commas_within_fields_stay_fields(file, tmp_path):
    path = file(b'id;name;price\r\n1;"a;b, ""c""";2\r\n')
    run(mending.of_header(str(path), ["id;name;price"], COLUMNS).partition(": ")[2], tmp_path)
    assert content(path) == b'id,name,price\n1,"a;b, ""c""",2\n'


@pytest.mark.parametrize(
    "given",
    [
        TEXT.decode().encode("latin-1"),
        TEXT.decode().replace("é", "€é").encode("cp1252"),
        TEXT.decode().encode("utf-16"),
        TEXT.replace(b"\n", b"\r\r\n"),
    ],
)
def test_an_encoding_is_mended(file, tmp_path, given):
    path = file(given)
    encoding = look(str(path)).encoding
    text = mending.of_encoding(str(path), encoding, "ONLINE_RETAIL_ENCODING")
    command, _, declared = text.partition("; or, ")
    assert ("export ONLINE_RETAIL_ENCODING=windows-1252" in declared) == (encoding in ("latin-1", "cp1252"))
    run(command, tmp_path)
    assert content(path).lstrip(b"\xef\xbb\xbf").replace("€".encode(), b"") == TEXT
    assert look(str(path)).encoding == "utf-8"
    assert mending.of_encoding(str(path), "utf-8") == ""


def test_every_encoding_that_is_told_has_its_mend():
    for encoding in raw_files.TOLD:
        assert mending.of_encoding("a.csv", encoding), encoding


def test_bytes_after_gzip_data_are_removed(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(TEXT) + b"\0" * 512)
    assert look(str(path)).encoding == "gz-padded"
    run(mending.of_encoding(str(path), "gz-padded"), tmp_path)
    assert look(str(path)).encoding == "utf-8"


def zipped(data: bytes, folder) -> bytes:
    with zipfile.ZipFile(folder / "archive", "w") as archive:
        archive.writestr("inner.csv", data)
    return (folder / "archive").read_bytes()


@pytest.mark.parametrize(
    ("name", "pack", "program"),
    [
        ("a.csv", gzip.compress, "gunzip"),
        ("a.csv.gz", lambda data: data, "mv"),
        ("a.csv", bz2.compress, "bunzip2"),
        ("a.csv.gz", bz2.compress, "bunzip2"),
        ("a.csv", lzma.compress, "xz"),
        ("a.csv", zipped, "unzip"),
        ("a.csv", lambda data: data.replace(b"\n", b"\r\n") + b"3,x\ry,4\r\n", "tr"),
    ],
)
def test_a_file_that_is_refused_can_be_read_then(tmp_path, name, pack, program):
    path = tmp_path / name
    path.write_bytes(pack(TEXT, tmp_path) if pack is zipped else pack(TEXT))
    with pytest.raises(FileProblem) as problem:
        look(str(path))
    command = str(problem.value).rpartition(": ")[2]
    if not shutil.which(program):
        assert program in command
        return
    run(command, tmp_path)
    [mended] = tmp_path.glob("a.csv*")
    assert look(str(mended)).header == HEADER
    assert content(mended).startswith(TEXT)


def test_a_workbook_is_not_unpacked(tmp_path):
    path = tmp_path / "a.csv"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
    with pytest.raises(FileProblem) as problem:
        look(str(path))
    assert "save the sheet as CSV UTF-8" in str(problem.value)
    assert "unzip" not in str(problem.value)


def test_what_a_listing_refuses_is_mended(tmp_path):
    folder = tmp_path / "data"
    (folder / "inner.csv").mkdir(parents=True)
    (folder / "inner.csv/part.csv").write_bytes(TEXT)
    (folder / "loop").symlink_to(".")
    (folder / "gone.csv").symlink_to("nowhere.csv")
    (folder / os.fsdecode(b"till \xe9.csv")).write_bytes(TEXT)
    told = [*list_files(str(folder), depth=0).problems, *list_files(str(folder)).problems]
    for text in dict.fromkeys(told):
        run(text.rpartition(": ")[2], folder)
    found = [list_files(str(folder), depth=0), list_files(str(folder))]
    assert [listing.problems for listing in found] == [[], []]
    assert [*found[1].files] == ["part.csv", "till__e9.csv"]


@pytest.mark.parametrize(
    ("reason", "record", "detail", "given"),
    [
        ("missing_key", ",,", "id is empty", TEXT + b",,\n \n;;\r\n"),
        ("wrong_field_count", "1,a,2,,", "5 fields, the header has 3", TEXT.replace(b"5\n", b"5,,\r\n")),
        ("duplicate_key", "2,b,3", "id = 2 is already in an earlier row", TEXT + b"2,b,3\n"),
    ],
)
def test_rows_are_mended(file, tmp_path, reason, record, detail, given):
    path = file(given)
    text = mending.of_rejected(reason, str(path), 4, record, detail)
    run(text.rpartition(": ")[2], tmp_path)
    assert content(path) == TEXT


def test_a_field_that_is_empty_at_the_end_stays():
    text = mending.of_rejected("wrong_field_count", "a.csv", 2, "1,a,b,", "4 fields, the header has 2")
    assert "sed -n 2p" in text
    assert "double quotes" in text


def test_a_row_is_shown(file, tmp_path):
    path = file(TEXT)
    command = mending.shown(str(path), 3)
    assert subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout == b"2,b,3\n"


def test_every_reason_has_its_mend():
    for reason in (
        "wrong_field_count",
        "broken_quote",
        "unreadable_value",
        "missing_key",
        "duplicate_key",
        "missing_parent",
        "out_of_domain",
    ):
        assert mending.of_rejected(reason, "a.csv", 2, None, "x") != mending.of_rejected("else", "a.csv", 2, None, "x")


def test_dates_are_exchanged(file, tmp_path):
    rows = '1,a 1/2/3,31/1/2010 8:26,2\n2,"b, c","1/2/10 8:26",3\n3,x,2010-12-01 08:26:00,4\n'
    path = file(rows.encode())
    run(mending.dates_exchanged(str(path)), tmp_path)
    assert content(path).decode() == rows.replace("31/1/2010", "1/31/2010").replace("1/2/10", "2/1/10")


def test_rows_that_another_file_has_are_removed(file, tmp_path):
    path = file(TEXT + b"3,c,4\n")
    other = tmp_path / "other.csv"
    other.write_bytes(TEXT)
    run(mending.without_rows_of(str(path), str(other)), tmp_path)
    assert content(path) == b"id,name,price\n3,c,4\n"
