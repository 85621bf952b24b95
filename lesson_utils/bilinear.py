"""Bilinear pooling: which channels fire together, and not only how much each does.

The module of the chapter `book/fine_grained/bilinear.ipynb`. Features are maps
(B, C, H, W), floating point; two that are pooled together share B, H and W. A
descriptor is (B, D), one row a picture. Entry (i, j) of the outer product of channels
i and j stands at i · C2 + j of the descriptor.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import (
    require_choice,
    require_floating,
    require_labels,
    require_not_negative,
    require_shape,
    require_whole,
)

METHODS = ("tensor sketch", "random maclaurin")
POOLINGS = ("average", "products", "bilinear")


def bilinear_pool(
    features1: Tensor, features2: Tensor, *, normalize: bool = False
) -> Tensor:
    """The outer product of two feature vectors, averaged over positions.

    Args:
        features1: (B, C1, H, W), floating point.
        features2: (B, C2, H, W), of the dtype of `features1`; it may be `features1`.
        normalize: whether `signed_sqrt` follows, and then division by the length. A
            descriptor of zeros stays zero, and its gradient is zero.

    Returns:
        (B, C1 · C2); entry i · C2 + j is the mean over positions of channel i of the
        first times channel j of the second. An empty batch gives (0, C1 · C2).

    Raises:
        ValueError: the features are not such tensors, or there is no position.

    Source: Lin et al., Bilinear CNN Models for Fine-grained Visual Recognition, ICCV
        2015, section 2, who sum where this averages; the length removes the factor.
    """
    _check_features(features1, features2)
    rows1, rows2 = features1.flatten(2), features2.flatten(2)  # (B, C, H·W)
    # Divided before it is summed: in half precision the sum itself could overflow.
    outer = (rows1 / rows1.shape[2]) @ rows2.transpose(1, 2)  # (B, C1, C2)
    if not normalize:
        return outer.flatten(1)
    # Torch's eps of 1e-12 is 0 in half precision, and 0 / 0 is NaN.
    return F.normalize(signed_sqrt(outer.flatten(1)), eps=1e-6)


def signed_sqrt(values: Tensor) -> Tensor:
    """sign(x) · √|x|, with gradient 0 at 0, where the true one is infinite.

    Args:
        values: any shape, floating point.

    Returns:
        The shape and dtype of `values`. The gradient elsewhere is 1 / (2√|x|).

    Raises:
        ValueError: `values` are not floating point.

    Source: Perronnin et al., Improving the Fisher Kernel for Large-Scale Image
        Classification, ECCV 2010, for the root; 0 at 0 is our choice.
    """
    require_floating("values", values)
    zero = values == 0
    # The root never sees a 0: an infinite slope times the 0 of a select is NaN.
    root = values.abs().masked_fill(zero, 1).sqrt()
    return values.sign() * root


def pool(features: Tensor, pooling: str) -> Tensor:
    """A descriptor of maps: averages, their products, or averages of products.

    Args:
        features: (B, C, H, W), floating point.
        pooling: "average" for the mean of each channel; "products" for the products
            of all pairs of means; "bilinear" for the means of all products. The last
            two are followed by `signed_sqrt` and the division by the length.

    Returns:
        (B, C), or (B, C · C).

    Raises:
        ValueError: the features are not such a tensor, or another pooling.

    Source: Lin et al., Bilinear CNN Models for Fine-grained Visual Recognition, ICCV
        2015, section 2, for "bilinear"; "products" is there to be compared with.
    """
    require_choice("pooling", pooling, POOLINGS)
    _check_features(features, features)
    if pooling == "bilinear":
        return bilinear_pool(features, features, normalize=True)
    means = features.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
    if pooling == "average":
        return means.flatten(1)
    return bilinear_pool(means, means, normalize=True)  # of one position each


class PooledNet(nn.Module):
    """A classifier: features, a pooling, and a linear layer.

    Args:
        features: from (B, 3, H, W) to maps (B, C, h, w).
        num_features: C.
        num_classes: K.
        pooling: one of `POOLINGS`.

    Attributes:
        features: as given.
        classifier: linear, from the descriptor to logits.

    Raises:
        ValueError: a number is not a whole number >= 1, or another pooling.

    Source: Lin et al., Bilinear CNN Models for Fine-grained Visual Recognition, ICCV
        2015, figure 1, with one network for both extractors.
    """

    def __init__(
        self,
        features: nn.Module,
        num_features: int,
        num_classes: int,
        pooling: str = "bilinear",
    ) -> None:
        super().__init__()
        require_whole("num_features", num_features)
        require_whole("num_classes", num_classes)
        require_choice("pooling", pooling, POOLINGS)
        self.features, self.pooling = features, pooling
        size = num_features if pooling == "average" else num_features**2
        self.classifier = nn.Linear(size, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Classify pictures.

        Args:
            images: (B, 3, H, W), as `features` takes them.

        Returns:
            (B, K), logits.
        """
        return self.classifier(pool(self.features(images), self.pooling))


def fit_classifier(
    network: PooledNet, images: Tensor, labels: Tensor, *, penalty: float = 1e-4
) -> None:
    """Fit the linear layer to features that are held still: logistic regression.

    Args:
        network: in evaluation mode; its linear layer is changed, nothing else.
        images: (N, ...), as its features take them, N at least 1.
        labels: (N,), from 0 to K - 1.
        penalty: weight of the squared weights, at least 0, once the descriptors have
            mean 0 and a mean length of 1, so that it weighs the same on each pooling.

    Raises:
        ValueError: the labels do not fit, or the penalty is below 0.

    Source: Lin et al., ICCV 2015, section 3, whose last layer is trained first, too.
    """
    linear = network.classifier
    require_labels("labels", labels, len(images), linear.out_features)
    require_not_negative("penalty", penalty)
    with torch.no_grad():
        maps = (network.features(part) for part in images.split(60))
        inputs = torch.cat([pool(part, network.pooling) for part in maps])
        mean = inputs.mean(dim=0)
        scale = (inputs - mean).norm(dim=1).mean().clamp(min=1e-6)
        inputs = (inputs - mean) / scale
        linear.weight.zero_()
        linear.bias.zero_()
    solver = torch.optim.LBFGS(
        linear.parameters(), max_iter=40, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        solver.zero_grad()
        loss = F.cross_entropy(linear(inputs), labels)
        (loss + penalty * linear.weight.square().sum()).backward()
        return loss

    solver.step(closure)
    solver.zero_grad()
    with torch.no_grad():  # so that it takes the descriptors as they are
        linear.weight /= scale
        linear.bias -= linear.weight @ mean


def count_sketch(values: Tensor, buckets: Tensor, signs: Tensor, size: int) -> Tensor:
    """Throw each channel into one of `size` buckets, with a sign, and add up.

    Args:
        values: (..., C), floating point.
        buckets: (C,), whole numbers from 0 to size - 1.
        signs: (C,), each 1 or -1.
        size: D, at least 1.

    Returns:
        (..., D). Inner products of two sketches by the same buckets and signs are, on
        average over random ones, those of the values.

    Raises:
        ValueError: `buckets` or `signs` are not (C,), a bucket is out of range, or a
            sign is neither 1 nor -1.

    Source: Charikar et al., Finding Frequent Items in Data Streams, ICALP 2002.
    """
    channels = values.shape[-1]
    for name, value in (("buckets", buckets), ("signs", signs)):
        if value.shape != (channels,):
            raise ValueError(
                f"{name} must be ({channels},) for {channels} channels, got "
                f"{tuple(value.shape)}"
            )
    if ((buckets < 0) | (buckets >= size)).any():
        raise ValueError(
            f"buckets must lie from 0 to {size - 1} for size {size}, got "
            f"{buckets.min()} to {buckets.max()}"
        )
    _require_signs("signs", signs)
    sketch = values.new_zeros(*values.shape[:-1], size)
    return sketch.index_add(-1, buckets, values * signs.to(values.dtype))


def tensor_sketch(
    features1: Tensor,
    features2: Tensor,
    buckets: tuple[Tensor, Tensor],
    signs: tuple[Tensor, Tensor],
    size: int,
) -> Tensor:
    """A count sketch of the bilinear descriptor that never forms the descriptor.

    Pair (i, j) falls into bucket (buckets1[i] + buckets2[j]) mod D with the sign
    signs1[i] · signs2[j]: that is the circular convolution of the two features'
    sketches, which is a product of their Fourier transforms.

    Args:
        features1: (B, C1, H, W), floating point.
        features2: (B, C2, H, W), of the dtype of `features1`.
        buckets: (C1,) and (C2,), whole numbers from 0 to size - 1.
        signs: (C1,) and (C2,), each 1 or -1.
        size: D, at least 1.

    Returns:
        (B, D), of the dtype of the features; half precision is computed in float32,
        for the transform knows none.

    Raises:
        ValueError: as `bilinear_pool` and `count_sketch`.

    Source: Pham and Pagh, Fast and Scalable Polynomial Kernels via Explicit Feature
        Maps, KDD 2013; Gao et al., Compact Bilinear Pooling, CVPR 2016, algorithm 2.
    """
    _check_features(features1, features2)
    if not len(features1):  # some transforms refuse an empty batch
        return features1.new_zeros(0, size)
    spectra = [
        torch.fft.rfft(count_sketch(_positions_last(features), h, s, size))
        for features, h, s in zip((features1, features2), buckets, signs, strict=True)
    ]  # twice (B, H·W, D // 2 + 1)
    # The transform is linear: average first, and transform back once a picture.
    mean = (spectra[0] * spectra[1]).mean(1)
    return torch.fft.irfft(mean, n=size).to(features1.dtype)


def random_maclaurin(
    features1: Tensor, features2: Tensor, signs1: Tensor, signs2: Tensor
) -> Tensor:
    """Products of two random projections, averaged over positions.

    Args:
        features1: (B, C1, H, W), floating point.
        features2: (B, C2, H, W), of the dtype of `features1`.
        signs1: (D, C1), each 1 or -1.
        signs2: (D, C2), each 1 or -1.

    Returns:
        (B, D), divided by √D, so that inner products are of the size of those of
        `bilinear_pool`, and on average equal to them.

    Raises:
        ValueError: the features are not such tensors, the signs do not fit, or one is
            neither 1 nor -1.

    Source: Kar and Karnick, Random Feature Maps for Dot Product Kernels, AISTATS 2012;
        Gao et al., Compact Bilinear Pooling, CVPR 2016, algorithm 1.
    """
    _check_features(features1, features2)
    wanted = (len(signs1), features1.shape[1]), (len(signs1), features2.shape[1])
    if (signs1.shape, signs2.shape) != wanted:
        raise ValueError(
            f"signs1 and signs2 must be (D, {features1.shape[1]}) and "
            f"(D, {features2.shape[1]}), got {tuple(signs1.shape)} and "
            f"{tuple(signs2.shape)}"
        )
    _require_signs("signs1", signs1)
    _require_signs("signs2", signs2)
    projected = [
        features.flatten(2).transpose(1, 2) @ signs.to(features.dtype).T
        for features, signs in ((features1, signs1), (features2, signs2))
    ]  # twice (B, H·W, D)
    return (projected[0] * projected[1]).mean(1) / len(signs1) ** 0.5


class CompactBilinear(nn.Module):
    """Compact bilinear pooling: the random numbers, drawn once and kept.

    Args:
        channels1: C1, at least 1.
        channels2: C2, at least 1.
        size: D, how long the descriptor is, at least 1.
        method: "tensor sketch" or "random maclaurin".
        generator: draws the random numbers.

    Raises:
        ValueError: a number is not a whole number >= 1, or another method.

    Source: Gao et al., Compact Bilinear Pooling, CVPR 2016.
    """

    def __init__(
        self,
        channels1: int,
        channels2: int,
        size: int,
        *,
        method: str = "tensor sketch",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        require_whole("channels1", channels1)
        require_whole("channels2", channels2)
        require_whole("size", size)
        require_choice("method", method, METHODS)
        self.size, self.method = size, method
        for number, channels in ((1, channels1), (2, channels2)):
            shape = (channels,) if method == METHODS[0] else (size, channels)
            signs = 2 * torch.randint(2, shape, generator=generator) - 1
            buckets = torch.randint(size, (channels,), generator=generator)
            self.register_buffer(f"signs{number}", signs)
            if method == METHODS[0]:
                self.register_buffer(f"buckets{number}", buckets)

    def forward(self, features1: Tensor, features2: Tensor) -> Tensor:
        """Pool.

        Args:
            features1: (B, C1, H, W), floating point.
            features2: (B, C2, H, W), of the dtype of `features1`.

        Returns:
            (B, D), whose inner products are near those of `bilinear_pool`.

        Raises:
            ValueError: the features do not fit.
        """
        if self.method == METHODS[1]:
            return random_maclaurin(features1, features2, self.signs1, self.signs2)
        buckets, signs = (self.buckets1, self.buckets2), (self.signs1, self.signs2)
        return tensor_sketch(features1, features2, buckets, signs, self.size)


def _positions_last(features: Tensor) -> Tensor:
    """(B, C, H, W) as (B, H·W, C), in float32 at least."""
    return at_least_float32(features.flatten(2).transpose(1, 2))


def _require_signs(name: str, signs: Tensor) -> None:
    wrong = signs[(signs != 1) & (signs != -1)]
    if len(wrong):
        raise ValueError(f"{name} must each be 1 or -1, got {wrong[0].item()}")


def _check_features(features1: Tensor, features2: Tensor) -> None:
    for name, features in (("features1", features1), ("features2", features2)):
        require_shape(name, features, "B C H W", floating=True)
        if not features.shape[2:].numel():
            raise ValueError(
                f"{name} must have a position to average over, got "
                f"{tuple(features.shape)}"
            )
    one, other = features1.shape, features2.shape
    if one[:1] + one[2:] != other[:1] + other[2:]:
        raise ValueError(
            "features1 and features2 must share B, H and W, got "
            f"{tuple(one)} and {tuple(other)}"
        )
    if features1.dtype != features2.dtype:
        raise ValueError(
            "features1 and features2 must have one dtype, got "
            f"{features1.dtype} and {features2.dtype}"
        )
