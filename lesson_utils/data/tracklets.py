"""Short videos of walking creatures: to find somebody again from several frames."""

from dataclasses import dataclass
from functools import cache
from math import pi

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import Dataset

from lesson_utils.common.require import require_share, require_whole
from lesson_utils.data.creatures import Creatures
from lesson_utils.data.photographs import photograph

_PHOTOGRAPHS = ("astronaut", "brick", "chelsea", "clock", "coffee", "grass", "rocket")
_BACKGROUND_SIDE = 128  # of what backgrounds are cut from
_SPRITE_SIDE = 64  # that creatures are drawn at, before they are scaled


@dataclass(frozen=True)
class Tracklet:
    """A short video with everything that is known about it; T frames.

    Attributes:
        images: (T, 3, S, S), float32, in [0, 1].
        identity: who it is, from 0.
        camera: which of this identity's videos it is, from 0.
        covered: (T,), float32, in [0, 1]: the share of the creature's pixels that
            another one hides; 0 in most frames.
        wrong: (T,), bool: the frames that show somebody else altogether.
        centers: (T, 2), float32: x and y of the creature's center, in pixels.
        frequency: cycles of its gait in a frame.
        amplitude: how far the gait lifts and lowers it, in pixels.
    """

    images: Tensor
    identity: int
    camera: int
    covered: Tensor
    wrong: Tensor
    centers: Tensor
    frequency: float
    amplitude: float


class Tracklets(Dataset):
    """Creatures that walk past cameras, T frames each, a few videos of each creature.

    A creature walks across the picture, bobbing in a gait of its own, and may turn
    round. Each video has its own background, color of light, and flicker. In a known
    number of neighboring frames another creature of the same data set stands in front,
    and a few other frames show a wrong one, as a tracker's mistakes do. All that is
    drawn depends on the arguments but for `num_identities`, and on the index; who
    stands in front depends on `num_identities`, too. With another `occluded`, the same
    creature walks in the same way.

    Args:
        num_identities: N, how many creatures; at least 2.
        cameras: videos of each; number i is of identity i // cameras.
        frames: T, at least 2.
        occluded: the share of frames in which another one stands in front.
        swapped: how many of the other frames show a wrong creature.
        twins: whether identities 2k and 2k + 1 look alike and differ in gait only.
        seed: another seed, other creatures.
        image_size: S, the side of the pictures, in pixels, 16 to 128.

    Raises:
        ValueError: a number that is out of its range, or fewer frames than are to be
            occluded and swapped.
    """

    def __init__(
        self,
        num_identities: int,
        *,
        cameras: int = 2,
        frames: int = 10,
        occluded: float = 0.3,
        swapped: int = 1,
        twins: bool = False,
        seed: int = 0,
        image_size: int = 40,
    ) -> None:
        for name, value, low, high in (
            ("num_identities", num_identities, 2, 2**20),
            ("cameras", cameras, 1, 2**10),
            ("frames", frames, 2, 2**10),
            ("swapped", swapped, 0, frames),
            ("seed", seed, 0, 2**31),
            ("image_size", image_size, 16, 128),
        ):
            require_whole(name, value, low, high)
        require_share("occluded", occluded)
        self.num_occluded = round(occluded * frames)
        if self.num_occluded + swapped > frames:
            raise ValueError(
                f"frames must be at least {self.num_occluded + swapped}, for those "
                f"occluded and swapped, got {frames}"
            )
        self.num_identities, self.cameras = num_identities, cameras
        self.frames, self.swapped, self.twins = frames, swapped, twins
        self.seed, self.image_size = seed, image_size
        # A seed of their own: these creatures are not those of `Creatures(seed)`.
        self._creatures = Creatures(
            num_identities, seed=seed + 2**33, image_size=_SPRITE_SIDE
        )
        self._sprites: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return self.num_identities * self.cameras

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """A video and who it shows.

        Args:
            index: from 0, or negative, from the end.

        Returns:
            The frames, (T, 3, S, S), float32, in [0, 1], and the identity.

        Raises:
            IndexError: there is no such video.
        """
        tracklet = self.describe(index)
        return tracklet.images, tracklet.identity

    def describe(self, index: int) -> Tracklet:
        """A video with all that is known about it.

        Args:
            index: from 0, or negative, from the end.

        Returns:
            The record; its images and identity are those of `tracklets[index]`.

        Raises:
            IndexError: there is no such video.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"index must be within {len(self)} videos, got {index}")
        index %= len(self)
        identity, camera = divmod(index, self.cameras)
        count, side = self.frames, self.image_size
        gait = np.random.default_rng((self.seed, identity, 1))
        frequency, amplitude = gait.uniform(0.08, 0.3), gait.uniform(0.01, 0.05)
        rng = np.random.default_rng((self.seed, index, 0))
        canvas = _background(rng, side).expand(count, -1, -1, -1).clone()
        x, y, scale, widths = _walk(rng, count, frequency, amplitude)
        bad, others = self._bad_frames(rng, identity)

        who = torch.tensor([self._look(identity)] * count)
        who[bad[1]] = torch.tensor(others[1:], dtype=torch.int64)[: self.swapped]
        canvas, alpha = _paste(
            canvas, self._sprites_of(who), x, y, scale * widths, scale
        )

        # Who stands in front keeps its place beside the creature's, more or less.
        shift = torch.from_numpy(rng.uniform(-0.12, 0.12, 2)).float()
        steps = torch.from_numpy(rng.normal(0, 0.02, (2, count))).float()
        front = self._sprites_of(torch.tensor([others[0]] * self.num_occluded))
        at = bad[0]
        canvas[at], cover = _paste(
            canvas[at], front,
            x[at] + shift[0] + steps[0, at], y[at] + shift[1] + steps[1, at],
            scale * rng.choice((-1, 1)) * torch.ones(len(at)), scale,
        )  # fmt: skip
        covered = torch.zeros(count)
        covered[at] = (alpha[at] * cover).sum((1, 2, 3)) / alpha[at].sum((1, 2, 3))
        wrong = torch.zeros(count, dtype=torch.bool)
        wrong[bad[1]] = True
        return Tracklet(
            images=_light(rng, canvas),
            identity=identity,
            camera=camera,
            covered=covered,
            wrong=wrong,
            centers=torch.stack([x, y], 1) * side,
            frequency=frequency,
            amplitude=amplitude * side,
        )

    def _bad_frames(
        self, rng: Generator, identity: int
    ) -> tuple[tuple[Tensor, Tensor], list[int]]:
        """Which frames are occluded and which swapped; by whom, the first in front."""
        start, order = rng.integers(self.frames), rng.permutation(self.frames)
        occluded = (start + np.arange(self.num_occluded)) % self.frames
        left = [frame for frame in order if frame not in occluded][: self.swapped]
        lots = rng.random(1 + self.frames)  # as many, however many are used
        looks = self.num_identities // (2 if self.twins else 1)
        own = self._look(identity) // (2 if self.twins else 1)
        others = [(own + 1 + int(lot * (looks - 1))) % looks for lot in lots]
        others = [other * (2 if self.twins else 1) for other in others]
        frames = (np.sort(occluded), np.sort(np.array(left, dtype=np.int64)))
        return tuple(torch.from_numpy(f) for f in frames), others

    def _look(self, identity: int) -> int:
        return identity // 2 * 2 if self.twins else identity

    def _sprites_of(self, who: Tensor) -> Tensor:
        """(N, 4, 64, 64), colors times alpha."""
        for number in who.unique().tolist():
            if number not in self._sprites:
                sprite = self._creatures.sprite(number)
                self._sprites[number] = torch.cat([sprite[:3] * sprite[3:], sprite[3:]])
        sprites = [self._sprites[number] for number in who.tolist()]
        return torch.stack(sprites) if sprites else torch.zeros(0, 4, 1, 1)


def stack_tracklets(data: Tracklets) -> tuple[Tensor, Tensor, Tensor]:
    """All videos in memory, a byte for each color of a pixel.

    Args:
        data: the videos.

    Returns:
        The frames, (N, T, 3, S, S), uint8; the identities, (N,), int64; and how much
        of each frame is bad, (N, T), float32: the share that is covered, and 1 where
        it is a wrong creature.

    Source: the definition.
    """
    shown = [data.describe(index) for index in range(len(data))]
    return (
        torch.stack([(255 * each.images).round().byte() for each in shown]),
        torch.tensor([each.identity for each in shown]),
        torch.stack([each.covered.maximum(each.wrong.float()) for each in shown]),
    )


def _walk(
    rng: Generator, count: int, frequency: float, amplitude: float
) -> tuple[Tensor, Tensor, float, Tensor]:
    """Centers x and y in shares of the side, the size likewise, and widths to it."""
    time = np.arange(count)
    speed = rng.choice((-1, 1)) * rng.uniform(0.005, 0.02)
    x = 0.5 + speed * (time - count / 2) + rng.uniform(-0.04, 0.04)
    bob = amplitude * np.sin(2 * pi * (frequency * time + rng.random()))
    y = 0.5 + bob + rng.uniform(-0.04, 0.04)
    scale = rng.uniform(0.68, 0.82)
    turn = rng.uniform(0, count) if rng.random() < 0.5 else -9
    angle = np.clip((time - turn) / 3, -0.5, 0.5) * pi  # half a turn in three frames
    widths = np.sign(speed) * np.where(
        np.sin(angle) < 0,
        np.minimum(np.sin(angle), -0.4),
        np.maximum(np.sin(angle), 0.4),
    )
    tensors = (torch.from_numpy(each).float() for each in (x, y, widths))
    x, y, widths = tensors
    return x, y, scale, widths


def _light(rng: Generator, images: Tensor) -> Tensor:
    """A color and a strength of light for the video, and a flicker within it."""
    count = len(images)
    color = rng.uniform(0.6, 1.15) * rng.uniform(0.8, 1.2, (1, 3, 1, 1))
    swell = 0.15 * np.sin(
        2 * pi * (rng.random() + rng.uniform(0.05, 0.2) * np.arange(count))
    )
    noise = rng.normal(0, 0.01, images.shape)
    light = torch.from_numpy(color * (1 + swell[:, None, None, None])).float()
    return (images * light + torch.from_numpy(noise).float()).clamp(0, 1)


def _background(rng: Generator, size: int) -> Tensor:
    """A random piece of a photograph, (3, S, S)."""
    source = _photograph(_PHOTOGRAPHS[rng.integers(len(_PHOTOGRAPHS))])
    side = int(rng.integers(_BACKGROUND_SIDE // 3, _BACKGROUND_SIDE + 1))
    top, left = (int(rng.integers(0, length - side + 1)) for length in source.shape[1:])
    piece = source[None, :, top : top + side, left : left + side].float() / 255
    return F.interpolate(
        piece, (size, size), mode="bilinear", antialias=True, align_corners=False
    )[0].clamp(0, 1)


@cache
def _photograph(name: str) -> Tensor:
    return (photograph(name, size=_BACKGROUND_SIDE) * 255).byte()


def _paste(
    canvas: Tensor, sprites: Tensor, x: Tensor, y: Tensor, width: Tensor, height: float
) -> tuple[Tensor, Tensor]:
    """Lay sprites on pictures, places and sizes in shares of the side; and alphas.

    A negative width mirrors. The pictures are (N, 3, S, S), the alphas (N, 1, S, S).
    """
    if not len(canvas):
        return canvas, canvas[:, :1]
    zero = torch.zeros_like(x)
    theta = torch.stack(
        [
            torch.stack([1 / width, zero, (1 - 2 * x) / width], 1),
            torch.stack([zero, zero + 1 / height, (1 - 2 * y) / height], 1),
        ],
        dim=1,
    )
    # Twice as fine, then averaged: what shrinks is smoothed.
    side = canvas.shape[-1]
    grid = F.affine_grid(theta, [len(x), 4, 2 * side, 2 * side], align_corners=False)
    layers = F.avg_pool2d(F.grid_sample(sprites, grid, align_corners=False), 2)
    colors, alpha = layers[:, :3], layers[:, 3:]
    return canvas * (1 - alpha) + colors, alpha
