"""No unit test reaches another machine: it is refused, by whatever way it asks."""

import http.client
import socket
import urllib.request

import pytest

from tests.loopback import Server, whole
from tests.offline import stays_here

ELSEWHERE = "192.0.2.1"  # kept for documentation: no machine has it
REFUSED = pytest.fail.Exception


def connect():
    with socket.socket() as plain:
        plain.settimeout(0.2)
        plain.connect((ELSEWHERE, 80))


def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.sendto(b"?", (ELSEWHERE, 53))


@pytest.mark.parametrize(
    ("ask", "host"),
    [
        (connect, ELSEWHERE),
        (send, ELSEWHERE),
        (lambda: socket.create_connection(("example.org", 80), 0.2), "example.org"),
        (lambda: socket.gethostbyname("example.org"), "example.org"),
        (lambda: http.client.HTTPConnection(ELSEWHERE).connect(), ELSEWHERE),
        (lambda: urllib.request.urlopen("http://example.org"), "example.org"),
    ],
    ids=["connect", "send", "create", "name", "http", "url"],
)
def test_another_machine_is_refused(ask, host):
    with pytest.raises(REFUSED, match=f"asked the network for '{host}'"):
        ask()


def test_a_refusal_is_not_swallowed():
    def careless():
        try:
            connect()
        except Exception:
            return "as if nothing had been"

    with pytest.raises(REFUSED):
        careless()


def test_loopback_is_not_refused():
    opened = urllib.request.urlopen
    with Server(whole(b"fine")) as server, opened(server.url) as answer:
        assert answer.read() == b"fine"
    with socket.socket(socket.AF_UNIX) as local, pytest.raises(FileNotFoundError):
        local.connect("/nowhere/at/all")


@pytest.mark.parametrize(
    ("host", "here"),
    [
        *((host, True) for host in (None, "", "localhost", b"localhost", "::1")),
        *((host, True) for host in ("127.0.0.1", "127.8.9.1", "::")),
        *((host, False) for host in ("example.org", "10.0.0.1", "localhost.example")),
        *((host, False) for host in (ELSEWHERE, "fe80::1%eth0", b"example.org")),
    ],
)
def test_what_is_here(host, here):
    assert stays_here(host) is here
