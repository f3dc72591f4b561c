# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Key expression re-sampling: chooses the frames of the clips by the saliency of the detector frames."""

import torch


def interpolate_saliency(saliency: torch.Tensor, num_real_frames: torch.Tensor, num_frames: int) -> torch.Tensor:
    """Interpolates the saliency linearly from the S detector frames to all frames of a video (ours).

    The detector frames are the middles of S equal parts of the video.

    Args:
        saliency (`torch.FloatTensor` of shape `(B, S)`): saliency of the detector frames.
        num_real_frames (`torch.LongTensor` of shape `(B,)`): frames of each video without padding, at least 1.
        num_frames (`int`): T, the frames of the batch with padding.

    Returns:
        `torch.FloatTensor` of shape `(B, T)`: saliency of the real frames of each video, in order; values after the
        last real frame have no meaning.
    """
    last = saliency.shape[1] - 1
    position = torch.arange(num_frames, device=saliency.device, dtype=saliency.dtype)
    detector_frame = ((position + 0.5) * (last + 1) / num_real_frames[:, None].to(saliency.dtype) - 0.5).clamp(0, last)
    left = detector_frame.floor().long()
    right = (left + 1).clamp(max=last)
    fraction = detector_frame - left
    return saliency.gather(1, left) * (1 - fraction) + saliency.gather(1, right) * fraction


def resample_clips(
    saliency: torch.Tensor,
    num_real_frames: torch.Tensor,
    *,
    num_clips: int,
    frames_per_clip: int,
    clip_stride: int = 1,
    min_clip_separation: int = 0,
    saliency_floor: float = 0.1,
    clip_jitter: torch.Tensor | None = None,
) -> torch.LongTensor:
    """Chooses the frames of K clips by the saliency (docs/method.md, Key expression re-sampling; sampling is ours).

    The centres of the clips are drawn by inverse transform sampling of the cumulative saliency: its mass is cut into K
    equal strata and one centre is taken from each. So the clips are dense where the key expression shows and still
    cover the video. They keep `min_clip_separation` if the video is long enough; otherwise they are spread evenly.

    Args:
        saliency (`torch.FloatTensor` of shape `(B, T)`): saliency of the real frames of each video, in order, >= 0;
            values after the last real frame are not used.
        num_real_frames (`torch.LongTensor` of shape `(B,)`): real frames of each video, 1..T.
        num_clips (`int`): K.
        frames_per_clip (`int`): L.
        clip_stride (`int`, *optional*, defaults to 1): distance of neighbouring frames of a clip, in frames; reduced
            if the video is shorter than a clip, so that the clip covers it evenly.
        min_clip_separation (`int`, *optional*, defaults to 0): least distance of the starts of two clips, in frames.
        saliency_floor (`float`, *optional*, defaults to 0.1): added to the saliency of every frame, above 0.
        clip_jitter (`torch.FloatTensor` of shape `(B, K)`, *optional*): where in its stratum each centre is taken, in
            [0, 1); the middle by default.

    Returns:
        `torch.LongTensor` of shape `(B, K, L)`: for each clip the positions of its frames among the real frames of its
        video; clips and frames are sorted in time.
    """
    saliency = saliency.float()
    position = torch.arange(saliency.shape[1], device=saliency.device)
    mass = (saliency + saliency_floor) * (position < num_real_frames[:, None])
    cumulative = mass.cumsum(1)
    stratum = torch.arange(num_clips, device=saliency.device)
    quantile = (stratum + (0.5 if clip_jitter is None else clip_jitter.float())) / num_clips
    # A constant saliency puts quantiles exactly on the borders of frames. The small number keeps rounding errors from
    # deciding there.
    target = (quantile - 1e-4) * cumulative[:, -1:]
    # A comparison and a sum instead of `searchsorted`, which has no ONNX counterpart.
    centre = (cumulative[:, None, :] < target[:, :, None]).sum(-1).float()

    last = (num_real_frames[:, None] - 1).float()
    stride = float(clip_stride)
    if frames_per_clip > 1:
        stride = (last / (frames_per_clip - 1)).clamp(max=stride)
    span = (frames_per_clip - 1) * stride
    last_start = last - span
    start = (centre - span / 2).clamp(min=0).minimum(last_start)
    if num_clips > 1:
        start = _separate_clips(start, last_start, min_clip_separation)
    offset = stride * torch.arange(frames_per_clip, device=saliency.device)
    if frames_per_clip == 1:
        return (start + 0.5).floor().long()[:, :, None]
    # Starts and offsets are rounded separately, which keeps the frames of a clip equidistant.
    return (start + 0.5).floor().long()[:, :, None] + (offset + 0.5).floor().long()[:, None, :]


def _separate_clips(start: torch.Tensor, last_start: torch.Tensor, min_separation: int) -> torch.Tensor:
    """Moves the starts `(B, K)` of clips apart, within 0..`last_start` `(B, 1)`."""
    number = torch.arange(start.shape[1], device=start.device)
    separation = (last_start / (start.shape[1] - 1)).clamp(max=float(min_separation)) * number
    # If k separations are subtracted from the k-th start, the starts only have to be non-decreasing. They become so if
    # each is raised to the maximum of those before it, or lowered to the minimum of those after it. The mean of both
    # moves clips equally in both directions.
    relative = start - separation
    # Masked maxima and minima instead of `cummax` and `cummin`, which have no ONNX counterparts.
    is_later = number > number[:, None]
    raised = relative[:, None].masked_fill(is_later, -torch.inf).amax(-1)
    lowered = relative[:, None].masked_fill(is_later.T, torch.inf).amin(-1)
    relative = ((raised + lowered) / 2).clamp(min=0).minimum(last_start - separation[:, -1:])
    return relative + separation


__all__ = ["interpolate_saliency", "resample_clips"]
