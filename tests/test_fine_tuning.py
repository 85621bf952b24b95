"""Fine-tuning: heads found and replaced, what is frozen stays, runs that resume."""

import copy
import io
import math

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from lesson_utils import fine_tuning as ft
from lesson_utils.checks import fine_tuning as fine_tuning_checks
from lesson_utils.common import classifying
from lesson_utils.common.backbones import TinyVGG, resnet18
from lesson_utils.common.checkpoints import save_checkpoint
from tests.answers import ExerciseTests

# Torchvision's classifiers, and what their heads are called.
HEADS = {
    "alexnet": "classifier.6",
    "convnext_tiny": "classifier.2",
    "densenet121": "classifier",
    "efficientnet_b0": "classifier.1",
    "googlenet": "fc",
    "inception_v3": "fc",
    "maxvit_t": "classifier.5",
    "mnasnet0_5": "classifier.1",
    "mobilenet_v2": "classifier.1",
    "mobilenet_v3_small": "classifier.3",
    "resnet18": "fc",
    "shufflenet_v2_x0_5": "fc",
    "swin_t": "head",
    "vgg11": "classifier.6",
    "vit_b_32": "heads.head",
}
EXTRAS = {"googlenet": {"init_weights": False}, "inception_v3": {"init_weights": False}}


def on_meta(name):
    """A model of torchvision's without numbers: built at once, and shapes only."""
    with torch.device("meta"):
        build = getattr(torchvision.models, name)
        return build(**EXTRAS.get(name, {})).eval()


class Nested(nn.Module):
    """A head three levels down, and a backbone with batch norm."""

    def __init__(self, classes=7, bias=True):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )
        last = nn.ModuleDict({"out": nn.Linear(6, classes, bias=bias)})
        self.top = nn.ModuleList([nn.Linear(4, 6), last])

    def forward(self, images):
        hidden = self.top[0](self.body(images).flatten(1))
        return self.top[1]["out"](hidden.relu())


def pictures(number=12, side=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(number, 3, side, side, generator=generator)
    return images, torch.arange(number) % 3


def few_steps(model, data=None, **options):
    options = {"steps": 4, "batch_size": 6, "learning_rate": 1e-3} | options
    return ft.train(model, *(data or pictures()), progress=False, **options)


@pytest.fixture
def nested():
    torch.manual_seed(0)
    return Nested()


class TestFindHead:
    @pytest.mark.parametrize("name", HEADS)
    def test_torchvision(self, name):
        model = on_meta(name)
        assert ft.find_head(model) == HEADS[name]
        example = torch.empty(2, 3, 224, 224, device="meta")
        if name in ("googlenet", "inception_v3", "maxvit_t"):
            return  # slow, or of another size; the name is enough
        assert ft.find_head(model, example=example) == HEADS[name]

    def test_ours(self, nested):
        assert ft.find_head(TinyVGG(3)) == "classifier"
        assert ft.find_head(nested, example=torch.rand(2, 3, 9, 9)) == "top.1.out"
        assert ft.find_head(nn.Linear(2, 3)) == ""

    @pytest.mark.parametrize(
        ("model", "words"),
        [
            (on_meta("squeezenet1_0"), "got Conv2d 'classifier.1' in a SqueezeNet"),
            (nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), "BatchNorm1d '1'"),
            (nn.ReLU(), "got ReLU ''"),
            (nn.Sequential(), "got Sequential ''"),
        ],
    )
    def test_no_head(self, model, words):
        with pytest.raises(ValueError, match=words):
            ft.find_head(model)

    def test_a_layer_that_is_last_in_name_only(self):
        class Swapped(nn.Module):
            def __init__(self):
                super().__init__()
                self.head, self.body = nn.Linear(4, 2), nn.Linear(3, 4)

            def forward(self, x):
                return self.head(self.body(x))

        assert ft.find_head(Swapped()) == "body"
        with pytest.raises(ValueError, match="last linear layer 'body'.*Swapped"):
            ft.replace_head(Swapped(), 5, example=torch.zeros(1, 3))

    def test_trying_leaves_no_trace(self, nested):
        nested.train()
        nested.body[2].eval()
        before = copy.deepcopy(nested.state_dict())
        ft.find_head(nested, example=torch.rand(4, 3, 9, 9))
        assert all(torch.equal(v, before[k]) for k, v in nested.state_dict().items())
        assert nested.body[1].training
        assert not nested.body[2].training
        assert not nested.top[1]["out"]._forward_hooks


class TestReplaceHead:
    @pytest.mark.parametrize("name", HEADS)
    def test_torchvision(self, name):
        model = on_meta(name)
        old = model.get_submodule(HEADS[name])
        assert ft.replace_head(model, 3) is model
        new = model.get_submodule(HEADS[name])
        assert (new.in_features, new.out_features) == (old.in_features, 3)
        assert (new.bias is None) == (old.bias is None)
        assert new.weight.device.type == "meta"

    def test_the_rest_stays_the_same_object(self, nested):
        before = dict(nested.named_parameters())
        ft.replace_head(nested, 2)
        after = dict(nested.named_parameters())
        assert before.keys() == after.keys()
        for name, parameter in after.items():
            assert (parameter is before[name]) == (not name.startswith("top.1"))
        assert nested(torch.rand(5, 3, 8, 8)).shape == (5, 2)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
    def test_dtype(self, dtype):
        assert ft.replace_head(TinyVGG(3).to(dtype), 2).classifier.weight.dtype == dtype

    def test_no_bias(self):
        assert ft.replace_head(Nested(bias=False), 2).top[1]["out"].bias is None

    def test_every_name_it_goes_by(self):
        model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
        model.alias = model[1]
        ft.replace_head(model, 5)
        assert model.alias is model[1]
        assert model[1].out_features == 5

    def test_a_model_that_is_a_head(self):
        old = nn.Linear(4, 3)
        new = ft.replace_head(old, 2)
        assert (new.in_features, new.out_features) == (4, 2)
        assert old.out_features == 3

    def test_as_torch_draws_it(self, nested):
        torch.manual_seed(3)
        expected = nn.Linear(6, 5)
        torch.manual_seed(3)
        ft.replace_head(nested, 5)
        assert torch.equal(nested.top[1]["out"].weight, expected.weight)
        assert torch.equal(nested.top[1]["out"].bias, expected.bias)

    def test_rows(self, nested):
        images = torch.rand(4, 3, 9, 9)
        before = nested.eval()(images)
        ft.replace_head(nested, 3, rows={0: 6, 2: 0})
        after = nested(images)
        torch.testing.assert_close(after[:, [0, 2]], before[:, [6, 0]])
        assert not torch.allclose(after[:, 1], before[:, 1])

    @pytest.mark.parametrize("rows", [{3: 0}, {0: 7}, {-1: 0}, {0: -1}])
    def test_rows_that_are_not_there(self, nested, rows):
        with pytest.raises(ValueError, match="rows must lead from one of 3 new"):
            ft.replace_head(nested, 3, rows=rows)
        assert nested.top[1]["out"].out_features == 7  # untouched

    @pytest.mark.parametrize("number", [0, -1, 2.0, True, "5", None])
    def test_number_of_classes(self, nested, number):
        with pytest.raises(ValueError, match="num_classes must be a whole number >= 1"):
            ft.replace_head(nested, number)


class Stacked(nn.Module):
    """A body with batch norm, and a head of one's own with dropout."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
        self.head = nn.Sequential(nn.Dropout(), nn.Linear(4, 2))

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


def pickled(model):
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


class TestFreeze:
    def test_statistics_stay_even_in_training(self, nested):
        ft.replace_head(ft.freeze(nested), 3)
        nested.train()
        nested.body.train()
        before = copy.deepcopy(nested.body.state_dict())
        nested(5 + torch.rand(8, 3, 9, 9))
        assert not nested.body[1].training
        after = nested.body.state_dict()
        assert all(torch.equal(after[key], before[key]) for key in before)

    @pytest.mark.parametrize("how", [lambda m: m, pickled, copy.deepcopy])
    def test_it_survives(self, how):
        """Saving, copying, train(), eval(), and a head of one's own with dropout."""
        torch.manual_seed(0)
        model = Stacked()
        ft.freeze(model)
        model.head = nn.Sequential(nn.Dropout(0.9), nn.Linear(4, 2))
        model = how(model)
        x = torch.rand(8, 3, 9, 9)
        expected = model.eval().body(x)
        assert torch.equal(model(x), model(x))  # eval reaches the head
        model.train()
        assert not torch.equal(model(x), model(x))  # and so does train
        assert torch.equal(model.body(x), expected)  # but not the body's dropout
        assert not model.body[1].weight.requires_grad
        assert model.head[1].weight.requires_grad
        names = {n for n, p in model.named_parameters() if p.requires_grad}
        assert names == {"head.1.weight", "head.1.bias"}
        assert ft.unfreeze(model) is model
        model(x)
        assert model.body[1].training

    def test_frozen_twice_and_undone_once(self):
        model = ft.unfreeze(ft.freeze(ft.freeze(Stacked())))
        model(torch.rand(8, 3, 9, 9))
        assert all(part.training for part in model.modules())

    def test_without_it_they_move(self, nested):
        nested.requires_grad_(False).train()
        before = nested.body[1].running_mean.clone()
        nested(5 + torch.rand(8, 3, 9, 9))
        assert not torch.equal(nested.body[1].running_mean, before)

    def test_a_part(self, nested):
        ft.freeze(nested.body)
        nested.train()
        nested(torch.rand(2, 3, 9, 9))
        assert not nested.body.training
        assert nested.top.training
        names = {name for name, p in nested.named_parameters() if p.requires_grad}
        assert {name.split(".")[0] for name in names} == {"top"}

    def test_a_new_head_is_trained(self, nested):
        ft.replace_head(ft.freeze(nested), 3)
        names = [name for name, p in nested.named_parameters() if p.requires_grad]
        assert names == ["top.1.out.weight", "top.1.out.bias"]

    def test_copies_are_frozen_on_their_own(self, nested):
        twin = copy.deepcopy(ft.freeze(nested))
        ft.unfreeze(twin)
        nested.train()
        nested(torch.rand(2, 3, 9, 9))
        twin(torch.rand(2, 3, 9, 9))
        assert twin.body[1].training
        assert not nested.body[1].training

    def test_undone(self, nested):
        assert ft.unfreeze(ft.freeze(nested)) is nested
        assert all(p.requires_grad for p in nested.parameters())
        assert all(part.training for part in nested.modules())
        assert not any(part.training for part in nested.eval().modules())
        ft.unfreeze(nested)  # of what was never frozen, too


class TestHoldStatistics:
    def test_statistics_stay_and_all_weights_learn(self, nested):
        assert ft.hold_statistics(ft.hold_statistics(nested)) is nested
        norm = nested.body[1]
        assert len(norm._forward_pre_hooks) == 1  # no part gets two hooks
        before, weight = norm.running_mean.clone(), norm.weight.detach().clone()
        few_steps(nested, (5 * pictures()[0], pictures()[1]))
        assert torch.equal(norm.running_mean, before)
        assert not torch.equal(norm.weight, weight)
        assert all(p.requires_grad for p in nested.parameters())

    def test_training_computes_what_evaluation_does(self, nested):
        images = 3 + torch.rand(4, 3, 9, 9)
        expected = nested.eval()(images)
        torch.testing.assert_close(ft.hold_statistics(nested).train()(images), expected)
        assert nested.training

    def test_undone_by_unfreeze(self, nested):
        ft.unfreeze(ft.hold_statistics(nested))
        before = nested.body[1].running_mean.clone()
        nested(torch.rand(4, 3, 9, 9))
        assert not torch.equal(nested.body[1].running_mean, before)


class TestParameterGroups:
    def test_by_hand(self, nested):
        groups = ft.parameter_groups(nested, learning_rate=0.01)
        sizes = [[p.numel() for p in group["params"]] for group in groups]
        assert sizes == [[108, 4, 4, 4, 24, 6], [42, 7]]
        assert [group["lr"] for group in groups] == [0.01, pytest.approx(0.1)]

    @pytest.mark.parametrize("name", ["vgg11", "vit_b_32", "resnet18"])
    def test_each_parameter_once(self, name):
        model = on_meta(name)
        groups = ft.parameter_groups(model, learning_rate=1e-3, head_multiplier=3)
        ids = [id(p) for group in groups for p in group["params"]]
        assert len(ids) == len(set(ids))
        assert set(ids) == {id(p) for p in model.parameters()}
        head = model.get_submodule(HEADS[name])
        assert {id(p) for p in groups[1]["params"]} == {
            id(p) for p in head.parameters()
        }

    def test_frozen_ones_are_left_out(self, nested):
        ft.freeze(nested.body)
        groups = ft.parameter_groups(nested, learning_rate=1)
        assert [len(group["params"]) for group in groups] == [2, 2]
        ft.replace_head(ft.freeze(nested), 3)
        (group,) = ft.parameter_groups(nested, learning_rate=1, head_multiplier=5)
        assert group["lr"] == 5
        assert len(group["params"]) == 2

    def test_a_shared_parameter_counts_once(self):
        first, head = nn.Linear(3, 3), nn.Linear(3, 3)
        head.weight = first.weight
        groups = ft.parameter_groups(nn.Sequential(first, head), learning_rate=1)
        assert [len(group["params"]) for group in groups] == [1, 2]

    def test_a_step_of_sgd(self):
        model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
        nn.init.constant_(model[0].weight, 2.0)
        nn.init.constant_(model[1].weight, 3.0)
        groups = ft.parameter_groups(model, learning_rate=0.01)
        optimizer = torch.optim.SGD(groups)
        model(torch.ones(1, 1)).sum().backward()  # slopes 3 and 2
        optimizer.step()
        assert model[0].weight.item() == pytest.approx(2 - 0.01 * 3)
        assert model[1].weight.item() == pytest.approx(3 - 0.1 * 2)

    def test_nothing_to_train(self, nested):
        with pytest.raises(ValueError, match="freeze first and replace the head"):
            ft.parameter_groups(ft.freeze(nested), learning_rate=1)

    @pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
    def test_numbers(self, nested, value):
        with pytest.raises(ValueError, match="learning_rate must be finite and above"):
            ft.parameter_groups(nested, learning_rate=value)
        with pytest.raises(ValueError, match="head_multiplier must be finite"):
            ft.parameter_groups(nested, learning_rate=1, head_multiplier=value)


class TestStandardize:
    def test_matches_torchvision(self):
        model, (images, _) = resnet18(None), pictures()
        normalize = torchvision.transforms.Normalize(
            (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        )
        expected = normalize(images)
        torch.testing.assert_close(classifying.standardize(images, model), expected)
        coarse = (images * 255).round().byte()
        torch.testing.assert_close(
            classifying.standardize(coarse, model), expected, atol=0.01, rtol=0
        )

    def test_a_model_that_says_nothing(self, nested):
        features = torch.randn(3, 4)
        assert classifying.standardize(features, nested) is features

    @pytest.mark.parametrize(
        ("images", "words"),
        [
            (torch.full((1, 3, 8, 8), 200.0), r"lie in \[0, 1\].*\[200, 200\]"),
            (torch.full((1, 3, 8, 8), math.nan), r"lie in \[0, 1\]"),
            (torch.zeros(1, 1, 8, 8), r"\(B, 3, H, W\), got \(1, 1, 8, 8\)"),
            (torch.zeros(3, 8, 8), r"\(B, 3, H, W\), got \(3, 8, 8\)"),
        ],
    )
    def test_errors(self, images, words):
        with pytest.raises(ValueError, match=words):
            classifying.standardize(images, TinyVGG(2))


class TestTrain:
    def test_two_steps_by_hand(self):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(27, 3))
        twin, (images, labels) = copy.deepcopy(model), pictures(6, 3)
        history = few_steps(model, (images, labels), steps=2, batch_size=6)
        optimizer = torch.optim.AdamW(twin.parameters(), weight_decay=0.01)
        for step, rate in enumerate((1e-2, 5e-3)):
            optimizer.param_groups[0]["lr"] = rate
            logits = twin(images)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            share = (logits.argmax(1) == labels).float().mean().item()
            assert history["loss"][step] == pytest.approx(loss.item(), rel=1e-5)
            assert history["accuracy"][step] == pytest.approx(share)
        torch.testing.assert_close(model[1].weight, twin[1].weight)

    def test_each_step_draws_its_own_change(self, nested):
        drawn = []

        def remember(images, *, generator):
            drawn.append(torch.rand(1, generator=generator).item())
            return images

        few_steps(nested, augment=remember)
        few_steps(nested, augment=remember, seed=1)
        assert len(set(drawn)) == 8

    def test_it_learns(self):
        torch.manual_seed(0)
        images, labels = pictures(30)
        images = images * 0.2 + torch.eye(3)[labels][:, :, None, None] * 0.6
        model = TinyVGG(3)
        history = few_steps(model, (images, labels), steps=40, learning_rate=1e-3)
        assert history["loss"][-1] < 0.3 < history["loss"][0]
        assert classifying.accuracy(model, images, labels) == 1
        assert not model.training

    def test_a_frozen_backbone_is_a_head_on_its_features(self, nested):
        model = ft.replace_head(ft.freeze(nested), 3)
        alone, (images, labels) = copy.deepcopy(model.top[1]["out"]), pictures()
        features = ft.extract_features(model, images)
        few_steps(model)
        few_steps(alone, (features, labels))
        torch.testing.assert_close(model.top[1]["out"].weight, alone.weight)

    def test_the_same_again(self):
        runs = []
        for _ in range(2):
            torch.manual_seed(0)
            runs.append(few_steps(Nested(), seed=5))
        assert runs[0] == runs[1]

    @pytest.mark.parametrize("stop", [1, 3])
    def test_resumed_as_if_never_stopped(self, tmp_path, stop):
        path = tmp_path / "run.pt"

        def shake(images, *, generator):
            return images + torch.rand(images.shape, generator=generator)

        def run(**options):
            torch.manual_seed(0)
            model = ft.replace_head(Nested(), 3)
            return few_steps(model, augment=shake, **options), model

        expected, whole = run()
        calls = []

        def interrupted(images, *, generator):
            calls.append(1)
            if len(calls) > stop:
                raise KeyboardInterrupt
            return shake(images, generator=generator)

        torch.manual_seed(0)
        with pytest.raises(KeyboardInterrupt):
            few_steps(
                ft.replace_head(Nested(), 3),
                augment=interrupted,
                checkpoint=path,
                save_every=1,
            )
        history, resumed = run(checkpoint=path)
        assert history == expected
        for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
            torch.testing.assert_close(a, b)
        assert run(checkpoint=path)[0] == expected  # a finished run is only read

    def test_a_checkpoint_of_another_run(self, tmp_path, nested):
        path = tmp_path / "run.pt"
        few_steps(nested, checkpoint=path)
        with pytest.raises(ValueError, match="seed is 0 there and 1 here"):
            few_steps(nested, checkpoint=path, seed=1)
        with pytest.raises(
            ValueError, match=r"must be of this run.*another network: .*weight"
        ):
            few_steps(Nested(classes=4), checkpoint=path)
        save_checkpoint(path, {"weights": [1]})
        with pytest.raises(ValueError, match="must be of this run"):
            few_steps(nested, checkpoint=path)
        path.write_bytes(b"broken")
        with pytest.raises(ValueError, match="path must be a checkpoint"):
            few_steps(nested, checkpoint=path)

    def test_nan_stops_it(self, nested):
        images, labels = pictures()
        with pytest.raises(FloatingPointError, match="loss is nan at step 1"):
            few_steps(nested, (images * math.nan, labels))

    @pytest.mark.parametrize(
        ("images", "labels", "words"),
        [
            (torch.rand(3, 3, 9, 9), torch.tensor([0, 1]), "one for each of N >= 1"),
            (torch.rand(0, 3, 9, 9), torch.tensor([]), "one for each of N >= 1"),
            (torch.rand(2, 3, 9, 9), torch.tensor([0, 7]), "from 0 to 6, got.*7"),
            (torch.rand(2, 3, 9, 9), torch.tensor([-1, 2]), "from 0 to 6"),
            (torch.rand(2, 3, 9, 9), torch.tensor([0.0, 1.0]), "whole numbers"),
        ],
    )
    def test_bad_data(self, nested, images, labels, words):
        with pytest.raises(ValueError, match=words):
            few_steps(nested, (images, labels))

    @pytest.mark.parametrize("name", ["steps", "batch_size"])
    @pytest.mark.parametrize("value", [0, 1.5, True, None])
    def test_numbers_that_are_not_whole(self, nested, name, value):
        with pytest.raises(ValueError, match=f"{name} must be a whole number >= 1"):
            few_steps(nested, **{name: value})

    @pytest.mark.parametrize("name", ["learning_rate", "head_multiplier"])
    @pytest.mark.parametrize("value", [0, math.inf, math.nan, "1", True])
    def test_numbers_that_are_not_positive(self, nested, name, value):
        with pytest.raises(ValueError, match=f"{name} must be finite and above 0"):
            few_steps(nested, **{name: value})


class TestLookingAtAModel:
    def test_predict_in_parts(self, nested):
        images, _ = pictures()
        nested.train()
        by_three = classifying.predict(nested, images, batch_size=5)
        assert nested.body[1].training
        torch.testing.assert_close(by_three, nested.eval()(images))
        assert not by_three.requires_grad

    def test_features_are_what_the_head_gets(self, nested):
        images, _ = pictures()
        features = ft.extract_features(nested, images, batch_size=5)
        assert features.shape == (12, 6)
        assert not nested.top[1]["out"]._forward_pre_hooks
        logits = nested.top[1]["out"](features)
        torch.testing.assert_close(logits, classifying.predict(nested, images))

    def test_accuracy(self):
        model = nn.Linear(2, 2, bias=False)
        nn.init.eye_(model.weight)
        points = torch.tensor([[1.0, 0], [0, 1], [3, 2], [2, 3]])
        assert classifying.accuracy(model, points, torch.tensor([0, 1, 1, 1])) == 0.75

    def test_no_pictures(self, nested):
        with pytest.raises(ValueError, match="images must be at least one"):
            classifying.predict(nested, torch.rand(0, 3, 9, 9))


# The exercises: right answers written in another way than the module's.


def last_layer(model):
    name = list(model.state_dict())[-1].rpartition(".")[0]
    layer = model.get_submodule(name)
    if isinstance(layer, nn.Linear):
        return name, layer
    raise ValueError("no head")


def replace_in_a_copy(model, num_classes):
    if num_classes < 1:
        raise ValueError("classes")
    model = copy.deepcopy(model)
    name, old = last_layer(model)
    *path, last = name.split(".")
    parent = model
    for part in path:
        parent = (
            parent[int(part)] if part.isdigit() else dict(parent.named_children())[part]
        )
    new = torch.nn.utils.skip_init(
        nn.Linear, old.in_features, num_classes, bias=old.bias is not None
    )
    new.reset_parameters()
    new = new.to(old.weight.device, old.weight.dtype)
    if isinstance(parent, nn.ModuleDict):
        parent[last] = new
    else:
        setattr(parent, last, new)
    return model


def groups_by_name(model, *, learning_rate, head_multiplier=10.0):
    if not learning_rate > 0:
        raise ValueError("rate")
    head = last_layer(model)[0] + "."
    groups = [
        {
            "params": [p],
            "lr": learning_rate * (head_multiplier if n.startswith(head) else 1),
        }
        for n, p in model.named_parameters()
        if p.requires_grad
    ]
    if not groups:
        raise ValueError("frozen")
    return groups


RIGHT = {"replace_head": replace_in_a_copy, "parameter_groups": groups_by_name}


def replaced(model, classes, **options):
    """Right, but for what `options` say of the new layer."""
    if classes < 1:
        raise ValueError("classes")
    name, old = last_layer(model)
    options = {"bias": old.bias is not None, "dtype": old.weight.dtype} | options
    parent, _, child = name.rpartition(".")
    setattr(
        model.get_submodule(parent),
        child,
        nn.Linear(old.in_features, classes, **options),
    )
    return model


def fc_only(model, classes):
    width = model.fc.in_features
    model.fc = nn.Linear(width, classes)
    return model


def behind(model, classes):
    return nn.Sequential(model, nn.Linear(last_layer(model)[1].out_features, classes))


def no_return(model, classes):
    replaced(model, classes)


def grouped(model, rate, head_rate, keep=lambda p: p.requires_grad):
    head = {id(p) for p in last_layer(model)[1].parameters()}
    if not rate > 0 or not any(map(keep, model.parameters())):
        raise ValueError("nothing")
    kept = [(id(p) in head, p) for p in model.parameters() if keep(p)]
    return [
        {"params": [p for own, p in kept if not own], "lr": rate},
        {"params": [p for own, p in kept if own], "lr": head_rate},
    ]


def everything_and_head(model, *, learning_rate, head_multiplier=10):
    return [
        {"params": list(model.parameters()), "lr": learning_rate},
        {"params": list(last_layer(model)[1].parameters()), "lr": 10 * learning_rate},
    ]


# Wrong answers as readers write them, each with words of the hint that it earns.
WRONG = {
    "replace_head": [
        (no_return, "returns nothing"),
        (fc_only, "many names"),
        (behind, "old head is still there"),
        (lambda m, c: replaced(m, c, bias=True), "has no bias"),
        (lambda m, c: replaced(m, c, dtype=None), "takes dtype and device along"),
        (lambda m, c: replaced(m, max(c, 1)), "A head of no class"),
    ],
    "parameter_groups": [
        (
            lambda m, *, learning_rate, head_multiplier=10: grouped(
                m, learning_rate * head_multiplier, learning_rate
            ),
            "swapped",
        ),
        (
            lambda m, *, learning_rate, head_multiplier=10: grouped(
                m, learning_rate, learning_rate
            ),
            "one rate",
        ),
        (everything_and_head, "in both groups"),
        (
            lambda m, *, learning_rate, head_multiplier=10: grouped(
                m, learning_rate, learning_rate * head_multiplier, lambda p: True
            ),
            "Frozen parameters",
        ),
        (
            lambda m, *, learning_rate, head_multiplier=10: grouped(
                m, learning_rate, learning_rate * 10
            ),
            "need not be 10",
        ),
        (
            lambda m, *, learning_rate, head_multiplier=10: [
                {
                    "params": last_layer(m)[1].parameters(),
                    "lr": head_multiplier * learning_rate,
                }
            ],
            "Only the head",
        ),
    ],
}


def replace_plainly(model, num_classes):
    for name, module in model.named_modules():
        if len(list(module.parameters(recurse=False))):
            last, old = name, module
    *path, child = last.split(".")
    parent = model.get_submodule(".".join(path))
    new = nn.Linear(old.in_features, num_classes, bias=old.bias is not None)
    setattr(parent, child, new.to(old.weight.dtype))
    return model


def groups_plainly(model, *, learning_rate, head_multiplier=10):
    for module in model.modules():
        if list(module.parameters(recurse=False)):
            head = module
    own = [id(p) for p in head.parameters()]
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in own]
    return [
        {"params": rest, "lr": learning_rate},
        {
            "params": [p for p in head.parameters() if p.requires_grad],
            "lr": learning_rate * head_multiplier,
        },
    ]


# Right answers as readers write them, without a look at bad input.
PLAIN = {"replace_head": replace_plainly, "parameter_groups": groups_plainly}
LIBRARY = {
    "replace_head": "timm's reset_classifier works on timm's own models alone",
    "parameter_groups": "torch makes no groups: it takes them",
}


class TestExercises(ExerciseTests):
    checks, right, wrong = fine_tuning_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
