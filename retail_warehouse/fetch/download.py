"""Downloads one large file and resumes when the connection breaks."""

import time
from pathlib import Path

import requests
from tqdm import tqdm

from retail_warehouse.errors import DataError

ATTEMPTS = 5
_TIMEOUT = (15, 60)  # seconds to connect, and without a byte
_PIECE = 1 << 16  # bytes


class _CutError(Exception):
    """The transfer broke off; another attempt may help."""


def download(url: str, path: Path, first_wait: float = 1.0) -> None:
    """Download ``url`` to ``path``, which appears when it is whole.

    Until then the bytes lie in ``<path>.part``. After a cut the rest is asked for, in this run or the next, if the
    server can send a part and says that the file is still the same one (``If-Range``, RFC 9110 section 13.1.5);
    otherwise the download starts over.

    Args:
        url: An http or https address.
        path: File to write, in an existing folder.
        first_wait: Seconds before the second attempt; doubled for each further one.

    Raises:
        DataError: The server refuses, or ``ATTEMPTS`` attempts were cut.
    """
    for attempt in range(ATTEMPTS):
        try:
            _attempt(url, path)
        except _CutError as cut:
            reason = cut
            if attempt + 1 < ATTEMPTS:
                time.sleep(first_wait * 2**attempt)
        else:
            return
    kept = f"What has arrived is kept in {_part(path)}; run" if _part(path).exists() else "Nothing has arrived; run"
    raise DataError(
        f"The download of {url} failed {ATTEMPTS} times, the last time so: {reason}. {kept} the same command again."
    )


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _validator(path: Path) -> Path:
    """Where the server's name for the version of the file is kept beside the part."""
    return path.with_name(path.name + ".part.version")


def _attempt(url: str, path: Path) -> None:
    part, validator = _part(path), _validator(path)
    have = part.stat().st_size if part.exists() and validator.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator.read_text()}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code == 416:  # the part is no beginning of this file
                part.unlink()
                validator.unlink()
                raise _CutError("the server has no such part")
            if response.status_code >= 500 or response.status_code == 429:
                raise _CutError(f"the server answers {response.status_code} {response.reason}")
            if response.status_code not in (200, 206):
                raise DataError(
                    f"{url} answers {response.status_code} {response.reason}. Look whether the address still holds, "
                    "and name another one with --url."
                )
            have = have if response.status_code == 206 else 0
            _receive(response, path, have)
    except requests.exceptions.InvalidURL as error:
        raise DataError(f"{url} is not an address: {error}") from error
    except (requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema) as error:
        raise DataError(f"{url} is not an http or https address.") from error
    except requests.exceptions.RequestException as error:
        raise _CutError(str(error)) from error
    part.replace(path)
    validator.unlink(missing_ok=True)


def _receive(response: requests.Response, path: Path, have: int) -> None:
    part, validator = _part(path), _validator(path)
    version = response.headers.get("ETag") or response.headers.get("Last-Modified")
    if version and not version.startswith("W/"):  # a weak one does not promise the same bytes
        validator.write_text(version)
    else:
        validator.unlink(missing_ok=True)
    length = response.headers.get("Content-Length")
    expected = have + int(length) if length else None
    with (
        part.open("ab" if have else "wb") as file,
        tqdm(total=expected, initial=have, desc=path.name, unit="B", unit_scale=True, disable=None) as bar,
    ):
        for piece in response.iter_content(_PIECE):
            try:
                file.write(piece)
            except OSError as error:
                raise DataError(
                    f"{part} cannot be written: {error.strerror}. What has arrived is kept; make room and run the same "
                    "command again."
                ) from error
            bar.update(len(piece))
    size = part.stat().st_size
    if expected is not None and size != expected:
        raise _CutError(f"{size:,} of {expected:,} bytes came")
