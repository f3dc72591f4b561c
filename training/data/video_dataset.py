# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Datasets that read labelled videos and make the examples that a model takes."""

import hashlib
from contextlib import suppress

import torch
from torch.utils.data import Dataset
from torchvision.transforms import v2

from modeling_rdfer.models.loss_aen import UNKNOWN
from modeling_rdfer.models.video_processing_rdfer import RDFERVideoProcessor
from modeling_rdfer.trainer.pseudo_labels import take_columns, teacher_columns
from training.data.known_labels import trusted_labels_of
from training.data.still_views import video_of_still


class BaseVideoDataset:
    """Makes examples of videos, as [`RDFERTrainer`] takes them. All randomness is keyed by (seed, epoch, sample).

    Args:
        videos ([`LabelledVideos`] or [`VideoShards`]): the videos.
        label2id, processor, training, num_clips, seed, crop_scale, colour_jitter, still_views: see [`VideoDataset`].
    """

    def __init__(
        self,
        videos,
        label2id: dict[str, int],
        processor: RDFERVideoProcessor,
        training: bool = False,
        num_clips: int = 4,
        seed: int = 0,
        crop_scale: tuple[float, float] = (0.7, 1.0),
        colour_jitter: float = 0.4,
        still_views: int = 1,
    ):
        unknown = sorted(set(videos.labels) - set(label2id))
        if unknown:
            raise KeyError(f"Labels {unknown} are not among the model's: {sorted(label2id)}.")
        self.videos, self.processor, self.training = videos, processor, training
        self.labels = [label2id[label] for label in videos.labels]
        self.prepared, self.num_unreadable = (videos.columns.get(name) for name in ("prepared", "num_unreadable"))
        self.frame_teacher, self._teacher_columns = videos.frame_teacher if training else None, None
        if self.frame_teacher is not None:
            # A teacher of other classes is an error only if guidance is wanted, which the trainer checks.
            with suppress(ValueError):
                self._teacher_columns = teacher_columns(
                    self.frame_teacher.labels, sorted(label2id, key=label2id.__getitem__)
                )
        self.trusted = trusted_labels_of(videos, label2id) if training else None
        self.num_clips, self.seed, self.still_views = num_clips, seed, still_views
        # Shared memory, so that persistent worker processes see the epoch change.
        self._epoch = torch.zeros((), dtype=torch.long).share_memory_()
        self.augment = v2.Compose(
            [
                v2.RandomResizedCrop(
                    (processor.size["height"], processor.size["width"]), scale=crop_scale, ratio=(0.9, 1.1)
                ),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(colour_jitter, colour_jitter, colour_jitter),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def sample_columns(self) -> dict[str, list]:
        """What is known about each video, for the sample table."""
        return {"sample_id": self.videos.sample_ids, **self.videos.columns}

    @property
    def uses_pseudo_labels(self) -> bool:
        """Whether examples have the stored pseudo-labels of a frame teacher."""
        return self._teacher_columns is not None

    @property
    def epoch(self) -> int:
        """The epoch whose examples are made."""
        return int(self._epoch)

    def set_epoch(self, epoch: int):
        """Called by the trainer at the beginning of an epoch."""
        self._epoch.fill_(epoch)

    def process(self, source, index: int, **options):
        """Reads a video with the processor. In a prepared video no face is looked for: it is cropped already. In a
        damaged one the readable frames are used if the column `num_unreadable` counts the others.
        """
        is_prepared = self.prepared is not None and self.prepared[index]
        is_damaged = self.num_unreadable is not None and self.num_unreadable[index]
        return self.processor(
            source,
            return_tensors="pt",
            do_face_crop=False if is_prepared else None,
            on_damage="use_readable" if is_damaged else None,
            **options,
        )

    def make_example(self, source, pseudo_labels: dict[str, list[float]] | None, index: int) -> dict:
        """Reads a video and makes an example of it.

        Args:
            source: what [`RDFERVideoProcessor`] reads.
            pseudo_labels (`dict[str, list[float]]`, *optional*): for each class of the frame teacher its probability
                in every frame of the source.
            index (`int`): number of the video.

        Returns:
            `dict`: `pixel_values_videos` `(T, 3, H, W)` uint8, `frame_mask` `(T,)` bool, `labels`, `sample_index`;
            with pseudo-labels `pseudo_labels` `(T, C)`; in training `clip_jitter` `(K,)`, 0..1.
        """
        inputs = self.process(source, index, return_metadata=True)
        example = {
            "pixel_values_videos": inputs["pixel_values_videos"][0],
            "frame_mask": inputs["frame_mask"][0],
            "labels": self.labels[index],
            "sample_index": index,
        }
        if self.uses_pseudo_labels:
            num_frames, metadata = len(example["frame_mask"]), inputs["video_metadata"][0]
            example["pseudo_labels"] = self._select_pseudo_labels(pseudo_labels, metadata, num_frames, index)
        if self.training:
            # torchvision draws from torch's global generator, so its state is restored afterwards.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(_seed_of(self.seed, self.epoch, index))
                example["clip_jitter"] = torch.rand(self.num_clips)
                if self.is_still(example):
                    self._make_views(example, torch.default_generator)
                else:
                    example["pixel_values_videos"] = self.augment(example["pixel_values_videos"])
        return example

    def is_still(self, example: dict) -> bool:
        """Whether an example is a still image that becomes a video of views."""
        return self.still_views > 1 and int(example["frame_mask"].sum()) == 1

    def _make_views(self, example: dict, generator: torch.Generator):
        frames, mask = video_of_still(example["pixel_values_videos"], self.still_views, generator)
        example |= {"pixel_values_videos": frames, "frame_mask": mask}
        if "pseudo_labels" in example:
            example["pseudo_labels"][mask] = example["pseudo_labels"][0]

    def _select_pseudo_labels(self, probabilities: dict[str, list[float]], metadata, num_frames: int, index: int):
        """Pseudo-labels of the frames that the processor has taken, padded to `(num_frames, C)`."""
        by_class = torch.tensor([probabilities[name] for name in self.frame_teacher.labels])
        if by_class.shape[1] != metadata.total_num_frames:
            raise ValueError(
                f"{self.videos.sample_ids[index]} has {metadata.total_num_frames} frames and pseudo-labels for "
                f"{by_class.shape[1]}: prepare the dataset again."
            )
        selected = take_columns(by_class[:, metadata.frames_indices].T, self._teacher_columns)
        return torch.nn.functional.pad(selected, (0, 0, 0, num_frames - len(selected)), value=UNKNOWN)


class VideoDataset(BaseVideoDataset, Dataset):
    """Videos as [`RDFERTrainer`] takes them.

    In training all frames of a video get the same random crop, flip and colour jitter, and the positions of the clips
    are jittered. All randomness is keyed by (seed, epoch, sample): it does not depend on the number of workers or
    processes, or on whether a run was resumed.

    Args:
        videos ([`LabelledVideos`]): the videos. No face is looked for in those whose column `prepared` is true.
        label2id (`dict[str, int]`): number of each label.
        processor ([`RDFERVideoProcessor`]): reads the videos.
        training (`bool`, *optional*, defaults to `False`): whether to augment.
        num_clips (`int`, *optional*, defaults to 4): number of clips K of the model, for the jitter.
        seed (`int`, *optional*, defaults to 0): seed.
        crop_scale (`tuple[float, float]`, *optional*, defaults to `(0.7, 1.0)`): share of the area that the random
            resized crop keeps.
        colour_jitter (`float`, *optional*, defaults to 0.4): strength of the jitter of brightness, contrast and
            saturation (arXiv 2502.16129).
        still_views (`int`, *optional*, defaults to 1): in training, a video of a single frame becomes one of so many
            views of it, instead of being augmented, see [`random_views`]; 1: it does not.

    Raises:
        KeyError: if a label is not in `label2id`.
    """

    def __getitem__(self, index: int) -> dict:
        pseudo_labels = self.videos.pseudo_labels[index] if self.uses_pseudo_labels else None
        return self.make_example(self.videos.sources[index], pseudo_labels, index)


class ScoringVideoDataset(BaseVideoDataset, Dataset):
    """Videos as the model takes them in evaluation, with the time of each frame in seconds.

    A video that cannot be read gives the exception instead of an example, so the caller can report it and go on. With
    `still_views` above 1, a video of a single frame becomes one of so many views, which depend on its id and the seed
    only; its image is the example's `still`.
    """

    def __getitem__(self, index: int) -> dict | Exception:
        try:
            inputs = self.process(self.videos.sources[index], index, return_metadata=True)
        except (ValueError, TypeError, OSError) as error:
            return error
        example = {
            "pixel_values_videos": inputs["pixel_values_videos"][0],
            "frame_mask": inputs["frame_mask"][0],
            "seconds": inputs["video_metadata"][0].pts_seconds,
        }
        if self.is_still(example):
            example["still"] = example["pixel_values_videos"][0]
            seed = _seed_of(self.seed, self.videos.sample_ids[index])
            self._make_views(example, torch.Generator().manual_seed(seed))
        return example


def _seed_of(*key) -> int:
    return int.from_bytes(hashlib.blake2b(" ".join(map(str, key)).encode(), digest_size=7).digest(), "big")


__all__ = ["BaseVideoDataset", "ScoringVideoDataset", "VideoDataset"]
