# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Video encoders as backbones."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers import VideoMAEConfig, VideoMAEModel

from modeling_rdfer import RDFERConfig, RDFERForVideoClassification
from modeling_rdfer.models.clip_encoder_rdfer import RDFERClipEncoder
from modeling_rdfer.models.configuration_rdfer import RDFERRegionEncoderConfig
from modeling_rdfer.models.region_encoder_rdfer import RDFERRegionEncoder
from tests.helpers.tiny_models import CLIPS, REGIONS, VIDEO_ENCODERS, VIDEOMAE, assert_same, tiny_config, tiny_model
from tests.helpers.tiny_models import videos as random_videos
from tests.helpers.training_job import Videos, make_trainer

REFUSED = StrictDataclassClassValidationError


@pytest.mark.parametrize("name", VIDEO_ENCODERS)
def test_a_model_on_a_video_encoder_trains_saves_and_reloads(tmp_path, name):
    model = tiny_model(backbone_config=VIDEO_ENCODERS[name], **CLIPS)
    frames = random_videos(size=32, num_frames=9)
    output = model(frames)
    assert output.key_frame_indices.shape == (2, 2, 4) and output.agreement.shape == (2,)
    before = next(iter(model.rdfer.backbone.encoder.parameters())).detach().clone()
    trainer = make_trainer(tmp_path, Videos(6), model=model, layer_decay=0.9, gradient_checkpointing=True)
    trainer.train()
    trainer.save_model()
    loaded = RDFERForVideoClassification.from_pretrained(tmp_path).eval()
    assert_same(loaded(frames).logits, trainer.model.eval()(frames).logits)
    assert not torch.equal(next(iter(loaded.rdfer.backbone.encoder.parameters())), before)


@torch.no_grad()
def test_features_are_those_of_the_encoder_in_the_place_of_each_frame():
    torch.manual_seed(0)
    encoder = VideoMAEModel(VideoMAEConfig(**{k: v for k, v in VIDEOMAE.items() if k != "model_type"})).eval()
    backbone = RDFERClipEncoder(encoder.config, encoder).eval()
    clips = torch.randn(2, 4, 3, 32, 32)
    (found,) = backbone(clips.flatten(0, 1)).feature_maps
    tokens = encoder(clips).last_hidden_state  # 2 tubelets of 4 x 4 patches
    assert found.shape == (8, 16, 4, 4)
    for clip, frame, row, column in ((0, 0, 0, 0), (0, 1, 3, 2), (1, 3, 1, 0)):
        assert_same(found[4 * clip + frame, :, row, column], tokens[clip, frame // 2 * 16 + 4 * row + column])


def test_a_pretrained_encoder_is_taken_over(tmp_path):
    encoder = VideoMAEModel(VideoMAEConfig(**{k: v for k, v in VIDEOMAE.items() if k != "model_type"}))
    encoder.save_pretrained(tmp_path)
    model = RDFERForVideoClassification.from_backbone_pretrained(str(tmp_path), config=tiny_config(**CLIPS))
    taken = model.rdfer.backbone.encoder.state_dict()
    for name, value in encoder.state_dict().items():
        assert torch.equal(taken[name], value)


def test_clips_of_another_length_or_size_are_refused():
    for changed in ({"frames_per_clip": 2}, {"image_size": 64}):
        with pytest.raises(
            StrictDataclassClassValidationError, match="reads clips of 4 frames of 32 pixels: set `frames"
        ):
            RDFERConfig.from_preset("tiny", backbone_config=VIDEOMAE, **{**CLIPS, **changed})
    with pytest.raises(REFUSED, match="must be that of a network for single frames"):
        RDFERConfig.from_preset("tiny", detector_backbone_config=VIDEOMAE, **CLIPS)
    with pytest.raises(ValueError, match="reads clips of 4 frames, got 3 frames"):
        tiny_model(backbone_config=VIDEOMAE, **CLIPS).classify_frames(torch.zeros(3, 3, 32, 32))
    with pytest.raises(
        StrictDataclassClassValidationError, match=r"`region_size` must divide .*\[2.0, 4.0, 4.0\].*got \[1, 3, 4\]"
    ):
        RDFERRegionEncoderConfig(**{**REGIONS, "region_size": [1, 3, 4]})


@torch.no_grad()
def test_regions_hear_of_each_other_only_through_their_representatives():
    config = RDFERRegionEncoderConfig(**REGIONS)  # 2 tubelets x 2 halves
    torch.manual_seed(0)
    encoder = RDFERRegionEncoder(config).eval()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    clip = torch.randn(1, 4, 3, 32, 32)
    other = clip.clone()
    other[:, :2, :, :16] += 1  # the first region: two frames, upper half

    def changed():
        difference = encoder(clip).last_hidden_state - encoder(other).last_hidden_state
        return (difference.abs().amax(-1) > 1e-4).view(2, 4, 4)

    assert changed().all()
    for layer in encoder.layers:
        for attention in (layer.representative_attention, layer.exchange_attention):
            torch.nn.init.zeros_(attention.output.weight)
    expected = torch.zeros(2, 4, 4, dtype=torch.bool)
    expected[0, :2] = True
    assert torch.equal(changed(), expected)
