# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The Hub: cards of models and datasets, and pushing."""
