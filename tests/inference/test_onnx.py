# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from modeling_rdfer.inference.onnx_cache import load_onnx_model


def test_threads_are_those_of_torch(rdfer, cached_file):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert load_onnx_model(rdfer)._session.get_session_options().intra_op_num_threads == 2
    finally:
        torch.set_num_threads(threads)


def test_inputs_that_do_not_fit_are_explained(rdfer, cached_file):
    run = load_onnx_model(rdfer)
    frames = torch.zeros(1, 4, 3, 48, 48, dtype=torch.uint8)
    with pytest.raises(ValueError, match="48 x 48 pixels, got"):
        run(frames[..., :40])
    with pytest.raises(ValueError, match="uint8"):
        run(frames.float())
    with pytest.raises(ValueError, match="real frame in every row"):
        run(frames, torch.zeros(1, 4, dtype=torch.bool))


def test_the_face_confidence_counts_as_in_the_model_itself(rdfer, cached_file, aen):
    generator = torch.Generator().manual_seed(0)
    confidence = torch.tensor([1.0, 0.5])
    for model in (rdfer, aen):
        run, size = load_onnx_model(model), model.config.image_size
        frames = torch.randint(0, 256, (2, 8, 3, size, size), dtype=torch.uint8, generator=generator)
        with torch.no_grad():
            expected = model(frames, face_confidence=confidence)
        answer = run(frames, face_confidence=confidence)
        assert not torch.allclose(answer.logits, run(frames).logits)
        for name in answer:
            if name in ("logits", "clip_logits", "sentiment_logits"):
                torch.testing.assert_close(answer[name], expected[name], rtol=1e-3, atol=1e-3)
