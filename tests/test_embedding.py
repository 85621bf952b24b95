"""The network of embeddings, and its use on many pictures."""

import pytest
import torch

from lesson_utils.common.embedding import EmbeddingNet, embed


@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32), (3, 16)])
def test_shapes(channels, side):
    network = EmbeddingNet(5, channels=channels)
    assert network(torch.rand(2, channels, side, side)).shape == (2, 5)


def test_in_batches_as_at_once():
    network, images = EmbeddingNet(3).eval(), torch.rand(7, 1, 28, 28)
    points = embed(network, images, batch_size=3)
    assert not points.requires_grad
    torch.testing.assert_close(points, network(images).detach())


def test_errors():
    with pytest.raises(ValueError, match="dim must be a whole number >= 1"):
        EmbeddingNet(0)
    with pytest.raises(ValueError, match="channels must be"):
        EmbeddingNet(channels=1.5)
    with pytest.raises(ValueError, match="batch_size must be"):
        embed(EmbeddingNet(), torch.rand(1, 1, 28, 28), batch_size=0)
