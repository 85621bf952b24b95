"""A download that is verified, retried, and clear about what went wrong."""

from pathlib import Path
from typing import Any

TIMEOUT = 30  # seconds without a byte
RETRIES = 2


def download(url: str, sha1: str, path: Path) -> None:
    """Download a file, verify it, and only then give it its name.

    Args:
        url: http or https.
        sha1: the checksum, hexadecimal.
        path: the file to make; its folder exists.

    Raises:
        ConnectionError: the host was not found, refused, stalled, or answered with
            an error.
        ValueError: what came is not the file.
        OSError: it could not be written.
    """
    import pooch  # not on every GPU server
    import requests

    try:
        pooch.create(
            path=path.parent,
            base_url="",
            registry={path.name: f"sha1:{sha1}"},
            urls={path.name: url},
            retry_if_failed=RETRIES,
        ).fetch(path.name, downloader=_download_checked)
    except requests.exceptions.RequestException as error:
        raise ConnectionError(_in_words(error)) from error


def _download_checked(url: str, path: str, pooch_object: Any) -> None:
    """Pooch's download with a bar, which says so if a web page came instead."""
    from pooch import HTTPDownloader

    HTTPDownloader(progressbar=True, timeout=TIMEOUT)(url, path, pooch_object)
    with open(path, "rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise ValueError(
            "a web page came instead of the file, as in a network that wants you to "
            "log in first"
        )


def _in_words(error: Exception) -> str:
    import requests.exceptions as known

    if isinstance(error, known.HTTPError):
        return f"the server answered {error.response.status_code}"
    text = str(error)
    # A stall in the middle of the file is a ConnectionError for requests.
    if isinstance(error, known.Timeout) or "timed out" in text:
        return f"the server sent nothing for {TIMEOUT} seconds"
    if isinstance(error, known.ChunkedEncodingError | known.ContentDecodingError):
        return "the connection broke before the file was whole"
    if "resol" in text.lower():  # name resolution, failed to resolve
        return "the host's name was not found: is there a network?"
    if "refused" in text.lower():
        return "the host refused the connection"
    return f"no connection ({text})"
