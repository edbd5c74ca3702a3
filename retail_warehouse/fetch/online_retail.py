"""The official Online Retail file: from the archive at its public home to a CSV file that the warehouse reads.

Source: Daqing Chen, *Online Retail*, UCI Machine Learning Repository, 2015, doi 10.24432/C5BW33, CC BY 4.0.
"""

import csv
import functools
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
from python_calamine import CalamineError, CalamineWorkbook
from tqdm import tqdm

from retail_warehouse import official
from retail_warehouse.deliveries import refuse_other_deliveries
from retail_warehouse.errors import DataError
from retail_warehouse.fetch import ONLINE_RETAIL_URL
from retail_warehouse.fetch.download import download

ARCHIVE = "online+retail.zip"
CSV = "online_retail.csv"
SHEET = "Online Retail"
_FIGURES = """
with lines as (
    select
        InvoiceNo as invoice_no,
        cast(Quantity as integer) as quantity,
        cast(UnitPrice as decimal(12, 3)) as unit_price,
        CustomerID as customer_id,
        Country as country
    from read_csv(?, header = true, delim = ',', quote = '"', escape = '"', all_varchar = true, auto_detect = false,
        columns = {columns})
),
typed as (
    select
        *,
        invoice_no like 'C%' as is_cancellation,
        not invoice_no like 'C%' and not invoice_no like 'A%' and quantity > 0 and unit_price > 0 as is_sale
    from lines
)
select
    count(*) as "rows",
    count(distinct invoice_no) as "invoices",
    count(*) filter (customer_id is null) as "rows without a customer",
    count(distinct country) as "countries",
    count(*) filter (is_sale) as "sales",
    sum(quantity * unit_price) filter (is_sale) as "amount of sales",
    count(*) filter (is_cancellation) as "cancellations",
    sum(quantity * unit_price) filter (is_cancellation) as "amount of cancellations"
from typed
"""


def fetch(out: Path, url: str = ONLINE_RETAIL_URL, tell: Callable[[str], None] = print) -> Path:
    """Download the official archive, check it, and convert its workbook to a UTF-8 CSV file.

    What is there already is used: a whole archive, the beginning of one, or the CSV file.

    Args:
        out: Folder for archive and CSV file; made if missing. It must hold no other CSV file.
        url: Address of the archive.
        tell: Receives a line of text for each thing done or checked.

    Returns:
        The CSV file. Its rows stand in the workbook's order, its figures are the official ones.

    Raises:
        DataError: Another CSV file is in the folder, the download fails, or archive, workbook or figures are not
            those of the official file.
        OSError: The folder cannot be made or written to.
    """
    out.mkdir(parents=True, exist_ok=True)
    result = out / CSV
    refuse_other_deliveries(out, CSV)
    if result.exists():
        tell(f"{result} is there already")
        try:
            _check(result, tell)
        except DataError as error:
            raise DataError(f"{error}\nIf it was changed, remove it and run the same command again.") from error
        return result
    archive = out / ARCHIVE
    if archive.exists():
        tell(f"{archive} is there already")
    else:
        download(url, archive)
    tell(f"{archive.stat().st_size:>14,} bytes in {archive}")
    tell(f"SHA-256 {_sha256(archive)}")
    unfinished = result.with_name(result.name + ".part")
    try:
        _convert(_workbook(archive), unfinished)
        _check(unfinished, tell)
    except DataError as error:
        archive.unlink()
        unfinished.unlink(missing_ok=True)
        raise DataError(
            f"{error}\n{archive} is removed; run the same command again, or name another address with --url."
        ) from error
    unfinished.replace(result)
    return result


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _workbook(archive: Path) -> bytes:
    """The one workbook in the archive; reading it checks its CRC."""
    try:
        with zipfile.ZipFile(archive) as members:
            names = [name for name in members.namelist() if name.lower().endswith(".xlsx")]
            if len(names) == 1:
                return members.read(names[0])
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(
            f"{archive} is not a complete zip archive ({error}); it begins with {_beginning(archive)!r}."
        ) from error
    raise DataError(
        f"{archive} holds {', '.join(members.namelist()) or 'nothing'}, not one workbook (.xlsx) as the official "
        "archive does."
    )


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(20)


def _convert(workbook: bytes, path: Path) -> None:
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(workbook))
        if SHEET not in book.sheet_names:
            raise DataError(
                f"The workbook has no sheet {SHEET!r}; it has {', '.join(map(repr, book.sheet_names))}. "
                "Is it the official file?"
            )
        sheet = book.get_sheet_by_name(SHEET)
    except CalamineError as error:
        raise DataError(f"The workbook in the archive cannot be read: {error}. Is it the official file?") from error
    rows = iter(sheet.iter_rows())
    header = next(rows, [])
    if tuple(header) != official.ONLINE_RETAIL:
        raise DataError(
            f"The sheet's header is {', '.join(map(str, header)) or 'empty'}; the official one is "
            f"{', '.join(official.ONLINE_RETAIL)}."
        )
    if sheet.height - 1 != official.ONLINE_RETAIL_ROWS:
        raise DataError(
            f"The sheet has {sheet.height - 1:,} rows, the official one has {official.ONLINE_RETAIL_ROWS:,}."
        )
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(header)
        for row in tqdm(
            rows, desc=path.name, total=official.ONLINE_RETAIL_ROWS, unit=" rows", unit_scale=True, disable=None
        ):
            lines.writerow([cell_text(cell) for cell in row])


@functools.lru_cache(maxsize=1 << 16, typed=True)  # 1 is not True; most cells hold what another one has held
def cell_text(cell: str | float | bool | date | time | timedelta) -> str:
    """The text of a workbook's cell in the CSV file.

    Numbers are written as the shortest decimal that stands for them, never with an exponent: the ``2.55`` that a
    workbook keeps as a binary fraction is ``2.55`` again. Timestamps are written as ``2010-12-01 08:26:00``, rounded
    to the second, since a workbook keeps them as a fraction of a day. A line break within a text becomes a blank:
    in the CSV files that the warehouse reads, a record is one line.
    """
    match cell:
        case bool():
            return str(cell).upper()
        case float() | int():
            return str(int(cell)) if cell == int(cell) else f"{Decimal(repr(cell)):f}"
        case datetime():
            return (cell + timedelta(microseconds=500_000)).replace(microsecond=0).isoformat(" ")
        case date():
            return f"{cell} 00:00:00"
        case _:
            return re.sub(r"\r\n|\r|\n", " ", str(cell))


def _check(path: Path, tell: Callable[[str], None]) -> None:
    columns = "{" + ", ".join(f"'{column}': 'varchar'" for column in official.ONLINE_RETAIL) + "}"
    try:
        with duckdb.connect() as connection:
            result = connection.execute(_FIGURES.replace("{columns}", columns), [str(path)])
            names = [column[0] for column in result.description]
            [values] = result.fetchall()
    except duckdb.Error as error:
        [first_line, *_] = str(error).splitlines()
        raise DataError(f"{path} cannot be read as the official file: {first_line}") from error
    figures = {name: Decimal(value or 0) for name, value in zip(names, values, strict=True)}
    wrong = [
        f"{name} {figures[name]:,} instead of {published:,}"
        for name, published in official.ONLINE_RETAIL_FIGURES.items()
        if figures[name] != published
    ]
    if wrong:
        raise DataError(f"{path} is not the complete official file: {'; '.join(wrong)}.")
    for name, figure in figures.items():
        tell(f"{figure:>14,} {name}, as published")
