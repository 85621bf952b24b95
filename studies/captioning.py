"""Captions of drawn scenes: with attention and without, and what the maps are for.

    python -m studies.captioning [--seeds 3] [--fresh] [--out FILE]

An encoder learns color and kind of single creatures, once. From there captioners learn
to write the sentence of scenes of two creatures: one with additive attention; one whose
decoder sees the mean of all places instead; one with attention and the doubly
stochastic regularizer; one with attention that is always shown the true words, where
the others find one in seven hidden; and one whose encoder is frozen. Each is judged on
new scenes: combinations that occurred in training, and two sorts that did not. The
first one of seed 0 is written as the weights `scene_captioner`.
"""

import copy
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils import captioning as cp
from lesson_utils.common.backbones import WEIGHTS
from lesson_utils.common.checkpoints import load_checkpoint, save_checkpoint
from lesson_utils.common.schedules import one_cycle
from lesson_utils.common.sentences import (
    END,
    PAD,
    START,
    bleu,
    decode_caption,
    encode_captions,
    hide_words,
)
from lesson_utils.common.studies import machine
from lesson_utils.common.training import Run, require_finite
from lesson_utils.data.captions import (
    COLORS,
    KINDS,
    SPLITS,
    WORDS,
    CaptionedScenes,
    single_creatures,
    stack_captions,
)
from studies.skeleton import Study, write_weights

SINGLE, SCENES, TESTS = 6000, 3000, 300  # pictures
STEPS, BATCH, RATE = 1200, 48, 5e-3  # of the encoder
FROZEN = {"steps": 1000, "batch_size": 32, "rate": 5e-3}
CLIP, DECAY = 5.0, 0.05
HIDDEN, DOUBLY = 0.15, 0.1  # share of the words; lambda
TUNED = {"steps": 700, "batch_size": 32, "rate": 4e-3, "encoder_rate": 1e-3}
CAPTIONERS: dict[str, dict] = {
    "attention": {},
    "mean": {"attention": "mean"},
    "regularizer": {"doubly": DOUBLY},
    "true words": {"hidden": 0.0},
    "frozen": {"frozen": True},
}
SIDE = 8  # places of a picture, along each side


class Captioner(nn.Module):
    """Both halves, trained as one."""

    def __init__(self, encoder: cp.CaptionEncoder, decoder: cp.CaptionDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures and sentences to logits and attention weights."""
        return self.decoder(self.encoder(images), tokens)


class OtherMaps(cp.CaptionDecoder):
    """Looks where another picture of the batch would have it look."""

    def look(
        self, hidden: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The next picture's weights, and what they find in this one."""
        weights = super().look(hidden, keys, values)[1].roll(1, 0)
        return (weights[:, None] @ values).squeeze(1), weights


def main(arguments: list[str] | None = None) -> None:
    """Train, measure, write."""
    study = Study("captioning", __doc__, arguments, seeds=3)
    study.folder.mkdir(parents=True, exist_ok=True)
    encoder = trained_encoder(study.checkpoint("encoder"))
    for seed in study.seeds:
        for kind in CAPTIONERS:
            path = study.checkpoint(kind.replace(" ", "-"), seed)

            def measure_it(kind=kind, seed=seed, path=path) -> dict:
                network, seconds = trained(kind, seed, path, encoder)
                return {"seconds": seconds, **measure(network, seed)}

            study.row({"kind": kind, "seed": seed}, measure_it)
    path = study.checkpoint("attention", 0)
    best = trained("attention", 0, path, encoder)[0]
    network = nn.ModuleList([best.encoder, best.decoder]).half()
    exact = next(row for row in study.rows if row["kind"] == "attention")
    write_weights(
        network,
        {
            "command": "python -m studies.captioning",
            "seed": 0,
            "classes": list(WORDS),
            "data": f"{SINGLE:,} drawn creatures and {SCENES:,} drawn scenes",
            "steps": STEPS + TUNED["steps"],
            "exact_match": exact["seen"]["exact"],
            "machine": machine(study.threads),
            "seconds": round(study.seconds),
        },
        WEIGHTS / "scene_captioner.safetensors",
    )
    study.write(
        pictures_of={"single": SINGLE, "train": SCENES, "each test": TESTS},
        encoder={"steps": STEPS, "batch_size": BATCH, "rate": RATE}
        | judged_encoder(encoder),
        tuned=TUNED,
        frozen=FROZEN,
        words_hidden=HIDDEN,
        doubly=DOUBLY,
    )


def trained_encoder(path: Path) -> cp.CaptionEncoder:
    """The encoder, taught color and kind of single creatures; or read again."""
    if path.exists():
        encoder = cp.CaptionEncoder()
        encoder.load_state_dict(load_checkpoint(path)["network"])
        return encoder.eval()
    images, labels = single_creatures(SINGLE)
    torch.manual_seed(0)
    encoder, head = cp.CaptionEncoder(), nn.Linear(96, len(COLORS) + len(KINDS))
    encoder.to(memory_format=torch.channels_last)
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=STEPS, pct_start=0.15
    )
    for step in range(STEPS):
        chosen = torch.randint(SINGLE, (BATCH,))
        logits = head(encoder(images[chosen]).mean(1))
        loss = sum(
            F.cross_entropy(part, answers)
            for part, answers in zip(
                logits.split([len(COLORS), len(KINDS)], dim=1),
                labels[chosen].unbind(1),
                strict=True,
            )
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            require_finite(step, loss=loss.detach())
            print(f"encoder, step {step + 1}: loss {loss.item():.3f}", flush=True)
    encoder.half().float()  # as it is read again
    save_checkpoint(path, {"network": encoder.state_dict()})
    return encoder.eval()


def judged_encoder(encoder: cp.CaptionEncoder) -> dict:
    """How large it is."""
    return {"weights": sum(parameter.numel() for parameter in encoder.parameters())}


@cache
def scenes(split: str) -> tuple[Tensor, list[str], Tensor]:
    """Pictures, sentences and boxes of a split."""
    number, seed = (SCENES, 0) if split == "train" else (TESTS, 1)
    return stack_captions(CaptionedScenes(number, split, seed=seed))


@torch.no_grad()
def see(encoder: cp.CaptionEncoder, split: str) -> Tensor:
    """Features of a split, (N, 64, 96)."""
    return torch.cat([encoder(images) for images in scenes(split)[0].split(100)])


def trained(
    kind: str, seed: int, path: Path, encoder: cp.CaptionEncoder
) -> tuple[Captioner, float]:
    """A captioner of one kind, trained or read again; and the seconds it took."""
    settings = {"attention": "additive", "doubly": 0.0, "hidden": HIDDEN}
    settings |= {"frozen": False} | CAPTIONERS[kind]
    torch.manual_seed(seed)
    decoder = cp.CaptionDecoder(attention=settings["attention"])
    encoder, start = copy.deepcopy(encoder), time.process_time()
    images, texts, _ = scenes("train")
    tokens = encode_captions(texts, WORDS)
    both = Captioner(encoder, decoder)
    groups = [{"params": decoder.parameters()}]
    if settings["frozen"]:
        model, seen, plan = decoder, see(encoder, "train"), FROZEN
    else:
        model, seen, plan = both, images, TUNED
        rate = TUNED["encoder_rate"]
        groups.append({"params": encoder.parameters(), "lr": rate})
    run = Run(
        model,
        torch.optim.AdamW(groups, lr=plan["rate"], weight_decay=DECAY),
        number=SCENES,
        steps=plan["steps"],
        batch_size=plan["batch_size"],
        seed=seed,
        schedule=one_cycle,
        settings={"kind": kind},
        checkpoint=path,
        save_every=200,
        progress=False,
    )
    dice = torch.Generator().manual_seed(seed)
    for _ in run:
        shown, written_ = run.batch(seen, tokens)
        told = hide_words(written_, settings["hidden"], generator=dice)
        logits, weights = run.network(shown, told)
        run.learn(
            loss=cp.caption_loss(logits, weights, written_, doubly=settings["doubly"])
        )
    both.half().float()  # as it is read again
    return both.eval(), round(time.process_time() - start, 1)


def measure(network: Captioner, seed: int) -> dict:
    """Sentences and maps of all test splits."""
    decoder = network.decoder
    features = {split: see(network.encoder, split) for split in SPLITS[1:]}
    other = OtherMaps(attention=decoder.attention)
    other.load_state_dict(decoder.state_dict())
    row: dict = {}
    for split in SPLITS[1:]:
        row[split] = judge(written(decoder, features[split]), split)
        row[split] |= pointing(decoder, features[split], split)
    row["other maps"] = judge(written(other.eval(), features["seen"]), "seen")
    if seed == 0:
        row["beam"] = {
            f"{width}, {power}": beamed(decoder, features["seen"][:40], width, power)
            for width, power in ((1, 0.0), (3, 0.0), (3, 1.0))
        }
    return row


def written(decoder: cp.CaptionDecoder, features: Tensor) -> list[str]:
    """Greedy sentences."""
    return [decode_caption(row, WORDS) for row in cp.greedy(decoder, features)[0]]


def judge(texts: list[str], split: str) -> dict:
    """Exact match, BLEU, and which part of a sentence is right how often."""
    right = scenes(split)[1]
    score = bleu([t.split() for t in texts], [[r.split()] for r in right])
    return {
        "exact": mean(
            ours == theirs for ours, theirs in zip(texts, right, strict=True)
        ),
        "bleu": round(score, 4),
        "parts": {
            name: mean(
                parts(ours)[name] == parts(theirs)[name]
                for ours, theirs in zip(texts, right, strict=True)
            )
            for name in ("color", "kind", "place", "other color", "other kind")
        },
    }


def parts(text: str) -> dict[str, str]:
    """A sentence, taken apart; what is not there is empty."""
    words = text.split()
    words = words if len(words) >= 6 else 7 * [""]
    return {
        "color": words[1],
        "kind": words[2],
        "place": " ".join(words[3:-3]),
        "other color": words[-2],
        "other kind": words[-1],
    }


def mean(values: Iterable[bool]) -> float:
    """The share that is true."""
    values = list(values)
    return round(sum(values) / len(values), 4)


@torch.no_grad()
def pointing(decoder: cp.CaptionDecoder, features: Tensor, split: str) -> dict:
    """Where it looks while it writes the true words, against the creatures' boxes."""
    _, texts, boxes = scenes(split)
    tokens = encode_captions(texts, WORDS)
    weights = decoder(features, tokens)[1]  # (N, T, 64)
    last = (tokens[:, 1:] != PAD).sum(1) - 2  # of the word before <end>
    rows = torch.arange(len(tokens))
    inside = boxes_on_grid(boxes)  # (N, 2, 64)
    found: dict = {}
    for name, steps, which in (
        ("color", torch.ones_like(last), 0),
        ("kind", torch.full_like(last, 2), 0),
        ("other color", last - 1, 1),
        ("other kind", last, 1),
    ):
        map_, box = weights[rows, steps], inside[:, which]
        peak = box[rows, map_.argmax(1)]
        found[name] = {
            "peak": round(peak.mean().item(), 4),
            "mass": round((map_ * box).sum(1).mean().item(), 4),
            "chance": round(box.mean().item(), 4),
        }
    seen = (weights * (tokens[:, 1:] != PAD)[..., None]).sum(1)  # (N, 64)
    covered = round(seen.std(1).mean().item(), 4)
    return {"maps": found, "unevenness": covered}


def boxes_on_grid(boxes: Tensor) -> Tensor:
    """Boxes (N, 2, 4) to the places whose middle is inside: (N, 2, 64)."""
    middles = (torch.arange(SIDE) + 0.5) / SIDE
    x1, y1, x2, y2 = (edge[..., None] for edge in boxes.unbind(2))  # (N, 2, 1)
    columns = (middles > x1) & (middles < x2)
    rows = (middles > y1) & (middles < y2)
    return (rows[..., :, None] & columns[..., None, :]).flatten(2).float()


@torch.no_grad()
def beamed(
    decoder: cp.CaptionDecoder, features: Tensor, width: int, power: float
) -> dict:
    """Beam search on some scenes: exact match, length, log probability."""
    found = [
        cp.beam_search(
            cp.next_words(decoder, each[None]), START, END, width, 14, power=power
        )[0]
        for each in features
    ]
    texts = [decode_caption(tokens, WORDS) for tokens, _ in found]
    right = scenes("seen")[1][: len(found)]
    return {
        "exact": mean(
            ours == theirs for ours, theirs in zip(texts, right, strict=True)
        ),
        "length": round(sum(len(tokens) for tokens, _ in found) / len(found), 3),
        "log_probability": round(sum(score for _, score in found) / len(found), 4),
    }


if __name__ == "__main__":
    main()
