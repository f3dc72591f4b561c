# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Labelled videos: where they are, how they are read, and the examples that a model takes."""
