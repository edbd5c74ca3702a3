"""Each CSV file in a folder of Online Retail files counts as a delivery of its own."""

from pathlib import Path

from retail_warehouse.errors import DataError


def refuse_other_deliveries(folder: Path, file_name: str) -> None:
    """Make sure that the folder holds no other CSV file, which would count as a second delivery.

    Args:
        folder: Folder that is or will be named by ``ONLINE_RETAIL_DATA``; it may be missing.
        file_name: The file to write; it may be there already.

    Raises:
        DataError: The folder holds another CSV file.
        OSError: The folder cannot be read.
    """
    if not folder.exists():
        return
    others = sorted(
        path.name
        for path in folder.iterdir()
        if path.name.lower().endswith((".csv", ".csv.gz")) and path.name != file_name
    )
    if others:
        raise DataError(
            f"{folder} already holds {', '.join(others)}, which would count as a further delivery beside {file_name}. "
            "Name another folder with --out, or move the file away."
        )
