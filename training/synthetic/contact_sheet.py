# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Draws a picture with many synthetic faces, to look at them."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from training.running.script_parser import ScriptParser

from .labels import LABELS
from .videos import plan_video

EXAMPLES = """examples:
  python -m training.synthetic.contact_sheet --out output/sheet.png
  python -m training.synthetic.contact_sheet --out output/strips.png --strips --hard 1 --size 96
"""


def apex_sheet(seed=0, columns=10, size=96, hard=0.0):
    """Frames at the apex: a row for each class, every frame of another identity; uint8 (H, W, 3)."""
    rows = {label: [] for label in LABELS}
    index = 0
    while any(len(row) < columns for row in rows.values()):
        plan = plan_video(seed, index, hard=hard)
        row = rows[plan.truth.true_label]
        if len(row) < columns:
            row.append(plan.render_apex(size))
        index += 1
    return np.concatenate([np.concatenate(row, axis=2) for row in rows.values()], axis=1).transpose(1, 2, 0)


def strip_sheet(seed=0, start=0, rows=14, columns=12, size=96, hard=0.3):
    """Frames over time: a row for each video, a green line above the key expression; uint8 (H, W, 3), and captions."""
    strips, captions = [], []
    for index in range(start, start + rows):
        plan = plan_video(seed, index, hard=hard)
        at = np.linspace(0, plan.truth.num_frames - 1, columns).round().astype(int)
        frames = plan.take(at).render(size)
        frames[plan.key[at] > 0, :, :3] = np.array([0, 220, 60], np.uint8)[:, None, None]
        strips.append(np.concatenate(list(frames), axis=2))
        captions.append(" ".join(filter(None, (plan.truth.true_label, plan.truth.hard_kind, plan.truth.second_label))))
    return np.concatenate(strips, axis=1).transpose(1, 2, 0), captions


def write_sheet(path, picture, captions, size):
    """Writes a sheet with a caption to the left of each row."""
    margin = 8 * max(map(len, captions))
    page = Image.new("RGB", (picture.shape[1] + margin, picture.shape[0]), "white")
    page.paste(Image.fromarray(picture), (margin, 0))
    for i, caption in enumerate(captions):
        ImageDraw.Draw(page).text((4, int((i + 0.4) * size)), caption, fill="black")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    page.save(path)


def main(argv=None):
    """Writes the picture as the command line says."""
    parser = ScriptParser("synthetic.contact_sheet", __doc__, EXAMPLES)
    parser.add_argument("--out", required=True, help="PNG to write")
    parser.add_argument(
        "--strips", action="store_true", help="a row for each video over time, not a row for each class at the apex"
    )
    parser.add_argument("--rows", type=int, default=14, help="videos (with --strips)")
    parser.add_argument("--columns", type=int, default=10, help="identities, or with --strips frames of a video")
    parser.add_argument("--start", type=int, default=0, help="number of the first video (with --strips)")
    parser.add_argument("--size", type=int, default=96, help="height and width of a frame in pixels")
    parser.add_argument("--hard", type=float, default=0.0, help="share of hard videos, 0 to 1")
    parser.add_argument("--seed", type=int, default=0, help="seed of the dataset")
    options = parser.parse_args(argv)
    seed, columns, size, hard = options.seed, options.columns, options.size, options.hard
    if options.strips:
        picture, captions = strip_sheet(seed, options.start, options.rows, columns, size, hard)
    else:
        picture, captions = apex_sheet(seed, columns, size, hard), LABELS
    write_sheet(options.out, picture, captions, size)
    print(f"Wrote {options.out}")


if __name__ == "__main__":
    main()
