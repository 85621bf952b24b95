"""Classifiers: the plain network, and answers averaged over views."""

import pytest
import torch
from torch import nn

from lesson_utils.common.classifying import (
    accuracy,
    average_over_views,
    plain_classifier,
    predict,
    standardize,
)


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


class TestStandardize:
    def model(self):
        model = nn.Module()
        model.register_buffer("mean", torch.tensor([0.5, 0.25, 0]))
        model.register_buffer("std", torch.tensor([0.5, 0.25, 2]))
        return model

    def test_by_hand(self):
        images = torch.ones(2, 3, 1, 2)
        images[1, :, 0, 1] = 0
        got = standardize(images, self.model())
        assert got[0].flatten(1).tolist() == [[1, 1], [3, 3], [0.5, 0.5]]
        assert got[1].flatten(1).tolist() == [[1, -1], [3, -1], [0.5, 0]]

    def test_bytes_are_what_they_stand_for(self):
        images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
        got = standardize(images, self.model())
        torch.testing.assert_close(got.flatten(), torch.tensor([-1, -0.2, 0.5]))

    def test_a_model_without_them(self):
        images = torch.full((1, 7), 300.0)
        assert standardize(images, nn.Flatten()) is images

    def test_refuses_what_is_no_picture(self):
        with pytest.raises(ValueError, match="images"):
            standardize(torch.full((1, 3, 2, 2), 2.0), self.model())


class TestPlainClassifier:
    @pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 5)])
    def test_shapes(self, channels, side):
        network = plain_classifier(channels, 7, width=4)
        assert network(random(2, channels, side, side)).shape == (2, 7)

    def test_three_convolutions_that_widen_and_two_poolings(self):
        network = plain_classifier(3, 7)
        kernels = [p.weight for p in network if isinstance(p, nn.Conv2d)]
        assert [k.shape[0] for k in kernels] == [16, 32, 64]
        network = plain_classifier(3, 7, width=5)
        kernels = [p.weight for p in network if isinstance(p, nn.Conv2d)]
        assert [tuple(k.shape) for k in kernels] == [
            *((5, 3, 3, 3), (10, 5, 3, 3), (20, 10, 3, 3)),
        ]
        assert network[:-3](random(1, 3, 12, 8)).shape == (1, 20, 3, 2)
        head = network[-3](random(1, 20, 3, 2))
        torch.testing.assert_close(head, random(1, 20, 3, 2).mean((2, 3), keepdim=True))

    def test_learns_what_a_mean_cannot_tell(self):
        # Stripes along one axis or the other: the same values, in another order.
        stripes = torch.arange(8.0).remainder(2).expand(16, 1, 8, 8).clone()
        labels = torch.arange(16) % 2
        stripes[labels == 1] = stripes[labels == 1].mT
        stripes = stripes + 0.3 * random(16, 1, 8, 8)
        torch.manual_seed(0)
        network = plain_classifier(1, 2, width=4)
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        for _ in range(30):
            loss = nn.functional.cross_entropy(network(stripes), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert loss < 0.2


class TestPredict:
    @pytest.mark.parametrize("batch_size", [1, 2, 256])
    def test_in_batches_and_in_evaluation_mode(self, batch_size):
        network, images = plain_classifier(1, 3, width=2).train(), random(5, 1, 8, 8)
        found = predict(network, images, batch_size=batch_size)
        assert network.training
        network.eval()
        torch.testing.assert_close(found, network(images).detach())
        labels = found.argmax(1)
        labels[0] = (labels[0] + 1) % 3
        right = accuracy(network, images, labels, batch_size=batch_size)
        assert right == pytest.approx(0.8)

    def test_refuses_no_pictures(self):
        with pytest.raises(ValueError, match="images must be at least one, got"):
            predict(plain_classifier(1, 3), random(0, 1, 8, 8))


class TestAverageOverViews:
    def test_is_the_mean_of_probabilities(self):
        images = random(4, 2, 1, 3)
        model = nn.Flatten()
        views = (lambda x: x, lambda x: x.flip(-1))
        expected = (
            images.flatten(1).softmax(1) + images.flip(-1).flatten(1).softmax(1)
        ) / 2
        got = average_over_views(model, images, views)
        torch.testing.assert_close(got, expected)
        torch.testing.assert_close(got.sum(1), torch.ones(4))

    def test_refuses_no_view(self):
        with pytest.raises(ValueError, match=r"views must hold.*\[\]"):
            average_over_views(nn.Flatten(), random(1, 1, 2, 2), [])
