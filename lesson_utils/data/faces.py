"""Faces and what is none, cut from photographs, out of scikit-image: no download."""

import torch
from torch import Tensor

CLASSES = ("no face", "face")


def faces() -> tuple[Tensor, Tensor]:
    """100 faces of Labeled Faces in the Wild, and 100 pieces of its backgrounds.

    The faces are of many people, one picture each, without names: enough to tell a face
    from no face, not one person from another.

    Returns:
        Images (200, 1, 25, 25), float32, in [0, 1], gray, and labels (200,), int64,
        positions in `CLASSES`: the 100 faces come first.

    Source: Huang et al., Labeled Faces in the Wild, 2007, by way of scikit-image.
    """
    import skimage.data  # slow to import, and few chapters need a face

    images = torch.from_numpy(skimage.data.lfw_subset()).float()[:, None]
    labels = torch.cat([torch.ones(100), torch.zeros(100)]).long()
    return images, labels
