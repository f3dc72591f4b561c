# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The demo of modeling_rdfer as a Space. The package lies in a folder beside this file, see README.md."""

import os

from modeling_rdfer.demo.page import launch_demo

if __name__ == "__main__":
    # A variable of the Space: names on the Hub, separated by spaces, that visitors can choose from.
    launch_demo(os.environ.get("RDFER_MODELS", "").split())
