# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Text that the cards of models and of datasets share."""

import functools

from ..models.package_data_rdfer import required_file

TAGS = ["dynamic-facial-expression-recognition", "facial-expression-recognition", "emotion-recognition"]

CITATION = """```bibtex
@article{liu2025rdfer,
  title = {Robust Dynamic Facial Expression Recognition},
  author = {Liu, Feng and Wang, Hanyang and Shen, Siyuan},
  journal = {arXiv preprint arXiv:2502.16129},
  year = {2025}
}
@inproceedings{lee2023frame,
  title = {Frame Level Emotion Guided Dynamic Facial Expression Recognition With Emotion Grouping},
  author = {Lee, Bokyeung and Shin, Hyunuk and Ku, Bonhwa and Ko, Hanseok},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR) Workshops},
  pages = {5681--5691},
  year = {2023}
}
```"""


def uses_and_misuses(people: str) -> str:
    """Returns the section on uses and misuses that every card has; `people` describes the people in the data."""
    return template("uses_and_misuses.md").replace("{{ people }}", people).strip()


@functools.cache
def template(name: str) -> str:
    """Reads a template of `hub_cards/` by its file name."""
    return required_file(f"card_templates/{name}").read_text(encoding="utf-8")


def table_cell(value) -> str:
    """Formats a value as a cell of a Markdown table."""
    return str(value).replace("|", "\\|").replace("\n", " ")


__all__ = ["CITATION", "TAGS", "table_cell", "template", "uses_and_misuses"]
