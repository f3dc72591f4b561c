# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The Space: the demo of modeling_rdfer, whose folder lies beside this file (see README.md)."""

import os

from modeling_rdfer.demo.page import launch_demo

if __name__ == "__main__":
    # Variable of the Space: names on the Hub, separated by spaces, that visitors can choose beside rdfer-small.
    launch_demo(os.environ.get("RDFER_MODELS", "").split())
