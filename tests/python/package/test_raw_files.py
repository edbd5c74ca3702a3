"""The reader of raw files: which it finds, what it makes of their bytes, and what it says of those that it cannot
read."""

import gzip
import os
import re
import time
import tracemalloc
import zipfile
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from retail_warehouse import raw_files
from retail_warehouse.raw_files import FileProblem, list_files, look, split_line

TEXT = "id,name\n1,café £5\n2,naïve\n"


def written(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def copied(path: str, tmp_path: Path) -> tuple[str, str]:
    found = look(path, str(tmp_path / "copies"))
    assert found.path != path, "there is no copy"
    return found.encoding, gzip.decompress(Path(found.path).read_bytes()).decode()


def test_links_are_followed_and_hidden_names_are_left_aside(tmp_path):
    data, away = tmp_path / "data", tmp_path / "away"
    for name in (
        "orders/1.csv",
        "orders/deep/er/2.CSV.GZ",
        "orders/.ipynb_checkpoints/1-checkpoint.csv",
        "orders/_temporary/0/part.csv",
        "orders/._1.csv",
        "orders/~$1.csv",
        "orders/_SUCCESS",
        "orders/notes.txt",
        "aisles.csv",
        "other/3.csv",
        ".Trash-1000/files/orders.csv",
    ):
        written(data / name, b"x")
    written(away / "4.csv", b"x")
    (data / "orders/linked").symlink_to(away)
    (data / "orders/5.csv").symlink_to(away / "4.csv")
    (data / "orders/broken.txt").symlink_to("nowhere")
    found = list_files(str(data), tables=["orders", "aisles"])
    assert not found.problems
    names = ["aisles.csv", "orders/1.csv", "orders/5.csv", "orders/deep/er/2.CSV.GZ", "orders/linked/4.csv"]
    assert [*found.files] == names
    assert "4 hidden or temporary files are skipped, such as orders/" in found.notes[0]
    assert re.fullmatch(
        rf"1 bytes, \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d(, still changing)?, in {data}", found.files["aisles.csv"]
    )
    assert list_files(str(data), is_final=True).files["aisles.csv"] == f"1 bytes, in {data}"
    # Alone, the files of the folder itself.
    assert [*list_files(str(data), depth=0).files] == ["aisles.csv"]
    assert list_files(str(tmp_path / "nowhere")).files == {}


def test_what_cannot_be_read_is_named(tmp_path):
    folder = tmp_path / "orders"
    written(folder / "good.csv", b"x")
    (folder / "broken.csv").symlink_to("nowhere.csv")
    (folder / "folder").symlink_to("gone")
    (folder / "loop").symlink_to("..")
    (folder / "self.csv").symlink_to("self.csv")
    os.mkfifo(folder / "pipe.csv")
    written(folder / "strange.txt", b"x")
    for name in (b"till \xe9.csv", b"notes \xe9.txt"):
        (folder / os.fsdecode(name)).touch()
    found = list_files(str(tmp_path), tables=["orders"])
    assert [*found.files] == ["orders/good.csv"]
    for told in (
        "file orders/broken.csv is a link to nowhere.csv, which cannot be read: No such file",
        "link orders/folder is a link to gone",
        "folder orders/loop is a link to a folder above it",
        "file orders/self.csv is a link to self.csv",
        "file orders/pipe.csv is a pipe or a device",
        "file orders/till \\xe9.csv has a name that is not UTF-8",
    ):
        assert any(told in problem for problem in found.problems), (told, found.problems)
    assert len(found.problems) == 6


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    written(tmp_path / "orders/closed/1.csv", b"x")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    [problem] = list_files(str(tmp_path)).problems
    command = f"chmod u+rX {tmp_path}/orders/closed"
    assert problem == f"folder orders/closed cannot be read: Permission denied; {command}"


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (TEXT.encode("cp1252").replace(b"\xa3", b"\x80"), "cp1252"),
        (TEXT.encode("utf-16"), "utf-16"),
        (TEXT.encode("utf-16-be"), "utf-16"),
        (TEXT.encode("utf-16-le").replace(b"\n\0", b"\r\0\n\0"), "utf-16"),
        (TEXT.encode("utf-32"), "utf-16"),
        (TEXT.encode() + b"3,caf\xc3", "utf-8-bad"),
        (TEXT.encode() + b"3,\xe9\n", "utf-8-bad"),
    ],
)
def test_other_encodings_are_read_as_utf8(tmp_path, content, encoding):
    for name, packed in (("a.csv", content), ("a.csv.gz", gzip.compress(content))):
        found, text = copied(written(tmp_path / name, packed), tmp_path)
        expected = TEXT.replace("£", "€") if encoding == "cp1252" else TEXT
        if encoding == "utf-8-bad":
            expected += "3," + ("caf" if content.endswith(b"caf\xc3") else "")
            expected += raw_files.BAD_BYTE + ("C3" if content.endswith(b"caf\xc3") else "E9\n")
        assert (found, text.lstrip("\ufeff")) == (encoding, expected)
        assert look(str(tmp_path / name)).header == ["id", "name"]


def test_letters_that_lie_on_the_border_of_two_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(raw_files, "_PIECE", 7)
    for text in (TEXT, "id,name\n" + "1,é\n" * 50 + "2,€€€😀\n"):
        assert look(written(tmp_path / "a.csv", text.encode())).encoding == "utf-8"
        assert copied(written(tmp_path / "b.csv", text.encode() + b"\xff"), tmp_path)[0] == "utf-8-bad"
        single = text.replace("😀", "").encode("cp1252")
        expected = "cp1252" if b"\x80" in single else "latin-1"
        assert look(written(tmp_path / "c.csv", single)).encoding == expected
        assert look(written(tmp_path / "d.csv.gz", gzip.compress(single))).encoding == expected
        crlf = text.replace("\n", "\r\n").encode("utf-16")
        assert copied(written(tmp_path / "e.csv", crlf), tmp_path) == ("utf-16", "\ufeff" + text)
        twice = text.replace("\n", "\r\r\n").encode()
        assert copied(written(tmp_path / "f.csv", twice), tmp_path) == ("cr-cr-lf", text)


def test_latin_1_stays_what_it_was(tmp_path):
    path = written(tmp_path / "a.csv", TEXT.encode("latin-1"))
    assert (look(path).encoding, look(path).path) == ("latin-1", path)
    # Two letters that look like one of UTF-8 by chance.
    assert look(written(tmp_path / "b.csv", "id,name\n1,Ã©é\n2,é\n".encode("latin-1"))).encoding == "latin-1"
    assert look(path, declared="windows-1252").encoding == "cp1252"


def test_a_copy_is_made_anew_when_the_file_changes(tmp_path):
    path = written(tmp_path / "a.csv", TEXT.encode("utf-16"))
    first = look(path, str(tmp_path / "copies")).path
    assert raw_files.reopen(path, "utf-16", str(tmp_path / "copies")).path == first
    written(tmp_path / "a.csv", (TEXT + "3,more\n").encode("utf-16"))
    second = look(path, str(tmp_path / "copies")).path
    assert second != first
    assert not Path(first).exists()
    Path(second).unlink()
    assert Path(raw_files.reopen(path, "utf-16", str(tmp_path / "copies")).path).is_file()


def test_gzip_files_are_read_as_gzip_does(tmp_path):
    member = gzip.compress(b"id,name\n1,a\n")
    assert look(written(tmp_path / "two.csv.gz", member + gzip.compress(b"2,b\n"))).encoding == "ascii"
    for follows in (b"\0" * 512, b"garbage", b"\x1f", b"\0" * (3 << 20)):
        path = written(tmp_path / "padded.csv.gz", member + follows)
        assert copied(path, tmp_path) == ("gz-padded", "id,name\n1,a\n")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", gzip.compress(b"id\n1\n", mtime=0), "is packed with gzip: let its name end in .csv.gz"),
        ("a.csv.gz", b"id\n1\n", "is not packed with gzip: let its name end in .csv"),
        ("a.csv.gz", gzip.compress(os.urandom(9000), mtime=0)[:5000], "is not a complete gzip file, it is cut off"),
        ("a.csv.gz", gzip.compress(b"id\n1\n", mtime=0)[:-8] + b"\0" * 8, "is not a complete gzip file, it is damaged"),
        ("a.csv", b"BZh91AY", "is packed with bzip2"),
        ("a.csv.gz", gzip.compress(b"PK\x03\x04", mtime=0), "is a zip archive"),
        ("a.csv", b"id,name\r\n1,a\r2,b\r\n", "holds a carriage return without a line feed as well"),
    ],
)
def test_what_is_no_csv_file_is_refused_by_what_it_is(tmp_path, name, content, told):
    with pytest.raises(FileProblem, match=re.escape(told)):
        look(written(tmp_path / name, content))


def test_a_zip_file_named_csv(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.csv", "w") as archive:
        archive.writestr("data.csv", TEXT)
    with pytest.raises(FileProblem, match="is a zip archive, such as an Excel workbook: unpack it"):
        look(str(tmp_path / "a.csv"))


MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        ([b"x" * MEGABYTE] * 64, "has a line of more than 15 MB, line 2: is it a CSV file"),
        ([b"\n" * MEGABYTE] * 48, "has more than 1,000,000 empty lines up to line 1,04"),
        ([b" , ,\r\n" * 500_000] * 16, "has more than 1,000,000 empty lines"),
        ([b"1,a long name\n" * 500_000, *([b"\n" * MEGABYTE] * 16)], "has more than 1,000,000 empty lines"),
        ([b"x" * MEGABYTE + b"\n", b"1,a\n" * 1000] * 100, "has more than 64 MB in lines of more than 64 kB"),
    ],
    ids=["one line", "no line", "separators", "after rows", "long lines"],
)
def test_bombs_end_in_bounded_time_and_memory(tmp_path, pieces, told):
    """Gigabytes in one line or in a few, and millions of empty lines, from a megabyte and less."""
    for name, encoding in (("bomb.csv.gz", None), ("wide.csv.gz", "utf-16")):
        with gzip.open(tmp_path / name, "wb", compresslevel=1) as file:
            for piece in [b"id,name\n", *pieces][: 20 if encoding else None]:
                file.write(piece.decode().encode("utf-16-le") if encoding else piece)
    tracemalloc.start()
    start = time.monotonic()
    with pytest.raises(FileProblem, match=told):
        look(str(tmp_path / "bomb.csv.gz"))
    if "64 MB" not in told:
        with pytest.raises(FileProblem, match=told):
            look(str(tmp_path / "wide.csv.gz"))
    assert time.monotonic() - start < 20
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def test_a_few_long_and_empty_lines_are_rows(tmp_path):
    """What is no bomb is left to the rules for rows; short lines are no empty ones."""
    path = tmp_path / "few.csv"
    path.write_bytes(b"id,name\n" + (b"x" * 4 * MEGABYTE + b"\n") * 4 + b"\n" * 900_000 + b"1,a\n" * 2_000_000)
    assert look(str(path)).lines == 1 + 4 + 900_000 + 2_000_000


def test_a_large_file_with_crlf_takes_no_more_memory_than_a_small_one(tmp_path):
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.write(b"id,name\r\n")
        for _ in range(100):
            file.write(b"123456,abcdefg\r\n" * 65536)
    tracemalloc.start()
    assert look(str(path)).lines == 1 + 100 * 65536
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("a,b", ["a", "b"]),
        ('" a ","b,""c"""', ["a", 'b,"c"']),
        ("", [""]),
        ("a,", ["a", ""]),
        ('"a', []),
        ('a"b,c', []),
    ],
)
def test_a_header_is_split_as_a_line_is(line, fields):
    assert split_line(line) == fields


def test_a_prefix_of_s3_is_a_folder(tmp_path, monkeypatch):
    """Listed page by page, with the same names left aside; bytes are read by pieces, and errors name the file."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    rows = "id,name\n1,Café\n"
    objects = {
        "in/orders.csv": rows.encode(),
        "in/orders/2026/05/part 1.CSV.GZ": gzip.compress(rows.encode()),
        "in/orders/.ipynb_checkpoints/part.csv": b"no",
        "in/orders/_temporary/0/part.csv": b"no",
        "in/orders/cut.csv.gz": gzip.compress(rows.encode())[:-9],
        "in/orders/windows.csv": "id,name\n1,€ 5\n".encode("cp1252"),
        "in/other/orders.csv": b"of no table",
        "in/.Trash/orders.csv": b"of no table",
        "in/readme.txt": b"",
        "input/orders.csv": b"of another prefix",
        **{f"in/orders/{number}.csv": b"id,name\n" for number in range(1001)},
    }
    with mock_aws():
        raw_files._s3_client.cache_clear()
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        for key, content in objects.items():
            client.put_object(Bucket="bucket", Key=key, Body=content)
        listing = list_files("s3://bucket/in", tables=["orders"])
        assert len(listing.files) == 4 + 1001
        assert next(iter(listing.files)) == "orders.csv"
        assert listing.notes == ["2 hidden or temporary files are skipped, such as orders/.ipynb_checkpoints/part.csv"]
        assert list(list_files("s3://bucket/in", depth=0).files) == ["orders.csv"]
        assert listing.files["orders.csv"].startswith(f"{len(rows.encode())} bytes, ")

        packed = look("s3://bucket/in/orders/2026/05/part 1.CSV.GZ")
        assert (packed.encoding, packed.header, packed.lines, packed.is_small) == ("utf-8", ["id", "name"], 2, False)
        windows = look("s3://bucket/in/orders/windows.csv", copies=str(tmp_path))
        assert gzip.decompress(Path(windows.path).read_bytes()).decode() == "id,name\n1,€ 5\n"
        client.put_object(Bucket="bucket", Key="in/orders/windows.csv", Body="id,name\n1,€ 7\n".encode("cp1252"))
        again = look("s3://bucket/in/orders/windows.csv", copies=str(tmp_path))
        assert gzip.decompress(Path(again.path).read_bytes()).decode() == "id,name\n1,€ 7\n"
        with pytest.raises(FileProblem, match="is not a complete gzip file, it is cut off"):
            look("s3://bucket/in/orders/cut.csv.gz")
        with pytest.raises(FileProblem, match=r"cannot be read: .*NoSuchKey"):
            look("s3://bucket/in/orders/gone.csv")
        assert "the prefix cannot be listed: " in list_files("s3://nobody/in").problems[0]
    raw_files._s3_client.cache_clear()
