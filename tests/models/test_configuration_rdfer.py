# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import json

import pytest
from transformers import AutoConfig, ResNetConfig, TimmBackboneConfig

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification, RDFERFrameNetConfig

PRESETS = ["tiny", "small", "base", "paper"]


@pytest.mark.parametrize("preset", PRESETS)
def test_json_round_trip(preset):
    config = RDFERConfig.from_preset(preset, id2label={0: "happy", 1: "sad", 2: "neutral"})
    again = RDFERConfig(**json.loads(config.to_json_string()))
    assert again.to_dict() == config.to_dict()
    assert again.id2label == {0: "happy", 1: "sad", 2: "neutral"}
    assert again.label2id == {"happy": 0, "sad": 1, "neutral": 2}


@pytest.mark.parametrize("preset", PRESETS)
def test_save_and_load_by_auto_class(preset, tmp_path):
    config = RDFERConfig.from_preset(preset, num_labels=11)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded) is RDFERConfig
    assert type(loaded.backbone_config) is type(config.backbone_config)
    assert loaded.num_labels == 11
    assert loaded.num_clips == config.num_clips


def test_default_is_the_base_preset():
    assert RDFERConfig().to_dict() == RDFERConfig.from_preset("base").to_dict()


def test_paper_preset_is_what_the_authors_publish():
    config = RDFERConfig.from_preset("paper")
    assert (config.num_frames, config.num_detector_frames, config.num_clips, config.frames_per_clip) == (64, 16, 4, 4)
    assert (config.image_size, config.hidden_size, config.num_attention_heads) == (112, 512, 8)
    for backbone in (config.backbone_config, config.detector_backbone_config):
        assert isinstance(backbone, ResNetConfig)
        assert (backbone.layer_type, backbone.depths) == ("bottleneck", (3, 4, 6, 3)) or backbone.depths == [
            3,
            4,
            6,
            3,
        ]
    assert config.temporal_shift


@pytest.mark.parametrize(
    "preset, low, high", [("tiny", 0.05e6, 1e6), ("small", 2.5e6, 2.8e6), ("base", 11e6, 14e6), ("paper", 47e6, 70e6)]
)
def test_preset_sizes(preset, low, high):
    model = RDFERForVideoClassification(RDFERConfig.from_preset(preset, num_labels=7))
    assert low < model.num_parameters() < high


@pytest.mark.parametrize(
    "backbone_config, expected",
    [
        ({"model_type": "rdfer_frame_net", "hidden_sizes": [8, 16], "depths": [1, 1]}, RDFERFrameNetConfig),
        ({"model_type": "timm_backbone", "backbone": "resnet10t", "out_indices": [4]}, TimmBackboneConfig),
        (RDFERFrameNetConfig(), RDFERFrameNetConfig),
    ],
)
def test_backbone_kinds(backbone_config, expected):
    for name in ("backbone_config", "detector_backbone_config"):
        assert type(getattr(RDFERConfig(**{name: backbone_config}), name)) is expected


@pytest.mark.parametrize(
    "wrong, named",
    [
        ({"num_clips": 0}, "num_clips"),
        ({"frames_per_clip": 0}, "frames_per_clip"),
        ({"saliency_floor": 0.0}, "saliency_floor"),
        ({"calibration_temperature": 0.0}, "calibration_temperature"),
        ({"resampling": "random"}, "resampling"),
        ({"hidden_size": 100, "num_attention_heads": 8}, "num_attention_heads"),
        ({"image_mean": [0.5]}, "image_mean"),
        ({"num_frames": "many"}, "num_frames"),
        ({"id2label": {0: "happy", 1: "happy"}}, "id2label"),
        ({"problem_type": "multilabel"}, "problem_type"),
        ({"id2label": {1: "happy", 2: "sad"}}, "id2label"),
    ],
)
def test_wrong_values_are_named(wrong, named):
    with pytest.raises(Exception, match=named):
        RDFERConfig(**wrong)


def test_unknown_preset_lists_the_known():
    with pytest.raises(ValueError, match="'huge'.*'tiny'.*'small'.*'base'.*'paper'"):
        RDFERConfig.from_preset("huge")


def test_label2id_follows_id2label(tmp_path):
    config = RDFERConfig(label2id={"sad": 1, "happy": 0})
    assert config.id2label == {0: "happy", 1: "sad"} == RDFERConfig(id2label=["happy", "sad"]).id2label
    config.save_pretrained(tmp_path)
    # `from_pretrained` sets its arguments after the values of the file.
    loaded = RDFERConfig.from_pretrained(tmp_path, id2label={0: "angry", 1: "happy", 2: "sad"})
    assert loaded.label2id == {"angry": 0, "happy": 1, "sad": 2}
    loaded.num_labels = 4
    assert set(loaded.label2id.values()) == {0, 1, 2, 3}


def test_numbers_of_layers_that_only_a_damaged_file_has_are_refused():
    with pytest.raises(Exception, match="`depths` must hold numbers up to 1000"):
        RDFERFrameNetConfig(depths=[1, 10**9, 2, 1])
    for name in ("num_recurrent_layers", "num_long_term_layers"):
        with pytest.raises(Exception, match=f"`{name}` must be at most 1000, got 1001"):
            RDFERConfig(**{name: 1001})
