"""Codes of pictures: set, read, and measured by information, labels, slant and width.

Codes are whole numbers from 0 to K - 1. Information is measured in nats.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.generating import unit_to_tanh_range
from lesson_utils.common.require import (
    require_images,
    require_labels,
    require_probabilities,
    require_shape,
    require_whole,
)


def join_latents(
    noise: Tensor, codes: Tensor, values: Tensor, categories: int
) -> Tensor:
    """Latent vectors of chosen parts.

    Args:
        noise: (B, Z).
        codes: (B,), whole numbers from 0 to K - 1.
        values: (B, C), the continuous codes.
        categories: K.

    Returns:
        (B, Z + K + C), in the dtype of `noise`.

    Raises:
        ValueError: the parts are not of one B, or a code is out of range.

    Source: the definition.
    """
    require_whole("categories", categories, 2)
    require_shape("noise", noise, "B Z", floating=True)
    require_shape("values", values, "B C", B=len(noise), floating=True)
    require_labels("codes", codes, len(noise), categories)
    one_hot = F.one_hot(codes.long(), categories).to(noise)
    return torch.cat([noise, one_hot, values.to(noise)], dim=1)


def information_bound(joint: Tensor, guess: Tensor) -> tuple[Tensor, Tensor]:
    """The lower bound of the mutual information in a table, and what it misses.

    Args:
        joint: (K, X), the probability of code k and picture x; sums to 1.
        guess: (K, X), Q: of code k, given picture x; each column sums to 1.

    Returns:
        The bound H(c) + E log Q(c|x), and the gap: the mean over pictures of the
        Kullback-Leibler divergence from Q(.|x) to the posterior P(.|x); each (). Their
        sum is the mutual information. A guess of 0 for what happens makes the bound
        minus infinity and the gap infinite.

    Raises:
        ValueError: other shapes, or a table that is no distribution.

    Source: Barber and Agakov, The IM Algorithm, NIPS 2003; Chen et al., InfoGAN, NIPS
        2016, equation 4.
    """
    require_shape("joint", joint, "K X", floating=True)
    require_shape("guess", guess, "K X", K=len(joint), X=joint.shape[1], floating=True)
    require_probabilities("joint", joint.flatten())
    require_probabilities("guess", guess.T)
    of_code, of_picture = joint.sum(1), joint.sum(0)  # (K,), (X,)
    entropy = -torch.xlogy(of_code, of_code).sum()
    # What never happens counts 0, also where its logarithm is infinite.
    bound = entropy + torch.xlogy(joint, guess).sum()
    posterior = joint / of_picture.where(of_picture > 0, 1.0)
    return bound, (torch.xlogy(joint, posterior) - torch.xlogy(joint, guess)).sum()


@torch.inference_mode()
def read_codes(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """What Q reads off pictures.

    Args:
        network: from (B, 1, H, W), in [-1, 1], to logits of being real, logits of the
            category (B, K) and means of the continuous codes (B, C), as InfoGAN's D and
            Q; it is asked in evaluation mode, and put back.
        images: (N, 1, H, W), in [0, 1] or bytes, on the network's device.

    Returns:
        The most likely categories (N,), int64, and the means of the continuous codes
        (N, C).

    Raises:
        ValueError: other shapes or values, or no picture.

    Source: the definition.
    """
    require_images("images", images, "B 1 H W")
    if not len(images):
        raise ValueError("images must hold at least one picture, got none")
    was_training = network.training
    network.eval()
    answers = [network(unit_to_tanh_range(part)) for part in images.split(500)]
    network.train(was_training)
    _, logits, means = zip(*answers, strict=True)
    return torch.cat(logits).argmax(dim=1), torch.cat(means)


def match_codes(codes: Tensor, labels: Tensor, *, number: int = 10) -> Tensor:
    """The label that each code stands for, where no two stand for the same one.

    Args:
        codes: (N,), whole numbers from 0 to K - 1.
        labels: (N,), likewise.
        number: K.

    Returns:
        (K,), int64, a permutation: of all the one with the most agreement.

    Raises:
        ValueError: an empty or another shape, or a number out of range.

    Source: Kuhn, The Hungarian Method for the Assignment Problem, Naval Research
        Logistics Quarterly 1955; here by SciPy.
    """
    from scipy.optimize import linear_sum_assignment  # takes long to import

    counts = _count_pairs(codes, labels, number)
    _, columns = linear_sum_assignment(counts.cpu().numpy(), maximize=True)
    return torch.from_numpy(columns).to(codes.device)


def code_accuracy(codes: Tensor, labels: Tensor, *, number: int = 10) -> Tensor:
    """The share of pictures whose code stands for their label, matched one to one.

    Args:
        codes: (N,), whole numbers from 0 to K - 1.
        labels: (N,), likewise.
        number: K.

    Returns:
        (), from 1 / K to 1 where labels are equally frequent.

    Raises:
        ValueError: as `match_codes`.

    Source: Chen et al., InfoGAN, NIPS 2016, section 7.2: a code matched to a digit.
    """
    meaning = match_codes(codes, labels, number=number)
    return (meaning[codes.long()] == labels).float().mean()


def slant_and_width(images: Tensor) -> tuple[Tensor, Tensor]:
    """How far the ink of a picture leans, and how wide it is, by its second moments.

    Args:
        images: (B, 1, H, W), in [0, 1], 1 being ink.

    Returns:
        The slant, (B,): pixels to the right for a pixel up. And the width, (B,), in
        pixels: the ink's horizontal deviation, once the slant is taken out.

    Raises:
        ValueError: other shapes or values, or ink that has no height, as none has.

    Source: the definition of the moments.
    """
    require_images("images", images, "B 1 H W")
    ink = images[:, 0]
    ink = ink.float() / 255 if ink.dtype == torch.uint8 else ink
    down = torch.arange(ink.shape[1]).to(ink)[:, None]  # (H, 1)
    right = torch.arange(ink.shape[2]).to(ink)  # (W,)
    mass = ink.sum((1, 2), keepdim=True)
    share = ink / mass.where(mass > 0, 1.0)
    down = down - (share * down).sum((1, 2), keepdim=True)  # (B, H, 1)
    right = right - (share * right).sum((1, 2), keepdim=True)  # (B, 1, W)
    height = (share * down.square()).sum((1, 2))
    both = (share * down * right).sum((1, 2))
    if not (height > 0).all():
        raise ValueError("images must have ink in two rows or more, got one without")
    across = (share * right.square()).sum((1, 2)) - both.square() / height
    return -both / height, across.clamp(min=0).sqrt()


def _count_pairs(codes: Tensor, labels: Tensor, number: int) -> Tensor:
    """How often each code meets each label, (K, K)."""
    require_whole("number", number)
    require_labels("labels", labels, len(labels), number)
    require_labels("codes", codes, len(labels), number)
    if not len(labels):
        raise ValueError("labels must be of at least one picture, got none")
    pairs = codes.long() * number + labels.long()
    return pairs.bincount(minlength=number * number).view(number, number)
