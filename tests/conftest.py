"""What every test may rely on, whoever runs it."""

import gc
from collections.abc import Iterator

import pytest

from tests import offline
from tools.environment import PROXIES


def pytest_configure() -> None:
    """No test reaches another machine, not even while it is collected."""
    offline.begin()


@pytest.fixture(autouse=True, scope="session")
def no_proxies():
    """Servers of the tests are on this machine, and no proxy stands before it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in PROXIES:
            patch.delenv(name, raising=False)
            patch.delenv(name.lower(), raising=False)
        yield


@pytest.fixture(autouse=True, scope="module")
def nothing_left_over() -> Iterator[None]:
    """Python counts objects, not bytes: tensors in cycles would fill the memory."""
    yield
    gc.collect()
