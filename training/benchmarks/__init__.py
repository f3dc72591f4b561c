# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""What the package is measured with. Each module is a script; results/ holds what it found."""
