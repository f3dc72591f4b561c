# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Run from a checkout: the scripts that people run, and in folders what they share."""
