# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The demo: a page in the browser that analyses videos."""
