# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import json

import pytest
from transformers import AutoConfig

from modeling_rdfer import AENConfig, AENForVideoClassification
from modeling_rdfer.models.labels_rdfer import canonical_label, group_labels
from training.datasets import crema_d, mafw, ravdess

PRESETS = ["tiny", "small", "base"]


@pytest.mark.parametrize("preset", PRESETS)
def test_save_and_load_by_auto_class(preset, tmp_path):
    groups = {"Happy": "good", "bored": "negative"}
    config = AENConfig.from_preset(preset, id2label=["joy", "sad", "bored"], emotion_groups=groups)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded) is AENConfig and type(loaded.backbone_config) is type(config.backbone_config)
    assert AENConfig(**json.loads(config.to_json_string())).to_dict() == config.to_dict()
    assert loaded.id2label == {0: "joy", 1: "sad", 2: "bored"}
    assert loaded.group_names == ["good", "negative"] and loaded.group_of_label == [0, 1, 1]
    assert loaded.backbone_config.out_features == config.backbone_config.out_features


def test_default_is_the_base_preset_and_the_seven_basic_emotions():
    assert AENConfig().to_dict() == AENConfig.from_preset("base").to_dict()
    assert AENConfig().num_labels == 7 and len(AENConfig().group_names) == 4


@pytest.mark.parametrize("preset, low, high", [("tiny", 0.05e6, 1e6), ("small", 1.3e6, 1.5e6), ("base", 11e6, 14e6)])
def test_preset_sizes(preset, low, high):
    assert low < AENForVideoClassification(AENConfig.from_preset(preset)).num_parameters() < high


def test_unknown_preset_lists_the_known():
    with pytest.raises(ValueError, match="'paper'.*'tiny'.*'small'.*'base'"):
        AENConfig.from_preset("paper")


# Groups --------------------------------------------------------------------------------------------------------------


SPELLINGS = ["Happiness", "SAD", "Neu", "anger", "surprised", "disgusted", "afraid"]


@pytest.mark.parametrize("labels", [mafw.LABELS, ravdess.LABELS, crema_d.LABELS, SPELLINGS])
def test_labels_of_the_datasets_have_groups(labels):
    config = AENConfig(id2label=list(labels))
    members = {name: [] for name in config.group_names}
    for label, number in zip(labels, config.group_of_label):
        members[config.group_names[number]].append(canonical_label(label))
    assert members.pop("positive") == ["happiness"]
    assert set(members.pop("neutral")) in ({"neutral"}, {"neutral", "calm"})
    assert members.pop("surprise", ["surprise"]) == ["surprise"]
    assert len(members.pop("negative")) >= 4 and members == {}


def test_a_label_without_a_group_is_named():
    with pytest.raises(Exception, match=r"\['bored'\] have no emotion group.*emotion_groups"):
        AENConfig(id2label=["happy", "bored"])


def test_a_given_group_is_found_across_case_and_synonyms():
    assert group_labels(["Angry", "sad"], {"ANGER": "hot"}) == {"Angry": "hot", "sad": "negative"}
    with pytest.raises(ValueError, match="two groups, 'hot' and 'cold', for 'anger'"):
        group_labels(["angry"], {"anger": "hot", "Angry": "cold"})


def test_a_compound_label_has_the_group_of_its_parts():
    assert group_labels(["anger_sadness"]) == {"anger_sadness": "negative"}
    with pytest.raises(ValueError, match="happiness_surprise"):
        group_labels(["happiness_surprise"])
    assert group_labels(["happiness_surprise"], {"surprise_happy": "positive"}) == {"happiness_surprise": "positive"}


@pytest.mark.parametrize(
    "wrong, named",
    [
        ({"num_clips": 0}, "num_clips"),
        ({"hidden_size": 63}, "hidden_size"),
        ({"image_mean": [0.5]}, "image_mean"),
        ({"frame_guidance_weight": -1.0}, "frame_guidance_weight"),
        ({"problem_type": "regression"}, "problem_type"),
        ({"id2label": {0: "happy", 1: "happy"}}, "id2label"),
        ({"id2label": ["happy"]}, "two labels"),
        ({"emotion_groups": {"happy": 1}}, "emotion_groups"),
    ],
)
def test_wrong_values_are_named(wrong, named):
    with pytest.raises(Exception, match=named):
        AENConfig(**wrong)
