# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What the benchmarks share: timing, results, tables, synthetic videos, tiny models, grids of runs."""
