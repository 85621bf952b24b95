"""The network of embeddings, and its use on many pictures."""

import math

import pytest
import torch

from lesson_utils.common.embedding import EmbeddingNet, embed, likeness_loss


@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32), (3, 16)])
def test_shapes(channels, side):
    network = EmbeddingNet(5, channels=channels)
    assert network(torch.rand(2, channels, side, side)).shape == (2, 5)


def test_in_batches_as_at_once():
    network, images = EmbeddingNet(3).eval(), torch.rand(7, 1, 28, 28)
    points = embed(network, images, batch_size=3)
    assert not points.requires_grad
    torch.testing.assert_close(points, network(images).detach())


@pytest.mark.parametrize("focus", [0.0, 0.5, -0.5])
def test_likeness_by_a_loop(focus):
    """Khosla et al., equation 2, a sample and a partner at a time."""
    dice = torch.Generator().manual_seed(0)
    points = torch.randn(6, 3, generator=dice, dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    losses = []
    for i in range(6):
        cosines = {
            j: (points[i] @ points[j] / points[i].norm() / points[j].norm()).item()
            for j in range(6)
            if j != i
        }
        total = sum(math.exp(c / 0.25) for c in cosines.values())
        partners = [j for j in cosines if labels[j] == labels[i]]
        own = [-math.log(math.exp(cosines[j] / 0.25) / total) for j in partners]
        losses.append(sum(own) / len(own))
    weights = [math.exp(focus * loss) for loss in losses]
    due = sum(w * x for w, x in zip(weights, losses, strict=True)) / sum(weights)
    found = likeness_loss(points, labels, temperature=0.25, focus=focus)
    assert found.item() == pytest.approx(due, rel=1e-5)


def test_likeness_weighs_all_alike_if_nothing_is_said():
    points = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    said = likeness_loss(points, labels, temperature=1 / 16, focus=0.0)
    assert likeness_loss(points, labels) == said


@pytest.mark.parametrize("labels", [[], [0, 1], [0, 0, 1]])
def test_likeness_wants_partners(labels):
    with pytest.raises(ValueError, match="labels must hold each label twice"):
        likeness_loss(torch.ones(len(labels), 2), torch.tensor(labels).long())


def test_the_network_layer_by_layer():
    """Two poolings, 16, 32 and 64 maps, and one number a color if nothing is said."""
    network = EmbeddingNet()
    assert network(torch.rand(2, 1, 28, 28)).shape == (2, 2)
    shapes = [
        tuple(part.weight.shape)
        for part in network.features
        if isinstance(part, torch.nn.Conv2d)
    ]
    assert shapes == [(16, 1, 3, 3), (32, 16, 3, 3), (64, 32, 3, 3)]
    assert network.features[:8](torch.rand(1, 1, 28, 28)).shape == (1, 32, 7, 7)
    with torch.no_grad():
        network.eval()
        images = torch.rand(3, 1, 16, 16)
        centered = network.features(images - 0.5)
        torch.testing.assert_close(network(images), network.head(centered))


def test_errors():
    with pytest.raises(ValueError, match="dim must be a whole number >= 1"):
        EmbeddingNet(0)
    with pytest.raises(ValueError, match="channels must be"):
        EmbeddingNet(channels=1.5)
    with pytest.raises(ValueError, match="batch_size must be"):
        embed(EmbeddingNet(), torch.rand(1, 1, 28, 28), batch_size=0)
