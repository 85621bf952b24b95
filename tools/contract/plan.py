"""Ways through the book: ten weeks of teaching, and three ways in for a reader.

Chapters are named by their stems; one that `_toc.yml` does not list is left out.
"""

from typing import NamedTuple


class Week(NamedTuple):
    """A week of a course.

    Args:
        topic: in a few words.
        lecture: chapters whose core paths are the lecture.
        at_home: chapters to be read afterwards.
    """

    topic: str
    lecture: tuple[str, ...]
    at_home: tuple[str, ...]


class Way(NamedTuple):
    """A way into the book.

    Args:
        title: what it is called on its card.
        text: whom it is for.
        stems: its chapters; None for all that there are.
    """

    title: str
    text: str
    stems: tuple[str, ...] | None


WEEKS = (
    Week("Arrays that learn", ("first_steps", "autograd"), ("masks",)),
    Week(
        "What one layer does and sees",
        ("normalization", "receptive_field"),
        ("activations",),
    ),
    Week(
        "From fine to coarse and back",
        ("dilated_convolution", "upsampling"),
        ("gradient_features",),
    ),
    Week(
        "What is learned, and how it is measured",
        ("classification_losses", "segmentation_metrics"),
        ("pixel_losses",),
    ),
    Week("Likeness", ("metric_learning", "margin_softmax"), ("hashing",)),
    Week(
        "Attention and pooling",
        ("channel_attention", "captioning"),
        ("pyramid_pooling", "frame_attention"),
    ),
    Week(
        "Training with little",
        ("augmentation", "fine_tuning"),
        ("data_loading", "scaling_out"),
    ),
    Week("Detecting", ("anchors", "single_shot"), ("nms", "detr")),
    Week("Generating", ("gan", "dcgan"), ("infogan", "style_transfer")),
    Week(
        "Small differences, and the project",
        ("bilinear", "semantic_to_vehicle"),
        ("attention_pooling", "mc_loss"),
    ),
)

WAYS = (
    Way(
        "Ninety minutes",
        "To find out whether this is for you.",
        ("masks", "nms", "fine_tuning", "style_transfer"),
    ),
    Way(
        "The ten classic topics",
        "What everyone in the field is expected to know.",
        (
            "autograd",
            "normalization",
            "receptive_field",
            "classification_losses",
            "metric_learning",
            "channel_attention",
            "gan",
            "fine_tuning",
            "anchors",
            "single_shot",
        ),
    ),
    Way("All of it", "In the order of the list at the side.", None),
)
