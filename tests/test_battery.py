"""One battery over every public function of the chapters and of `common`.

A function joins by an entry in `CALLS`: calls that must work. The same calls are then
made in other dtypes, in mixed ones, with whole numbers for boxes and masks, empty, with
other memory layouts, under another default dtype, with gradients, and on a device that
is not the CPU. `BAD` holds, for each function whose docstring has `Raises`, calls that
must raise just that. What is public and in neither is listed in `ELSEWHERE`, with the
reason; a new function that is nowhere fails the first test.
"""

import ast
import importlib
import inspect
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map

from lesson_utils import bilinear
from tests.stand_in import StandIn, StandInFabric, back, stand_in, there

ROOT = Path(__file__).resolve().parent.parent / "lesson_utils"
DICE = torch.Generator().manual_seed(0)


def rand(*shape):
    return torch.rand(shape, generator=DICE)


def randn(*shape):
    return torch.randn(shape, generator=DICE)


BOXES = torch.tensor([[0.0, 0, 2, 2], [1, 1, 3, 4], [5, 5, 9, 8]])
UNIT = BOXES / 10  # in shares of a picture
TRUTHS = torch.tensor([[[0.0, 0, 0, 0.2, 0.2], [1, 0.5, 0.5, 0.9, 0.8]]])  # labels
SCORES = torch.tensor([0.9, 0.8, 0.7])
MAPS, X = randn(2, 6, 4, 4), randn(2, 6)
IMAGES = rand(2, 3, 8, 8)
LARGE = rand(1, 1, 161, 163)
CODES = torch.randint(256, (3, 9), generator=DICE, dtype=torch.uint8)
POOLED = bilinear.PooledNet(nn.Identity(), 6, 2, pooling="average")
POINTS, NAMES = randn(5, 6), torch.tensor([0, 0, 1, 1, 2])  # and whose they are
FRAMES, REAL = randn(2, 4, 6), torch.tensor([[True] * 4, [True, True, False, False]])
RANKING, COSINES = rand(2, 5), 1.6 * rand(2, 4) - 0.8
PLACES = torch.arange(64).view(8, 8).expand(2, 3, 8, 8)  # of 81
MASKS = torch.tensor([[[0.0, 1, 1], [0, 1, 0]], [[1, 0, 0], [1, 1, 0]]])
LABELS = torch.tensor([0, 1])
POSITIVE = torch.tensor([[True, False, False, False, False]])
SIGNS = torch.tensor([1, -1, 1, 1, -1, 1])
BUCKETS = torch.tensor([0, 3, 2, 3, 1, 0])
ONES, ZEROS = torch.ones(6), torch.zeros(6)
MEAN = torch.full((3,), 0.5)
GRAM = torch.eye(6).repeat(2, 1, 1) + 0.1
SEGMENTED = torch.tensor([[0, 0, 1, 2], [1, 0, 2, 2]])
# Three queries and two targets of each of two pictures, one of them padding.
ANSWERS = randn(2, 3, 3), torch.cat([rand(2, 3, 2), 0.1 + 0.3 * rand(2, 3, 2)], 2)
TARGETS = torch.tensor([[1, 0], [1, -1]]), 0.2 + 0.3 * rand(2, 2, 4)
PROJECTIONS = randn(12, 4), randn(12), randn(4, 4), randn(4)
ROIS = torch.tensor([[1.0, 0.5, 1, 3, 2.5], [0, -1, 0, 2.25, 6]])  # of MAPS
TABLE = torch.tensor([[0.25, 0.125], [0.25, 0.375]])  # of codes and pictures
KEYS = randn(2, 4, 6)
LOOK = torch.tensor([[True, True, False, True], [False, True, True, False]])
TOLD = torch.tensor([[1, 4, 5, 4, 2], [1, 5, 2, 0, 0]])  # sentences, <start> first
CONFUSION = torch.tensor([[[6, 2, 0], [1, 3, 0], [2, 0, 1]]])


class Classifier(nn.Module):
    """As small as a classifier can be, with what it is standardized by."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 2)
        self.register_buffer("mean", MEAN.clone())
        self.register_buffer("std", MEAN.clone())

    def forward(self, x):
        return self.head(x.mean((2, 3)))


def found():
    from lesson_utils.common.detections import Detections

    return Detections(UNIT, SCORES, torch.tensor([0, 0, 1]))


# "module.function": calls that work, as (arguments, keywords).
CALLS = {
    **{
        f"activations.{name}": [((X,), {})]
        for name in (
            *("sigmoid", "tanh", "softplus", "relu", "leaky_relu", "elu", "selu"),
            *("gelu", "silu", "mish", "glu", "reglu", "geglu", "swiglu"),
        )
    },
    "activations.prelu": [((MAPS, torch.full((6,), 0.1)), {})],
    "common.probes.dead_fraction": [((MAPS,), {})],
    "common.probes.part_hits": [((MAPS, UNIT.expand(2, 3, 4)), {})],
    "anchors.assign_anchors": [((UNIT, UNIT[:2]), {})],
    "anchors.encode_offsets": [((UNIT, UNIT.flip(0)), {})],
    "anchors.decode_offsets": [((UNIT, 0.1 * randn(3, 4)), {})],
    "anchors.anchor_targets": [((UNIT, TRUTHS), {})],
    "attention_pooling.bilinear_attention_pool": [((MAPS, MAPS.abs()), {})],
    "attention_pooling.normalize_parts": [((randn(2, 3, 4),), {})],
    "attention_pooling.center_loss": [((randn(2, 3, 4), randn(5, 3, 4), LABELS), {})],
    "attention_pooling.move_centers": [((randn(5, 3, 4), randn(2, 3, 4), LABELS), {})],
    "attention_pooling.attention_boxes": [((rand(2, 4, 4),), {})],
    "attention_pooling.crop": [
        ((IMAGES, torch.tensor([[0.1, 0.2, 0.9, 0.8]] * 2)), {})
    ],
    "attention_pooling.drop": [((IMAGES, rand(2, 4, 4)), {"threshold": 0.9})],
    "common.boxes.flip_boxes": [((BOXES, 10), {})],
    "augmentation.resized_crop": [((IMAGES, (1, 1, 7, 6), 4), {})],
    "common.boxes.crop_boxes": [((BOXES, (1, 1, 7, 6), 4), {})],
    **{
        f"common.colors.adjust_{name}": [((IMAGES, 0.4), {})]
        for name in ("brightness", "contrast", "saturation", "hue")
    },
    "bilinear.bilinear_pool": [((MAPS, MAPS), {}), ((MAPS, MAPS), {"normalize": True})],
    "bilinear.pool": [((MAPS, "average"), {}), ((MAPS, "bilinear"), {})],
    "bilinear.signed_sqrt": [((X,), {})],
    "bilinear.count_sketch": [((X, BUCKETS, SIGNS, 4), {})],
    "bilinear.tensor_sketch": [
        ((MAPS, MAPS, (BUCKETS, BUCKETS.flip(0)), (SIGNS, SIGNS.flip(0)), 4), {})
    ],
    "bilinear.random_maclaurin": [((MAPS, MAPS, SIGNS[None], SIGNS.flip(0)[None]), {})],
    "common.boxes.box_area": [((BOXES,), {})],
    "common.colors.to_gray": [((IMAGES,), {})],
    **{
        f"common.boxes.{name}": [((BOXES, BOXES.flip(0) + 0.5), {})]
        for name in ("box_iou", "generalized_box_iou", "distance_box_iou")
    },
    "common.boxes.xyxy_to_cxcywh": [((BOXES,), {})],
    "common.boxes.cxcywh_to_xyxy": [((BOXES,), {})],
    "common.classifying.standardize": [((IMAGES, Classifier()), {})],
    "common.detections.match_detections": [((BOXES, BOXES[:2], (0.5,)), {})],
    "common.detections.precision_recall": [
        ((SCORES, torch.tensor([True, False, True]), 3), {})
    ],
    "common.detections.average_precision": [
        ((SCORES, torch.tensor([True, False, True]), 3), {})
    ],
    "common.detections.match_class": [(([found()], TRUTHS, 0), {})],
    "common.detections.average_precisions": [(([found()], TRUTHS), {"num_classes": 2})],
    "common.detections.mean_average_precision": [
        (([found()], TRUTHS), {"num_classes": 2})
    ],
    "common.detections.diagnose": [((found(), TRUTHS[0]), {})],
    "common.dtypes.at_least_float32": [((X,), {})],
    "common.dtypes.as_floating": [((X,), {})],
    "common.generating.slerp": [((X, X.flip(0), 0.3), {})],
    "common.generating.kernel_distance": [((X, X.flip(0) + 1), {})],
    "common.generating.unit_to_tanh_range": [((IMAGES,), {})],
    "common.generating.tanh_to_unit_range": [((2 * IMAGES - 1,), {})],
    "common.generating.lattice_power": [((IMAGES,), {})],
    "gan.discriminator_loss": [((X, X.flip(0)), {})],
    "gan.generator_loss": [((X,), {}), ((X,), {"saturating": True})],
    "gan.optimal_discriminator": [((X, X.flip(0)), {})],
    "common.generating.minibatch_std": [((X,), {"group_size": 2})],
    "gan.mode_shares": [((X, X[:1]), {"radius": 0.5})],
    "gan.count_modes": [((X, X[:1]), {"radius": 0.5})],
    "masks.apply_mask": [((IMAGES[0], MASKS.repeat(1, 4, 3)[0, :8, :8]), {})],
    "masks.masked_mean": [((IMAGES[0], MASKS.repeat(1, 4, 3)[0, :8, :8]), {})],
    "masks.composite": [((IMAGES[0], IMAGES[1], IMAGES[0, 0]), {})],
    "masks.match_template": [((IMAGES[0], IMAGES[0, :, 2:5, 3:6]), {})],
    "masks.dilate": [((MASKS, 1), {})],
    "masks.erode": [((MASKS, 1), {})],
    "masks.masks_to_boxes": [((MASKS,), {})],
    "masks.mask_iou": [((MASKS, MASKS.flip(0)), {})],
    "masks.masked_softmax": [((randn(2, 2, 3), MASKS), {})],
    "mc_loss.channel_max_pool": [((MAPS.abs(), 3), {}), ((MAPS, (1, 2, 3)), {})],
    "mc_loss.discriminality_loss": [((MAPS.abs(), LABELS, 3), {})],
    "mc_loss.diversity_loss": [((MAPS.abs(), 3), {}), ((MAPS, (1, 2, 3)), {})],
    "mc_loss.own_channels": [((MAPS, LABELS, 3), {})],
    "mc_loss.peak_hits": [((MAPS.abs(), [UNIT, UNIT[:1]]), {})],
    "nms.greedy_nms": [((BOXES, SCORES, 0.1), {})],
    "nms.nms": [((BOXES, SCORES, 0.1), {})],
    "nms.batched_nms": [((BOXES, SCORES, torch.tensor([0, 1, 1]), 0.1), {})],
    "nms.soft_nms": [((BOXES, SCORES), {})],
    "nms.multibox_detection": [((randn(2, 3, 3), 0.1 * randn(2, 3, 4), UNIT), {})],
    "normalization.batch_norm": [
        ((MAPS, ONES, ZEROS, ZEROS, ONES), {"training": False}),
        ((MAPS, None, None, None, None), {"training": True}),
    ],
    "normalization.batch_norm_train": [((MAPS, ONES, ZEROS, ZEROS, ONES), {})],
    "normalization.instance_norm": [((MAPS, ONES, ZEROS), {})],
    "normalization.layer_norm": [((MAPS, None, None), {})],
    "normalization.group_norm": [((MAPS, 3, ONES, ZEROS), {})],
    "normalization.fold_batch_norm": [
        ((randn(6, 2, 3, 3), None, ONES, ZEROS, ZEROS, ONES), {})
    ],
    "single_shot.flatten_head": [((MAPS, 3), {})],
    "single_shot.hard_negative_mask": [((rand(1, 5), POSITIVE), {})],
    "single_shot.mined_cross_entropy": [((randn(1, 5, 3), POSITIVE.long()), {})],
    "common.dense_losses.focal_cross_entropy": [
        ((randn(1, 5, 3), POSITIVE.long()), {"gamma": gamma})
        for gamma in (0, 0.25, 0.5, 1.0, 1.5, 2.0, 5.0)
    ],
    "common.dense_losses.masked_l1": [((randn(1, 5, 4), randn(1, 5, 4), POSITIVE), {})],
    "style_transfer.gram_matrix": [((MAPS,), {})],
    "style_transfer.channel_statistics": [((MAPS,), {})],
    "style_transfer.content_loss": [((MAPS, MAPS.flip(0)), {})],
    "dilated_convolution.dilated_conv1d": [((X[0], X[1, :2], 2), {})],
    "dilated_convolution.dilate_kernel": [((MAPS, 2), {}), ((MAPS, (1, 3)), {})],
    "receptive_field.effective_size": [((MAPS[0, 0].abs(),), {})],
    "style_transfer.style_loss": [((MAPS, GRAM), {})],
    "style_transfer.total_variation_loss": [((MAPS,), {})],
    "style_transfer.preprocess": [((IMAGES[0], MEAN, MEAN), {})],
    "style_transfer.postprocess": [((2 * IMAGES[:1] - 1, MEAN, MEAN), {})],
    "gradient_features.image_gradients": [((IMAGES[:, 0],), {})],
    "gradient_features.orientation_histogram": [
        ((IMAGES[:, 0], IMAGES[:, 1]), {"cell_size": 4, "num_bins": 5}),
    ],
    "gradient_features.normalize_blocks": [((rand(3, 4, 5),), {})],
    "gradient_features.hog": [((IMAGES[:, 0],), {"cell_size": 4})],
    "gradient_features.score_windows": [
        ((rand(4, 5, 2, 2, 3), randn(2, 3, 2, 2, 3), 0.5), {}),
    ],
    "gradient_features.shape_signature": [(((MAPS[0, 0], MAPS[0, 1]), (1.5, 2.0)), {})],
    "gradient_features.draw_glyphs": [((rand(2, 3, 5),), {"size": 5})],
    "metric_learning.pairwise_distance": [
        ((X, POINTS), {}),
        ((X, POINTS), {"squared": True}),
    ],
    "metric_learning.unit_vectors": [((X,), {})],
    "margin_softmax.cosine_logits": [((X, POINTS), {})],
    "margin_softmax.sphereface_logits": [
        ((COSINES, SCORES[:2], LABELS), {}),
        (
            (
                COSINES,
                SCORES[:2],
                LABELS,
            ),
            {"margin": 1},
        ),
    ],
    "margin_softmax.cosface_logits": [((COSINES, LABELS), {"scale": 4.0})],
    "margin_softmax.arcface_logits": [((COSINES, LABELS), {"scale": 4.0})],
    "common.verification.accept_rates": [((RANKING[0], NAMES == 0), {})],
    "common.verification.tar_at_far": [((RANKING[0], NAMES == 0, 0.5), {})],
    "common.verification.fold_accuracy": [
        ((RANKING.flatten(), (NAMES == 0).repeat(2)), {"folds": 2}),
    ],
    "metric_learning.cosine_similarity": [((X, POINTS), {})],
    "metric_learning.contrastive_loss": [((X, X.flip(0), LABELS == 0), {})],
    "metric_learning.triplet_loss": [((X, X.flip(0), 0.5 * X), {})],
    "metric_learning.quadruplet_loss": [((X, X.flip(0), 0.5 * X, 0.3 * X), {})],
    "metric_learning.batch_hard_triplets": [((POINTS, NAMES), {})],
    "metric_learning.semi_hard_triplets": [((POINTS, NAMES), {"margin": 2.0})],
    "common.retrieval.recall_at_k": [((RANKING, LABELS, NAMES, 2), {})],
    "common.retrieval.mean_average_precision": [((RANKING, LABELS, NAMES), {})],
    "common.retrieval.cmc": [((RANKING, LABELS, NAMES), {})],
    "upsampling.resize_nearest": [((IMAGES, (5, 9)), {})],
    # Segmentation.
    "segmentation_metrics.confusion_matrix": [
        ((SEGMENTED, SEGMENTED.flip(0), 3), {}),
        ((SEGMENTED, SEGMENTED.flip(0), 3), {"ignore_index": 1}),
    ],
    **{
        f"segmentation_metrics.{name}": [((CONFUSION,), {})]
        for name in ("pixel_accuracy", "mean_pixel_accuracy", "frequency_weighted_iou")
    },
    **{
        f"segmentation_metrics.{name}": [
            ((CONFUSION,), {}),
            ((CONFUSION,), {"ignore_index": 1}),
        ]
        for name in ("mean_iou", "dice")
    },
    "segmentation_metrics.class_iou": [((CONFUSION,), {})],
    "segmentation_metrics.boundary_iou": [((MASKS, MASKS.flip(0)), {})],
    "common.colors.paint_classes": [((SEGMENTED,), {})],
    "common.segmenting.standardize": [((IMAGES,), {})],
    # Pyramids and regions.
    "pyramid_pooling.spatial_pyramid_pool": [
        ((MAPS,), {}),
        ((MAPS, (3, 5)), {}),
    ],
    "pyramid_pooling.roi_pool": [((MAPS, ROIS, (2, 3)), {})],
    "pyramid_pooling.roi_align_box": [((MAPS[0], (0.5, 1, 3, 2.5), 2), {})],
    "pyramid_pooling.roi_align": [
        ((MAPS, ROIS, 2), {}),
        ((MAPS, ROIS, (2, 3), 0.5, 2, True), {}),
    ],
    # Sets.
    "common.set_prediction.hungarian": [((RANKING,), {}), ((RANKING.T,), {})],
    "common.set_prediction.pair_costs": [(ANSWERS + TARGETS, {})],
    "common.set_prediction.match": [(ANSWERS + TARGETS, {})],
    "common.set_prediction.set_loss": [
        ((*ANSWERS, *TARGETS, torch.tensor([[2, 0], [1, -1]])), {}),
    ],
    "common.transformer.multi_head_attention": [
        ((*(randn(2, n, 4) for n in (3, 5, 5)), *PROJECTIONS), {"heads": 2}),
    ],
    "upsampling.resize_bilinear": [
        ((IMAGES, (5, 9)), {}),
        ((IMAGES, 9), {"align_corners": True}),
    ],
    "upsampling.pixel_shuffle": [((IMAGES.repeat(1, 3, 1, 1), 3), {})],
    "upsampling.pixel_unshuffle": [((IMAGES, 2), {})],
    "upsampling.max_unpool": [((IMAGES, PLACES, 9), {})],
    "upsampling.shrink": [((IMAGES, 2), {})],
    "upsampling.enlarge": [((IMAGES, 2), {})],
    **{
        f"classification_losses.{name}": [((X,), {})]
        for name in (
            *("zero_one_loss", "hinge_loss", "squared_hinge_loss"),
            *("logistic_loss", "exponential_loss", "exponential_weights"),
        )
    },
    "classification_losses.cross_entropy": [
        ((X, LABELS), {"label_smoothing": smoothing}) for smoothing in (0.0, 0.1)
    ],
    "classification_losses.focal_loss": [
        ((X, (X > 0).long()), {"gamma": gamma, "alpha": alpha})
        for gamma in (0, 0.25, 0.5, 1.0, 1.5, 2.0, 5.0)
        for alpha in (None, 0.25)
    ],
    "classification_losses.boosted_scores": [(([], X), {})],
    "pixel_losses.l1_loss": [((X, X.flip(0)), {})],
    "pixel_losses.l2_loss": [((X, X.flip(0)), {})],
    "pixel_losses.huber_loss": [((X, X.flip(0)), {"delta": 0.5})],
    "pixel_losses.psnr": [((IMAGES, IMAGES.flip(0)), {})],
    "pixel_losses.local_statistics": [
        ((IMAGES, IMAGES.flip(0)), {"window_size": 5}),
    ],
    "pixel_losses.ssim_maps": [((IMAGES, IMAGES.flip(0)), {"window_size": 5})],
    "pixel_losses.ssim": [((IMAGES, IMAGES.flip(0)), {"window_size": 5})],
    "pixel_losses.ms_ssim": [((LARGE, 0.5 * (LARGE + LARGE.flip(2))), {})],
    "pixel_losses.mixed_loss": [((LARGE[..., :12], LARGE[..., 12:24]), {})],
    "hashing.sign_codes": [((X,), {})],
    "hashing.pack_codes": [((X > 0,), {})],
    "hashing.hamming_distance": [((CODES, CODES.flip(0)), {})],
    "hashing.search": [((CODES, CODES[:2], 2), {})],
    "hashing.precision": [((CODES, CODES[:, 0], CODES[:2], LABELS), {"k": 2})],
    "hashing.expected_collisions": [((X, X.flip(0), 8), {})],
    "hashing.quantization_loss": [((X,), {})],
    "hashing.balance_loss": [((X,), {})],
    "hashing.hashing_loss": [((X, LABELS), {"beta": 0.1})],
    # Attention.
    "frame_attention.mean_distances": [((FRAMES,), {}), ((FRAMES, REAL), {})],
    "frame_attention.distance_weights": [((FRAMES,), {"temperature": 0.5})],
    "frame_attention.attention_pool": [
        ((FRAMES, FRAMES[..., 0]), {}),
        ((FRAMES, FRAMES[..., 0], REAL), {}),
    ],
    "frame_attention.fuse": [((X, X[:, :3]), {"weight": 0.5})],
    "common.embedding.likeness_loss": [
        ((POINTS[:4], NAMES[:4]), {}),
        ((POINTS[:4], NAMES[:4]), {"focus": -1.0}),
    ],
    "common.motion.frame_difference": [((IMAGES[None],), {})],
    "common.motion.gait_spectrum": [((randn(2, 4, 2, 6, 6),), {})],
    "common.motion.lucas_kanade": [((IMAGES[0, 0], IMAGES[0, 1]), {})],
    "common.motion.optical_flow": [((IMAGES[0], IMAGES[1]), {"window": 3})],
    "channel_attention.squeeze_excite": [
        ((IMAGES, X[:, :3], X[0, :2], X[:, :3].T.contiguous(), X[1, :3]), {}),
    ],
    "channel_attention.spatial_attention": [((IMAGES, IMAGES[:1, :2, :3, :3]), {})],
    "channel_attention.class_activation_map": [
        ((IMAGES, X[:, :3], 1), {}),
        ((IMAGES, X[:, :3], LABELS), {}),
    ],
    "common.codes.join_latents": [((X, LABELS, X[:, :2], 3), {})],
    "infogan.mutual_information_loss": [
        ((X, LABELS, X[:, :2], X[:, 2:4]), {"deviation": 0.5})
    ],
    "common.codes.information_bound": [((TABLE, TABLE / TABLE.sum(0)), {})],
    "common.codes.match_codes": [((BUCKETS, BUCKETS.flip(0)), {"number": 4})],
    "common.codes.code_accuracy": [((BUCKETS, BUCKETS.flip(0)), {"number": 4})],
    "common.codes.slant_and_width": [((IMAGES[:, :1],), {})],
    "scaling_out.ring_steps": [(([X[0], X[1]],), {})],
    "scaling_out.synced_moments": [((MAPS,), {})],
    **{
        f"captioning.{name}": [
            ((X, KEYS, KEYS[..., :3]), {}),
            ((X, KEYS, KEYS[..., :3], LOOK), {}),
        ]
        for name in ("additive_attention", "dot_product_attention")
    },
    "captioning.caption_loss": [
        ((KEYS, KEYS.softmax(2), TOLD), {"doubly": doubly}) for doubly in (0.0, 0.5)
    ],
    "captioning.doubly_stochastic": [((KEYS.softmax(2), LOOK), {})],
    "first_steps.convolve": [
        ((IMAGES[0, 0], IMAGES[0, 1, :3, :2]), {}),
        ((IMAGES[0, 0], IMAGES[0, 1, :3, :2]), {"stride": 2, "padding": 1}),
    ],
    "first_steps.accuracy": [((X, LABELS), {})],
    "semantic_to_vehicle.spatially_adaptive_norm": [
        ((IMAGES, IMAGES.flip(0), IMAGES.flip(1)), {}),
    ],
    "semantic_to_vehicle.gate_channels": [((IMAGES, X[:, :3]), {})],
    "semantic_to_vehicle.attend_words": [
        ((KEYS, KEYS.flip(1), KEYS[..., :3], LOOK), {}),
    ],
    "semantic_to_vehicle.map_iou": [
        ((SEGMENTED[None], SEGMENTED.flip(0)[None], 3), {}),
    ],
    "common.painting.one_hot_maps": [((SEGMENTED[None], 3), {}), ((IMAGES, 3), {})],
    "common.painting.feature_matching": [
        (([IMAGES, X], [IMAGES.flip(0), X.flip(1)]), {}),
    ],
    "common.painting.alike": [((IMAGES, IMAGES.flip(0), X, X.flip(0)), {})],
}

# Public, and not in `CALLS`: why.
ELSEWHERE = {
    "draws at random: by the tests of their modules": (
        *("attention_pooling.pick_maps", "augmentation.random_horizontal_flip"),
        "augmentation.random_affine",
        *("augmentation.sample_crop", "augmentation.random_resized_crop"),
        *("common.colors.color_jitter", "augmentation.mixup", "augmentation.cutmix"),
        *("mc_loss.channel_mask", "hashing.random_hyperplanes"),
        *("margin_softmax.sample_classes", "common.sentences.hide_words"),
        "infogan.sample_latents",
    ),
    "takes or changes networks: by the tests of their modules": (
        *("common.probes.gradient_norms", "common.classifying.average_over_views"),
        *("common.classifying.predict", "common.classifying.accuracy"),
        *("common.classifying.evaluating", "dcgan.initialize"),
        *("common.generating.sample", "common.training.average_weights"),
        *("scaling_out.average_gradients", "scaling_out.average_in_backward"),
        "scaling_out.ring_all_reduce",
        *("common.generating.gradient_penalty", "detr.predict"),
        *("fine_tuning.find_head", "fine_tuning.replace_head", "fine_tuning.freeze"),
        *("fine_tuning.unfreeze", "fine_tuning.parameter_groups"),
        *("fine_tuning.hold_statistics", "common.embedding.embed"),
        *("fine_tuning.extract_features", "single_shot.predict", "dcgan.train_step"),
        *("style_transfer.extract_features", "style_transfer.lbfgs"),
        *("captioning.greedy", "captioning.next_words", "captioning.beam_search"),
        *("receptive_field.layers_of", "receptive_field.effective_receptive_field"),
        *("infogan.train_step", "common.codes.read_codes", "common.painting.paint"),
    ),
    "trains where its networks are: by the tests of their modules": (
        *("gan.train", "mc_loss.train", "style_transfer.transfer", "upsampling.train"),
        *("attention_pooling.train", "bilinear.fit_classifier", "pixel_losses.train"),
        *("hashing.train", "scaling_out.train_digits"),
        *("classification_losses.fit_linear", "classification_losses.adaboost"),
        "classification_losses.best_stump",
        *("common.segmenting.train", "common.segmenting.segment"),
        *("metric_learning.train", "margin_softmax.train", "pyramid_pooling.train"),
        *("infogan.train", "detr.train", "first_steps.train"),
    ),
    "trains: a step of each is taken below": (
        *("dcgan.train", "fine_tuning.train", "single_shot.train"),
        "common.painting.train",
    ),
    "takes no tensor": (
        *("first_steps.split_indices", "first_steps.make_network"),
        *("anchors.anchor_shapes", "anchors.anchor_boxes_at_pixel"),
        *("anchors.anchor_boxes", "anchors.multiscale_anchors"),
        "common.generating.conv_transpose_output_size",
        "mc_loss.channel_groups",
        *("receptive_field.receptive_field", "receptive_field.output_size"),
        *("receptive_field.receptive_field_top_down", "receptive_field.pixel_region"),
        *("receptive_field.same_padding", "receptive_field.choose_kernels"),
        *("dilated_convolution.coverage", "dilated_convolution.is_gap_free"),
        *("dilated_convolution.hdc_distance", "dilated_convolution.segmenter"),
        *(
            "common.shapes.rectangle_mask",
            "common.shapes.disk_mask",
            "common.shapes.polygon_mask",
        ),
        *("single_shot.scene_detector", "dcgan.creature_generator"),
        *("detr.scene_detr", "common.transformer.sine_positions"),
        "common.training.drawer",
        *("common.training.batch_of_step", "common.training.require_finite"),
        "common.classifying.plain_classifier",
        *("upsampling.sample_positions", "upsampling.bilinear_kernel"),
        "upsampling.super_resolver",
        *("common.segmenting.scene_segmenter", "common.embedding.frame_encoder"),
        *("margin_softmax.boundary_angle", "margin_softmax.largest_margin"),
        "margin_softmax.smallest_scale",
        *("pyramid_pooling.bin_edges", "infogan.digit_writer"),
        *("data_loading.prefetch", "data_loading.worker_seed", "data_loading.reseed"),
        *("data_loading.read_timeline", "data_loading.decode"),
        "data_loading.decode_once",
        *("scaling_out.shard_indices", "scaling_out.world"),
        *("common.step_costs.memory_per_gpu", "common.step_costs.ring_seconds"),
        *("common.step_costs.step_seconds", "common.step_costs.fit_ring"),
        *("captioning.scene_captioner", "common.sentences.encode_captions"),
        *("common.sentences.clipped_counts", "common.sentences.bleu"),
        "common.sentences.decode_caption",
        *("semantic_to_vehicle.vehicle_painter", "semantic_to_vehicle.encode_texts"),
    ),
    "moves to a device: by the tests of its module": ("data_loading.move",),
}
# Modules of which no function takes tensors to compute with, or which are others'.
MODULES_ELSEWHERE = {
    "autograd": "on NumPy arrays, float64 whatever comes in",
    "common.backbones": "networks",
    "common.checkpoints": "files",
    "common.compute": "devices and seeds",
    "common.graph_drawing": "pictures",
    "common.packaged_files": "files",
    "common.plotting": "pictures",
    "common.pretrained": "networks",
    "common.processes": "processes",
    "common.proposal_net": "networks",
    "common.quiz": "words",
    "common.require": "the checks themselves",
    "common.schedules": "plain numbers",
    "common.studies": "files",
}

# Not float16 or bfloat16, and why.
NOT_HALF = {
    "gradient_features.hog": "a vote next to a bin's end goes either way",
    "gradient_features.orientation_histogram": "a vote next to a bin's end likewise",
    "gradient_features.shape_signature": "an edge next to a sector's end likewise",
    "common.generating.lattice_power": "torch's transform knows no half precision",
    "masks.match_template": "sums of squares of a window need float32",
    "gan.mode_shares": "torch's cdist knows no half precision",
    "gan.count_modes": "torch's cdist knows no half precision",
    "attention_pooling.drop": "what lies at the threshold goes either way",
    "attention_pooling.attention_boxes": "what lies at the threshold goes either way",
}
# Whole numbers are natural for these arguments, by position.
WHOLE = {
    "anchors.assign_anchors": (BOXES, BOXES[:2]),
    "anchors.encode_offsets": (BOXES, BOXES.flip(0)),
    "common.boxes.flip_boxes": (BOXES, 10),
    "common.boxes.crop_boxes": (BOXES, (1, 1, 7, 6), 4),
    "common.boxes.box_area": (BOXES,),
    "common.boxes.box_iou": (BOXES, BOXES.flip(0)),
    "common.boxes.generalized_box_iou": (BOXES, BOXES.flip(0)),
    "common.boxes.distance_box_iou": (BOXES, BOXES.flip(0)),
    "common.boxes.xyxy_to_cxcywh": (BOXES,),
    "common.boxes.cxcywh_to_xyxy": (BOXES + 1,),
    "common.detections.match_detections": (BOXES, BOXES[:2], (0.5,)),
    "masks.apply_mask": (MASKS[0], MASKS[1]),
    "masks.dilate": (MASKS, 1),
    "masks.erode": (MASKS, 1),
    "masks.masks_to_boxes": (MASKS,),
    "masks.mask_iou": (MASKS, MASKS.flip(0)),
}


def modules():
    files = [*sorted(ROOT.glob("*.py")), *sorted((ROOT / "common").glob("*.py"))]
    for file in files:
        if not file.stem.startswith("_"):
            yield ".".join(file.relative_to(ROOT).with_suffix("").parts), file


def public_functions():
    for module, file in modules():
        if module not in MODULES_ELSEWHERE:
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    yield f"{module}.{node.name}"


def function(name):
    module, attribute = name.rsplit(".", 1)
    return getattr(importlib.import_module(f"lesson_utils.{module}"), attribute)


def changed(value, change):
    """A tree with each of its tensors changed."""
    return tree_map(lambda t: change(t) if isinstance(t, Tensor) else t, value)


def tensors(value):
    return [leaf for leaf in tree_flatten(value)[0] if isinstance(leaf, Tensor)]


def floats(change):
    return lambda t: change(t) if t.is_floating_point() else t


def moved_modules(value, change):
    return tree_map(lambda m: change(m) if isinstance(m, nn.Module) else m, value)


def close(got, expected, tolerance=1e-4):
    got, expected = tree_flatten(got)[0], tree_flatten(expected)[0]
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        if isinstance(other, Tensor):
            scale = max(1.0, other.double().abs().max().item()) if other.numel() else 1
            torch.testing.assert_close(
                one.double(), other.double(), rtol=tolerance, atol=tolerance * scale
            )
        elif isinstance(other, float):
            assert one == pytest.approx(other, rel=tolerance, abs=tolerance)
        else:
            assert one == other


def says(error, *words):
    assert any(word in str(error) for word in words), error


EACH = pytest.mark.parametrize(
    ("name", "arguments", "keywords"),
    [
        pytest.param(name, *call, id=f"{name}-{number}" if number else name)
        for name, calls in CALLS.items()
        for number, call in enumerate(calls)
    ],
)


def test_every_public_function_is_somewhere():
    listed = [*CALLS, *(name for names in ELSEWHERE.values() for name in names)]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(public_functions())
    assert set(MODULES_ELSEWHERE) <= {module for module, _ in modules()}


@EACH
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes(name, arguments, keywords, dtype):
    half = dtype != torch.float64
    if half and name in NOT_HALF:
        pytest.skip(NOT_HALF[name])
    # As the narrow dtype has them, so that only the computation differs.
    rounded = changed(arguments, floats(lambda t: t.to(dtype).float()))
    expected = function(name)(*rounded, **keywords)
    narrow = changed(arguments, floats(lambda t: t.to(dtype)))
    narrow = moved_modules(narrow, lambda m: Classifier())
    got = function(name)(*narrow, **keywords)
    tolerance = {torch.float16: 4e-3, torch.bfloat16: 3e-2, torch.float64: 1e-4}
    close(got, expected, tolerance[dtype])


@EACH
def test_mixed_dtypes(name, arguments, keywords):
    """One argument in float64 among others in float32: a result, or a clear word."""
    floating = [t for t in tensors(arguments) if t.is_floating_point()]
    if len(floating) < 2:
        pytest.skip("one tensor alone")
    expected = function(name)(*arguments, **keywords)
    for wide in range(len(floating)):
        count = iter(range(len(floating)))
        mixed = changed(
            arguments,
            floats(lambda t, n=count, w=wide: t.double() if next(n) == w else t),
        )
        try:
            got = function(name)(*mixed, **keywords)
        except ValueError as error:
            says(error, "dtype")
        except RuntimeError as error:  # torch says by itself what it wants
            says(error, "dtype", "same type", "scalar type")
        else:
            close(got, expected)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_whole_numbers(name, dtype):
    expected = function(name)(*WHOLE[name])
    whole = changed(WHOLE[name], lambda t: t.to(dtype))
    close(function(name)(*whole), expected)


def strided(t):
    """The same numbers, every other one of a larger tensor's."""
    if not t.dim():
        return t
    wide = t.repeat_interleave(2, dim=-1)
    return wide[..., ::2].requires_grad_(t.requires_grad)


@EACH
def test_layouts(name, arguments, keywords):
    expected = function(name)(*arguments, **keywords)
    close(function(name)(*changed(arguments, strided), **keywords), expected)
    last = torch.channels_last
    inner = changed(
        arguments, lambda t: t.contiguous(memory_format=last) if t.dim() == 4 else t
    )
    close(function(name)(*inner, **keywords), expected)
    before = changed(arguments, Tensor.clone)
    function(name)(*arguments, **keywords)
    if name != "normalization.batch_norm":  # whose statistics move, as it says
        close(arguments[: len(before)], before, 0)


@EACH
def test_another_default_dtype(name, arguments, keywords):
    expected = function(name)(*arguments, **keywords)
    torch.set_default_dtype(torch.float64)
    try:
        got = function(name)(*arguments, **keywords)
    finally:
        torch.set_default_dtype(torch.float32)
    close(got, expected)
    for one, other in zip(tensors(got), tensors(expected), strict=True):
        assert one.dtype == other.dtype


@EACH
def test_empty(name, arguments, keywords):
    """Without a first dimension's entries: a result, or a ValueError of ours."""
    try:
        function(name)(
            *changed(arguments, lambda t: t[:0] if t.dim() else t), **keywords
        )
    except ValueError as error:
        says(error, "must", "keeps nothing")


EXTREMES = {
    "flat": torch.zeros_like,
    "ones": torch.ones_like,
    "tiny": lambda t: t * 1e-30,
    "small": lambda t: t * 1e-6,
    "large": lambda t: t * 1e4,
    "huge": lambda t: t * 1e18,
}


# Where infinity less infinity is the honest answer, and why.
NOT_EXTREME = {
    ("common.generating.kernel_distance", "huge"): "the cube leaves float32",
    ("common.transformer.multi_head_attention", "huge"): "products leave float32",
    ("semantic_to_vehicle.attend_words", "huge"): "products leave float32",
    ("mc_loss.peak_hits", "flat"): "no map has a peak: NaN, as it says",
    ("classification_losses.exponential_loss", "large"): "infinite, as it says",
    ("segmentation_metrics.boundary_iou", "flat"): "of two empty masks NaN, as it says",
}


@EACH
@pytest.mark.parametrize("extreme", EXTREMES)
def test_values_and_gradients_of_what_is_accepted(name, arguments, keywords, extreme):
    """Of finite numbers comes no NaN, forward or backward, or a ValueError."""
    inputs = changed(
        arguments, floats(lambda t: EXTREMES[extreme](t).detach().requires_grad_())
    )
    try:
        result = function(name)(*inputs, **keywords)
    except ValueError as error:
        says(error, "must", "keeps nothing")
        return
    results = [t for t in tensors(result) if t.is_floating_point()]
    if name == "common.detections.average_precisions":  # of a class that is nowhere
        results = [t.nan_to_num() for t in results]
    if (name, extreme) not in NOT_EXTREME:
        assert not any(t.isnan().any() for t in results)
    graph = [t for t in results if t.requires_grad]
    wanted = [t for t in tensors(inputs) if t.requires_grad]
    steep = (name, extreme) in NOT_EXTREME
    if not graph or not wanted or steep or extreme == "huge":  # they leave float32
        return
    slopes = torch.autograd.grad(sum(t.sum() for t in graph), wanted, allow_unused=True)
    assert all(s.isfinite().all() for s in slopes if s is not None)


def test_gradients_of_a_sure_answer():
    """A logit so large that its probability is 1: every gamma has a slope."""
    focal = function("common.dense_losses.focal_cross_entropy")
    for gamma in (0, 0.1, 0.5, 1, 2):
        for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
            logits = torch.tensor(
                [[[0.0, 1e4], [1e4, 0]]], dtype=dtype
            ).requires_grad_()
            focal(logits, torch.tensor([[1, 0]]), gamma=gamma).backward()
            assert logits.grad.isfinite().all()


@EACH
def test_on_another_device(name, arguments, keywords):
    expected = function(name)(*arguments, **keywords)
    with stand_in() as device:
        inputs = moved_modules(there(arguments), lambda m: Classifier().to(device))
        result = function(name)(*inputs, **keywords)
        got = back(result)
    if name != "common.classifying.standardize":
        close(got, expected)
    for one in tensors(result):
        assert isinstance(one, StandIn)


class TestAStepOnAnotherDevice:
    """One step of each training: what is made on the way is made where the model is."""

    def test_fine_tuning(self):
        from lesson_utils.fine_tuning import train

        with stand_in():
            history = train(
                Classifier(), IMAGES, LABELS, steps=1, progress=False,
                fabric=StandInFabric(),
            )  # fmt: skip
        assert math.isfinite(history["loss"][0])

    def test_single_shot(self):
        from lesson_utils.single_shot import SingleShot, train

        model = SingleShot(2, image_size=24)
        with stand_in():
            history = train(
                model, rand(2, 3, 24, 24), TRUTHS.repeat(2, 1, 1), steps=1,
                progress=False, fabric=StandInFabric(),
            )  # fmt: skip
        assert math.isfinite(history["box_loss"][0])

    def test_dcgan(self, monkeypatch):
        from lesson_utils import dcgan

        plain = torch.optim.Adam  # what is fused asks the device's name
        monkeypatch.setattr(
            torch.optim, "Adam", lambda *a, fused=False, **k: plain(*a, **k)
        )
        players = (
            dcgan.Generator(latent_dim=4, base_channels=2, image_size=8),
            dcgan.Discriminator(base_channels=2, image_size=8),
        )
        with stand_in():
            history = dcgan.train(
                *players, rand(4, 3, 8, 8), epochs=1, batch_size=4, progress=False,
                fabric=StandInFabric(),
            )  # fmt: skip
        assert math.isfinite(history["generator_loss"][0])

    def test_painting(self, monkeypatch):
        from lesson_utils.common import painting
        from lesson_utils.semantic_to_vehicle import Generator

        plain = torch.optim.Adam
        monkeypatch.setattr(
            torch.optim, "Adam", lambda *a, fused=False, **k: plain(*a, **k)
        )
        painter, judge = painter_and_judge(Generator)
        with stand_in():
            history = painting.train(
                painter, judge, rand(4, 3, 16, 16), torch.ones(4, 16, 16).long(),
                TOLD[:1].expand(4, -1), steps=1, batch_size=4, progress=False,
                fabric=StandInFabric(),
            )  # fmt: skip
        assert math.isfinite(history["generator"][0])


def painter_and_judge(kind):
    """Small ones, of 16 x 16 pixels and three parts."""
    painting = importlib.import_module("lesson_utils.common.painting")
    return (
        kind(16, widths=(4, 4), num_parts=3, dim=4, noise=2),
        painting.PatchDiscriminator(3, 99, width=2),
    )


NAN, INF = math.nan, math.inf
WRONG = torch.tensor([[3.0, 0, 1, 1]])  # x2 < x1
INTS = torch.ones(2, 6).long()


def detr_net():
    return importlib.import_module("lesson_utils.detr").Detr(2, image_size=24)


def pyramid_net():
    return importlib.import_module("lesson_utils.pyramid_pooling").PyramidNet(2)


CHANNEL_NET = importlib.import_module("lesson_utils.mc_loss").ChannelNet(
    nn.Identity(), 6, 2, 3
)
PLAIN_NET = nn.Sequential(nn.Flatten(), nn.Linear(192, 192))
HEAD = importlib.import_module("lesson_utils.margin_softmax").MarginHead(
    192, 2, loss="cosface", margin=0.1, scale=4
)
PAINTERS = painter_and_judge(function("semantic_to_vehicle.Generator"))
PAINTED = rand(2, 3, 16, 16), torch.ones(2, 16, 16).long(), TOLD
LAYER = importlib.import_module("lesson_utils.receptive_field").Layer(3)
CODE_READER = importlib.import_module("lesson_utils.infogan").DiscriminatorAndQ()

# For each function whose docstring has `Raises`: calls that must raise ValueError.
BAD = {
    "margin_softmax.cosine_logits": [((X, X[:, :5]), {}), ((INTS, X), {})],
    "margin_softmax.sphereface_logits": [
        ((COSINES, SCORES, LABELS), {}), ((3 * COSINES, SCORES[:2], LABELS), {}),
        *(((COSINES, SCORES[:2], LABELS), {"margin": m}) for m in (0, 1.5, True)),
    ],
    "margin_softmax.cosface_logits": [
        ((COSINES, LABELS + 3), {}), ((COSINES * NAN, LABELS), {}),
        *(((COSINES, LABELS), {"margin": m}) for m in (-1, NAN, INF, True)),
        *(((COSINES, LABELS), {"scale": s}) for s in (0, NAN, INF, True)),
    ],
    "margin_softmax.arcface_logits": [
        ((COSINES, LABELS - 1), {}), ((2 + COSINES, LABELS), {}), ((X[0], LABELS), {}),
        *(((COSINES, LABELS), {"margin": m}) for m in (-1, 3.2, NAN, INF, True)),
        *(((COSINES, LABELS), {"scale": s}) for s in (0, NAN, INF, True)),
    ],
    "margin_softmax.boundary_angle": [
        *(((angle,), {"loss": "softmax"}) for angle in (0, 4, NAN, True)),
        ((1.0,), {"loss": "hinge"}), ((1.0,), {"loss": "arcface", "margin": 1.1}),
        ((1.0,), {"loss": "sphereface", "margin": 1.5}),
    ],
    "margin_softmax.largest_margin": [((10, 5), {}), ((1, 2), {}), ((10, True), {})],
    "margin_softmax.smallest_scale": [
        ((1, 0.5), {"other": 0}), ((10, 1), {"other": 0}), ((10, 0.5), {"other": 1}),
    ],
    "margin_softmax.train": [
        ((PLAIN_NET, HEAD, IMAGES, LABELS), {name: wrong, "progress": False})
        for name in ("steps", "batch_size", "seed")
        for wrong in (-1, True, NAN, INF)
    ],
    "margin_softmax.sample_classes": [
        ((LABELS, 9, number), {"generator": DICE}) for number in (1, 10, 2.5, True)
    ],
    "common.verification.accept_rates": [
        ((RANKING[0], NAMES), {}), ((RANKING[0] * NAN, NAMES == 0), {}),
        ((RANKING[0], NAMES >= 0), {}), ((RANKING, NAMES == 0), {}),
    ],
    "common.verification.tar_at_far": [
        ((RANKING[0], NAMES == 0, far), {}) for far in (-1, 2, NAN, True)
    ],
    "common.verification.fold_accuracy": [
        ((RANKING[0], NAMES == 0), {"folds": n}) for n in (1, 6, 2.5, True)
    ],
    "metric_learning.pairwise_distance": [((X, X[:, :5]), {}), ((INTS, X), {})],
    "metric_learning.unit_vectors": [((INTS,), {})],
    "metric_learning.cosine_similarity": [((X, X[0]), {}), ((X, INTS), {})],
    "metric_learning.contrastive_loss": [
        ((X, X[:1], LABELS == 0), {}), ((X, X, LABELS), {}),
        ((X[:0], X[:0], LABELS[:0] == 0), {}),
        *(((X, X, LABELS == 0), {"margin": m}) for m in (0, -1, NAN, INF, True)),
    ],
    "metric_learning.triplet_loss": [
        ((X, X, X[:, :3]), {}), ((X[:0], X[:0], X[:0]), {}),
        *(((X, X, X), {"margin": m}) for m in (-1, NAN, INF, True)),
    ],
    "metric_learning.quadruplet_loss": [
        ((X, X, X, MAPS), {}), ((X[:0], X[:0], X[:0], X[:0]), {}),
        *(((X, X, X, X), {n: m}) for n in ("margin1", "margin2") for m in (-1, NAN)),
    ],
    "metric_learning.batch_hard_triplets": [
        ((X, NAMES), {}), ((X, LABELS.float()), {}), ((X[0], LABELS), {}),
    ],
    "metric_learning.semi_hard_triplets": [
        ((X, NAMES), {}), ((X, LABELS), {"margin": -1}), ((X, LABELS[None]), {}),
    ],
    "metric_learning.train": [
        ((nn.Flatten(), IMAGES, LABELS, None), {name: wrong, "progress": False})
        for name in ("steps", "classes", "samples", "seed")
        for wrong in (-1, True, NAN, INF)
    ],
    "common.embedding.embed": [
        ((nn.Flatten(), IMAGES), {"batch_size": size}) for size in (0, 1.5, True)
    ],
    "common.retrieval.recall_at_k": [
        *(((RANKING, LABELS, NAMES, k), {}) for k in (0, 1.5, True)),
        ((RANKING, NAMES, NAMES, 1), {}), ((RANKING * NAN, LABELS, NAMES, 1), {}),
        ((RANKING, LABELS + 9, NAMES, 1), {}),
    ],
    "common.retrieval.mean_average_precision": [
        ((RANKING, LABELS, LABELS), {}), ((RANKING, LABELS + 9, NAMES), {}),
    ],
    "common.retrieval.cmc": [
        ((RANKING, LABELS, NAMES), {"max_rank": 0}), ((RANKING, LABELS, LABELS), {}),
    ],
    "mc_loss.channel_groups": [((3, 4), {}), ((True, 1), {}), ((4.0, 2), {})],
    "mc_loss.channel_mask": [
        ((3,), {"num_classes": 2, "keep": keep}) for keep in (0, 1.5, NAN, True)
    ],
    "mc_loss.channel_max_pool": [((MAPS, 4), {}), ((MAPS, True), {}), ((X, 3), {})],
    "mc_loss.discriminality_loss": [
        ((MAPS, LABELS + 1, 3), {}), ((MAPS[:0], LABELS[:0], 3), {}),
        ((MAPS, LABELS, 3), {"mask": torch.ones(6)}), ((MAPS, LABELS.float(), 3), {}),
    ],
    "mc_loss.diversity_loss": [((MAPS, (1, 2)), {}), ((MAPS.long(), 3), {})],
    "mc_loss.own_channels": [((MAPS, LABELS[:1], 3), {})],
    "mc_loss.peak_hits": [((MAPS, [UNIT]), {})],
    "mc_loss.train": [
        ((CHANNEL_NET, MAPS, LABELS), {"steps": 1, name: wrong})
        for name in ("steps", "batch_size", "learning_rate")
        for wrong in (0, True, NAN, INF)
    ],
    "style_transfer.gram_matrix": [((X,), {}), ((MAPS[:0],), {})],
    "style_transfer.channel_statistics": [((X,), {}), ((MAPS[:, :, :0],), {})],
    "style_transfer.content_loss": [((MAPS, MAPS[:1]), {})],
    "style_transfer.style_loss": [((MAPS, GRAM[:, :3]), {})],
    "style_transfer.total_variation_loss": [((X,), {}), ((MAPS.long(),), {})],
    "style_transfer.preprocess": [
        ((2 * IMAGES[0], MEAN, MEAN), {}), ((IMAGES, MEAN, MEAN), {}),
        ((IMAGES[0] * NAN, MEAN, MEAN), {}),
    ],
    "style_transfer.postprocess": [((IMAGES, MEAN, MEAN), {})],
    "style_transfer.extract_features": [((nn.Sequential(nn.ReLU()), MAPS, [1]), {})],
    "style_transfer.lbfgs": [(([nn.Parameter(ONES)],), {"first_move": 0})],
    "style_transfer.transfer": [((IMAGES[0], IMAGES[1]), {"backbone": Classifier()})],
    **{
        f"activations.{name}": [((INTS,), {})]
        for name in (
            *("sigmoid", "tanh", "softplus", "relu", "leaky_relu", "elu", "selu"),
            *("gelu", "silu", "mish"),
        )
    },
    **{
        f"activations.{name}": [((INTS,), {}), ((X[:, :5],), {}), ((X, 2), {})]
        for name in ("glu", "reglu", "geglu", "swiglu")
    },
    "activations.prelu": [((INTS, ONES), {}), ((X, torch.ones(4)), {})],
    "common.probes.dead_fraction": [((ONES,), {}), ((X[:0],), {})],
    "common.probes.part_hits": [((MAPS, UNIT), {}), ((X, UNIT.expand(2, 3, 4)), {})],
    "common.probes.gradient_norms": [
        (([], X, X), {}), (([torch.tanh], X, X[:1]), {})
    ],
    "anchors.anchor_shapes": [(([], [1]), {}), (([-1], [1]), {}), (([INF], [1]), {})],
    "anchors.anchor_boxes_at_pixel": [
        ((2, 0, 2, 2), {"scales": [0.5], "ratios": [1]})
    ],
    "anchors.anchor_boxes": [
        ((height, 2), {"scales": [0.5], "ratios": [1]}) for height in (0, 1.5, True)
    ],
    "anchors.multiscale_anchors": [(([],), {"scales": [], "ratios": [1]})],
    "anchors.assign_anchors": [
        ((WRONG, UNIT), {}), ((UNIT, WRONG), {}), ((UNIT, UNIT), {"iou_threshold": 2}),
        ((UNIT[None], UNIT), {}), ((UNIT, UNIT), {"iou_threshold": True}),
    ],
    "anchors.encode_offsets": [
        ((UNIT, WRONG.expand(3, 4)), {}), ((UNIT, 0 * UNIT), {}),
        ((UNIT, UNIT), {"std": (1, 1, 1, 0)}),
    ],
    "anchors.decode_offsets": [
        ((UNIT, X), {}), ((UNIT, torch.full((3, 4), 1e4)), {}),
        ((0 * UNIT, UNIT), {}),
    ],
    "anchors.anchor_targets": [
        ((UNIT, TRUTHS[0]), {}), ((UNIT, TRUTHS + 0.5), {}), ((WRONG, TRUTHS), {}),
    ],
    "attention_pooling.bilinear_attention_pool": [
        ((MAPS, MAPS[:1]), {}), ((MAPS, MAPS[..., :2]), {}), ((X, MAPS), {})
    ],
    "attention_pooling.normalize_parts": [((X,), {})],
    "attention_pooling.center_loss": [
        ((MAPS[0], MAPS[0], torch.tensor([0, 1, 2, 3, 4, 9])), {}),
        ((MAPS[0], MAPS[:, 0], LABELS), {}),
    ],
    "attention_pooling.move_centers": [
        ((randn(5, 3, 4), randn(2, 3, 4), LABELS), {"rate": rate}) for rate in (2, NAN)
    ],
    "attention_pooling.pick_maps": [((-MAPS.abs() - 1,), {}), ((X,), {})],
    "attention_pooling.attention_boxes": [
        ((MAPS[:, 0] + 9,), {}), ((rand(1, 2, 2),), {"threshold": 1}),
    ],
    "attention_pooling.crop": [((IMAGES, UNIT), {}), ((IMAGES, UNIT[:2] * 0), {})],
    "attention_pooling.drop": [
        ((IMAGES, rand(3, 2, 2)), {}), ((IMAGES, 9 + rand(2, 2, 2)), {}),
    ],
    "common.boxes.flip_boxes": [((BOXES, 3), {}), ((X, 9), {}), ((BOXES * NAN, 9), {})],
    "augmentation.random_horizontal_flip": [
        ((X,), {}), ((IMAGES,), {"p": 2}), ((IMAGES, BOXES), {}),
        ((IMAGES,), {"p": NAN})
    ],
    "augmentation.sample_crop": [
        ((0, 3), {}), ((2.5, 3), {}), ((True, 3), {}), ((3, 3), {"scale": (0, 1)}),
        ((3, 3), {"ratio": (2, 1)}),
    ],
    "augmentation.resized_crop": [
        ((IMAGES, (0, 0, 9, 9), 4), {}), ((IMAGES, (0, 0, 4, 4), 0), {}),
        ((IMAGES, (0, 0, 4, 4), True), {}), ((X, (0, 0, 1, 1), 2), {}),
    ],
    "common.boxes.crop_boxes": [
        ((-BOXES - 1, (0, 0, 4, 4), 2), {}), ((BOXES, (0, 0, 0, 4), 2), {}),
        ((BOXES, (0, 0, 4, 4), 1.5), {}),
    ],
    "augmentation.random_resized_crop": [((X, 2), {}), ((IMAGES, 0), {})],
    **{
        f"common.colors.adjust_{name}": [
            ((IMAGES * 255, 0.1), {}), ((IMAGES, -1), {}), ((IMAGES, NAN), {}),
            ((IMAGES[:, :2], 0.1), {}),
        ]
        for name in ("brightness", "contrast", "saturation", "hue")
    },
    "augmentation.random_affine": [
        ((X,), {}), ((IMAGES,), {"degrees": NAN}), ((IMAGES,), {"shift": -1}),
        ((IMAGES,), {"zoom": 1}),
    ],
    "common.colors.to_gray": [((IMAGES * 255,), {}), ((IMAGES[:, :2],), {})],
    "common.colors.color_jitter": [
        ((IMAGES,), {"hue": 0.6}), ((IMAGES,), {"contrast": NAN}), ((2 * IMAGES,), {})
    ],
    **{
        f"augmentation.{name}": [
            ((IMAGES, torch.eye(2)), {"alpha": 0}), ((IMAGES, torch.eye(3)), {}),
            ((IMAGES, 2 * torch.eye(2)), {}), ((IMAGES, LABELS), {}),
            ((IMAGES, torch.eye(2)), {"alpha": INF}),
        ]
        for name in ("mixup", "cutmix")
    },
    "common.classifying.average_over_views": [((nn.Identity(), X, []), {})],
    "bilinear.bilinear_pool": [
        ((X, X), {}), ((MAPS, MAPS[:1]), {}), ((MAPS, MAPS.double()), {}),
    ],
    "bilinear.pool": [((MAPS, "max"), {}), ((X, "average"), {})],
    "bilinear.signed_sqrt": [((INTS,), {})],
    "bilinear.count_sketch": [
        ((X, BUCKETS, SIGNS, 2), {}), ((X, LABELS, SIGNS, 4), {}),
    ],
    "bilinear.tensor_sketch": [
        ((X, MAPS, (BUCKETS, BUCKETS), (SIGNS, SIGNS), 4), {}),
        ((MAPS, MAPS, (BUCKETS, BUCKETS), (SIGNS, SIGNS), 2), {}),
    ],
    "bilinear.random_maclaurin": [((MAPS, MAPS, SIGNS, SIGNS), {})],
    "common.boxes.box_area": [((WRONG,), {}), ((X,), {})],
    **{
        f"common.boxes.{name}": [((WRONG, BOXES), {}), ((BOXES, BOXES * INF), {})]
        for name in ("box_iou", "generalized_box_iou", "distance_box_iou")
    },
    "common.boxes.xyxy_to_cxcywh": [((WRONG,), {})],
    "common.boxes.cxcywh_to_xyxy": [((-BOXES,), {}), ((X,), {})],
    "common.classifying.standardize": [
        ((255 * IMAGES, Classifier()), {}), ((X, Classifier()), {})
    ],
    "common.classifying.predict": [
        ((Classifier(), IMAGES[:0]), {}), ((Classifier(), IMAGES), {"batch_size": 0}),
        ((Classifier(), IMAGES), {"batch_size": 1.5}), ((Classifier(), -IMAGES), {}),
    ],
    "common.classifying.accuracy": [
        ((Classifier(), IMAGES, LABELS[:1]), {}),
        ((Classifier(), IMAGES, LABELS + 1), {})
    ],
    "common.detections.match_detections": [
        ((WRONG, BOXES, (0.5,)), {}), ((BOXES, BOXES, ()), {}),
        ((BOXES, BOXES, (2,)), {})
    ],
    **{
        f"common.detections.{name}": [
            ((SCORES, SCORES, 3), {}), ((SCORES, POSITIVE[0, :3], 0), {}),
            ((SCORES * NAN, POSITIVE[0, :3], 3), {}), ((SCORES, POSITIVE, 3), {}),
        ]
        for name in ("precision_recall", "average_precision")
    },
    "common.detections.match_class": [(([], TRUTHS, 0), {})],
    "common.detections.average_precisions": [(([], TRUTHS), {"num_classes": 1})],
    "common.detections.mean_average_precision": [
        (([found()], TRUTHS.clone().fill_(-1)), {"num_classes": 1})
    ],
    "common.detections.diagnose": [((found(), TRUTHS), {})],
    "common.generating.slerp": [((X, -X, 0.5), {}), ((X, 0 * X, 0.5), {})],
    "common.generating.kernel_distance": [((X[:1], X), {}), ((X, X[:, :2]), {})],
    "common.training.average_weights": [
        ((nn.Linear(2, 2), nn.Linear(2, 2)), {"keep": 1.0}),
        ((nn.Linear(2, 2), nn.Linear(2, 2)), {"keep": NAN}),
    ],
    "common.generating.unit_to_tanh_range": [((2 * IMAGES,), {}), ((INTS,), {})],
    "common.generating.tanh_to_unit_range": [
        ((3 - IMAGES,), {}), ((IMAGES * NAN,), {}),
    ],
    "common.generating.conv_transpose_output_size": [
        ((0, 4), {}), ((4, 2.0), {}), ((4, True), {}), ((1, 2), {"padding": 3}),
        ((4, 4), {"output_padding": 1}),
    ],
    "common.generating.lattice_power": [
        ((IMAGES,), {"period": 3}), ((IMAGES,), {"period": 1}),
    ],
    "gan.discriminator_loss": [
        ((X, X.double()), {}), ((INTS, X), {}), ((X[:0], X), {}),
    ],
    "gan.generator_loss": [((INTS,), {}), ((X[:0],), {})],
    "gan.optimal_discriminator": [((X, X[:1]), {}), ((INTS, INTS), {})],
    "common.generating.minibatch_std": [
        ((X,), {"group_size": size}) for size in (0, 1, 3, 2.0, True)
    ],
    "gan.mode_shares": [
        ((X, X), {"radius": radius}) for radius in (0, -1, NAN, INF)
    ],
    "gan.count_modes": [
        ((X, X), {"radius": 1, "at_least": 0}), ((X, X[0]), {"radius": 1}),
    ],
    "masks.apply_mask": [((IMAGES, MASKS), {}), ((IMAGES, 2 + IMAGES), {})],
    "common.shapes.rectangle_mask": [
        ((0, 3, (0, 0, 1, 1)), {}), ((3, 3, (2, 0, 1, 1)), {}),
    ],
    "common.shapes.disk_mask": [((3, 3, (0, 0), -1), {}), ((3, 3, (0, NAN), 1), {})],
    "common.shapes.polygon_mask": [
        ((3, 3, [(0, 0), (1, 1)]), {}), ((2.5, 3, [(0, 0)] * 3), {}),
    ],
    "masks.masked_mean": [((INTS, INTS), {}), ((X, torch.zeros(2, 6)), {})],
    "masks.composite": [((X, X, X + 9), {}), ((X, X[:1], X), {})],
    "masks.match_template": [((IMAGES[0], IMAGES[1] * 0), {}), ((X, X), {})],
    **{
        f"masks.{name}": [
            ((MASKS + 1, 1), {}), *(((MASKS, r), {}) for r in (-1, 0.5, True))
        ]
        for name in ("dilate", "erode")
    },
    "masks.masks_to_boxes": [((MASKS * 0,), {}), ((MASKS[0],), {})],
    "masks.mask_iou": [((MASKS, MASKS[..., :2]), {}), ((MASKS + 1, MASKS), {})],
    "bilinear.fit_classifier": [
        ((POOLED, MAPS, torch.tensor([0, 7])), {}), ((POOLED, MAPS, LABELS[:1]), {}),
        ((POOLED, MAPS, LABELS), {"penalty": -1.0}),
    ],
    "attention_pooling.train": [
        ((nn.Identity(), MAPS, LABELS), {"steps": 1, "center_weight": -1.0}),
        ((nn.Identity(), MAPS, LABELS), {"steps": 1, "twins": "both"}),
        ((POOLED, MAPS, LABELS), {"steps": 1, "learning_rate": 0.0}),
    ],
    "gradient_features.image_gradients": [
        ((INTS,), {}), ((X * NAN,), {}), ((X[0],), {}),
    ],
    "gradient_features.orientation_histogram": [
        ((X, X[:1]), {}), ((X, INTS), {}), ((X, X), {"cell_size": 0}),
        ((X, X), {"num_bins": 1.5}), ((X * NAN, X), {}),
    ],
    "gradient_features.normalize_blocks": [
        ((X,), {}), ((MAPS,), {"block_size": 5}), ((MAPS,), {"block_size": 0}),
    ],
    "gradient_features.hog": [((INTS,), {}), ((X,), {}), ((X,), {"cell_size": True})],
    "gradient_features.score_windows": [
        ((rand(4, 5, 2, 2, 3), randn(2, 3, 2, 2, 4), 0.5), {}), ((X, X, 0.5), {}),
    ],
    "gradient_features.shape_signature": [
        (((X, X[:1]), (1.0, 1.0)), {}), (((X * NAN, X), (1.0, 1.0)), {}),
        (((X, X), (1.0, 1.0)), {"num_sectors": 0}),
    ],
    "gradient_features.draw_glyphs": [((X,), {}), ((rand(2, 3, 5),), {"size": 2})],
    **{
        f"upsampling.{name}": [
            ((IMAGES[0], 4), {}), ((IMAGES[..., :0], 4), {}),
            *(((IMAGES, size), {}) for size in (0, 1.5, True, (1, 2, 3), "4")),
        ]
        for name in ("resize_nearest", "resize_bilinear")
    },
    "segmentation_metrics.confusion_matrix": [
        ((SEGMENTED, SEGMENTED[0], 3), {}), ((SEGMENTED, SEGMENTED, 2), {}),
        ((SEGMENTED - 1, SEGMENTED, 3), {}), ((1.0 * SEGMENTED, SEGMENTED, 3), {}),
        ((SEGMENTED, SEGMENTED, 3.0), {}), ((SEGMENTED, SEGMENTED, 0), {}),
        ((SEGMENTED, SEGMENTED, 3), {"ignore_index": True}),
    ],
    **{
        f"segmentation_metrics.{name}": [
            ((CONFUSION[0, :2],), {}), ((CONFUSION[0, 0],), {}), ((CONFUSION - 1,), {}),
            ((NAN * CONFUSION,), {}),
        ]
        for name in ("pixel_accuracy", "mean_pixel_accuracy", "frequency_weighted_iou")
    },
    **{
        f"segmentation_metrics.{name}": [
            ((CONFUSION[0, :2],), {}), ((CONFUSION,), {"ignore_index": 1.5}),
        ]
        for name in ("class_iou", "mean_iou", "dice")
    },
    "segmentation_metrics.boundary_iou": [
        ((MASKS, MASKS[0]), {}), ((MASKS, MASKS), {"distance": 0}),
        ((MASKS, MASKS / 2), {}),
    ],
    "common.colors.paint_classes": [((SEGMENTED + 3,), {}), ((SEGMENTED - 1,), {})],
    # Feeding a training.
    "data_loading.prefetch": [(([1], 0), {}), (([1], 1.5), {}), (([1], None), {})],
    "data_loading.worker_seed": [((-1, 0, 0), {}), ((0, 0.5, 0), {})],
    "data_loading.read_timeline": [
        (([],), {}), (([(0, "wait", 0, 1)],), {}), (([(0, "step", 1, 0)],), {}),
    ],
    "data_loading.decode_once": [(([], Path("a.npy"), 4), {}),
                                 (([b""], Path("a.txt"), 4), {})],
    "common.segmenting.standardize": [((IMAGES[0],), {}), ((2 + IMAGES,), {})],
    "common.set_prediction.hungarian": [
        ((RANKING[0],), {}), ((RANKING * NAN,), {}), ((RANKING * INF,), {}),
    ],
    **{
        f"common.set_prediction.{name}": [
            ((ANSWERS[0] * NAN, ANSWERS[1], *TARGETS), {}),
            ((ANSWERS[0], ANSWERS[1] * NAN, *TARGETS), {}),
            ((ANSWERS[0], ANSWERS[1][:, :2], *TARGETS), {}),
            ((*ANSWERS, TARGETS[0] + 2, TARGETS[1]), {}),
            ((*ANSWERS, TARGETS[0], TARGETS[1][:, :1]), {}),
            ((*ANSWERS, TARGETS[0], -TARGETS[1]), {}),
        ]
        for name in ("pair_costs", "match")
    },
    "common.set_prediction.set_loss": [
        *(
            ((*ANSWERS, *TARGETS, torch.tensor(m)), {})
            for m in ([[2, 2], [1, -1]], [[3, 0], [1, -1]], [[2], [1]], [[-1, 0]] * 2)
        ),
        *(
            ((*ANSWERS, *TARGETS, torch.tensor([[2, 0], [1, -1]])), {"no_object": w})
            for w in (0, NAN, INF, True)
        ),
    ],
    "common.transformer.multi_head_attention": [
        ((MAPS[0], MAPS[0], MAPS[0], *PROJECTIONS), {"heads": h}) for h in (0, 3, 1.5)
    ],
    "common.transformer.sine_positions": [
        ((0, 2, 8), {}), ((2, 1.5, 8), {}), ((2, 2, 6), {}),
        *(((2, 2, 8), {"temperature": t}) for t in (0, NAN, INF, True)),
    ],
    "detr.predict": [((detr_net(), IMAGES), {})],
    "detr.train": [
        ((detr_net(), IMAGES, TRUTHS), {}),
        ((detr_net(), rand(1, 3, 24, 24), TRUTHS + 2), {}),
        *(((detr_net(), IMAGES, TRUTHS), {n: 0}) for n in ("clip", "learning_rate")),
    ],
    "pyramid_pooling.bin_edges": [((0, 2), {}), ((4, 0), {}), ((4.5, 2), {})],
    "pyramid_pooling.spatial_pyramid_pool": [
        ((MAPS[0],), {}), ((MAPS.long(),), {}), ((MAPS[..., :0],), {}),
        ((MAPS, ()), {}), ((MAPS, (1, 0)), {}),
    ],
    **{
        f"pyramid_pooling.{name}": [
            ((MAPS[0], ROIS, 2), {}), ((MAPS[..., :0], ROIS, 2), {}),
            ((MAPS, ROIS[:, 1:], 2), {}), ((MAPS, ROIS + 1, 2), {}),
            ((MAPS, ROIS.flip(1), 2), {}), ((MAPS, NAN * ROIS, 2), {}),
            ((MAPS, [BOXES], 2), {}), ((MAPS, ROIS, 0), {}), ((MAPS, ROIS, 2, 0), {}),
        ]
        for name in ("roi_pool", "roi_align")
    },
    "pyramid_pooling.roi_align_box": [
        ((MAPS, (0, 0, 1, 1), 2), {}), ((MAPS[0], (2, 0, 1, 1), 2), {}),
        ((MAPS[0], (0, 0, 1, 1), 1.5), {}), ((MAPS[0], (0, 0, NAN, 1), 2), {}),
        ((MAPS[0], (0, 0, 1, 1), 2), {"samples": 0}),
    ],
    "pyramid_pooling.train": [
        ((pyramid_net(), IMAGES, LABELS), {"sizes": ()}),
        ((pyramid_net(), IMAGES, LABELS[:1]), {}),
    ],
    "common.segmenting.segment": [
        ((nn.Identity(), IMAGES[:0]), {}), ((nn.Identity(), 2 + IMAGES), {}),
        ((nn.Identity(), IMAGES), {"batch_size": 0}),
    ],
    "common.segmenting.train": [
        ((nn.Conv2d(3, 2, 1), IMAGES, SEGMENTED), {}),
        ((nn.Conv2d(3, 2, 1), 2 + IMAGES, IMAGES[:, 0].long()), {}),
        ((nn.Conv2d(3, 2, 1), IMAGES, IMAGES[:, 0].long()), {"steps": 0}),
    ],
    "upsampling.sample_positions": [((0, 4), {}), ((4, 1.5), {})],
    "upsampling.pixel_shuffle": [
        ((IMAGES, 2), {}), ((IMAGES[0], 1), {}), ((IMAGES, 0), {}),
    ],
    "upsampling.pixel_unshuffle": [
        ((IMAGES, 3), {}), ((IMAGES[0], 1), {}), ((IMAGES, 1.5), {}),
    ],
    "upsampling.max_unpool": [
        ((IMAGES, PLACES, 7), {}), ((IMAGES, PLACES - 1, 9), {}),
        ((IMAGES, PLACES.float(), 9), {}), ((IMAGES, PLACES, 0), {}),
    ],
    "upsampling.bilinear_kernel": [((n,), {}) for n in (0, 1.5, True)],
    "upsampling.shrink": [((IMAGES, 3), {}), ((INTS, 1), {}), ((IMAGES, 0), {})],
    "upsampling.enlarge": [((IMAGES[0], 2), {}), ((IMAGES, 0), {})],
    "upsampling.train": [((None, IMAGES), {})],
    "pixel_losses.l1_loss": [((X, X[:1]), {}), ((X[:0], X[:0]), {}), ((INTS, X), {})],
    "pixel_losses.l2_loss": [((X, X[:1]), {}), ((X[:0], X[:0]), {}), ((X, INTS), {})],
    "pixel_losses.huber_loss": [
        ((X, X[:1]), {}), *(((X, X), {"delta": d}) for d in (0.0, -1, NAN, INF, True)),
    ],
    **{
        f"pixel_losses.{name}": [
            ((IMAGES, IMAGES[:1]), {}), ((INTS, INTS), {}), ((X, X), {}),
            ((IMAGES[:, :0], IMAGES[:, :0]), {}),
        ]
        for name in ("psnr", "local_statistics", "ssim_maps", "ssim", "ms_ssim")
    },
    "pixel_losses.mixed_loss": [
        ((LARGE, LARGE), {"alpha": 1.5}), ((IMAGES, IMAGES), {}),
    ],
    "hashing.sign_codes": [((X * NAN,), {}), ((INTS,), {})],
    "hashing.pack_codes": [((X,), {}), ((X[0] > 0,), {}), ((X[:, :0] > 0,), {})],
    "hashing.hamming_distance": [
        ((CODES, CODES[:, :2]), {}), ((CODES, CODES.long()), {}), ((X[0], CODES), {}),
    ],
    "hashing.search": [
        ((CODES, CODES, k), {}) for k in (0, 4, 1.5, True)
    ],
    "hashing.precision": [
        ((CODES, LABELS, CODES, LABELS), {"k": 1}),
        ((CODES, CODES[:, 0], CODES, LABELS), {"k": 1}),
        ((CODES, CODES[:, 0], CODES, CODES[:, 0]), {"k": 4}),
    ],
    "hashing.random_hyperplanes": [((0, 4), {}), ((4, 1.5), {})],
    "hashing.expected_collisions": [
        ((X, X[:1]), {}), ((X, 0 * X), {}), ((X * NAN, X), {}), ((X, X, 0), {}),
    ],
    "hashing.quantization_loss": [((X[0],), {}), ((X[:0],), {}), ((INTS,), {})],
    "hashing.balance_loss": [((X[0],), {}), ((X[:0],), {})],
    "hashing.hashing_loss": [
        ((X, LABELS[:1]), {}), ((X[:1], LABELS[:1]), {}),
        *(((X, LABELS), {name: -1.0}) for name in ("margin", "alpha", "beta")),
    ],
    "hashing.train": [
        ((function("hashing.HashNet")(4), rand(2, 1, 28, 28), LABELS[:1]), {}),
    ],
    "pixel_losses.train": [
        ((None, IMAGES[:, :1], None), {}),
        ((nn.Conv2d(3, 3, 1), IMAGES.byte(), None), {"noise": -1.0}),
    ],
    **{
        f"frame_attention.{name}": [
            ((FRAMES[:, :0], *more), words), ((FRAMES.long(), *more), words),
            ((FRAMES, *more), {**words, "mask": ~REAL}),
            ((FRAMES, *more), {**words, "mask": REAL[:, 1:]}),
        ]
        for name, more, words in (
            ("mean_distances", (), {}), ("distance_weights", (), {"temperature": 1.0}),
            ("attention_pool", (FRAMES[..., 0],), {}),
        )
    },
    "frame_attention.fuse": [((X, X[:1]), {}), ((X, X), {"weight": -1.0})],
    "common.embedding.likeness_loss": [
        ((POINTS, NAMES), {}), ((POINTS[:0], NAMES[:0]), {}),
        ((POINTS[:4], NAMES[:4]), {"temperature": 0.0}),
    ],
    "common.motion.frame_difference": [((IMAGES[:1],), {}), ((IMAGES[0],), {})],
    "common.motion.gait_spectrum": [
        ((randn(2, 1, 2, 6, 6),), {}), ((randn(2, 4, 2, 6, 6),), {"length": 3}),
        ((IMAGES,), {}),
    ],
    "common.motion.lucas_kanade": [
        ((MEAN.expand(3, 3), MEAN.expand(3, 3)), {}), ((IMAGES, IMAGES), {}),
        ((IMAGES[0, 0], IMAGES[0, 0, 1:]), {}), ((MEAN[None], MEAN[None]), {}),
    ],
    "common.motion.optical_flow": [
        ((IMAGES, IMAGES), {"window": 4}), ((IMAGES, IMAGES), {"levels": 5}),
        ((IMAGES + 1, IMAGES), {}), ((IMAGES, IMAGES), {"damping": 0.0}),
    ],
    "first_steps.convolve": [
        ((IMAGES[0], X), {}), ((X, X[0]), {}), ((X, MAPS[0, 0]), {}),
        ((X, X), {"stride": 0}), ((X, X), {"padding": -1}),
    ],
    "first_steps.accuracy": [
        ((X, LABELS[:, None]), {}), ((X, LABELS + 5), {}), ((X[:0], LABELS[:0]), {}),
        ((X, LABELS.float()), {}), ((X[0], LABELS), {}),
    ],
    "first_steps.split_indices": [
        ((-1, [1.0]), {}), ((3, [1.5, -0.5]), {}), ((3, [0.5]), {}),
    ],
    "channel_attention.squeeze_excite": [
        ((IMAGES, X, X[0, :2], X.T, X[1]), {}),
        ((IMAGES[..., :0], X[:, :3], X[0, :2], X[:, :3].T, X[1, :3]), {}),
        ((IMAGES, X[:, :3], X[0, :2], X[:, :3], X[1, :3]), {}),
    ],
    "channel_attention.spatial_attention": [
        ((IMAGES[:, :0], IMAGES[:1, :2, :3, :3]), {}),
        ((IMAGES, IMAGES[:1, :2, :4, :4]), {}), ((IMAGES, IMAGES[:, :2]), {}),
    ],
    "channel_attention.class_activation_map": [
        *(((IMAGES, X[:, :3], k), {}) for k in (-1, 2, 0.5, True, LABELS[:1])),
        ((IMAGES, X, 0), {}), ((IMAGES[0], X[:, :3], 0), {}),
    ],
    "masks.masked_softmax": [((INTS, INTS), {}), ((X * NAN, INTS), {})],
    **{
        f"nms.{name}": [
            ((WRONG, SCORES[:1], 0.5), {}), ((BOXES, SCORES[:2], 0.5), {}),
            ((BOXES, SCORES * NAN, 0.5), {}), ((BOXES, SCORES, 1.5), {}),
        ]
        for name in ("greedy_nms", "nms")
    },
    "nms.batched_nms": [
        ((BOXES, SCORES, LABELS, 0.5), {}), ((WRONG, SCORES[:1], LABELS[:1], 0.5), {})
    ],
    "nms.soft_nms": [
        ((BOXES, SCORES + 1), {}), ((BOXES, SCORES), {"sigma": 0}),
        ((BOXES, SCORES), {"score_threshold": 2}), ((BOXES, SCORES), {"sigma": INF}),
    ],
    "nms.multibox_detection": [
        ((randn(1, 3, 3), randn(1, 12), UNIT), {}),
        ((randn(1, 3, 1), randn(1, 3, 4), UNIT), {}),
        ((randn(1, 3, 3) * NAN, randn(1, 3, 4), UNIT), {}),
        *(
            ((randn(1, 3, 3), randn(1, 3, 4), UNIT), {name: wrong})
            for name in ("iou_threshold", "score_threshold", "max_detections")
            for wrong in (-1, 1.5, NAN, True)
        ),
    ],
    "normalization.batch_norm": [
        ((X, None, None, None, None), {"training": True}),
        ((MAPS, None, None, None, None), {"training": False}),
        ((MAPS, None, None, None, None), {"training": True, "eps": 0}),
        ((MAPS, None, None, None, None), {"training": True, "momentum": 2}),
    ],
    "normalization.batch_norm_train": [((MAPS, X, None, ZEROS, ONES), {})],
    "normalization.instance_norm": [((MAPS,), {"eps": -1}), ((MAPS, X), {})],
    "normalization.layer_norm": [((MAPS, ONES, None), {}), ((X, None, None), {})],
    "normalization.group_norm": [((MAPS, n), {}) for n in (0, 4, 2.0, True)],
    "normalization.fold_batch_norm": [
        ((randn(6, 2, 3, 3), None, ONES, ZEROS, ZEROS, -ONES), {})
    ],
    "single_shot.flatten_head": [((MAPS, 4), {}), ((X, 2), {}), ((MAPS, 0), {})],
    "single_shot.predict": [((Classifier(), 2 * IMAGES), {})],
    "single_shot.hard_negative_mask": [
        ((rand(1, 5), POSITIVE.float()), {}), ((rand(1, 4), POSITIVE), {}),
        ((rand(1, 5) * NAN, POSITIVE), {}),
        *(((rand(1, 5), POSITIVE), {"ratio": r}) for r in (0, 1.5, True)),
    ],
    "single_shot.mined_cross_entropy": [
        ((randn(1, 5, 3), POSITIVE.long()), {"ratio": 0})
    ],
    "common.dense_losses.focal_cross_entropy": [
        ((randn(1, 5, 3), POSITIVE.long()), {"gamma": g}) for g in (-1, NAN, INF, True)
    ],
    "common.dense_losses.masked_l1": [
        ((randn(1, 5, 4), randn(1, 5, 4), POSITIVE.float()), {}),
        ((randn(1, 20), randn(1, 20), POSITIVE), {}),
    ],
    "fine_tuning.find_head": [((nn.ReLU(),), {}), ((nn.Conv2d(1, 1, 1),), {})],
    "fine_tuning.replace_head": [
        *(((Classifier(), n), {}) for n in (0, 2.5, True, None)),
        ((Classifier(), 2), {"rows": {5: 0}}),
    ],
    "fine_tuning.parameter_groups": [
        ((Classifier(),), {"learning_rate": rate}) for rate in (0, INF, NAN, True, "1")
    ],
    "fine_tuning.extract_features": [
        ((Classifier(), IMAGES), {"batch_size": True}), ((nn.ReLU(), IMAGES), {})
    ],
    "fine_tuning.train": [
        ((Classifier(), IMAGES, LABELS), {name: wrong, "progress": False})
        for name in ("steps", "batch_size", "learning_rate", "save_every")
        for wrong in (0, True, NAN, INF)
    ],
    "gan.train": [
        ((nn.Linear(2, 2), nn.Linear(2, 1), None), {name: wrong})
        for name in ("steps", "batch_size", "latent_dim", "generator_rate")
        for wrong in (0, True, NAN, INF)
    ],
    "common.generating.sample": [
        ((function("dcgan.Generator")(latent_dim=4, image_size=8), X), {})
    ],
    "dcgan.train": [
        ((nn.Linear(2, 2), nn.Linear(2, 1), IMAGES), {"batch_size": 2, **wrong})
        for wrong in (
            {"epochs": 1.5}, {"learning_rate": INF}, {"beta1": 1}, {"epochs": 0}
        )
    ],
    "dilated_convolution.dilated_conv1d": [
        ((X, X[0]), {}), ((X[0], MAPS), {}), ((X[0], X[1]), {"dilation": 2}),
        ((X[0], X[1, :2], True), {}), ((X[0], X[0, :0]), {}),
    ],
    "dilated_convolution.dilate_kernel": [
        ((X[0], 2), {}), ((X, 0), {}), ((X, 1.5), {}), ((X[:0], 2), {}),
    ],
    **{
        f"dilated_convolution.{name}": [(([1, 0],), {}), (([1], 0), {}), (([1.0],), {})]
        for name in ("coverage", "is_gap_free")
    },
    "dilated_convolution.hdc_distance": [(([3],), {}), (([1, True],), {})],
    "dilated_convolution.segmenter": [
        (((0,),), {"num_classes": 2}), (((1,),), {"num_classes": 1.5}),
    ],
    "receptive_field.output_size": [(([], 0), {}), (([LAYER], 2), {})],
    "receptive_field.pixel_region": [
        (([LAYER], index, 8), {}) for index in (6, -1, (0, 6), 1.5, True)
    ],
    "receptive_field.same_padding": [
        ((0, 3), {}), ((4, 3.0), {}), ((4, 3, 0), {}), ((4, 3, 1, True), {}),
    ],
    "receptive_field.layers_of": [((nn.Sequential(nn.Linear(2, 2)),), {})],
    "receptive_field.effective_receptive_field": [
        ((nn.Conv2d(3, 2, 3), (3, 8, 8)), {"index": (6, 0)}),
        ((nn.Conv2d(3, 2, 3), (3, 8, 8)), {"images": IMAGES[:, :1]}),
        ((nn.Conv2d(3, 2, 3), (3, 8, 8)), {"repeats": 0}),
        ((nn.Flatten(), (3, 8, 8)), {}),
    ],
    "receptive_field.effective_size": [
        ((MAPS[0, 0],), {}), ((0 * MAPS[0, 0],), {}), ((X[0],), {}),
        ((NAN * MAPS[0, 0],), {}),
    ],
    "receptive_field.choose_kernels": [
        ((4, 99), {}), ((1, 99), {}), ((5, 17), {}), ((5.0, 99), {}),
    ],
    "single_shot.train": [
        ((function("single_shot.SingleShot")(2, image_size=24), rand(2, 3, 24, 24),
          TRUTHS.repeat(2, 1, 1)), {name: wrong, "progress": False})
        for name in ("steps", "batch_size", "learning_rate", "weight_decay")
        for wrong in (-1, True, NAN, INF)
    ],
    **{
        f"classification_losses.{name}": [((INTS,), {})]
        for name in (
            *("zero_one_loss", "hinge_loss", "squared_hinge_loss"),
            *("logistic_loss", "exponential_loss", "exponential_weights"),
        )
    },
    "classification_losses.cross_entropy": [
        ((INTS, LABELS), {}), ((X[:0], LABELS[:0]), {}), ((X, LABELS + 5), {}),
        ((X, LABELS.float()), {}), ((X, LABELS), {"label_smoothing": 1.1}),
    ],
    "classification_losses.focal_loss": [
        ((INTS, INTS), {}), ((X, X), {}), ((X, LABELS), {}),
        ((X, INTS), {"gamma": -1}), ((X, INTS), {"alpha": 1.1}),
    ],
    "classification_losses.fit_linear": [
        ((X, LABELS[:1], abs), {}), ((X[:0], LABELS[:0], abs), {}),
        ((INTS, LABELS, abs), {}), ((X, LABELS, abs), {"decay": -1}),
        ((X, LABELS, abs), {"steps": 0.5}),
    ],
    "classification_losses.best_stump": [
        ((X, LABELS, SCORES[:2]), {}), ((X[:, :1] * 0, 2 * LABELS - 1, SCORES[:2]), {}),
    ],
    "classification_losses.adaboost": [
        ((X, LABELS, 2), {}), ((X, 2 * LABELS - 1, 0), {}), ((X[0], SIGNS, 2), {}),
    ],
    "infogan.sample_latents": [
        ((2,), {name: wrong})
        for name in ("noise", "categories", "continuous")
        for wrong in (-1, 1.5, True, NAN)
    ],
    "common.codes.join_latents": [
        ((X, LABELS, X[:1], 3), {}),
        ((X, LABELS + 2, X, 3), {}),
        ((X, X[:, 0], X, 3), {}),
        ((INTS, LABELS, X, 3), {}),
        ((X, LABELS, X, 1), {}),
    ],
    "infogan.mutual_information_loss": [
        ((X[:0], LABELS[:0], X[:0], X[:0]), {}),
        ((X, LABELS + 5, X, X), {}),
        ((X, LABELS, X[:1], X), {}),
        ((X, LABELS, X, X[:, :1]), {}),
        ((X, LABELS, X, NAN * X), {}),
        *(((X, LABELS, X, X), {"deviation": wrong}) for wrong in (0, -1.0, NAN, INF)),
    ],
    "infogan.train": [
        ((function("infogan.Generator")(), CODE_READER, rand(2, 1, 28, 28)),
         {name: wrong, "progress": False})
        for name, wrongs in {
            "steps": (0, 1.5), "batch_size": (0, True), "learning_rate": (0, NAN, INF),
            "weight": (-1, NAN, INF), "continuous_weight": (-1, NAN, INF),
        }.items()
        for wrong in wrongs
    ] + [((function("infogan.Generator")(), CODE_READER, IMAGES), {})],
    "common.codes.read_codes": [
        ((CODE_READER, IMAGES), {}),
        ((CODE_READER, torch.zeros(0, 1, 28, 28)), {}),
        ((CODE_READER, torch.full((1, 1, 28, 28), NAN)), {}),
    ],
    "common.codes.information_bound": [
        ((2 * TABLE, TABLE / TABLE.sum(0)), {}),
        ((TABLE, TABLE), {}),
        ((TABLE, TABLE[:1]), {}),
        ((NAN * TABLE, TABLE / TABLE.sum(0)), {}),
        ((TABLE[0], TABLE[0]), {}),
    ],
    **{
        f"common.codes.{name}": [
            ((BUCKETS[:0], BUCKETS[:0]), {}),
            ((BUCKETS, BUCKETS), {"number": 3}),
            ((BUCKETS - 1, BUCKETS), {"number": 4}),
            ((BUCKETS[:1], BUCKETS), {"number": 4}),
            ((ONES, BUCKETS), {"number": 4}),
            ((BUCKETS, BUCKETS), {"number": 0}),
        ]
        for name in ("match_codes", "code_accuracy")
    },
    "common.codes.slant_and_width": [
        ((IMAGES,), {}),
        ((2 + IMAGES[:, :1],), {}),
        ((NAN * IMAGES[:, :1],), {}),
        ((0 * IMAGES[:, :1],), {}),
    ],
    "scaling_out.ring_steps": [(([],), {}), (([X[0], X[1, :2]],), {}), (([X],), {})],
    "scaling_out.ring_all_reduce": [((X.T,), {})],
    "scaling_out.synced_moments": [((MAPS.long(),), {})],
    "scaling_out.shard_indices": [
        ((-1, 0, 1), {}), ((3, 3, 3), {}), ((3, 0, 0), {}), ((3, 0, True), {}),
        ((3, 0, 1), {"seed": -1}), ((3, 0, 1), {"epoch": 1.5}),
    ],
    "scaling_out.train_digits": [
        *((("nowhere",), {name: 0}) for name in ("steps", "save_every", "batch_size")),
    ],
    "common.step_costs.memory_per_gpu": [
        ((-1, 2), {}), ((NAN, 2), {}), ((1, 0), {}), ((1, 2), {"stage": 4}),
    ],
    "common.step_costs.ring_seconds": [
        ((-1, 2), {"latency": 0, "bandwidth": 1}),
        ((1, 0), {"latency": 0, "bandwidth": 1}),
        ((1, 2), {"latency": -1, "bandwidth": 1}),
        ((1, 2), {"latency": 0, "bandwidth": 0}),
    ],
    "common.step_costs.step_seconds": [
        ((-1, 1, 2), {"latency": 0, "bandwidth": 1}),
        ((1, 1, 2), {"latency": 0, "bandwidth": 1, "overlap": 2}),
    ],
    "common.step_costs.fit_ring": [
        (([1, 1], [1, 1], 2), {}), (([1, 2], [1], 2), {}), (([1, 2], [1, 2], 1), {}),
        (([1, 2], [0, 1], 2), {}), (([1, 2], [2, 1], 2), {}),
    ],
    **{
        f"captioning.{name}": [
            ((X, KEYS, KEYS, LOOK & False), {}), ((X, KEYS, KEYS[:, :3]), {}),
            ((X, KEYS[:, :0], KEYS[:, :0]), {}), ((X, KEYS, KEYS, LOOK[:1]), {}),
        ]
        for name in ("additive_attention", "dot_product_attention")
    },
    "captioning.caption_loss": [
        ((KEYS, KEYS, TOLD), {"doubly": -1}), ((KEYS[:, :3], KEYS, TOLD), {}),
    ],
    "captioning.doubly_stochastic": [((KEYS, LOOK[:, :3]), {})],
    "captioning.greedy": [((nn.Identity(), KEYS), {"max_length": 0})],
    "captioning.beam_search": [
        ((nn.Identity(), 0, 1, 0, 3), {}), ((nn.Identity(), 0, 1, 2, 1.5), {}),
        ((nn.Identity(), 0, 1, 2, 3), {"power": -1}),
    ],
    "common.sentences.encode_captions": [(([], "abc"), {}), ((["a", ""], "abc"), {})],
    "common.sentences.hide_words": [((TOLD, 1.5), {}), ((TOLD, -0.1), {})],
    "common.sentences.clipped_counts": [
        ((["a"], [], 1), {}), ((["a"], [["a"]], 0), {}), (("a", [["a"]], 1), {}),
    ],
    "common.sentences.bleu": [
        (([], []), {}), (([["a"]], []), {}), (([["a"]], [[]]), {}),
        (([["a"]], [[["a"]]]), {"max_n": 0}), ((["a"], [[["a"]]]), {}),
    ],
    "semantic_to_vehicle.spatially_adaptive_norm": [
        ((IMAGES, IMAGES[:, :1], IMAGES), {}), ((IMAGES, IMAGES, IMAGES[:1]), {}),
        ((IMAGES[0], IMAGES[0], IMAGES[0]), {}),
        ((*(IMAGES[..., :1, :1],) * 3,), {}), ((IMAGES.long(), IMAGES, IMAGES), {}),
    ],
    "semantic_to_vehicle.gate_channels": [
        ((IMAGES, X), {}), ((IMAGES, X[:1, :3]), {}), ((IMAGES[0], X[:, :3]), {}),
    ],
    "semantic_to_vehicle.attend_words": [
        ((KEYS, KEYS[..., :3], KEYS, LOOK), {}), ((KEYS, KEYS, KEYS[:, :1], LOOK), {}),
        ((KEYS, KEYS, KEYS, LOOK[:1]), {}), ((KEYS, KEYS, KEYS, LOOK & ~LOOK), {}),
    ],
    "semantic_to_vehicle.map_iou": [
        ((SEGMENTED, SEGMENTED.T, 3), {}), ((SEGMENTED, SEGMENTED, 2), {}),
        ((SEGMENTED - 1, SEGMENTED, 3), {}), ((ONES, ONES, 3), {}),
    ],
    "semantic_to_vehicle.encode_texts": [(([],), {}), (("a van",), {})],
    "common.painting.one_hot_maps": [
        ((SEGMENTED, 3), {}), ((SEGMENTED[None], 2), {}), ((IMAGES, 4), {}),
        ((SEGMENTED[None] - 1, 3), {}),
    ],
    "common.painting.feature_matching": [(([], []), {}), (([X], []), {})],
    "common.painting.train": [
        ((*PAINTERS, *PAINTED), {"steps": 1, "progress": False, name: wrong})
        for names, wrong in (
            (("features", "pixels", "variety", "penalty", "hidden", "silent"), -1),
            (("steps", "batch_size", "learning_rate"), 0),
        )
        for name in names
    ] + [
        ((*PAINTERS, *data), {"steps": 1, "progress": False})
        for data in (
            (PAINTED[0], PAINTED[1][:1], PAINTED[2]),
            (*PAINTED[:2], PAINTED[2][:1]),
            (PAINTED[0], PAINTED[1] + 3, PAINTED[2]),
            (NAN * PAINTED[0], *PAINTED[1:]),
        )
    ],
    "common.painting.paint": [
        ((PAINTERS[0], *(each[:0] for each in PAINTED[1:])), {}),
        ((PAINTERS[0], *PAINTED[1:]), {"batch_size": 0}),
        ((PAINTERS[0], PAINTED[1] + 3, PAINTED[2]), {}),
        ((PAINTERS[0], PAINTED[1][:, :8, :8], PAINTED[2]), {}),
    ],
}  # fmt: skip
# Not a ValueError.
OTHER_ERRORS = {
    "common.training.require_finite": "FloatingPointError: its own tests",
    "dcgan.creature_generator": "of its files, as are those of the backbones' tests",
    "upsampling.super_resolver": "of its files, as are those of the backbones' tests",
    "common.segmenting.scene_segmenter": "of its files, likewise",
    "infogan.digit_writer": "of its files, likewise",
    "infogan.train_step": "those of the loss and of the networks it calls",
    "common.embedding.frame_encoder": "of its files, likewise",
    "data_loading.decode": "OSError: its own tests",
    "data_loading.reseed": "in a worker only: the tests of `worker_seed`",
    "captioning.scene_captioner": "of its files, likewise",
    "semantic_to_vehicle.vehicle_painter": "of its files, likewise",
}


def test_each_documented_error_has_a_bad_call():
    documented = {
        name
        for name in public_functions()
        if "Raises:" in (inspect.getdoc(function(name)) or "")
    }
    assert documented - OTHER_ERRORS.keys() == BAD.keys()


@pytest.mark.parametrize(
    ("name", "arguments", "keywords"),
    [
        pytest.param(name, *call, id=f"{name}-{number}")
        for name, calls in BAD.items()
        for number, call in enumerate(calls)
    ],
)
def test_each_documented_error_is_raised(name, arguments, keywords):
    """A ValueError that says a rule and what was got."""
    with pytest.raises(ValueError, match=r"must (?s:.*)|needs|keeps nothing"):
        function(name)(*arguments, **keywords)
