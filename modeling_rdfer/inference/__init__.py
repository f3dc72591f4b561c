# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Inference: `predict`, `timeline`, loading of models, and export to ONNX and torch.export."""
