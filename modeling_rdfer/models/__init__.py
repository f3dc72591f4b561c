# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The code that every saved checkpoint carries as remote code.

transformers copies it into one flat folder, so the modules import each other with one dot, and nothing else of this
package.
"""
