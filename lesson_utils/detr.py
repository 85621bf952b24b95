"""DETR: detection as the prediction of a set.

The module of the chapter `book/detection/detr.ipynb`. Pictures are (B, 3, S, S), uint8
or floating point in [0, 1]. Boxes of queries and of targets are cxcywh in shares of the
picture; what is detected is xyxy. Classes run from 0, and the logits' last is "no
object". Target labels of -1 are padding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.backbones import with_weights
from lesson_utils.common.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from lesson_utils.common.detections import Detections
from lesson_utils.common.require import (
    require_box_labels,
    require_positive,
    require_shape,
    require_whole,
)
from lesson_utils.common.schedules import one_cycle
from lesson_utils.common.set_prediction import WEIGHTS, match, set_loss
from lesson_utils.common.training import Run
from lesson_utils.common.transformer import (
    DecoderLayer,
    EncoderLayer,
    sine_positions,
)
from lesson_utils.data.scenes import flip
from lesson_utils.single_shot import SingleShot

CHANNELS = 4 * 48 + 96 + 128  # of the trunk's stages, at one position of the second


class Answers(NamedTuple):
    """What DETR says, layer by layer of its decoder.

    Attributes:
        logits: (L, B, Q, K + 1), the last of "no object".
        boxes: (L, B, Q, 4), cxcywh.
        attention: (L, B, Q, H * W): how much each query looks at each position of the
            map, the mean over the heads.

    Source: see `Detr`.
    """

    logits: Tensor
    boxes: Tensor
    attention: Tensor


class Detr(nn.Module):
    """A small DETR: convolutions, an encoder, and queries that a decoder answers.

    Args:
        num_classes: K.
        image_size: S, a multiple of 24.
        num_queries: Q.
        dim: D, of each token.
        heads: of each attention.
        hidden: of each layer's last part.
        encoder: layers.
        decoder: layers, each of which answers.

    Raises:
        ValueError: an argument is out of its range, or see `SingleShot`,
            `sine_positions` and `MultiHeadAttention`.

    Source: Carion et al., End-to-End Object Detection with Transformers, ECCV 2020,
        section 3.2; the sizes are this book's.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        image_size: int = 96,
        num_queries: int = 10,
        dim: int = 64,
        heads: int = 4,
        hidden: int = 128,
        encoder: int = 1,
        decoder: int = 3,
    ) -> None:
        super().__init__()
        require_whole("num_queries", num_queries)
        whole = SingleShot(num_classes, image_size=image_size)
        self.num_classes, self.image_size = num_classes, image_size
        self.stem, self.stages = whole.stem, whole.stages
        self.enter = nn.Sequential(nn.LayerNorm(CHANNELS), nn.Linear(CHANNELS, dim))
        side = image_size // 12
        self.register_buffer(
            "positions", sine_positions(side, side, dim), persistent=False
        )
        self.queries = nn.Parameter(torch.randn(num_queries, dim))
        self.refer = nn.Linear(dim, 2)
        self.encoder = nn.ModuleList(
            EncoderLayer(dim, heads, hidden) for _ in range(encoder)
        )
        self.decoder = nn.ModuleList(
            DecoderLayer(dim, heads, hidden) for _ in range(decoder)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.classify = nn.Linear(dim, num_classes + 1)
        self.place = nn.Sequential(
            *(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU()),
            nn.Linear(dim, 4),
        )
        nn.init.zeros_(self.place[-1].weight)

    def features(self, images: Tensor) -> Tensor:
        """The trunk: a map of what is where.

        Args:
            images: (B, 3, S, S), uint8 or floating point in [0, 1].

        Returns:
            (B, 416, S / 12, S / 12): at each position the channels of the first stage's
            four positions, of the second stage's one, and of the third's around it.

        Raises:
            ValueError: the images are not (B, 3, S, S).
        """
        require_shape("images", images, "B 3 S S", S=self.image_size)
        if images.dtype == torch.uint8:
            images = images.float() / 255
        fine = self.stages[0](self.stem((images - 0.5) / 0.25))
        middle = self.stages[1](fine)
        coarse = F.interpolate(self.stages[2](middle), size=middle.shape[2:])
        return torch.cat([F.pixel_unshuffle(fine, 2), middle, coarse], dim=1)

    def answer(self, features: Tensor) -> Answers:
        """The transformer: from the map to a set of answers.

        Args:
            features: (B, 416, S / 12, S / 12).

        Returns:
            The answers of each layer of the decoder.
        """
        memory = self.enter(features.flatten(2).mT)  # (B, H W, D): a token a position
        for layer in self.encoder:
            memory = layer(memory, self.positions)
        memory = self.norms[0](memory)
        # Where a query looks for its box at first: learned, the same for all pictures.
        start = F.pad(self.refer(self.queries), (0, 2))  # (Q, 4)
        x = torch.zeros_like(self.queries).expand(len(memory), -1, -1)
        layers = []
        for layer in self.decoder:
            x, weights = layer(x, self.queries, memory, self.positions)
            y = self.norms[1](x)
            boxes = (self.place(y) + start).sigmoid()
            layers.append((self.classify(y), boxes, weights.mean(dim=1)))
        return Answers(*(torch.stack(each) for each in zip(*layers, strict=True)))

    def forward(self, images: Tensor) -> Answers:
        """What the queries answer of pictures.

        Args:
            images: (B, 3, S, S), uint8 or floating point in [0, 1]; or what `features`
                made of them, (B, 416, S / 12, S / 12).

        Returns:
            The answers of each layer of the decoder.

        Raises:
            ValueError: the images are neither.
        """
        known = images.shape[1:] == (CHANNELS, *[self.image_size // 12] * 2)
        return self.answer(images.float() if known else self.features(images))


def scene_detr() -> Detr:
    """The DETR for scenes that `studies/scene_detr.py` has trained for long.

    Returns:
        The network, in evaluation mode.

    Source: the definition.
    """
    return with_weights(Detr, "scene_detr", "bundled")


def predict(
    model: Detr, images: Tensor, *, batch_size: int = 64, score_threshold: float = 0.0
) -> list[Detections]:
    """What the last layer's queries find; nothing is suppressed.

    Args:
        model: left in evaluation mode.
        images: (N, 3, S, S), or (N, 416, S / 12, S / 12), as `Detr` takes them.
        batch_size: pictures at a time.
        score_threshold: what is less sure is dropped.

    Returns:
        For each picture the detections, at most one for each query, on the CPU; their
        boxes are xyxy, clipped to the picture.

    Raises:
        ValueError: the images are not as said.

    Source: Carion et al., End-to-End Object Detection with Transformers, ECCV 2020,
        section 3.2.
    """
    model.eval()
    device = next(model.parameters()).device
    found: list[Detections] = []
    for part in images.split(batch_size) if len(images) else ():
        with torch.no_grad():
            logits, boxes, _ = model(part.to(device))
        scores, labels = logits[-1].float().cpu().softmax(-1)[..., :-1].max(dim=-1)
        corners = cxcywh_to_xyxy(boxes[-1].float().cpu()).clamp(0, 1)
        order = scores.argsort(dim=1, descending=True, stable=True)
        for row in zip(corners, scores, labels, order, strict=True):
            kept = row[3][row[1][row[3]] >= score_threshold]
            found.append(Detections(*(each[kept] for each in row[:3])))
    return found


def train(
    model: Detr,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = 400,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    trunk_rate: float = 0.5,
    weight_decay: float = 1e-4,
    clip: float = 1.0,
    no_object: float = 0.2,
    augment: Callable[..., tuple[Tensor, Tensor]] | None = flip,
    after: Callable[[int], object] | None = None,
    seed: int = 0,
    **options: object,
) -> dict[str, list[float]]:
    """Train a DETR in place, each layer of its decoder by the same loss.

    Args:
        model: left in evaluation mode.
        images: (N, 3, S, S), or (N, 416, S / 12, S / 12), as `Detr` takes them; of the
            latter the trunk learns nothing.
        labels: (N, M, 5): class from 0, or -1 for padding, x1, y1, x2, y2.
        steps: batches in all.
        batch_size: as `common.training.Run` takes it.
        learning_rate: the peak; see `common.schedules.one_cycle`.
        trunk_rate: the trunk's rate, as a share of it.
        weight_decay: AdamW's.
        clip: the largest norm of all gradients together.
        no_object: see `set_loss`.
        augment: `augment(images, labels, generator=...)` of each batch, or None.
        after: called with the number of steps taken, after each.
        seed: of the order of the pictures and of their changes.
        **options: `fabric`, `checkpoint`, `save_every` and `progress`, as `Run` takes
            them.

    Returns:
        "class_loss", "box_loss" and "overlap_loss", weighted and summed over the
        layers, a number for each step.

    Raises:
        ValueError: an argument is not as said, a picture has more objects than there
            are queries, or the checkpoint is of another run.
        FloatingPointError: a loss is no longer a number.

    Source: Carion et al., End-to-End Object Detection with Transformers, ECCV 2020,
        sections 3.1 and 3.2 (auxiliary losses).
    """
    for name, value in (("learning_rate", learning_rate), ("clip", clip)):
        require_positive(name, value)
    require_box_labels("labels", labels, len(images), model.num_classes)
    trunk = [*model.stem.parameters(), *model.stages.parameters()]
    known = {id(each) for each in trunk}
    others = [each for each in model.parameters() if id(each) not in known]
    optimizer = torch.optim.AdamW(
        [{"params": others}, {"params": trunk, "lr": learning_rate * trunk_rate}],
        learning_rate,
        weight_decay=weight_decay,
        fused=True,
    )
    optimizer.register_step_pre_hook(lambda *_: _clip(model, clip))
    run = Run(
        model,
        optimizer,
        number=len(images),
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        schedule=one_cycle,
        settings={"learning_rate": learning_rate, "weight_decay": weight_decay},
        **options,
    )
    for step in run:
        pictures, truths = run.batch(images, labels, change=augment)
        answers = run.network(pictures)
        run.learn(**_losses(answers, truths, no_object))
        if after is not None:
            after(step + 1)
    return run.history


def _losses(answers: Answers, labels: Tensor, no_object: float) -> dict[str, Tensor]:
    """The three losses, weighted, summed over the decoder's layers."""
    logits, boxes = (each.float() for each in answers[:2])  # (L, B, Q, .)
    kinds, places = labels[..., 0].long(), xyxy_to_cxcywh(labels[..., 1:])
    matched = match(logits, boxes, kinds, places)  # (L, B, M)
    layers = [
        torch.stack(set_loss(*each, kinds, places, its, no_object=no_object))
        for *each, its in zip(logits, boxes, matched, strict=True)
    ]
    sums = sum(layers) * logits.new_tensor(WEIGHTS)
    return dict(zip(("class_loss", "box_loss", "overlap_loss"), sums, strict=True))


def _clip(model: nn.Module, clip: float) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), clip)
