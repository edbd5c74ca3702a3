"""Shell commands that repair a raw file. Messages show them; nothing here runs them.

A command writes another file, which takes the place of the first only where all went well.
"""

import contextlib
import gzip
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

#: What may separate fields beside the comma, by the name that people know.
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_TO_UTF8 = "iconv -f WINDOWS-1252 -t UTF-8"
#: Encoding, as `raw_files.look` finds it: the filter that makes it UTF-8 with plain line ends.
_OF_ENCODING = {
    "latin-1": _TO_UTF8,
    "cp1252": _TO_UTF8,
    "utf-16": "iconv -f UTF-16 -t UTF-8",
    "cr-cr-lf": r"tr -d '\r'",
    "gz-padded": "",
}
#: Cells that are no numbers to the project: what they look like, what is wrong, and what to write instead.
_NUMBERS = (
    (r"-?[0-9]{1,3}(,[0-9]{3})+([.][0-9]+)?", "write numbers without commas between thousands", ",", ""),
    (r"-?[0-9]+,[0-9]{1,2}", "write a point for the decimal comma", ",", "."),
    (r"[£$€] ?-?[0-9.]+|-?[0-9.]+ ?[£$€]", "write amounts without currency", "[£$€ ]", ""),
)
_BY_ROW = (
    "import csv, re, sys; "
    "[one.reconfigure(encoding='utf-8', errors='surrogateescape', newline='') for one in (sys.stdin, sys.stdout)]; "
    "out = csv.writer(sys.stdout, lineterminator=chr(10)); "
)
_WITHOUT_EMPTY_ROWS = "sed '/^[,;[:space:]]*$/d'"
_WITHOUT_CTRL_Z = r"tr -d '\032'"
_WITHOUT_REPEATS = "awk '!seen[$0]++'"
#: What mends the rows that are rejected for a reason.
_OF_REASON = {
    "wrong_field_count": "put a text that holds a comma into double quotes, and complete a row that is cut off",
    "broken_quote": 'put the text into double quotes, and double each quote in it ("6"" Tart")',
    "unreadable_value": "write whole numbers as 7, amounts as 2.55, times as 2010-12-01 08:26:00",
    "missing_key": "fill in the id, or remove the row",
    "duplicate_key": "remove the row, of which the first with the same id counts",
    "missing_parent": "add what it belongs to, or mend it where it is rejected itself",
    "out_of_domain": "correct the value, or remove the row",
}


def is_packed(path: str) -> bool:
    """Whether the name of a file says that it is packed with gzip.

    Args:
        path: The file, or its URL.
    """
    return path.lower().endswith(".gz")


def _file(path: str) -> str:
    """A path for the shell; of a URL, a copy of it in the working folder is meant."""
    return shlex.quote(path.rsplit("/", 1)[1] if "://" in path else path)


def _ends_lines_with_returns_alone(path: str) -> bool:
    first = b""
    with contextlib.suppress(OSError, EOFError), (gzip.open if is_packed(path) else open)(path, "rb") as file:
        first = file.read(65536)
    return b"\r" in first and b"\n" not in first


def _lines(path: str, encoding: str = "") -> str:
    """A command that writes the lines of a file as programs of the shell know lines."""
    command = f"{'gunzip -c' if is_packed(path) else 'cat'} {_file(path)}"
    if encoding == "utf-16":
        command += f" | {_OF_ENCODING[encoding]}"
    if "://" not in path and Path(path).is_file() and _ends_lines_with_returns_alone(path):
        command += r" | tr '\r' '\n'"
    return command


def rewritten(path: str, command: str, encoding: str = "") -> str:
    """A command that rewrites a file by a filter, packed as it was.

    Args:
        path: The file; of a URL, a copy of it in the working folder is meant.
        command: Reads standard input and writes standard output, such as ``tail -n +2``; none for no change.
        encoding: As ``raw_files.look`` has found it; what is UTF-16 becomes UTF-8.
    """
    through = f" | {command}" if command else ""
    pack = " | gzip" if is_packed(path) else ""
    return f"{_lines(path, encoding)}{through}{pack} > mended && mv mended {_file(path)}"


def shown(path: str, row_number: int, encoding: str = "") -> str:
    """A command that shows a line of a file.

    Args:
        path: The file, or its URL.
        row_number: Number of the line, from 1 on.
        encoding: As ``raw_files.look`` has found it.
    """
    return f"{_lines(path, encoding)} | sed -n {row_number}p"


def renamed(path: str, new: str) -> str:
    """A command that renames a file.

    Args:
        path: The file.
        new: Its new path.
    """
    return f"mv {shlex.quote(path)} {shlex.quote(new)}"


def unpacked(path: str, command: str) -> str:
    """A command that puts what a packed file holds into its place, as CSV.

    Args:
        path: The file.
        command: Unpacks the file that follows it to standard output, such as ``unzip -p``.
    """
    new = re.sub(r"[.]gz$", "", path, flags=re.IGNORECASE)
    mended = f"{command} {shlex.quote(path)} > mended && mv mended {shlex.quote(new)}"
    return mended if new == path else f"{mended} && rm {shlex.quote(path)}"


def dates_exchanged(path: str, encoding: str = "") -> str:
    """A command that exchanges day and month of each time such as ``13/1/2010 8:26``.

    Args:
        path: The file.
        encoding: As ``raw_files.look`` has found it.
    """
    fields = r"""s#(^|[,"])([0-9]{1,2})/([0-9]{1,2})/([0-9]{2,4} +[0-9]{1,2}:)#\1\3/\2/\4#"""
    return rewritten(path, f"sed -E {shlex.quote(fields)}", encoding)


def without_rows_of(path: str, other: str) -> str:
    """A command of bash that removes from a file the rows that stand in another one, letter for letter.

    Args:
        path: The file.
        other: The other one.
    """
    file, rows = (f"<(gunzip -c {shlex.quote(one)})" if is_packed(one) else shlex.quote(one) for one in (path, other))
    program = "NR == FNR {seen[$0]; next} FNR == 1 || !($0 in seen)"
    pack = " | gzip" if is_packed(path) else ""
    return f"awk '{program}' {rows} {file}{pack} > mended && mv mended {shlex.quote(path)}"


def of_header(path: str, header: Sequence[str] | None, columns: Sequence[Sequence[str]], encoding: str = "") -> str:
    """How to mend a header in which an official column is missing or repeated; empty if it is right, or the file empty.

    Args:
        path: The file, or its URL.
        header: Its column names; none for an empty file, no name where its quotes do not fit.
        columns: The spellings of each official column, the official one first.
        encoding: As ``raw_files.look`` has found it.
    """
    if header is None or all(sum(name in spellings for name in header) == 1 for spellings in columns):
        return ""
    official = shlex.quote(",".join(spellings[0] for spellings in columns))
    first = header[0] if header else ""
    if first.lower().startswith("sep="):
        return f"remove the first line, which Excel writes for itself: {rewritten(path, 'tail -n +2', encoding)}"
    if len(header) == 1:
        for separator, name in _SEPARATORS.items():
            if separator in first:
                return f"write commas for {name}: {rewritten(path, _with_commas(separator), encoding)}"
    known = {spelling for spellings in columns for spelling in spellings}
    if len(header) == len(columns) and not known & set(header) and any(re.match(r"\d", name) for name in header):
        put = rewritten(path, f"(echo {official}; cat)", encoding)
        return f"if the first line is a row, and the columns have that order, put it before: {put}"
    if len(header) == len(columns):
        put = rewritten(path, f"(echo {official}; tail -n +2)", encoding)
        return f"if the columns have that order, correct the first line: {put}"
    return f"a column that is not in the file cannot be made up; see its first lines: {shown(path, 1, encoding)}"


def _with_commas(separator: str) -> str:
    program = f"{_BY_ROW}out.writerows(csv.reader(sys.stdin, delimiter=chr({ord(separator)})))"
    return f"python3 -c {shlex.quote(program)}"


def _with_cells(pattern: str, old: str, new: str) -> str:
    cell = f"re.sub({old!r}, {new!r}, cell) if re.fullmatch({pattern!r}, cell.strip()) else cell"
    program = f"{_BY_ROW}out.writerows([{cell} for cell in row] for row in csv.reader(sys.stdin))"
    return f"python3 -c {shlex.quote(program)}"


def of_encoding(path: str, encoding: str, variable: str = "") -> str:
    """What makes a file one in UTF-8; nothing for one that is.

    Args:
        path: The file.
        encoding: As ``raw_files.look`` has found it.
        variable: The environment variable that declares the encoding of the source's files, if there is one.
    """
    declared = f"; or, if all files are Windows-1252, export {variable}=windows-1252" if variable else ""
    if encoding == "utf-8-bad":
        return f"correct the rejected rows{declared}"
    if encoding not in _OF_ENCODING:
        return ""
    return rewritten(path, _OF_ENCODING[encoding]) + (declared if _OF_ENCODING[encoding] == _TO_UTF8 else "")


def of_rejected(reason: str, path: str, row_number: int, record: str | None, detail: str, encoding: str = "") -> str:
    """What mends rows that are rejected.

    Args:
        reason: Why, as ``audit.rejected_rows`` says it.
        path: Their file.
        row_number: The line of one of them.
        record: This line.
        detail: What is wrong with it, as ``audit.rejected_rows`` says it.
        encoding: Of the file, as ``raw_files.look`` has found it.
    """
    record = record or ""
    fields = re.fullmatch(r"(\d+) fields, the header has (\d+)", detail)
    too_many = int(fields[1]) - int(fields[2]) if fields else 0
    if record.strip() == "\x1a":
        return f"remove the mark of the end that DOS wrote: {rewritten(path, _WITHOUT_CTRL_Z, encoding)}"
    if record and re.fullmatch(r"[,;\s]*", record):
        return f"remove empty rows: {rewritten(path, _WITHOUT_EMPTY_ROWS, encoding)}"
    if too_many > 0 and record.endswith("," * too_many):
        without = rf"tr -d '\r' | sed '2,$s/,\{{{too_many}\}}$//'"
        return f"remove the commas at the end of the rows: {rewritten(path, without, encoding)}"
    look = f"see it: {shown(path, row_number, encoding)}"
    if reason == "duplicate_key":
        repeats = rewritten(path, _WITHOUT_REPEATS, encoding)
        return f"{_OF_REASON[reason]}; {look}; of rows that are wholly alike: {repeats}"
    if detail.startswith("the byte 0x"):
        return f"write the letter anew, and save the file as UTF-8; {look}"
    value = re.fullmatch(r"\w+ = '(.*)'", detail)
    for pattern, told, old, new in _NUMBERS if reason == "unreadable_value" and value else ():
        if re.fullmatch(pattern, value[1].strip()):
            return f"{told}: {rewritten(path, _with_cells(pattern, old, new), encoding)}"
    return f"{_OF_REASON.get(reason, 'correct the row')}; {look}"
