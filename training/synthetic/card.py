# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The dataset card of synthetic videos."""

from modeling_rdfer.hub.card_facts import PEOPLE, DatasetCardFacts

from .labels import LABELS


def card_facts(settings, rows):
    """What the card says ([`DatasetCardFacts`]), from the settings of a dataset and the rows of its truth.csv."""
    share = {key: sum(row[key] for row in rows) / len(rows) for key in ("is_noisy", "is_hard")}
    noise = {"symmetric": "any other label", "asymmetric": "a label that is easily confused", "matrix": "own matrix"}
    counts = {
        split: {label: sum(row["split"] == split and row["true_label"] == label for row in rows) for label in LABELS}
        for split in dict.fromkeys(row["split"] for row in rows)
    }
    height = settings["size"]
    return DatasetCardFacts(
        name="Synthetic facial expressions",
        license="apache-2.0",
        tags=["synthetic", "noisy-labels"],
        summary="""\
Videos of drawn faces that show seven expressions. Some have wrong labels, and some are hard to recognise. The truth
about each video is known, so methods against wrong labels can be measured. Drawn by `python -m training.synthetic` of
modeling-rdfer.""",
        use="""\
```bash
python -m training.train --dataset train --eval-dataset validation --output-dir out
python -m training.evaluate --model out --dataset test --output-dir out/test
```""",
        counts=counts,
        settings={
            "videos": f"{len(rows):,}, {height} x {height} pixels, {settings['num_frames'][0]} to "
            f"{settings['num_frames'][1]} frames at {settings['fps']} per second",
            "wrong labels": f"{share['is_noisy']:.1%} of the videos, all in {', '.join(settings['noisy_splits'])}; "
            f"the wrong label is {noise[settings['noise_type']]}"
            if share["is_noisy"]
            else "none",
            "hard videos": f"{share['is_hard']:.1%}: the expression is brief, weak or blended with another, or the "
            "face is partly occluded or turned away; the true label is known for these, too",
            "seeds": f"{settings['seed']} (videos), {settings['noise_seed']} (wrong labels)",
            "renderer": f"version {settings['renderer_version']}",
        },
        files={
            "<split>/<given label>/<sample id>.mp4": "the videos, by their given label",
            "truth.csv": "for each video the true and the given label, whether it is hard, and the frames in which "
            "the expression shows",
            "dataset.json": "the settings",
        },
        people=PEOPLE["synthetic"],
        limits=[
            "What an expression looks like is our decision: seven fixed patterns of facial action units with random "
            "strengths.",
            "Figures on these videos compare methods. They say nothing about how well a model recognises expressions "
            "of people.",
        ],
    )


__all__ = ["card_facts"]
