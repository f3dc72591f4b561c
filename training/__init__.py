# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The scripts that people run from a checkout and, in folders, what the scripts share."""
