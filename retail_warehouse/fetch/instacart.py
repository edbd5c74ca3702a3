"""The official Instacart files, which a person has to download: instructions, and a check of the download.

Source: "The Instacart Online Grocery Shopping Dataset 2017".
"""

from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from retail_warehouse import official, raw_files
from retail_warehouse.errors import DataError

HOW_TO = """\
Instacart published these files in 2017 for non-commercial use, under terms that a person has to read and accept;
they may not be handed on, so no program can fetch them for you.

  1. Sign in at https://www.kaggle.com and open the competition "Instacart Market Basket Analysis":
     https://www.kaggle.com/competitions/instacart-market-basket-analysis/data
  2. Read the rules there, accept them if you agree, and download all files.
  3. Unpack the archive and the archives inside it, so that one folder holds
     {files}.
  4. Check the folder: retail-warehouse fetch instacart --out FOLDER
""".format(files=",\n     ".join([", ".join(list(official.INSTACART)[:4]), " and ".join(list(official.INSTACART)[4:])]))


def check(folder: Path, tell: Callable[[str], None] = print) -> None:
    """Check that a folder holds the six complete official files.

    Args:
        folder: Folder with each file as ``.csv`` or ``.csv.gz``.
        tell: Receives a line of text for each file.

    Raises:
        DataError: A file is missing, there twice, unreadable, or has not the official columns or number of rows. It
            names all that is wrong, not only the first.
    """
    problems = []
    for name, (columns, official_rows) in official.INSTACART.items():
        try:
            rows = _rows(_find(folder, name), columns)
        except DataError as error:
            problems.append(str(error))
            continue
        tell(f"{rows:>12,} rows in {name}, of {official_rows:,}")
        if rows != official_rows:
            problems.append(f"{name} has {rows:,} rows instead of {official_rows:,}.")
    if problems:
        raise DataError(
            f"{folder} does not hold the complete official files:\n  "
            + "\n  ".join(problems)
            + "\nDownload again what was cut off. The warehouse also builds from an extract with all six files."
        )


def _find(folder: Path, name: str) -> Path:
    found = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
    if len(found) == 2:
        raise DataError(f"{name} and {name}.gz are both there: remove one.")
    if not found:
        archive = folder / f"{name}.zip"
        raise DataError(f"{name} is missing" + (f": unpack {archive.name}." if archive.exists() else "."))
    return found[0]


def _rows(path: Path, columns: tuple[str, ...]) -> int:
    """Lines after the header; a last one without a line end counts."""
    try:
        with tqdm(desc=path.name, unit="B", unit_scale=True, disable=None, leave=False) as bar:
            look = raw_files.look(str(path), tell=bar.update)
    except raw_files.FileProblem as problem:
        raise DataError(f"{path.name} {problem}. Download it again.") from problem
    header = look.header or []
    missing = [column for column in columns if column not in {name.lower() for name in header}]
    if missing:
        raise DataError(
            f"{path.name} has no column {', '.join(missing)} in its header: is it the official file? It begins with "
            f"{','.join(header)[:60]!r}."
        )
    return look.lines - 1
