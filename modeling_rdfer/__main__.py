# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Runs the `rdfer` command: `python -m modeling_rdfer`."""

import sys

from .cli import main

sys.exit(main())
