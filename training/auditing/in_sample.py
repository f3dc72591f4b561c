# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""`--in-sample`: an audit by a model as it is."""

import os
from pathlib import Path

from modeling_rdfer.hub.public_names import public_name
from modeling_rdfer.inference.ray_shards import require_package
from modeling_rdfer.models.labels_rdfer import class_names
from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from training.auditing.arguments import AuditArguments
from training.auditing.ray_scoring import score_on_ray
from training.auditing.scoring import Audit, load_scoring_model, make_cards, score
from training.auditing.video_cards import Cards
from training.auditing.videos import open_audit_videos
from training.data.checks import report_bad_videos
from training.running.arguments import DataArguments
from training.running.video_sets import load_split, map_videos


def score_in_sample(
    arguments: AuditArguments, model_name: str | None, data: DataArguments, args: RDFERTrainingArguments
) -> Audit:
    """`--in-sample`: scores all videos with the model as it is, here or on a Ray cluster.

    Raises:
        ValueError, OSError: if model or videos cannot be loaded, or labels do not fit.
        ImportError: if Ray is asked for and not installed.
    """
    if arguments.ray is not None:
        require_package("ray")
        # Workers of Ray have other working folders.
        model_name, data.dataset, data.root = map(_absolute, (model_name, data.dataset, data.root))
    videos = load_split(data, [data.split])
    model, processor = load_scoring_model(model_name, data, args)
    videos, _ = map_videos(videos, model.config.label2id, arguments.on_unknown_label)
    errors = open_audit_videos(videos, data.on_bad_video, data.on_damage)
    numbers = [number for number in range(len(videos)) if number not in errors]
    cards = Cards(arguments.max_cards)
    if arguments.ray is None:
        predictions, further = score(model, processor, videos, numbers, args, data.still_views, cards)
    else:
        output_dir = Path(arguments.output_dir)
        predictions, further = score_on_ray(arguments.ray, model_name, videos, numbers, output_dir, data, args)
    report_bad_videos(list(further.values()), len(numbers), data.on_bad_video)
    return Audit(
        videos,
        class_names(model.config),
        predictions,
        {number: str(error) for number, error in (errors | further).items()},
        model=public_name(model.name_or_path) or "a local checkpoint",
        revision=getattr(model.config, "_commit_hash", None),
        out_of_sample=False,
        cards=cards,
        missing_cards=lambda wanted: make_cards(model, processor, videos, wanted, args, data.still_views),
    )


def _absolute(name: str | None) -> str | None:
    """A path of this computer as an absolute one; anything else as it is."""
    return os.path.abspath(name) if name is not None and os.path.exists(name) else name


__all__ = ["score_in_sample"]
