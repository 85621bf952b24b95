"""Scenes to detect in: drawn creatures on photographs and textures, with boxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import Dataset

from lesson_utils.common.require import require_share, require_whole
from lesson_utils.data.creatures import Attributes, Creature, Creatures
from lesson_utils.data.photographs import photograph
from lesson_utils.data.textures import FAMILIES, texture

TYPES = ("fire", "water", "grass", "electric")  # of creatures, unless told otherwise

_PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "chelsea",
    "clock",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "moon",
    "rocket",
)
_BACKGROUND_SIDE = 192  # of what backgrounds are cut from
_SPRITE_SIDE = 64  # that creatures are drawn at, before they are scaled
_SHORTEST, _LONGEST = 0.16, 0.6  # an object's longer side, as a share of the picture

# A creature's colors and alpha, (h, w, 4), its top and left, itself, and its light.
_Pasted = tuple[np.ndarray, tuple[int, int], Creature, Tensor]


@dataclass(frozen=True)
class Scene:
    """A scene with everything that is known about it; N creatures, the rear first.

    Attributes:
        image: (3, S, S), float32, in [0, 1].
        boxes: (N, 4), xyxy, as shares of the side, of the whole creature.
        labels: (N,), int64, positions of the types in the data set's `classes`.
        masks: (N, S, S), bool, the pixels where one sees the creature. No two overlap.
        whole_masks: (N, S, S), bool, likewise as if nothing stood in front of it.
        colors: (N, 3), float32, RGB in [0, 1], of the bodies, in the scene's light.
        color_names: the word for the color of each body, such as "orange".
        attributes: what each was drawn with; `attributes[0].plan` is a body plan.
    """

    image: Tensor
    boxes: Tensor
    labels: Tensor
    masks: Tensor
    whole_masks: Tensor
    colors: Tensor
    color_names: tuple[str, ...]
    attributes: tuple[Attributes, ...]


class Scenes(Dataset):
    """Pictures of creatures on busy backgrounds, each creature with its box.

    One to `max_objects` creatures of several types, from a sixth to three fifths of the
    picture long, some mirrored, some covering another in part, among patches of texture
    that are no creature. A scene depends on the arguments but for `num_images`, and on
    its index alone; it is drawn when it is asked for.

    Args:
        num_images: N.
        seed: another seed, other scenes.
        image_size: S, the side of the pictures, in pixels, 32 to 1024.
        max_objects: the most creatures in one picture, 1 to 32.
        max_overlap: the largest IoU that the boxes of two creatures may have, in
            [0, 0.9].
        types: names out of `Creatures.classes`, the classes to tell apart.

    Attributes:
        classes: the names of the types, in the order of the labels.

    Raises:
        ValueError: a number that is no whole number or out of its range, or a type
            that does not exist.
    """

    def __init__(
        self,
        num_images: int,
        *,
        seed: int = 0,
        image_size: int = 128,
        max_objects: int = 4,
        max_overlap: float = 0.4,
        types: Sequence[str] = TYPES,
    ) -> None:
        for name, value, low, high in (
            ("num_images", num_images, 1, 2**31),
            ("seed", seed, 0, 2**31),
            ("image_size", image_size, 32, 1024),
            ("max_objects", max_objects, 1, 32),
        ):
            require_whole(name, value, low, high)
        require_share("max_overlap", max_overlap, "[0, 0.9]")
        self.num_images, self.seed, self.image_size = num_images, seed, image_size
        self.max_objects, self.max_overlap = max_objects, max_overlap
        # Seeds of their own: a scene's creatures are not those of `Creatures(seed)`.
        self._creatures = Creatures(
            num_images * max_objects,
            seed=seed + 2**32,
            image_size=_SPRITE_SIDE,
            types=types,
        )
        self.classes = self._creatures.classes

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """A scene and what is in it.

        Args:
            index: from 0, or negative, from the end.

        Returns:
            The picture, (3, S, S), float32, in [0, 1]; the creatures' boxes, (N, 4),
            float32, xyxy, as shares of the side in [0, 1], of the whole creature even
            where another covers it; and their labels, (N,), int64, positions in
            `classes`. Whoever comes later lies in front.

        Raises:
            IndexError: there is no such picture.
        """
        image, boxes, labels, _ = self._draw(index)
        return image, boxes, labels

    def describe(self, index: int) -> Scene:
        """A scene with masks, colors and attributes of its creatures.

        Args:
            index: from 0, or negative, from the end.

        Returns:
            The record; its image, boxes and labels are those of `scenes[index]`.

        Raises:
            IndexError: there is no such picture.
        """
        image, boxes, labels, pasted = self._draw(index)
        size = self.image_size
        whole = torch.zeros(len(pasted), size, size, dtype=torch.bool)
        for mask, (sprite, (top, left), _, _) in zip(whole, pasted, strict=True):
            opaque = torch.from_numpy(sprite[..., 3]) >= 0.5
            mask[top : top + len(opaque), left : left + opaque.shape[1]] = opaque
        seen = whole.clone()
        for number in range(1, len(whole)):
            seen[:number] &= ~whole[number]
        return Scene(
            image=image,
            boxes=boxes,
            labels=labels,
            masks=seen,
            whole_masks=whole,
            colors=torch.stack(
                [
                    (creature.color * light).clamp(max=1)
                    for *_, creature, light in pasted
                ]
            ),
            color_names=tuple(creature.color_name for *_, creature, _ in pasted),
            attributes=tuple(creature.attributes for *_, creature, _ in pasted),
        )

    def _draw(self, index: int) -> tuple[Tensor, Tensor, Tensor, list[_Pasted]]:
        """The picture, the boxes, the labels, and what was pasted where."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"index must be within {len(self)} pictures, got {index}")
        index %= len(self)
        rng = np.random.default_rng((self.seed, index))
        canvas = _background(rng, self.image_size)
        _add_clutter(rng, canvas)
        boxes: list[tuple[float, ...]] = []
        pasted: list[_Pasted] = []
        for number in range(int(rng.integers(1, self.max_objects + 1))):
            which = index * self.max_objects + number
            sprite, creature, light = self._cut_out(which, rng)
            place = _free_place(rng, sprite, self.image_size, boxes, self.max_overlap)
            if place is not None:
                boxes.append(_paste(canvas, sprite, place))
                pasted.append((sprite, place, creature, light))
        image = torch.from_numpy(canvas).permute(2, 0, 1).contiguous()
        shares = torch.tensor(boxes, dtype=torch.float32) / self.image_size
        labels = torch.tensor([creature.label for *_, creature, _ in pasted])
        return image, shares, labels, pasted

    def _cut_out(
        self, which: int, rng: Generator
    ) -> tuple[np.ndarray, Creature, Tensor]:
        """A creature with soft edges, (h, w, 4), in its size here; it; its light."""
        creature = self._creatures.describe(which)
        rows, columns = (np.flatnonzero(creature.mask.any(d)) for d in (1, 0))
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        alpha = creature.mask[None].float()
        # Colors count by alpha; else the white around would bleed into the edges.
        layers = torch.cat([creature.image * alpha, alpha])[:, window[0], window[1]]
        share = np.exp(rng.uniform(np.log(_SHORTEST), np.log(_LONGEST)))
        scale = share * self.image_size / max(layers.shape[1:])
        size = [max(4, round(side * scale)) for side in layers.shape[1:]]
        small = F.interpolate(
            layers[None], size, mode="bilinear", antialias=True, align_corners=False
        )[0].clamp(0, 1)
        light = torch.from_numpy(rng.uniform(0.75, 1.1, 3).astype(np.float32))
        small[:3] = torch.minimum(small[:3] * light[:, None, None], small[3:])
        small = small.flip(-1) if rng.random() < 0.5 else small
        return small.permute(1, 2, 0).numpy(), creature, light


def collate(batch: Sequence[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Put scenes with differing numbers of boxes into one batch.

    Args:
        batch: of (image (3, H, W), boxes (N, 4), labels (N,)), N differing.

    Returns:
        The images, (B, 3, H, W), and what is in them, (B, M, 5), float32: class, x1,
        y1, x2, y2, with M the largest N and rows of class -1 and zeros as padding.

    Raises:
        ValueError: the batch is empty.
    """
    if not batch:
        raise ValueError("batch must hold at least one scene, got none")
    images, boxes, labels = zip(*batch, strict=True)
    padded = torch.zeros(len(batch), max(map(len, boxes)), 5)
    padded[..., 0] = -1
    for row, some, their in zip(padded, boxes, labels, strict=True):
        row[: len(some)] = torch.cat([their[:, None].to(some.dtype), some], dim=1)
    return torch.stack(images), padded


def stack_scenes(data: Dataset) -> tuple[Tensor, Tensor]:
    """All of a data set with boxes in memory, a byte for each color of a pixel.

    Args:
        data: items (image (3, S, S) in [0, 1], boxes (M, 4), labels (M,)).

    Returns:
        The images, (N, 3, S, S), uint8, and the labels, (N, M, 5), padded with -1.

    Raises:
        ValueError: there is no item.

    Source: the definition.
    """
    scenes = (data[index] for index in range(len(data)))
    return collate(
        [
            ((image * 255).round().byte(), boxes, classes)
            for image, boxes, classes in scenes
        ]
    )


def stack_classes(data: Scenes) -> tuple[Tensor, Tensor]:
    """All scenes of a data set in memory, with the class of each pixel.

    Args:
        data: the scenes, pictures of S x S pixels.

    Returns:
        The images, (N, 3, S, S), float32, in [0, 1], and the classes, (N, S, S), int64:
        0 for the background, else 1 + the position of the creature's type in
        `data.classes`.

    Source: the definition.
    """
    images, classes = [], []
    for index in range(len(data)):
        scene = data.describe(index)
        kinds = (scene.labels + 1)[:, None, None]
        images.append(scene.image)
        classes.append((kinds * scene.masks).sum(0))  # no two masks overlap
    return torch.stack(images), torch.stack(classes)


def flip(
    images: Tensor, labels: Tensor, *, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Mirror half of the pictures, left to right, and the boxes with them.

    Args:
        images: (B, 3, H, W).
        labels: (B, M, 5), boxes in shares of the picture.
        generator: draws the half; torch's global one by default.

    Returns:
        Images and labels of the same shapes.

    Source: the definition.
    """
    chosen = torch.rand(len(images), generator=generator) < 0.5
    images = torch.where(chosen[:, None, None, None], images.flip(-1), images)
    kind, x1, y1, x2, y2 = labels.unbind(dim=-1)
    # Left and right change places: the new left edge is the old right one, mirrored.
    mirrored = torch.stack([kind, 1 - x2, y1, 1 - x1, y2], dim=-1)
    return images, torch.where(chosen[:, None, None], mirrored, labels)


def _background(rng: Generator, size: int) -> np.ndarray:
    """A random piece of a photograph or a texture, (S, S, 3), in its own light."""
    if rng.random() < 0.5:
        source = _photograph(_PHOTOGRAPHS[rng.integers(len(_PHOTOGRAPHS))])
    else:
        source = _texture(FAMILIES[rng.integers(len(FAMILIES))])
    side = int(rng.integers(_BACKGROUND_SIDE // 2, _BACKGROUND_SIDE + 1))
    top, left = (int(rng.integers(0, length - side + 1)) for length in source.shape[1:])
    piece = source[:, top : top + side, left : left + side].float() / 255
    piece = F.interpolate(
        piece[None], (size, size), mode="bilinear", antialias=True, align_corners=False
    )[0]
    gain, cast = rng.uniform(0.6, 1.1), rng.uniform(0.85, 1.15, 3)
    noise = rng.normal(0, rng.uniform(0, 0.03), (size, size, 1))
    canvas = piece.permute(1, 2, 0).numpy() * (gain * cast)
    canvas += noise
    if rng.random() < 0.5:
        canvas = canvas[:, ::-1]
    return np.clip(canvas, 0, 1).astype(np.float32)


@cache
def _photograph(name: str) -> Tensor:
    # Bytes: all photographs and textures together stay below 10 MB.
    return (photograph(name, size=_BACKGROUND_SIDE) * 255).byte()


@cache
def _texture(family: str) -> Tensor:
    return (texture(family, size=_BACKGROUND_SIDE) * 255).byte()


def _add_clutter(rng: Generator, canvas: np.ndarray) -> None:
    """Paste up to three soft ellipses of texture: things that are no creature."""
    size = len(canvas)
    for _ in range(int(rng.integers(0, 4))):
        height, width = (int(size * rng.uniform(0.08, 0.3)) for _ in "hw")
        source = _texture(FAMILIES[rng.integers(len(FAMILIES))])
        top, left = (
            int(rng.integers(0, _BACKGROUND_SIDE - side + 1))
            for side in (min(height, _BACKGROUND_SIDE), min(width, _BACKGROUND_SIDE))
        )
        piece = source[:, top : top + height, left : left + width].float() / 255
        height, width = piece.shape[1:]
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        edge = np.clip((1 - np.hypot(y, x)) * min(height, width) / 3, 0, 1)
        alpha = edge[..., None].astype(np.float32)
        colour = piece.permute(1, 2, 0).numpy() * alpha
        place = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
        _paste(canvas, np.concatenate([colour, alpha], axis=2), place)


def _free_place(
    rng: Generator,
    sprite: np.ndarray,
    size: int,
    boxes: list[tuple[float, ...]],
    max_overlap: float,
) -> tuple[int, int] | None:
    """Top and left where it covers no other box too much; None after twenty tries."""
    height, width = sprite.shape[:2]
    taken = np.array(boxes, dtype=float).reshape(-1, 4)
    for _ in range(20):
        top, left = (
            rng.integers(0, size - height + 1),
            rng.integers(0, size - width + 1),
        )
        corner = np.minimum(taken[:, 2:], (left + width, top + height))
        sides = np.clip(corner - np.maximum(taken[:, :2], (left, top)), 0, None)
        shared, areas = sides.prod(1), (taken[:, 2:] - taken[:, :2]).prod(1)
        overlap = shared / (areas + height * width - shared)
        # A small box inside a large one has a small IoU, and yet hides or is lost.
        covered = shared / np.minimum(areas, height * width)
        most = 0.5 + max_overlap / 2
        if (overlap <= max_overlap).all() and (covered <= most).all():
            return int(top), int(left)
    return None


def _paste(
    canvas: np.ndarray, sprite: np.ndarray, place: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Lay (h, w, 4), colors times alpha, on the canvas; its box in pixels."""
    (top, left), (height, width) = place, sprite.shape[:2]
    under = canvas[top : top + height, left : left + width]
    under *= 1 - sprite[..., 3:]
    under += sprite[..., :3]
    np.clip(under, 0, 1, out=under)
    return left, top, left + width, top + height
