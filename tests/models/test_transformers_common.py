# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""transformers' own common tests of models, configurations and video processors, with our classes."""

import copy
import functools
import json
import unittest
from unittest import mock

import pytest
import torch
from torch import nn

from modeling_rdfer import (
    AENConfig,
    AENForVideoClassification,
    AENModel,
    RDFERConfig,
    RDFERForVideoClassification,
    RDFERModel,
    RDFERVideoProcessor,
)
from tests.helpers.tiny_models import FRAME_NET, videos
from tests.helpers.transformers_tests import load

common = load("test_modeling_common")
processing = load("test_video_processing_common")
ConfigTester = load("test_configuration_common").ConfigTester

# Tests of what these models do not have, in addition to those that skip themselves.
NOT_APPLICABLE = {
    "test_hidden_states_output": "expects a hidden state for each layer of one stack; these models have several "
    "networks, see the tests of output_hidden_states",
    "test_retain_grad_hidden_states_attentions": "expects a gradient from the scores to all hidden states; those of "
    "the detecting network only choose frames",
    "test_call_sample_frames": "expects an error for a video with fewer frames than num_frames; here it is filled up "
    "and marked in frame_mask. The rest is in the tests of sample_frames",
    "test_video_processor_from_dict_with_kwargs": "expects that size=42 is the shortest edge; here it is a square, as "
    "for all processors whose default is one",
}
# One setting of each kind stays.
SLOW = [
    name
    for name in dir(common.ModelTesterMixin)
    if name.startswith("test_eager_matches_sdpa_inference_") and not name.endswith("fp32_pad_left")
]


def adapted(test_class):
    """Skips and marks the tests that are listed above."""
    for name in NOT_APPLICABLE.keys() & set(dir(test_class)):
        setattr(test_class, name, unittest.skip(NOT_APPLICABLE[name])(getattr(test_class, name)))
    for name in set(SLOW) & set(dir(test_class)):
        test = getattr(test_class, name)
        # A new function, as the mark would count for all classes that have it.
        setattr(test_class, name, pytest.mark.slow(functools.wraps(test)(lambda self, test=test: test(self))))
    return test_class


class ModelTester:
    """What the common tests ask for: a configuration and inputs."""

    batch_size, is_training = 2, True

    def __init__(self, config_class, options):
        self.config_class, self.options = config_class, options

    def prepare_config_and_inputs_for_common(self):
        config = self.config_class.from_preset("tiny", num_labels=3, image_size=32, num_frames=8, **self.options)
        frames = videos(self.batch_size, num_frames=8, size=32).float() / 255
        return config, {"pixel_values_videos": frames, "frame_mask": torch.ones(2, 8, dtype=torch.bool)}


class CommonModelTests(common.ModelTesterMixin):
    has_attentions = False  # attention weights are not returned
    test_resize_embeddings = False
    config_options: dict = {}

    def setUp(self):
        self.model_tester = ModelTester(self.config_class, self.config_options)
        self.config_tester = ConfigTester(
            self, config_class=self.config_class, has_text_modality=False, **self.config_options
        )

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = copy.deepcopy(inputs_dict)
        if return_labels and model_class.__name__.endswith("ForVideoClassification"):
            inputs["labels"] = torch.zeros(self.model_tester.batch_size, dtype=torch.long)
        return inputs

    def test_config(self):
        self.config_tester.run_common_tests()

    def test_model_get_set_embeddings(self):
        """As the tests of other models of images have it: the embedding is a convolution."""
        config, _ = self.model_tester.prepare_config_and_inputs_for_common()
        for model_class in self.all_model_classes:
            self.assertIsInstance(model_class(config).get_input_embeddings(), nn.Module)

    def test_can_load_ignoring_mismatched_shapes(self):
        # It sets all fields with "_std" in their names to a small number, for weights; `image_std` is none.
        with mock.patch.object(common, "_config_zero_init", copy.deepcopy):
            super().test_can_load_ignoring_mismatched_shapes()

    # The model without heads has no loss; the common tests know such models of transformers by a list.

    def test_training(self):
        with self.only_with_loss():
            super().test_training()

    def check_training_gradient_checkpointing(self, *arguments, **options):
        with self.only_with_loss():
            super().check_training_gradient_checkpointing(*arguments, **options)

    def only_with_loss(self):
        return mock.patch.object(self, "all_model_classes", self.all_model_classes[1:])


DIFFERENT = RDFERConfig(detector_backbone_config=FRAME_NET)


@adapted
class RDFERCommonTest(CommonModelTests, unittest.TestCase):
    def setUp(self):
        super().setUp()
        # The long-term stream does attend: both implementations are compared.
        self.has_attentions = self._testMethodName.startswith("test_eager_matches_sdpa")

    config_class = RDFERConfig
    all_model_classes = (RDFERModel, RDFERForVideoClassification)
    # Loading one of two nested configurations by its type from the file of the whole needs different types.
    config_options = {"detector_backbone_config": json.loads(DIFFERENT.to_json_string())["detector_backbone_config"]}


@adapted
class AENCommonTest(CommonModelTests, unittest.TestCase):
    config_class = AENConfig
    all_model_classes = (AENModel, AENForVideoClassification)
    # The labels are named by their number, up to the most that a test asks for.
    config_options = {"emotion_groups": {f"LABEL_{number}": ("a", "b")[number % 2] for number in range(50)}}


class ProcessorTester:
    """What the common tests of processors ask for: videos, and the shape of their result."""

    batch_size, num_frames, num_channels = 5, 8, 3

    def prepare_video_inputs(self, equal_resolution=False, return_tensors="pil"):
        sizes = {"min_resolution": 30, "max_resolution": 80}
        return processing.prepare_video_inputs(
            self.batch_size, self.num_frames, self.num_channels, **sizes,
            equal_resolution=equal_resolution, return_tensors=return_tensors,
        )  # fmt: skip

    def expected_output_video_shape(self, videos):
        return self.num_frames, self.num_channels, 18, 18


@adapted
class RDFERVideoProcessorCommonTest(processing.VideoProcessingTestMixin, unittest.TestCase):
    fast_video_processing_class = RDFERVideoProcessor
    test_cast_dtype = True
    video_processor_dict = {
        "do_resize": True,
        "size": {"shortest_edge": 20},
        "do_center_crop": True,
        "crop_size": {"height": 18, "width": 18},
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "do_sample_frames": False,
    }

    def setUp(self):
        super().setUp()
        self.video_processor_tester = ProcessorTester()
