"""Serve the built book on this machine, and to this machine only.

python -m tools.serve [--port 8000]
"""

import argparse
import errno
import functools
import http.server
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
HOST = "127.0.0.1"


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection for many of a page's forty files,
    disable_nagle_algorithm = True  # on which each would else wait 40 ms for the last

    def log_message(self, *args: object) -> None:
        """Say nothing: a page is dozens of requests, and each is as expected."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Report a fault, but for the browser's hanging up in the middle of a file."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def check_built(html: Path) -> Path:
    """The folder of the built book.

    Args:
        html: where the book should be.

    Returns:
        The same folder.

    Raises:
        FileNotFoundError: there is no built book in it.
    """
    if not (html / "index.html").is_file():
        raise FileNotFoundError(f"{html} holds no built book: run `make book` first")
    return html


def bind(folder: Path, port: int) -> http.server.ThreadingHTTPServer:
    """A server for a folder, on a port or the next free one above it.

    Args:
        folder: what to serve.
        port: the port to try first; 0 for any free one.

    Returns:
        The server, bound and not yet running; its `server_port` is the port it got.

    Raises:
        ValueError: the port is not in 0 to 65535.
        OSError: neither the port nor the hundred above it can be had.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be in 0 to 65535, got {port}")
    handler = functools.partial(_Handler, directory=str(folder))
    last = min(port + 100, 65535)
    for candidate in range(port, last + 1):
        try:
            return _Server((HOST, candidate), handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or candidate == last:
                raise
    raise AssertionError  # the loop returns or raises


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder from a thread, for as long as the `with` block lasts.

    Args:
        folder: what to serve.

    Yields:
        The address of the folder, with a slash at its end.
    """
    with bind(folder, 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tools.serve", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="or the next free one")
    port = parser.parse_args().port
    try:
        server = bind(check_built(HTML), port)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    with server:
        print(f"http://{HOST}:{server.server_port}/  (Ctrl-C ends)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
