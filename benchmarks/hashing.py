"""The hashing chapter: beside faiss."""

import faiss
import torch

from benchmarks._timing import compare
from lesson_utils import hashing


def main() -> None:
    """Print the table."""
    generator = torch.Generator().manual_seed(0)
    faiss.omp_set_num_threads(1)
    for number, size, queries in ((100_000, 8, 1), (100_000, 16, 1), (100_000, 16, 16)):
        codes = torch.randint(
            256, (number, size), generator=generator, dtype=torch.uint8
        )
        index = faiss.IndexBinaryFlat(8 * size)
        index.add(codes.numpy())
        asked = codes[:queries].contiguous()
        compare(
            f"search, {queries} of {number:,} codes of {8 * size} bits",
            lambda codes=codes, asked=asked: hashing.search(codes, asked, 10),
            lambda index=index, asked=asked: index.search(asked.numpy(), 10),
            "faiss",
        )
