# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What pushed repositories hold."""

from tests.helpers.bundle import code_files

MODEL_CODE = code_files("modeling_rdfer.py")
PROCESSOR_CODE = code_files("video_processing_rdfer.py")
BUNDLE = MODEL_CODE | PROCESSOR_CODE
MODEL_FILES = {"config.json", "model.safetensors", "README.md", *MODEL_CODE}
PROCESSOR_FILES = PROCESSOR_CODE | {"video_preprocessor_config.json", "face_detector.safetensors"}
COMPLETE = MODEL_FILES | PROCESSOR_FILES
PRIVATE = ("training_args.bin", "optimizer", "scheduler", "rng_state", "trainer_state", "sample_", "parquet")


def pushed(hub, repo_id: str, branch: str = "main") -> dict[str, bytes]:
    files = dict(hub.repos[repo_id].at(branch).files)
    assert files.pop(".gitattributes")
    return files
