"""What InfoGAN's codes come to mean, over seeds, and what lambda does to them.

    python -m studies.infogan [--seeds 3] [--fresh]

InfoGANs learn 4,000 of MNIST's digits, with one code of ten categories and two
continuous ones. The category, read off digits that they have not seen, is matched one
to one with the labels, which no training saw. Lambda is 1, or 0: a plain GAN with the
same inputs and as many steps, off whose pictures a Q that is trained afterwards reads
what it can. A third lambda, 30, is too large; all three are compared after a fifth of
the steps. Of the seeds with lambda 1 the one with the best accuracy is written into the
package. k-means on pixels is the baseline.
"""

import copy
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils import infogan
from lesson_utils.common.backbones import WEIGHTS
from lesson_utils.common.checkpoints import load_checkpoint, save_checkpoint
from lesson_utils.common.codes import (
    code_accuracy,
    join_latents,
    match_codes,
    read_codes,
    slant_and_width,
)
from lesson_utils.common.generating import kernel_distance, sample, unit_to_tanh_range
from lesson_utils.common.studies import machine
from lesson_utils.common.training import average_weights, drawer
from lesson_utils.data.mnist import mnist
from studies.skeleton import Study, write_weights

STEPS, SHORT, READING, BATCH = 10_000, 2000, 1000, 32
TOO_MUCH = 30.0  # lambda
CONTINUOUS = 0.5  # weight of the continuous codes, as a share of lambda
SAMPLES, STEP = 1000, 500  # pictures measured; steps between two points of the curve


def main(arguments: list[str] | None = None) -> None:
    """Train, read, match, measure, write."""
    study = Study("infogan", __doc__, arguments, seeds=3)
    digits = Digits()
    for seed in study.seeds:
        study.row(
            {"part": "long", "weight": 1.0, "seed": seed},
            lambda seed=seed: long_row(digits, seed, study),
        )
    others = (("long", 0.0), ("short", 0.0), ("short", 1.0), ("short", TOO_MUCH))
    for part, weight in others:
        steps = STEPS if part == "long" else SHORT
        for seed in study.seeds:
            study.row(
                {"part": part, "weight": weight, "seed": seed},
                lambda weight=weight, seed=seed, steps=steps: other_row(
                    digits, weight, seed, steps
                ),
            )
    for seed in study.seeds:
        study.row(
            {"part": "k-means", "seed": seed},
            lambda seed=seed: {"accuracy": k_means(digits, seed)},
        )
    study.row({"part": "reader"}, lambda: {"accuracy": digits.reader_accuracy()})
    tried = [row for row in study.rows if "curve" in row]
    bundle(study, max(tried, key=lambda row: row["accuracy"]))
    study.write(
        steps=STEPS,
        short_steps=SHORT,
        reading_steps=READING,
        batch_size=BATCH,
        samples=SAMPLES,
    )


class Digits:
    """The pictures, and a classifier of digits that only measures."""

    def __init__(self) -> None:
        self.images, self.labels = mnist("train")
        self.test_images, self.test_labels = mnist("test")
        self.reader = self._train_reader()

    def _train_reader(self) -> nn.Sequential:
        torch.manual_seed(100)
        first, second, last = nn.Linear(784, 256), nn.Linear(256, 64), nn.Linear(64, 10)
        network = nn.Sequential(
            nn.Flatten(), first, nn.ReLU(), nn.Dropout(0.3), second, nn.ReLU(), last
        )
        adam = torch.optim.Adam(network.parameters(), lr=2e-3, fused=True)
        for _ in range(10):
            for index in torch.randperm(len(self.images)).split(100):
                logits = network(unit_to_tanh_range(self.images[index]))
                loss = F.cross_entropy(logits, self.labels[index])
                adam.zero_grad()
                loss.backward()
                adam.step()
        return network.eval()

    @torch.no_grad()
    def read(self, images: Tensor) -> Tensor:
        """The digits that the classifier sees, (N,)."""
        return self.reader(unit_to_tanh_range(images)).argmax(1)

    @torch.no_grad()
    def distance(self, images: Tensor) -> float:
        """Kernel distance of pictures to the test digits, in the classifier's features.

        Features are standardized by those of the training digits.
        """
        body = self.reader[:-1]
        real, test, given = (
            body(unit_to_tanh_range(x)) for x in (self.images, self.test_images, images)
        )
        center, scale = real.mean(0), real.std(0) + 0.05
        return kernel_distance((given - center) / scale, (test - center) / scale).item()

    def reader_accuracy(self) -> float:
        """Of the classifier, on the test digits."""
        return (self.read(self.test_images) == self.test_labels).float().mean().item()


def long_row(digits: Digits, seed: int, study: Study) -> dict:
    """A long training, its curve, and what its codes are in the end."""
    curve: list[list[float]] = []

    def follow(step: int, network: nn.Module) -> None:
        if step % STEP == 0:
            curve.append([step, accuracy_of(digits, network)])
            print(*curve[-1], flush=True)

    pair, history = train(digits, seed, STEPS, 1.0, follow)
    study.folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(study.checkpoint("pair", seed), pair.state_dict())
    losses = {"losses": means(history, STEPS)}
    return {**measure(digits, *pair), "curve": curve, **losses}


def other_row(digits: Digits, weight: float, seed: int, steps: int) -> dict:
    """A training with another lambda or length; a plain GAN gets a Q of its own."""
    pair, history = train(digits, seed, steps, weight)
    if not weight:
        pair[1] = reading(pair[0], seed)
    return {**measure(digits, *pair), "losses": means(history, steps)}


def train(
    digits: Digits,
    seed: int,
    steps: int,
    weight: float,
    follow: Callable[..., None] | None = None,
) -> tuple[nn.ModuleList, dict[str, list[float]]]:
    """The average of a generator's last steps, with its D and Q, and the losses."""
    torch.manual_seed(seed)
    generator, network = infogan.Generator(), infogan.DiscriminatorAndQ()
    average = copy.deepcopy(generator)

    def on_step(step: int) -> None:
        average_weights(average, generator, keep=min(0.995, step / (step + 10)))
        if follow is not None:
            follow(step, network)

    history = infogan.train(
        generator,
        network,
        digits.images,
        steps=steps,
        batch_size=BATCH,
        weight=weight,
        continuous_weight=CONTINUOUS,
        seed=seed,
        on_step=on_step,
        progress=False,
    )
    return nn.ModuleList([average.eval(), network]), history


def reading(generator: infogan.Generator, seed: int) -> infogan.DiscriminatorAndQ:
    """A new Q, which learns to read the codes off a generator that stays as it is."""
    torch.manual_seed(seed)
    network = infogan.DiscriminatorAndQ()
    adam = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    generator.eval()
    for step in range(READING):
        latents, codes, values = infogan.sample_latents(
            BATCH, generator=drawer(seed, 3, step)
        )
        with torch.no_grad():
            pictures = generator(latents)
        _, logits, means = network(pictures)
        parts = infogan.mutual_information_loss(logits, codes, means, values)
        adam.zero_grad()
        sum(parts).backward()
        adam.step()
    return network.eval()


def accuracy_of(digits: Digits, network: nn.Module) -> float:
    """Of the category that Q reads off test digits, after matching."""
    found, _ = read_codes(network, digits.test_images)
    return code_accuracy(found, digits.test_labels).item()


@torch.no_grad()
def measure(digits: Digits, generator: nn.Module, network: nn.Module) -> dict:
    """Codes on real digits, codes in fresh pictures, and what moves slant and width."""
    latents, codes, values = infogan.sample_latents(SAMPLES, generator=drawer(0, 4))
    pictures = sample(generator, latents)
    was_training = network.training
    _, logits, means = network.eval()(unit_to_tanh_range(pictures))
    network.train(was_training)
    squares = (means - values).square().mean(0)  # (C,)
    categorical = F.cross_entropy(logits, codes).item()
    seen = digits.read(pictures)
    slant, width = slant_and_width(pictures)
    ink = pictures.mean((1, 2, 3))
    found, _ = read_codes(network, digits.test_images)
    shares = {
        name: explained(latents, moment)
        for name, moment in (("slant", slant), ("width", width), ("ink", ink))
    }
    return {
        "accuracy": code_accuracy(found, digits.test_labels).item(),
        "meaning": match_codes(found, digits.test_labels).tolist(),
        "generated_accuracy": code_accuracy(codes, seen).item(),
        "bound": math.log(10) - categorical,
        "code_errors": squares.tolist(),
        "information_in_digit": plug_in_information(codes, seen),
        "distance": digits.distance(pictures),
        "slant_spread": slant.std().item(),
        "width_spread": width.std().item(),
        "ink_spread": ink.std().item(),
        "slant_by_codes": shares["slant"][-2:],
        "width_by_codes": shares["width"][-2:],
        "ink_by_codes": shares["ink"][-2:],
        "slant_by_best_other": max(shares["slant"][:-12]),
        "width_by_best_other": max(shares["width"][:-12]),
        "ink_by_best_other": max(shares["ink"][:-12]),
        "slopes": slopes(generator),
    }


def explained(latents: Tensor, moment: Tensor) -> list[float]:
    """The squared correlation of a moment with each entry of the latent vectors."""
    table = torch.cat([latents, moment[:, None]], dim=1).T
    return torch.corrcoef(table)[-1, :-1].square().tolist()


@torch.no_grad()
def slopes(generator: nn.Module) -> list[list[float]]:
    """How slant, width and ink change from code -1 to code 1, all else kept: (C, 3)."""
    noise = torch.randn(SAMPLES // 2, generator.noise, generator=drawer(0, 5))
    codes = torch.arange(SAMPLES // 2) % 10
    found = []
    for which in range(2):
        ends = []
        for value in (-1.0, 1.0):
            values = torch.zeros(SAMPLES // 2, 2)
            values[:, which] = value
            latents = join_latents(noise, codes, values, 10)
            pictures = sample(generator, latents)
            moments = *slant_and_width(pictures), pictures.mean((1, 2, 3))
            ends.append(torch.stack(moments).mean(1))
        found.append((ends[1] - ends[0]).tolist())
    return found


def plug_in_information(codes: Tensor, digits: Tensor) -> float:
    """Mutual information of two of ten, in nats, by counting."""
    counts = torch.zeros(10, 10).index_put_(
        (codes, digits), torch.ones(len(codes)), accumulate=True
    )
    joint = counts / counts.sum()
    product = joint.sum(1, keepdim=True) * joint.sum(0)
    return (torch.xlogy(joint, joint) - torch.xlogy(joint, product)).sum().item()


def k_means(digits: Digits, seed: int) -> float:
    """Accuracy of ten clusters of pixels, matched in the same way."""
    from sklearn.cluster import KMeans

    model = KMeans(10, n_init=4, random_state=seed)
    model.fit(digits.images.flatten(1).numpy())
    found = model.predict(digits.test_images.flatten(1).numpy())
    return code_accuracy(torch.from_numpy(found).long(), digits.test_labels).item()


def means(history: dict[str, list[float]], end: int) -> dict[str, float]:
    """The mean of each measure over the hundred steps before one."""
    return {
        name: sum(values[end - 100 : end]) / 100 for name, values in history.items()
    }


def bundle(study: Study, row: dict) -> None:
    """Write the long training's pair in half precision, and its card."""
    pair = nn.ModuleList([infogan.Generator(), infogan.DiscriminatorAndQ()])
    pair.load_state_dict(load_checkpoint(study.checkpoint("pair", row["seed"])))
    card = {
        "command": "python -m studies.infogan",
        "seed": row["seed"],
        "data": "4,000 digits of MNIST",
        "steps": STEPS,
        "code_accuracy": round(row["accuracy"], 3),
        "meaning": row["meaning"],
        "machine": machine(study.threads),
        "seconds": round(study.seconds),
    }
    write_weights(pair.half(), card, WEIGHTS / "digit_writer.safetensors")


if __name__ == "__main__":
    main()
