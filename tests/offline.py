"""The network refused: a test that asks for another machine fails, and says so."""

import ipaddress
import sys

import pytest

ASKING = ("socket.connect", "socket.sendto", "socket.sendmsg")
NAMING = ("socket.getaddrinfo", "socket.gethostbyname")


def refuse(event: str, arguments: tuple) -> None:
    """What Python calls before a socket does anything, whoever asked it to.

    Not an ordinary exception, so that no `except Exception` hides it.

    Args:
        event: the name that Python gives to what is about to be done.
        arguments: what it is done with.

    Raises:
        pytest.fail.Exception: it would leave this machine.
    """
    if event in ASKING:
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # else: a local file
    elif event in NAMING:
        host = arguments[0]
    else:
        return
    if not stays_here(host):
        pytest.fail(f"a unit test asked the network for {host!r} ({event})")


def stays_here(host: object) -> bool:
    """Whether a name or an address is this machine's own loopback.

    Args:
        host: as sockets take it; None and "" are this machine.

    Returns:
        True for loopback only.
    """
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(str(name).partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def begin() -> None:
    """Refuse from now on, in this process and its forks; it cannot be taken back."""
    sys.addaudithook(refuse)
