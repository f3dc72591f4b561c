# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Audits the labels of a dataset. It writes a table that says for each video whether its label can be trusted and
which other label fits better, an estimate of which labels are mistaken for which, and a page on which a person looks
at the suspicious videos and decides.

The scores must come from a model that has not learnt the labels it judges. There are three ways:
  --folds K (default: 5)  Trains K models from --model, each on the other parts of the dataset, and scores each part
                          with the model that was not trained on it. Takes K trainings; if interrupted, it resumes.
  --in-sample             Scores the videos with --model as it is. Quick, but a model has learnt the labels that it was
                          trained on, also wrong ones, so many of these are not found. All outputs state that.
  --sample-table FILE     Takes the scores from the sample_table.parquet that a training has written: means over its
                          epochs, with the training dynamics of each video. In sample, too. With --dataset the page
                          shows frames as well.
"""

import importlib.util
import sys
from dataclasses import fields
from pathlib import Path

from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from modeling_rdfer.trainer.verdicts import VerdictThresholds
from training.auditing.arguments import AuditArguments
from training.auditing.folds import score_by_folds
from training.auditing.from_sample_table import read_sample_table
from training.auditing.in_sample import score_in_sample
from training.auditing.report import judge, print_summary, write_outputs
from training.data.dataset_argument import find_source
from training.data.known_labels import read_truth
from training.reports.card_facts import dataset_title
from training.running.arguments import DataArguments, ModelArguments, parse_training_arguments
from training.running.script_parser import ScriptParser

EXAMPLES = """examples:
  python -m training.audit --dataset crema_d --root D --output-dir audit --folds 5 --num-train-epochs 30
  python -m training.audit --dataset D/train --output-dir audit --model user/model --in-sample
  python -m training.audit --dataset D/train --output-dir audit --model user/model --in-sample --ray 10.0.0.1:6379
  python -m training.audit --sample-table out/sample_table.parquet --dataset D/train --output-dir audit
  python -m training.audit --dataset D/train --output-dir audit --truth-file D/truth.csv
Then open audit/audit.html, decide, save decisions.csv, and
  python -m training.train --dataset D/train --decisions decisions.csv --output-dir out

All further options are those of python -m training.train --help:
  data: --dataset, --root, --split (default: train), --fold, --dataset-options, --on-bad-video, --no-face-crop
  computing: --device, --num-workers, --per-device-eval-batch-size (default: 8)
  model, or start of the folds' trainings: --model (default: rdfer-small)
  trainings of the folds: all others, e.g. --config, --preset, --seed
The thresholds of the verdicts can be changed without training again: run it again with the same --output-dir.
"""


def parse_arguments(
    argv: list[str],
) -> tuple[AuditArguments, VerdictThresholds, list[str], ModelArguments, DataArguments, RDFERTrainingArguments]:
    """Parses the command line. Wrong arguments end the program with a message.

    Args:
        argv (`list[str]`): the command line.

    Returns:
        `tuple`: the arguments of the audit; the thresholds of its verdicts; the command line of its trainings, and the
        model, data and training arguments in it.
    """
    parser = ScriptParser("audit", __doc__, EXAMPLES, (AuditArguments, VerdictThresholds))
    parser.allow_bare("--ray", "auto")
    namespace, rest = parser.parse_known_args(argv)
    try:
        arguments, thresholds = (
            kind(**{item.name: getattr(namespace, item.name) for item in fields(kind)})
            for kind in (AuditArguments, VerdictThresholds)
        )
    except ValueError as error:
        parser.error(str(error))
    if importlib.util.find_spec("cleanlab") is None:  # found out before the trainings, not after
        parser.error('an audit needs cleanlab: pip install -e ".[audit]"')
    rest += ["--output-dir", arguments.output_dir]
    model_arguments, data, args = parse_training_arguments(rest, "audit", __doc__, EXAMPLES)
    if args.world_size > 1:
        parser.error("an audit runs in one process: start it without torchrun")
    if arguments.truth and not arguments.truth_file and not Path(data.dataset or "").is_file():
        parser.error("--truth names a column of a list: pass --truth-file, or a list file as --dataset")
    if arguments.truth_file and not Path(arguments.truth_file).is_file():
        parser.error(f"--truth-file: there is no file {arguments.truth_file}")
    return arguments, thresholds, rest, model_arguments, data, args


def main(argv: list[str] | None = None) -> dict:
    """Audits and writes `audit.parquet`, `audit.csv`, `summary.json`, `agreement_loss.png` and `audit.html`. Returns
    the contents of `summary.json`.
    """
    arguments, thresholds, rest, model_arguments, data, args = parse_arguments(sys.argv[1:] if argv is None else argv)
    output_dir = Path(arguments.output_dir)
    try:
        if arguments.in_sample:
            audit = score_in_sample(arguments, model_arguments.model, data, args)
        elif arguments.sample_table:
            audit = read_sample_table(Path(arguments.sample_table), model_arguments.model, data, args)
        else:
            audit = score_by_folds(arguments, rest, model_arguments, data, args)
        truth = None
        if arguments.truth or arguments.truth_file:
            file = Path(arguments.truth_file or data.dataset)
            truth = read_truth(audit.videos, file, arguments.truth or "true_label")
            if missing := truth[0].count(None):
                print(
                    f"{missing} of {len(audit.videos)} videos have no true label in {file}; metrics are of the others."
                )
        title = dataset_title(find_source(data.dataset, data.root)) if data.dataset else None
        record = judge(audit, thresholds)
        summary = write_outputs(audit, record, output_dir, title, data.split, args.seed, arguments.max_cards, truth)
    except (ValueError, OSError, ImportError) as error:
        raise SystemExit(f"error: {error}") from error
    print_summary(summary, output_dir)
    return summary


if __name__ == "__main__":
    main()
