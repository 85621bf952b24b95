"""Classifiers: the plain network, and answers averaged over views."""

import pytest
import torch
from torch import nn

from lesson_utils.common.classifying import average_over_views, plain_classifier


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


class TestPlainClassifier:
    @pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 5)])
    def test_shapes(self, channels, side):
        network = plain_classifier(channels, 7, width=4)
        assert network(random(2, channels, side, side)).shape == (2, 7)

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
