# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Measures how hard the synthetic faces are: on frames at the apex, of identities that were not in training, a linear
classifier of pixels should fail and a small convolutional network should not.
"""

import json

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from training.running.script_parser import ScriptParser

from .labels import LABELS
from .videos import plan_video

EXAMPLES = """examples:
  python -m training.synthetic.separability
  python -m training.synthetic.separability --train 2100 --test 700 --epochs 10
"""


def apex_frames(seed, start, count, size=64, hard=0.0):
    """One frame at the apex of each video.

    Returns:
        `tuple` of `numpy.ndarray`: frames, uint8 (count, 3, size, size); and their labels, int64 (count,), indices
        into `LABELS`.
    """
    frames, labels = np.empty((count, 3, size, size), np.uint8), np.empty(count, np.int64)
    for i in tqdm(range(count), desc="apex frames", leave=False):
        plan = plan_video(seed, start + i, hard=hard)
        frames[i] = plan.render_apex(size)
        labels[i] = LABELS.index(plan.truth.true_label)
    return frames, labels


def linear_accuracy(train, test):
    """Accuracy of logistic regression on standardised pixels. `train` and `test` are (frames, labels)."""
    scaler = StandardScaler()
    x = scaler.fit_transform(train[0].reshape(len(train[0]), -1).astype(np.float32))
    y = scaler.transform(test[0].reshape(len(test[0]), -1).astype(np.float32))
    # The better of two regularisations, chosen on the test frames, in favour of the classifier that should fail.
    models = [LogisticRegression(C=strength, max_iter=300, tol=1e-2).fit(x, train[1]) for strength in (1e-5, 1e-4)]
    return max(float(model.score(y, test[1])) for model in models)


def cnn_accuracy(train, test, epochs=14, seed=0):
    """Accuracy and recall of each class of a convolutional network with 100 k parameters, trained on `train`."""
    torch.manual_seed(seed)
    layers, channels = [], 3
    for width in (16, 32, 64, 96):
        layers += [torch.nn.Conv2d(channels, width, 3, padding=1), torch.nn.BatchNorm2d(width), torch.nn.ReLU()]
        layers += [torch.nn.MaxPool2d(2)]
        channels = width
    head = torch.nn.Linear(96 * 16, len(LABELS))
    model = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Dropout(0.3), head)
    x, y = torch.from_numpy(train[0]), torch.from_numpy(train[1])
    steps = epochs * (len(x) // 64)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in tqdm(range(epochs), desc="network", leave=False):
        order = torch.randperm(len(x))
        for batch in order[: len(x) // 64 * 64].split(64):
            images = x[batch].float() / 255 - 0.5
            flip = torch.rand(len(batch)) < 0.5
            images[flip] = images[flip].flip(-1)
            loss = torch.nn.functional.cross_entropy(model(images), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        predicted = torch.cat(
            [model(part.float() / 255 - 0.5).argmax(1) for part in torch.from_numpy(test[0]).split(256)]
        )
    right = predicted.numpy() == test[1]
    return float(right.mean()), {label: float(right[test[1] == i].mean()) for i, label in enumerate(LABELS)}


def main(argv=None):
    """Prints both accuracies as JSON."""
    parser = ScriptParser("synthetic.separability", __doc__, EXAMPLES)
    parser.add_argument("--train", type=int, default=4200, help="training frames of different identities")
    parser.add_argument("--test", type=int, default=1400, help="test frames of other identities")
    parser.add_argument("--size", type=int, default=64, help="height and width of a frame in pixels")
    parser.add_argument("--epochs", type=int, default=14, help="epochs of the network")
    parser.add_argument("--hard", type=float, default=0.0, help="share of hard videos, 0 to 1")
    parser.add_argument("--seed", type=int, default=0, help="seed of the dataset and the network")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    train = apex_frames(arguments.seed, 0, arguments.train, arguments.size, arguments.hard)
    test = apex_frames(arguments.seed, arguments.train, arguments.test, arguments.size, arguments.hard)
    linear = linear_accuracy(train, test)
    network, recalls = cnn_accuracy(train, test, arguments.epochs, arguments.seed)
    print(
        json.dumps(
            {"chance": 1 / len(LABELS), "linear": linear, "network": network, "network_recalls": recalls}, indent=1
        )
    )


if __name__ == "__main__":
    main()
