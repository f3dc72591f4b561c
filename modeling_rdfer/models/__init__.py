# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The remote-code bundle: what a saved checkpoint carries, and nothing else. Flat, one-dot imports."""
