"""The hashing chapter's tables: digits by bits, digits never seen, a million codes.

    python -m studies.hashing [--steps 300] [--seeds 3] [--fresh] [--out FILE]

"digits": which share of the 100 nearest of 4,000 digits has the label of the query, for
1,000 others, by codes of hyperplanes (random, or of the principal components of the
pixels) and by codes that a network has learned, with the loss's regularizers and
without. "unseen": the same with a network that has never seen 7, 8 and 9, among these
three alone. "search": processor seconds for the 10 nearest of a million, by codes of
128 bits and by vectors of 128 floats, all on one core in one run; of five repetitions
the fastest. Compare the seconds with each other, not with those of another machine.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lesson_utils import hashing
from lesson_utils.data.mnist import mnist
from studies.skeleton import Study

BITS = (8, 16, 32, 64)
RATE = 3e-3
# Of the loss, at 16 bits: alpha and beta.
WEIGHTS = {
    "no quantization": (0.0, 0.0),
    "ten times": (0.1, 0.0),
    "balanced": (0.01, 0.1),
}
SEEN = 7  # digits from 0 on that the network of "unseen" is shown
MILLION, DIMENSION, NEAREST, REPETITIONS = 1_000_000, 128, 10, 5


def main(arguments: list[str] | None = None) -> None:
    """Train, hash, search, write."""
    study = Study("hashing", __doc__, arguments, seeds=3, add=add_options)
    data = (*mnist("train"), *mnist("test"))
    key = {"part": "digits", "method": "pixels", "bits": 0, "seed": 0}
    study.row(key, lambda: {"precision": exact_precision(*data, k=100)})
    for bits in BITS:
        key = {"part": "digits", "method": "principal", "bits": bits, "seed": 0}
        study.row(key, lambda b=bits: by_hyperplanes("principal", b, 0, data))
        for seed in study.seeds:
            for method in ("random", "learned"):
                key = {"part": "digits", "method": method, "bits": bits, "seed": seed}
                if method == "random":
                    study.row(
                        key, lambda b=bits, s=seed: by_hyperplanes("random", b, s, data)
                    )
                else:
                    study.row(
                        key, lambda b=bits, s=seed: learned(b, s, data, study.options)
                    )
    for name, (alpha, beta) in WEIGHTS.items():
        for seed in study.seeds:
            key = {"part": "digits", "method": name, "bits": 16, "seed": seed}
            study.row(
                key,
                lambda s=seed, a=alpha, b=beta: learned(
                    16, s, data, study.options, alpha=a, beta=b
                ),
            )
    new = tuple(
        half
        for images, labels in (data[:2], data[2:])
        for half in (images[labels >= SEEN], labels[labels >= SEEN])
    )
    key = {"part": "unseen", "method": "pixels", "bits": 0, "seed": 0}
    study.row(key, lambda: {"precision": exact_precision(*new, k=100)})
    for seed in study.seeds:
        key = {"part": "unseen", "method": "random", "bits": 32, "seed": seed}
        study.row(key, lambda s=seed: by_hyperplanes("random", 32, s, new))
        key = {"part": "unseen", "method": "learned", "bits": 32, "seed": seed}
        seen = data[1] < SEEN
        shown = (data[0][seen], data[1][seen])
        study.row(key, lambda s=seed, t=shown: learned(32, s, new, study.options, t))
    for number in (1, 16):
        for name, kind, seconds in searches(number):
            key = {"part": "search", "method": name, "kind": kind, "queries": number}
            study.row(key, lambda s=seconds: {"seconds": round(s(), 5)})
    study.write(steps=study.options.steps, rate=RATE)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this study's command line says beside what all of them do."""
    parser.add_argument("--steps", type=int, default=300)


def packed(values: Tensor) -> Tensor:
    """The packed codes of outputs."""
    return hashing.pack_codes(hashing.sign_codes(values))


def exact_precision(
    images: Tensor, labels: Tensor, others: Tensor, their_labels: Tensor, *, k: int
) -> float:
    """The share of right labels among the k nearest, by Euclidean distance."""
    distances = torch.cdist(others.flatten(1), images.flatten(1))
    found = distances.topk(k, largest=False).indices
    right = labels[found] == their_labels[:, None]
    return round(right.float().mean().item(), 4)


def by_hyperplanes(
    method: str, bits: int, seed: int, data: tuple[Tensor, ...]
) -> dict[str, float]:
    """Precision of the signs of projections of centered pixels."""
    pixels, others = data[0].flatten(1), data[2].flatten(1)
    mean = pixels.mean(0)
    if method == "random":
        dice = torch.Generator().manual_seed(seed)
        planes = hashing.random_hyperplanes(pixels.shape[1], bits, generator=dice)
    else:
        planes = torch.linalg.svd(pixels - mean, full_matrices=False).Vh[:bits].T
    codes, queries = (packed((x - mean) @ planes) for x in (pixels, others))
    share = hashing.precision(codes, data[1], queries, data[3], k=100)
    return {"precision": round(share, 4)}


def learned(
    bits: int,
    seed: int,
    data: tuple[Tensor, ...],
    options: argparse.Namespace,
    shown: tuple[Tensor, Tensor] | None = None,
    **weights: float,
) -> dict[str, float]:
    """Precision of learned codes, and of the outputs they are the signs of."""
    torch.manual_seed(seed)
    network = hashing.HashNet(bits)
    images, labels = data[:2] if shown is None else shown
    hashing.train(
        network,
        images,
        labels,
        steps=options.steps,
        learning_rate=RATE,
        seed=seed,
        progress=False,
        **weights,
    )
    with torch.no_grad():
        outputs, others = network(data[0]), network(data[2])
    share = hashing.precision(packed(outputs), data[1], packed(others), data[3], k=100)
    ones = (others > 0).float().mean(0)
    return {
        "precision": round(share, 4),
        "outputs": exact_precision(outputs, data[1], others, data[3], k=100),
        "away": round(hashing.quantization_loss(others).item() / bits, 4),
        "tilt": round((ones - 0.5).abs().mean().item(), 4),
        "codes": len(packed(outputs).unique(dim=0)),
    }


def searches(number: int) -> list[tuple[str, str, Callable[[], float]]]:
    """Ways to search a million, for so many queries: name, kind, and what times it."""
    import faiss

    faiss.omp_set_num_threads(1)
    dice = np.random.default_rng(0)
    vectors = dice.standard_normal((MILLION, DIMENSION), dtype=np.float32)
    codes = np.packbits(vectors > 0, axis=1)
    wanted = vectors[:number] + 0.1
    queries = np.packbits(wanted > 0, axis=1)
    float_index, bit_index = (
        faiss.IndexFlatL2(DIMENSION),
        faiss.IndexBinaryFlat(DIMENSION),
    )
    float_index.add(vectors)
    bit_index.add(codes)
    tensor, wanted_tensor = torch.from_numpy(vectors), torch.from_numpy(wanted)
    code_tensor, query_tensor = torch.from_numpy(codes), torch.from_numpy(queries)
    squares, words = (vectors**2).sum(1), codes.view(np.uint64)
    square_tensor = torch.from_numpy(squares)

    def by_numpy_floats() -> None:
        distances = squares - 2 * (wanted @ vectors.T)
        np.argpartition(distances, NEAREST, axis=1)

    def by_numpy_bits() -> None:
        different = words[None] ^ queries.view(np.uint64)[:, None]
        distances = np.bitwise_count(different).sum(2, dtype=np.uint8)
        np.argpartition(distances, NEAREST, axis=1)

    def by_torch_floats() -> None:
        distances = square_tensor - 2 * (wanted_tensor @ tensor.T)
        distances.topk(NEAREST, largest=False)

    ways = (
        (
            "this chapter",
            "bits",
            lambda: hashing.search(code_tensor, query_tensor, NEAREST),
        ),
        ("torch", "floats", by_torch_floats),
        ("numpy", "bits", by_numpy_bits),
        ("numpy", "floats", by_numpy_floats),
        ("faiss", "bits", lambda: bit_index.search(queries, NEAREST)),
        ("faiss", "floats", lambda: float_index.search(wanted, NEAREST)),
    )
    return [(name, kind, lambda w=way: fastest(w)) for name, kind, way in ways]


def fastest(way: Callable[[], object]) -> float:
    """Processor seconds of the fastest of some repetitions, the first left out."""
    way()
    seconds = []
    for _ in range(REPETITIONS):
        start = time.process_time()
        way()
        seconds.append(time.process_time() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
