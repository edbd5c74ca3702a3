"""Lists raw files, detects their encoding, and finds what DuckDB cannot read.

dbt calls it through :mod:`retail_warehouse.dbt_plugin`, and the commands call it themselves, so that they agree. It
looks at a file once, in pieces, so that a file of any size takes the same memory.
"""

import codecs
import contextlib
import functools
import gzip
import hashlib
import os
import re
import shlex
import stat
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from retail_warehouse.mending import is_packed, renamed, rewritten, unpacked

#: Longest line that is read, in bytes: with the piece that it ends in no more than `read_lines` tells DuckDB.
LONGEST_LINE = 15 << 20
#: The same in a file of which a copy is read, since a byte may take three in UTF-8.
_LONGEST_CONVERTED = 5 << 20
#: DuckDB holds some two thousand lines at once, so that a file may have a few long ones, but not many.
_LONG_LINE = 64 << 10  # bytes
_MOST_OF_LONG_LINES = 64 << 20  # bytes
#: A file with more lines than this that hold nothing is damaged.
_MOST_EMPTY_LINES = 1_000_000
_SHORT_MEAN_LINE = 8  # bytes; a piece with longer ones has few empty lines
_OF_EMPTY_LINES = b" \t,;\"'"
_TOO_LONG = "has a line of more than {} MB, line {:,}: is it a CSV file?"
#: A plain file of at most so many bytes is read whole, together with others.
_SMALL = 1 << 20
_PIECE = 1 << 20
_CSV = r"[.]csv([.]gz)?$"
#: Names of hidden and temporary files of Spark, Hadoop, macOS, Jupyter, Excel and desktop trash.
_HIDDEN = re.compile(r"[._~#$]|lost\+found$", re.IGNORECASE)
#: Stands in a converted copy before the two hexadecimal digits of a byte that could not be read. No text holds it:
#: https://www.unicode.org/faq/private_use.html#nonchar1
BAD_BYTE = "\ufffe"
_VALID = re.compile(
    b"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
    b"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
_HIGH = bytes(range(0x80, 0x100))
_C1 = bytes(range(0x80, 0xA0))
#: First bytes: what the file is, and the command that unpacks it.
_MAGIC = {
    b"PK\x03\x04": ("a zip archive, such as an Excel workbook: unpack it, or save the sheet as CSV UTF-8", "unzip -p"),
    b"BZh": ("packed with bzip2: unpack it", "bunzip2 -c"),
    b"\xfd7zXZ": ("packed with xz: unpack it", "xz -dc"),
    b"\x28\xb5\x2f\xfd": ("packed with zstd: unpack it", "zstd -dc"),
    b"%PDF": ("a PDF document, not a CSV file: get the data as CSV", ""),
    b"PAR1": ("a Parquet file, not a CSV file: get the data as CSV", ""),
}
_WITHOUT_RETURNS = r"tr -d '\r'"
_WITHOUT_EMPTY_LINES = "sed '/^[[:space:]]*$/d'"
#: Stands in the first kilobytes of Excel's workbooks, which are zip archives.
_WORKBOOK = b"[Content_Types].xml"
_BOMS = {codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be", codecs.BOM_UTF16_LE: "utf-16-le"}
_BOMS[codecs.BOM_UTF16_BE] = "utf-16-be"
#: What is said about a file, by the encoding that is recorded in the ledger.
TOLD = {
    "latin-1": "is not valid UTF-8 and is read as Latin-1",
    "cp1252": "is not valid UTF-8 and is read as Windows-1252",
    "utf-16": "is read as UTF-16",
    "utf-8-bad": "is UTF-8 with some invalid bytes; rows with such bytes are rejected",
    "cr-cr-lf": "ends its lines with two carriage returns and a line feed, and is read as if with one line end",
    "gz-padded": "has further bytes after its gzip data, which are ignored",
}
#: Those of which DuckDB reads a copy in UTF-8.
CONVERTED = ("cp1252", "utf-16", "utf-8-bad", "gz-padded", "cr-cr-lf")


class FileProblem(Exception):
    """What is wrong with a file. The text follows the file's name in a message, and says what to do."""


@dataclass
class Listing:
    """The data files of a folder.

    Args:
        files: Path below the folder to what tells one version of the file from another.
        problems: What cannot be read, as messages.
        notes: What is left aside, as messages.
    """

    files: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Look:
    """What was found in the bytes of a file.

    Args:
        encoding: ``ascii``, ``utf-8``, ``latin-1``, or one of :data:`CONVERTED`.
        header: The column names of the first line; none for an empty file, no name where its quotes are broken.
        is_small: See :func:`is_small`.
        path: What DuckDB reads: the file, or a copy of it in UTF-8.
        lines: How many lines it has, the header among them; 0 from :func:`reopen`, which does not count.
    """

    encoding: str
    header: list[str] | None
    is_small: bool = False
    path: str = ""
    lines: int = 0


def _printable(name: str) -> str:
    """A name as a message can show it, bytes that are no UTF-8 as ``\\xe9``."""
    return os.fsencode(name).decode("utf-8", errors="backslashreplace")


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def list_files(
    folder: str, extension: str = _CSV, is_final: bool = False, tables: list[str] | None = None, depth: int = 1000
) -> Listing:
    """The data files in a folder and below it.

    Links are followed. Hidden and temporary names are left aside (``.ipynb_checkpoints``, ``_temporary``,
    ``._data.csv``), and so is what no table asks for.

    Args:
        folder: Absolute path, or a URL such as ``s3://bucket/data``; it may be missing.
        extension: Regular expression of the end of the names.
        is_final: The files never change, so that their times tell nothing.
        tables: Names of the folders below ``folder`` to look into; none for all.
        depth: How many folders deep to look; 0 for the folder itself alone.
    """
    wanted = re.compile(extension, re.IGNORECASE)
    if "://" in folder:
        return _list_s3(folder, wanted, is_final, tables, depth)
    walk = _Walk(folder, wanted, is_final, tables, depth)
    with contextlib.suppress(OSError):
        top = os.stat(folder)  # noqa: PTH116
        if stat.S_ISDIR(top.st_mode):
            walk.look_into(folder, "", ((top.st_dev, top.st_ino),), False, 0)
    listing = walk.listing
    listing.files = dict(sorted(listing.files.items(), key=lambda item: item[0].encode()))
    if walk.hidden:
        listing.notes.append(_left_aside(walk.hidden))
    return listing


class _Walk:
    """Looks through a local folder. The arguments are those of :func:`list_files`."""

    def __init__(self, folder: str, wanted: re.Pattern, is_final: bool, tables: list[str] | None, depth: int) -> None:
        self.listing = Listing()
        self.hidden: list[str] = []
        self._folder, self._wanted, self._is_final, self._tables, self._depth = folder, wanted, is_final, tables, depth
        self._now = time.time()

    def _tell(self, name: str, text: str) -> None:
        self.listing.problems.append(f"{_printable(name)} {text}")

    def look_into(
        self, path: str, prefix: str, above: tuple[tuple[int, int], ...], is_hidden: bool, level: int
    ) -> None:
        """Look into a folder and those below it.

        Args:
            path: The folder.
            prefix: Its path below the data folder, with a slash at the end; empty for the data folder itself.
            above: Device and number of it and of the folders above it.
            is_hidden: Whether it, or one above it, has a hidden name.
            level: How many folders deep it is.
        """
        try:
            with os.scandir(path) as entries:
                found = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            why = f"cannot be read: {error.strerror}{_made_readable(path, error)}"
            if prefix and not is_hidden:
                self._tell(f"folder {prefix.rstrip('/')}", why)
            elif not is_hidden and os.path.isdir(path):  # noqa: PTH112 (a name that is not UTF-8 is no Path's trouble)
                self.listing.problems.append(f"the folder {why}")
            return
        for entry in found:
            of_hidden = is_hidden or bool(_HIDDEN.match(entry.name))
            try:
                known = entry.stat()
            except OSError as error:
                if not of_hidden:
                    self._tell_missing(entry, prefix, level, error)
                continue
            if not stat.S_ISDIR(known.st_mode):
                self._take(entry, prefix, known, of_hidden)
            elif _is_asked_for(entry.name, prefix, self._tables):
                self._enter(entry, prefix, known, above, of_hidden, level)

    def _tell_missing(self, entry: os.DirEntry, prefix: str, level: int, error: OSError) -> None:
        name = prefix + entry.name
        if self._wanted.search(name):
            self._tell(f"file {name}", _why_missing(entry, error))
        elif (
            level < self._depth
            and entry.is_symlink()
            and "." not in entry.name  # it may have been a folder
            and _is_asked_for(entry.name, prefix, self._tables)
        ):
            self._tell(f"link {name}", _why_missing(entry, error))

    def _enter(
        self,
        entry: os.DirEntry,
        prefix: str,
        known: os.stat_result,
        above: tuple[tuple[int, int], ...],
        of_hidden: bool,
        level: int,
    ) -> None:
        name, place = prefix + entry.name, (known.st_dev, known.st_ino)
        if of_hidden:
            if not entry.is_symlink() and level < self._depth:
                self.look_into(entry.path, name + "/", (*above, place), True, level + 1)
        elif level >= self._depth:
            if self._wanted.search(name):
                inner = shlex.quote(_printable(entry.path))
                move = f"mv {inner}/* {shlex.quote(self._folder)} && rmdir {inner}"
                self._tell(f"file {name}", f"is a folder; put the files in it into the data folder: {move}")
        elif place in above:
            remove = f"rm {shlex.quote(_printable(entry.path))}"
            self._tell(f"folder {name}", f"is a link to a folder above it; remove the link: {remove}")
        else:
            self.look_into(entry.path, name + "/", (*above, place), False, level + 1)

    def _take(self, entry: os.DirEntry, prefix: str, known: os.stat_result, of_hidden: bool) -> None:
        name = prefix + entry.name
        if not self._wanted.search(name):
            return
        if of_hidden:
            self.hidden.append(name)
        elif not stat.S_ISREG(known.st_mode):
            self._tell(f"file {name}", "is a pipe or a device; write its content to a file")
        elif not _is_utf8(name):
            new = re.sub(r"[^!-~]+", "_", _printable(entry.path).replace("\\x", "_"))
            rename = f"mv $'{_printable(entry.path)}' {shlex.quote(new)}"
            self._tell(f"file {name}", f"has a name that is not UTF-8; rename it: {rename}")
        else:
            version = _version(known.st_size, known.st_mtime, self._now, self._is_final, self._folder)
            self.listing.files[name] = version


def _made_readable(path: str, error: OSError) -> str:
    return f"; chmod u+rX {shlex.quote(_printable(path))}" if isinstance(error, PermissionError) else ""


def _left_aside(hidden: list[str]) -> str:
    files = "file is" if len(hidden) == 1 else "files are"
    return f"{len(hidden)} hidden or temporary {files} skipped, such as {_printable(hidden[0])}"


def _is_asked_for(name: str, prefix: str, tables: list[str] | None) -> bool:
    return bool(prefix) or tables is None or name.lower().removesuffix(".csv") in tables


def _why_missing(entry: os.DirEntry, error: OSError) -> str:
    if entry.is_symlink():
        leads_to = _printable(os.readlink(entry.path))  # noqa: PTH115 (a name that is not UTF-8)
        return f"is a link to {leads_to}, which cannot be read: {error.strerror}; correct or remove it: " + (
            f"rm {shlex.quote(_printable(entry.path))}"
        )
    return f"cannot be read: {error.strerror}{_made_readable(entry.path, error)}"


def _version(size: int, changed: float, now: float, is_final: bool, folder: str) -> str:
    version = f"{size} bytes"
    if not is_final:
        version += time.strftime(", %Y-%m-%d %H:%M:%S", time.gmtime(changed))
        # Known to the second: a file of this very second may change once more without a sign, and is read again.
        version += ", still changing" if changed >= int(now) else ""
    return f"{version}, in {folder}"


@functools.cache
def _s3_client() -> Any:
    import boto3  # not before it is needed: it takes long to import

    return boto3.client("s3")


def _s3(url: str) -> tuple[Any, str, str]:
    bucket, _, key = url.partition("://")[2].partition("/")
    return _s3_client(), bucket, key


@contextlib.contextmanager
def _problems_told(path: str) -> Iterator[None]:
    try:
        yield
    except FileProblem:
        raise
    except OSError as error:
        raise FileProblem(f"cannot be read: {error.strerror or error}{_made_readable(path, error)}") from error
    except Exception as error:  # of boto3 and botocore, which share no base
        if "://" not in path:
            raise
        raise FileProblem(f"cannot be read: {error}") from error


def _list_s3(folder: str, wanted: re.Pattern, is_final: bool, tables: list[str] | None, depth: int) -> Listing:
    listing, now = Listing(), time.time()
    hidden: list[str] = []
    try:
        client, bucket, prefix = _s3(folder.rstrip("/") + "/")
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                name = found["Key"].removeprefix(prefix)
                is_below, top = name.count("/"), name.partition("/")[0]
                if not wanted.search(name) or is_below > depth or (is_below and not _is_asked_for(top, "", tables)):
                    continue
                if any(_HIDDEN.match(part) for part in name.split("/")):
                    hidden.append(name)
                    continue
                listing.files[name] = _version(found["Size"], found["LastModified"].timestamp(), now, is_final, folder)
    except Exception as error:  # of boto3 and botocore, which share no base
        listing.problems.append(f"the prefix cannot be listed: {error}")
    listing.files = dict(sorted(listing.files.items(), key=lambda item: item[0].encode()))
    if hidden:
        listing.notes.append(_left_aside(hidden))
    return listing


def _open(path: str) -> IO[bytes]:
    if "://" in path:
        client, bucket, key = _s3(path)
        return client.get_object(Bucket=bucket, Key=key)["Body"]
    return Path(path).open("rb")


class _Pieces:
    """The unpacked bytes of a file, piece by piece, and whether bytes follow its gzip data."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.is_padded = False

    def __iter__(self) -> Iterator[bytes]:
        with contextlib.closing(_open(self.path)) as file:
            first = file.read(_PIECE)
            if not is_packed(self.path):
                if first.startswith(b"\x1f\x8b"):
                    rename = renamed(self.path, f"{self.path}.gz")
                    raise FileProblem(f"is packed with gzip: let its name end in .csv.gz, or unpack it: {rename}")
                _refuse_foreign(first, self.path)
                while first:
                    yield first
                    first = file.read(_PIECE)
                return
            if first and not first.startswith(b"\x1f\x8b"):
                _refuse_foreign(first, self.path)
                rename = renamed(self.path, self.path[: -len(".gz")])
                raise FileProblem(f"is not packed with gzip: let its name end in .csv: {rename}")
            yield from self._unpacked(file, first)

    def _unpacked(self, file: IO[bytes], data: bytes) -> Iterator[bytes]:
        is_first = True
        while data:
            # A gzip file is one member after another. https://www.rfc-editor.org/rfc/rfc1952#page-5
            if not data.startswith(b"\x1f\x8b"):
                if len(data) < 2:
                    data += file.read(_PIECE)
                    if data.startswith(b"\x1f\x8b"):
                        continue
                self.is_padded = True
                return
            unpacker = zlib.decompressobj(wbits=31)
            while not unpacker.eof:
                try:
                    piece = unpacker.decompress(data, _PIECE)
                except zlib.error as error:
                    raise FileProblem(f"is not a complete gzip file, it is damaged ({error}): get it again") from error
                if piece:
                    if is_first:
                        _refuse_foreign(piece, self.path, is_unpacked=True)
                        is_first = False
                    yield piece
                data = unpacker.unconsumed_tail
                if not data and not unpacker.eof:
                    data = file.read(_PIECE)
                    if not data:
                        raise FileProblem("is not a complete gzip file, it is cut off: get it again")
            data = unpacker.unused_data or file.read(_PIECE)


def _refuse_foreign(first: bytes, path: str, is_unpacked: bool = False) -> None:
    for magic, (what, command) in _MAGIC.items():
        if first.startswith(magic):
            if command and not is_unpacked and _WORKBOOK not in first:
                what += f": {unpacked(path, command)}"
            raise FileProblem(f"is {what}")


def _wide_encoding(first: bytes) -> str:
    """The encoding of a file whose characters take two or four bytes, by its mark or its zeros; else nothing."""
    for bom, name in _BOMS.items():
        if first.startswith(bom):
            return name
    sample = first[:128]  # of the header, which is ASCII
    sample = sample[: len(sample) // 2 * 2]
    if len(sample) >= 8:
        even, odd = sample[::2].count(0) / (len(sample) / 2), sample[1::2].count(0) / (len(sample) / 2)
        if odd > 0.7 and even < 0.1:
            return "utf-16-le"
        if even > 0.7 and odd < 0.1:
            return "utf-16-be"
    return ""


@dataclass
class _Bytes:
    """What a scan has counted."""

    is_ascii: bool = True
    is_utf8: bool = True
    size: int = 0
    line_feeds: int = 0
    returns: int = 0
    returns_before_feeds: int = 0
    two_returns_before_feeds: int = 0
    longest: int = 0  # up to the end of a piece
    longest_at: int = 0
    wide: str = ""
    first: bytes = b""
    last: bytes = b""

    def lines(self, encoding: str) -> int:
        """Lines by any line end; a last one without a line end counts."""
        ends = self.line_feeds + self.returns - self.returns_before_feeds
        if encoding == "cr-cr-lf":
            ends -= self.two_returns_before_feeds
        return ends + (self.last not in (b"", b"\n", b"\r"))


def _bytes_of_long_lines(piece: bytes) -> int:
    # A stretch without a line end belongs to one line. Nearly all have one close to their beginning.
    return sum(
        _LONG_LINE
        for place in range(0, len(piece) - _LONG_LINE + 1, _LONG_LINE)
        if piece.find(b"\n", place, place + _LONG_LINE) < 0 and piece.find(b"\r", place, place + _LONG_LINE) < 0
    )


def _scan(path: str, pieces: Iterable[bytes], tell: Callable[[int], object]) -> _Bytes:
    counted = _Bytes()
    decoder = codecs.getincrementaldecoder("utf-8")()
    length, line, last = 0, 1, b""
    long_lines = empty_lines = 0
    for piece in pieces:
        if not counted.first:
            counted.first = piece[:65536]
            counted.wide = _wide_encoding(piece)
            if counted.wide:
                return counted
        counted.size += len(piece)
        tell(len(piece))
        feeds, returns = piece.count(b"\n"), piece.count(b"\r")
        counted.line_feeds += feeds
        counted.returns += returns
        if returns or last[-1:] == b"\r":
            counted.returns_before_feeds += (last[-1:] + piece).count(b"\r\n")
            counted.two_returns_before_feeds += (last + piece).count(b"\r\r\n")
        if feeds or returns:
            length = len(piece) - 1 - max(piece.rfind(b"\n"), piece.rfind(b"\r"))
        else:
            length += len(piece)
        line += max(feeds, returns)
        if length > counted.longest:
            counted.longest, counted.longest_at = length, line
        if length > LONGEST_LINE:
            raise FileProblem(_TOO_LONG.format(LONGEST_LINE >> 20, line))
        long_lines += _bytes_of_long_lines(piece)
        if long_lines > _MOST_OF_LONG_LINES:
            raise FileProblem(
                f"has more than {_MOST_OF_LONG_LINES >> 20} MB in lines of more than {_LONG_LINE >> 10} kB, up to line "
                f"{line:,}: is it a CSV file?"
            )
        if len(piece) < _SHORT_MEAN_LINE * max(feeds, returns):
            empty_lines += max(feeds, returns) - len(piece.translate(None, _OF_EMPTY_LINES).split())
        if empty_lines > _MOST_EMPTY_LINES:
            raise FileProblem(
                f"has more than {_MOST_EMPTY_LINES:,} empty lines up to line {line:,}: get it again, or remove them: "
                + rewritten(path, _WITHOUT_EMPTY_LINES)
            )
        if counted.is_utf8 and not (piece.isascii() and counted.is_ascii):
            counted.is_ascii = False
            try:
                decoder.decode(piece)
            except UnicodeDecodeError:
                counted.is_utf8 = False
        last = (last + piece)[-2:]
    counted.last = last[-1:]
    if counted.is_utf8 and not counted.is_ascii:
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            counted.is_utf8 = False
    return counted


def _single_byte_or_bad_utf8(path: str) -> str:
    """The encoding of a file that is not valid UTF-8. Letters of UTF-8 take two bytes and more that belong together,
    which single bytes hardly ever do by chance: if they are no fewer than the bytes that stand alone, the file is
    UTF-8, and those are faults."""
    valid, alone, c1, rest = 0, 0, 0, b""
    for piece in _Pieces(path):
        data = rest + piece
        # What may be the beginning of a letter waits for the next piece.
        begins = max(
            (place for place in range(max(0, len(data) - 3), len(data)) if data[place] >= 0xC0), default=len(data)
        )
        data, rest = data[:begins], data[begins:]
        if data.isascii():
            continue
        found = _VALID.findall(data)
        in_valid = sum(map(len, found))
        valid += len(found)
        alone += len(data) - len(data.translate(None, _HIGH)) - in_valid
        c1 += (
            len(data)
            - len(data.translate(None, _C1))
            - sum(len(text) - len(text.translate(None, _C1)) for text in found)
        )
    found = _VALID.findall(rest)
    valid += len(found)
    alone += len(rest) - len(rest.translate(None, _HIGH)) - sum(map(len, found))
    c1 += len(_VALID.sub(b"", rest)) - len(_VALID.sub(b"", rest).translate(None, _C1))
    if valid and valid >= alone:
        return "utf-8-bad"
    return "cp1252" if c1 else "latin-1"


def look(path: str, copies: str = "", declared: str = "", tell: Callable[[int], object] = lambda size: None) -> Look:
    """Look through a file, and make a copy in UTF-8 of one that DuckDB cannot read.

    Args:
        path: The file, or its URL.
        copies: Folder for the copy; without it none is made.
        declared: Encoding that the bytes are said to be, ``windows-1252`` or none.
        tell: Gets the number of unpacked bytes of each piece that was looked at.

    Raises:
        FileProblem: It cannot be read; the message follows the name of the file.
    """
    with _problems_told(path):
        pieces = _Pieces(path)
        counted = _scan(path, pieces, tell)
        if counted.wide:
            encoding = "utf-16"
            decoded = (text.encode("utf-8", errors="replace") for text in _decoded(path, encoding))
            counted = _scan(path, decoded, tell)
        elif counted.is_utf8:
            encoding = "gz-padded" if pieces.is_padded else "ascii" if counted.is_ascii else "utf-8"
            if encoding != "ascii" and declared == "windows-1252":
                encoding = "cp1252"
        else:
            encoding = "cp1252" if declared == "windows-1252" else _single_byte_or_bad_utf8(path)
            if encoding == "latin-1" and pieces.is_padded:
                encoding = "cp1252"
        if encoding in ("ascii", "utf-8") and counted.returns == 2 * counted.two_returns_before_feeds > 0:
            encoding = "cr-cr-lf"
        if encoding not in CONVERTED and 0 < counted.returns_before_feeds < counted.returns:
            first_end = min(counted.first.find(end) % (1 << 30) for end in (b"\n", b"\r"))
            if counted.first[first_end : first_end + 2] == b"\r\n":
                raise FileProblem(
                    "ends its lines with CRLF, but holds a carriage return without a line feed as well; write all "
                    f"line ends alike: {rewritten(path, _WITHOUT_RETURNS)}"
                )
        if encoding in CONVERTED and encoding != "utf-16" and counted.longest > _LONGEST_CONVERTED:
            raise FileProblem(_TOO_LONG.format(_LONGEST_CONVERTED >> 20, counted.longest_at))
        found = reopen(path, encoding, copies)
        found.lines = counted.lines(encoding)
        return found


def is_small(path: str, encoding: str) -> bool:
    """Whether a file is so small and plain that DuckDB can read it whole, together with others.

    Args:
        path: The file, or its URL.
        encoding: As it was found.

    Raises:
        OSError: It cannot be read.
    """
    if encoding not in ("ascii", "utf-8") or is_packed(path) or "://" in path or Path(path).stat().st_size > _SMALL:
        return False
    return b"\r" not in Path(path).read_bytes()


def reopen(path: str, encoding: str, copies: str = "") -> Look:
    """What :func:`look` has found before, with the header, which is read again, and the copy, which may have been
    removed.

    Args:
        path: The file, or its URL.
        encoding: As it was found.
        copies: Folder for the copy; without it none is made.

    Raises:
        FileProblem: It cannot be read; the message follows the name of the file.
    """
    with _problems_told(path):
        header = _header(path, encoding)
        used = _copy(path, encoding, copies) if encoding in CONVERTED and copies else path
        return Look(encoding, header, is_small(path, encoding), used)


def _decoded(path: str, encoding: str) -> Iterator[str]:
    pieces: Iterator[bytes] = iter(_Pieces(path))
    first = next(pieces, b"")
    codec = {"latin-1": "cp1252", "utf-16": _wide_encoding(first) or "utf-16-le", "cp1252": "cp1252"}.get(
        encoding, "utf-8"
    )
    decoder = codecs.getincrementaldecoder(codec)(errors="bad_bytes_told")
    while first:
        yield decoder.decode(first)
        first = next(pieces, b"")
    yield decoder.decode(b"", final=True)


def _tell_bad_bytes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(f"{BAD_BYTE}{byte:02X}" for byte in bad), error.end


codecs.register_error("bad_bytes_told", _tell_bad_bytes)


def _header(path: str, encoding: str) -> list[str] | None:
    text = ""
    for part in _decoded(path, encoding):
        text += part
        if "\n" in text.strip("\ufeff") or "\r" in text.strip("\ufeff") or len(text) > LONGEST_LINE:
            break
    if not text.strip("\ufeff"):
        return None
    line = re.split(r"[\r\n]", text.lstrip("\ufeff"), maxsplit=1)[0]
    return split_line(line)


_FIELD = r'(?:"(?:[^"]|"")*"|[^",]*)'
_LINE = re.compile(rf"{_FIELD}(?:,{_FIELD})*")


def split_line(line: str) -> list[str]:
    """The trimmed fields of a line, as the macro ``csv_fields`` splits it; none where its quotes do not fit.

    Args:
        line: Without its line end.
    """
    if not _LINE.fullmatch(line):
        return []
    fields = [match[1] for match in re.finditer(rf"({_FIELD}),", line + ",")]
    return [(text[1:-1].replace('""', '"') if text.startswith('"') else text).strip(" ") for text in fields]


def _copy(path: str, encoding: str, copies: str) -> str:
    """A copy of a file in UTF-8, packed, with the same lines; made again when the file has changed."""
    if "://" in path:
        version = hashlib.sha256(str(_s3(path)[0].head_object(Bucket=_s3(path)[1], Key=_s3(path)[2])["ETag"]).encode())
    else:
        known = Path(path).stat()
        version = hashlib.sha256(f"{known.st_size} {known.st_mtime_ns}".encode())
    version.update(encoding.encode())
    folder = Path(copies) / hashlib.sha256(path.encode()).hexdigest()[:16]
    copy = folder / f"{version.hexdigest()[:16]}.csv.gz"
    if copy.is_file():
        return str(copy)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink(missing_ok=True)
    new = copy.with_suffix(f".{os.getpid()}")
    # All line ends become LF, by which DuckDB finds the same lines that the file has.
    with gzip.open(new, "wb", compresslevel=1) as out:
        waits = ""
        for part in _decoded(path, encoding):
            text = waits + part
            kept = len(text.rstrip("\r"))
            text, waits = text[:kept], text[kept:]
            out.write(_with_line_feeds(text, encoding).encode("utf-8", errors="replace"))
        out.write(_with_line_feeds(waits, encoding).encode())
    new.replace(copy)
    return str(copy)


def _with_line_feeds(text: str, encoding: str) -> str:
    if encoding == "cr-cr-lf":
        text = text.replace("\r\r\n", "\n")
    return text.replace("\r\n", "\n").replace("\r", "\n")
