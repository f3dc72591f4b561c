# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""`--in-sample --ray`: an audit's videos are scored by the machines of a Ray cluster."""

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from safetensors import safe_open
from safetensors.torch import save
from tqdm.auto import tqdm

from modeling_rdfer.complete_files import write_atomically
from modeling_rdfer.inference.ray_shards import map_on_ray
from modeling_rdfer.models.video_decoding_rdfer import VideoReadError
from modeling_rdfer.trainer.arguments import RDFERTrainingArguments
from modeling_rdfer.trainer.sample_record import SamplePredictions
from training.auditing.scoring import load_scoring_model, score
from training.auditing.video_cards import Cards
from training.auditing.videos import fingerprint
from training.data.labelled_videos import LabelledVideos
from training.running.arguments import DataArguments
from training.running.run_folders import read_json

# Folder of the shards, within that of the audit, while the audit runs.
FOLDER_NAME, SETTINGS_NAME, SHARD_NAME = "_scores", "settings.json", "{number:06}.safetensors"
SHARD_SIZE = 100


class ScoredShard(NamedTuple):
    """What a worker says of a shard."""

    videos: int


class ShardScorer:
    """Scores the videos of shards and writes a file for each, unless it exists.

    Args:
        model_name (`str`, *optional*): see [`load_scoring_model`].
        videos ([`LabelledVideos`]): all videos of the audit, labelled with the model's names.
        shards (`list[list[int]]`): numbers of the videos of each shard.
        folder (`Path`): for the files.
        data, args: the arguments of the audit.
    """

    def __init__(
        self,
        model_name: str | None,
        videos: LabelledVideos,
        shards: list[list[int]],
        folder: Path,
        data: DataArguments,
        args: RDFERTrainingArguments,
    ):
        self.model, self.processor = load_scoring_model(model_name, data, args)
        self.videos, self.shards, self.folder, self.data, self.args = videos, shards, folder, data, args
        args.disable_tqdm = True

    def __call__(self, number: int) -> ScoredShard:
        file, numbers = self.folder / SHARD_NAME.format(number=number), self.shards[number]
        if not file.exists():  # Ray repeats what ran on a machine that died
            predictions, errors = score(
                self.model, self.processor, self.videos, numbers, self.args, self.data.still_views, Cards(0)
            )
            state = {} if predictions is None else predictions.state_dict()
            kept = {str(video): _to_json(error) for video, error in errors.items()}
            contents = save(state, metadata=kept)
            write_atomically(file, lambda handle: handle.write(contents))
        return ScoredShard(len(numbers))


def _to_json(error: Exception) -> str:
    return json.dumps(error.args if isinstance(error, VideoReadError) else [str(error)])


def _from_json(text: str) -> Exception:
    arguments = json.loads(text)
    return VideoReadError(*arguments) if len(arguments) > 1 else OSError(*arguments)


def score_on_ray(
    address: str,
    model_name: str | None,
    videos: LabelledVideos,
    numbers: list[int],
    output_dir: Path,
    data: DataArguments,
    args: RDFERTrainingArguments,
) -> tuple[SamplePredictions | None, dict[int, Exception]]:
    """Scores videos as [`score`] does, `SHARD_SIZE` at a time. Shards are kept in the folder of the audit until all
    are scored, so an audit that was interrupted goes on with those that are missing.

    Args:
        address (`str`): of the cluster, see [`map_on_ray`].
        model_name (`str`, *optional*): see [`load_scoring_model`]; a path is absolute.
        videos ([`LabelledVideos`]): all videos of the audit, labelled with the model's names, with absolute paths.
        numbers (`list[int]`): which of them to score.
        output_dir (`Path`): of the audit, which all machines see.
        data, args: the arguments of the audit.

    Returns:
        `tuple`: see [`score`].
    """
    shards = [numbers[start : start + SHARD_SIZE] for start in range(0, len(numbers), SHARD_SIZE)]
    folder = output_dir.absolute() / FOLDER_NAME
    _keep_shards_of(folder, _settings(model_name, videos, numbers, data, args))
    missing = [number for number in range(len(shards)) if not (folder / SHARD_NAME.format(number=number)).exists()]
    num_missing = sum(len(shards[number]) for number in missing)
    progress = tqdm(
        total=len(numbers),
        initial=len(numbers) - num_missing,
        desc="scoring",
        unit="video",
        disable=args.disable_tqdm,
    )
    arguments = (model_name, videos, shards, folder, data, args)
    with progress as bar:
        if missing:
            with closing(map_on_ray(ShardScorer, arguments, missing, address)) as results:
                for result in results:
                    bar.update(result["videos"])
    parts: list[SamplePredictions] = []
    errors: dict[int, Exception] = {}
    for number in range(len(shards)):
        with safe_open(folder / SHARD_NAME.format(number=number), "pt") as file:
            if names := file.keys():
                parts.append(SamplePredictions.from_state_dict({name: file.get_tensor(name) for name in names}))
            errors |= {int(video): _from_json(text) for video, text in (file.metadata() or {}).items()}
    shutil.rmtree(folder)
    return SamplePredictions.concatenate(parts) if parts else None, errors


def _settings(
    model_name: str | None,
    videos: LabelledVideos,
    numbers: list[int],
    data: DataArguments,
    args: RDFERTrainingArguments,
) -> dict:
    """What the scores depend on."""
    weights = Path(model_name).glob("*.safetensors") if model_name else ()
    return {
        "model": model_name,
        "weights_written": sorted(file.stat().st_mtime_ns for file in weights),
        "videos": fingerprint(videos.select(numbers)),
        "seed": args.seed,
        "still_views": data.still_views,
        "face_crop": data.face_crop,
        "on_damage": data.on_damage,
    }


def _keep_shards_of(folder: Path, settings: dict):
    """Makes the folder, and removes the shards of an audit with other settings."""
    if read_json(folder / SETTINGS_NAME) != settings:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_atomically(folder / SETTINGS_NAME, json.dumps(settings, indent=2) + "\n")


__all__ = ["ShardScorer", "score_on_ray"]
