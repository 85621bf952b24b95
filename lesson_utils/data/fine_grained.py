"""Real fine-grained data sets, from folders as their authors publish them."""

from collections.abc import Callable
from pathlib import Path

import torch.nn.functional as F
import torchvision
from torch import Tensor
from torch.utils.data import Dataset

from lesson_utils.common.require import require_whole
from lesson_utils.data.hub import data_folder


class FGVCAircraft(Dataset):
    """Photographs of airliners: 100 variants, the 737-300 and the 737-400 among them.

    The set is read through torchvision. It is not fetched by itself: it is large, and
    torchvision does not verify what it downloads.

    Args:
        root: the folder that holds `fgvc-aircraft-2013b`; None for `fgvc-aircraft` in
            the data folder, see `hub.data_folder`.
        split: "train", "val", "trainval" or "test".
        annotation_level: "variant", "family" or "manufacturer".
        image_size: S; the shorter side is scaled to it, and the middle cut out.

    Attributes:
        classes: the names of the labels.

    Raises:
        FileNotFoundError: the set is not there; the message says how to get it.
        ValueError: another split or level, or a size that is no whole number >= 1.

    Source: Maji et al., Fine-Grained Visual Classification of Aircraft,
        arXiv:1306.5151, 2013.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        split: str = "train",
        annotation_level: str = "variant",
        image_size: int = 224,
    ) -> None:
        self._prepare = _square(image_size)
        folder = Path(root) if root else data_folder() / "fgvc-aircraft"
        if not (folder / "fgvc-aircraft-2013b" / "data").is_dir():
            raise FileNotFoundError(
                f"FGVC-Aircraft is not in {str(folder)!r}\n"
                f"  fetch it     torchvision.datasets.FGVCAircraft({str(folder)!r}, "
                "download=True)\n"
                '  no network?  the drawn Aircraft(...) of source="bundled" need none'
            )
        self._photographs = torchvision.datasets.FGVCAircraft(
            folder, split=split, annotation_level=annotation_level
        )
        self.classes = tuple(self._photographs.classes)

    def __len__(self) -> int:
        return len(self._photographs)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """A photograph and its label.

        Args:
            index: from 0, or negative, from the end.

        Returns:
            (3, S, S), float32, in [0, 1], without the banner below it; and the number
            of its class in `classes`.

        Raises:
            IndexError: there is no such photograph.
        """
        picture, label = self._photographs[_position(index, len(self))]
        width, height = picture.size
        # The authors' banner of 20 lines names who took the photograph.
        return self._prepare(_tensor(picture.crop((0, 0, width, height - 20)))), label


class CUB200(Dataset):
    """Photographs of 200 species of birds, from the folder of CUB-200-2011.

    Args:
        root: the folder that holds `images.txt`, `images/` and so on.
        split: "train" or "test", as its authors divide it.
        image_size: S; the shorter side is scaled to it, and the middle cut out.

    Attributes:
        classes: the names of the labels.

    Raises:
        FileNotFoundError: a file of the set is not there.
        ValueError: another split, a size that is no whole number >= 1, or lists that
            do not fit each other.

    Source: Wah et al., The Caltech-UCSD Birds-200-2011 Dataset, California Institute of
        Technology, CNS-TR-2011-001, 2011.
    """

    def __init__(
        self, root: str | Path, *, split: str = "train", image_size: int = 224
    ) -> None:
        if split not in ("train", "test"):
            raise ValueError(f"split must be 'train' or 'test', got {split!r}")
        self._prepare, folder = _square(image_size), Path(root)
        names = _table(folder / "classes.txt")
        paths = _table(folder / "images.txt")
        labels = _table(folder / "image_class_labels.txt")
        training = _table(folder / "train_test_split.txt")
        if not paths.keys() == labels.keys() == training.keys():
            raise ValueError(
                f"root must hold lists of the same pictures, got {len(paths)} in "
                f"images.txt, {len(labels)} in image_class_labels.txt, "
                f"{len(training)} in train_test_split.txt of {str(folder)!r}"
            )
        number = {key: place for place, key in enumerate(names)}
        self.classes = tuple(names.values())
        wanted = "1" if split == "train" else "0"
        self._items = [
            (folder / "images" / paths[key], number[labels[key]])
            for key in paths
            if training[key] == wanted
        ]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """A photograph and its label.

        Args:
            index: from 0, or negative, from the end.

        Returns:
            (3, S, S), float32, in [0, 1], and the number of its class in `classes`.

        Raises:
            IndexError: there is no such photograph.
        """
        path, label = self._items[_position(index, len(self))]
        picture = torchvision.datasets.folder.default_loader(str(path))
        return self._prepare(_tensor(picture)), label


def _position(index: int, length: int) -> int:
    if not -length <= index < length:
        raise IndexError(f"index must be within {length} pictures, got {index}")
    return index % length


def _tensor(picture: object) -> Tensor:
    """A PIL picture as (3, H, W), float32, in [0, 1]."""
    return torchvision.transforms.functional.to_tensor(picture)


def _square(size: int) -> Callable[[Tensor], Tensor]:
    """What scales (3, H, W) and cuts out its middle: (3, S, S)."""
    require_whole("image_size", size)

    def prepare(image: Tensor) -> Tensor:
        height, width = image.shape[1:]
        scale = size / min(height, width)
        target = [max(size, round(side * scale)) for side in (height, width)]
        image = F.interpolate(image[None], target, mode="bilinear", antialias=True)[0]
        top, left = (target[0] - size) // 2, (target[1] - size) // 2
        return image[:, top : top + size, left : left + size].clamp(0, 1).contiguous()

    return prepare


def _table(path: Path) -> dict[str, str]:
    """A list of lines "key value", as the authors of CUB write them."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines if line.strip())
