# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import numpy as np
import pyarrow as pa
import pytest
import torch

from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from training.benchmarks import human_noise
from training.benchmarks.shared import still_runs
from training.benchmarks.shared.results import RESULTS, load_results
from training.benchmarks.shared.runs import settings
from training.benchmarks.shared.still_views import Stills
from training.benchmarks.shared.tables import read_tables
from training.datasets.ferplus import LABELS

FILE = RESULTS / "human_noise.jsonl"


def votes_for(**counts) -> list[int]:
    return [counts.get(name, 0) for name in LABELS] + [10 - sum(counts.values()), 0, 0]


def faces_of(given: list[str], votes: list[list[int]]) -> Stills:
    """Faces whose features, random numbers, show what most people chose."""
    votes = np.array(votes)
    features = torch.randn(len(given), 12, 256, generator=torch.Generator().manual_seed(0))
    features[torch.arange(len(given)), :, votes.argmax(1)] += 8
    return Stills(np.array([LABELS.index(name) for name in given]), votes, features.half())


def test_tables_of_the_page_are_those_of_the_committed_results():
    assert read_tables("human_noise") == human_noise.render(load_results(FILE))


def test_committed_results_belong_to_the_runs_as_they_are(tmp_path):
    runs, results = human_noise.all_runs(), load_results(FILE)
    assert results and set(results) <= set(runs)
    for name, result in results.items():
        options = {**still_runs.SCHEDULE, **human_noise.METHODS[runs[name][0]].arguments, "use_cpu": True}
        today = settings(RDFERTrainingArguments(output_dir=str(tmp_path), **options))
        assert today.items() <= result["settings"].items(), name


def test_the_crowd_confirms_rejects_or_splits():
    faces = faces_of(
        ["fear", "fear", "fear", "fear", "happiness"],
        [
            votes_for(fear=6, surprise=4),
            votes_for(fear=4, surprise=6),
            votes_for(fear=5, surprise=5),  # no majority, two people and more for the label
            votes_for(fear=1, surprise=5, sadness=4),  # no majority, too few for the label
            votes_for(happiness=2),  # eight people chose contempt
        ],
    )
    assert faces.confirmed.tolist() == [True, False, False, False, False]
    assert faces.rejected.tolist() == [False, True, False, False, True]
    assert faces.hard.tolist() == [False, False, True, False, False]


def test_views_are_drawn_anew_in_each_epoch_and_alike_for_the_same_seed():
    faces = faces_of(["fear"] * 3, [votes_for(fear=10)] * 3)
    one, same, other = (still_runs.ViewedStills(faces, faces.given, seed) for seed in (1, 1, 2))
    first = one[2]["pixel_values_videos"]
    assert torch.equal(first, same[2]["pixel_values_videos"])
    assert not torch.equal(first, other[2]["pixel_values_videos"])
    one.set_epoch(1)
    assert not torch.equal(first, one[2]["pixel_values_videos"])
    assert len(first.flatten(1).unique(dim=0)) == still_runs.NUM_FRAMES
    tested = still_runs.ViewedStills(faces, faces.given)[2]
    assert torch.equal(tested["pixel_values_videos"].flatten(1), faces.features[2, : still_runs.NUM_FRAMES].float())


def test_a_model_learns_from_views_in_clips_without_common_views(tmp_path):
    names = LABELS * 6
    faces = faces_of(names, [votes_for(**{name: 10}) for name in names])
    trainer = still_runs.new_trainer(faces, faces.given, 0, str(tmp_path), num_train_epochs=12, learning_rate=5e-3)
    trainer.train()
    assert (still_runs.classify(trainer.model, faces).argmax(1).numpy() == faces.given).mean() > 0.9
    with torch.inference_mode():
        clips = trainer.model(faces.features[:, :8, :, None, None].float()).key_frame_indices
    assert all(len(set(video.flatten().tolist())) == still_runs.NUM_FRAMES for video in clips)


def test_rejected_labels_with_low_scores_are_found():
    given = ["fear", "fear", "happiness", "happiness"]
    faces = faces_of(given, [votes_for(**{n: 10}) for n in ("fear", "surprise", "happiness", "neutral")])
    # So that every label has both kinds.
    names = [name for name in LABELS if name not in given for _ in range(2)]
    right = [votes_for(**{name: 10}) if index % 2 else votes_for(fear=10) for index, name in enumerate(names)]
    faces = faces_of(given + names, faces.votes.tolist() + right)
    quality = np.where(faces.confirmed, 0.9, 0.1)
    probabilities = [
        [q if label == LABELS[g] else (1 - q) * (0.7 if label == LABELS[v] else 0.06) for label in LABELS]
        for q, g, v in zip(quality, faces.given, np.where(faces.confirmed, 0, faces.votes.argmax(1)))
    ]
    partition = np.where(faces.confirmed, "clean", "noisy").tolist()
    table = pa.table(
        {
            "probabilities": probabilities,
            "label_quality": quality,
            "loss": -np.log(quality),
            "partition": partition,
        }
    )
    detection = human_noise._detection(table, faces)
    for score in human_noise.SCORES:
        assert detection[score]["auroc"] == detection[score]["precision_at_true_rate"] == 1
    verdicts = human_noise._verdicts(table, faces)
    assert verdicts["rejected"]["all"] == 1 and verdicts["confirmed"]["fear"] == 0 and verdicts["hard"]["all"] is None


def test_without_faces_the_option_is_named(capsys):
    with pytest.raises(SystemExit):
        human_noise.main([])
    assert "--root is needed" in capsys.readouterr().err
