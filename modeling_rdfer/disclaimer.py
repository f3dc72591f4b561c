# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The sentence on misuse that the command line and the demo show."""

NOT_FOR = (
    "A label says which expression a face shows, not what a person feels. Not for decisions about people: hiring, "
    "school, work, police, insurance, medicine, lie detection."
)
