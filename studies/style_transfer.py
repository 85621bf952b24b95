"""Style transfer at sizes and with step counts that no page can afford.

    python -m studies.style_transfer [--fresh]

Five pictures for the chapter, by VGG-16: one to open it, a gallery of four pairs, one
pair by other networks, and what single layers keep of a photograph and of a texture;
and a table of the losses that each ended with.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils import style_transfer as st
from lesson_utils.common.backbones import tiny_vgg
from lesson_utils.common.pretrained import vgg16_features
from lesson_utils.data.photographs import photograph
from lesson_utils.data.textures import texture
from studies.skeleton import Study

COARSE, FINE = 40, 25  # steps at half the size, then at the full one
SIZE = (256, 320)  # of the opening
SMALL = (192, 240)  # of the gallery
SIDE = 96  # of the squares by single layers
SMOOTH = 0.02  # weight of the total variation
GAP = 6  # white pixels between two pictures
# Photograph, style, weight of the content.
PAIRS = {
    "pagoda": ("china", "petals", 1.0),
    "cup": ("coffee", "mosaic", 1.0),
    "cat": ("chelsea", "brick", 2.0),
    "astronaut": ("astronaut", "gravel", 8.0),
}
DEPTHS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


def main(arguments: list[str] | None = None) -> None:
    """Make the pictures and the table."""
    study = Study("style_transfer", __doc__, arguments)
    network = vgg16_features(pooling="average")
    cat, petals = photograph("chelsea", size=SIZE), style_of("petals", SIZE)
    made = keep(
        study,
        {"picture": "opening"},
        lambda: twice(cat, petals, network, 1.0, st.VGG16_LAYERS),
    )
    study.picture("opening", row_of([cat, petals, made]))
    gallery(study, network)
    networks(study, network)
    layers(study, network)
    study.write(coarse_steps=COARSE, fine_steps=FINE, tv_weight=SMOOTH)


def keep(
    study: Study, key: dict, make: Callable[[], tuple[Tensor, dict[str, list[float]]]]
) -> Tensor:
    """A picture, made once and kept where an interrupted study finds it again."""
    path = study.checkpoint(*key.values())

    def measure() -> dict:
        image, history = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(image, path)
        last = {name: values[-1] for name, values in history.items()}
        first = {f"first_{name}": history[name][0] for name in ("content", "style")}
        return {name: float(f"{v:.4g}") for name, v in {**last, **first}.items()}

    study.row(key, measure)
    return torch.load(path, weights_only=True)


def twice(
    content: Tensor, style: Tensor, network: nn.Module, content_weight: float, layers
) -> tuple[Tensor, dict[str, list[float]]]:
    """Transfer at half the size, and from there at the full one."""
    options = {"backbone": network, "content_weight": content_weight, **layers}
    options |= {"tv_weight": SMOOTH, "progress": False}
    half = [resize(image, 0.5) for image in (content, style)]
    coarse, _ = st.transfer(*half, num_steps=COARSE, **options)
    start = F.interpolate(coarse[None], content.shape[1:], mode="bilinear")[0]
    return st.transfer(content, style, start=start, num_steps=FINE, **options)


def gallery(study: Study, network: nn.Module) -> None:
    """Four photographs in four styles, in columns."""
    columns = []
    for name, (photo, style, weight) in PAIRS.items():
        content = content_of(photo, SMALL)
        pattern = style_of(style, SMALL)
        made = keep(
            study,
            {"picture": "gallery", "pair": name},
            lambda c=content, s=pattern, w=weight: twice(
                c, s, network, w, st.VGG16_LAYERS
            ),
        )
        columns.append([content, pattern, made])
    study.picture("gallery", rows_of([list(row) for row in zip(*columns, strict=True)]))


def networks(study: Study, network: nn.Module) -> None:
    """One pair by VGG-16, by the book's small network, and by random weights."""
    content, pattern = photograph("chelsea", size=SMALL), style_of("petals", SMALL)
    others = {
        "vgg16": (network, st.VGG16_LAYERS),
        "tiny_vgg": (tiny_vgg(), st.TINY_VGG_LAYERS),
        **{
            f"random {seed}": (
                vgg16_features(
                    None, "average", generator=torch.Generator().manual_seed(seed)
                ),
                st.VGG16_LAYERS,
            )
            for seed in range(2)
        },
    }
    halves = [resize(image, 0.5) for image in (content, pattern)]
    adam = partial(torch.optim.Adam, lr=0.05)  # which random features suit as well
    options = {"content_weight": 0.3, "num_steps": 120, "make_optimizer": adam}
    made = [
        keep(
            study,
            {"picture": "networks", "network": name},
            lambda net=net, chosen=chosen: st.transfer(
                *halves, backbone=net, progress=False, **options, **chosen
            ),
        )
        for name, (net, chosen) in others.items()
    ]
    study.picture("networks", row_of([*halves, *made]))


def layers(study: Study, network: nn.Module) -> None:
    """From noise: the photograph that one layer remembers, the style that some make."""
    portrait = photograph("astronaut", size=(192, 192))[:, 4 : 4 + SIDE, 36 : 36 + SIDE]
    petals = style_of("petals", (SIDE, SIDE))
    remembered = [
        keep(
            study,
            {"picture": "layers", "content": layer},
            lambda layer=layer: alone(network, portrait, [layer], []),
        )
        for layer in (*DEPTHS, "relu5_1")
    ]
    grown = [
        keep(
            study,
            {"picture": "layers", "style": f"up to {DEPTHS[last]}"},
            lambda last=last: alone(network, petals, [], DEPTHS[: last + 1]),
        )
        for last in range(len(DEPTHS))
    ]
    white = torch.ones_like(petals)
    rows = [[portrait, *remembered], [petals, *grown, white]]
    study.picture("layers", rows_of(rows))


def alone(
    network: nn.Module, image: Tensor, contents: list[str], styles: tuple[str, ...]
) -> tuple[Tensor, dict[str, list[float]]]:
    """From faint noise, with only the content or only the style of one picture."""
    dice = torch.Generator().manual_seed(0)
    noise = torch.rand(image.shape, generator=dice)
    return st.transfer(
        image,
        image,
        backbone=network,
        content_layers=contents,
        style_layers=styles,
        tv_weight=SMOOTH,
        num_steps=150,
        start=0.5 + 0.1 * (noise - 0.5),
        make_optimizer=partial(torch.optim.Adam, lr=0.05),
        progress=False,
    )


def content_of(name: str, size: tuple[int, int]) -> Tensor:
    """A photograph; of the astronaut's the part with her face in it."""
    if name == "astronaut":
        return resize_to(photograph(name)[:, :384, :480], size)
    return photograph(name, size=size)


def style_of(name: str, size: tuple[int, int]) -> Tensor:
    """A style: the petals of a photograph, a photograph, or a drawn texture."""
    if name == "petals":
        return resize_to(photograph("flower")[:, 75:335, 225:485], size)
    if name == "mosaic":
        return texture(name, size=size, seed=1)
    return photograph(name, size=size)


def resize(image: Tensor, scale: float) -> Tensor:
    """A picture of another size, smoothed before it shrinks."""
    return resize_to(image, tuple(round(side * scale) for side in image.shape[1:]))


def resize_to(image: Tensor, size: tuple[int, int]) -> Tensor:
    """As large as `size` asks at its shorter side; what is over is cut off evenly."""
    height, width = image.shape[1:]
    scale = max(size[0] / height, size[1] / width)
    grown = [
        max(s, round(n * scale)) for s, n in zip(size, (height, width), strict=True)
    ]
    made = F.interpolate(image[None], grown, mode="bilinear", antialias=True)[0]
    top, left = ((g - s) // 2 for g, s in zip(grown, size, strict=True))
    return made[:, top : top + size[0], left : left + size[1]].clamp(0, 1)


def row_of(images: list[Tensor]) -> Tensor:
    """Pictures of one height side by side, white between them."""
    gap = images[0].new_ones(3, images[0].shape[1], GAP)
    parts = [part for image in images for part in (image, gap)]
    return torch.cat(parts[:-1], dim=2)


def rows_of(rows: list[list[Tensor]]) -> Tensor:
    """Rows of pictures below each other, white between them."""
    made = [row_of(row) for row in rows]
    gap = made[0].new_ones(3, GAP, made[0].shape[2])
    parts = [part for row in made for part in (row, gap)]
    return torch.cat(parts[:-1], dim=1)


if __name__ == "__main__":
    main()
