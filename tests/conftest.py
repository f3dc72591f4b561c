# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.helpers.hub_server import TOKEN, HubServer, serve

# The client of the Hub reads these when it is imported. No test reaches the real Hub, nor the user's token and cache.
_HUB = HubServer()
_HOME = tempfile.mkdtemp(prefix="rdfer-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ |= {"HF_ENDPOINT": _HUB.url, "HF_HOME": _HOME, "HF_HUB_DISABLE_XET": "1"}
for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
    os.environ.pop(name, None)

import torch  # noqa: E402

from tests.helpers.paths import CHECKPOINT, DATA  # noqa: E402

# A new empty profile each time; nothing in the background asks Google's hosts; no sandbox, so that it runs as root.
CHROMIUM_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    # A camera that shows a test picture.
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
]

# The models of the tests are so small that a second thread costs more than it brings.
torch.set_num_threads(1)


def pytest_configure(config):
    for name in (
        "accelerate_tests",
        "flash_attn_test",
        "flash_attn_3_test",
        "flash_attn_4_test",
        "torch_compile_test",
    ):
        config.addinivalue_line("markers", f"{name}: of transformers' own tests")


def pytest_runtest_setup(item):
    """Skips what needs a GPU where there is none, unless one is required: then a broken driver is not overlooked."""
    if item.get_closest_marker("needs_cuda") and not torch.cuda.is_available():
        if os.environ.get("RDFER_REQUIRE_CUDA") == "1":
            pytest.fail("RDFER_REQUIRE_CUDA=1, but torch finds no GPU")
        pytest.skip("no GPU")


@pytest.fixture(scope="session")
def clip_path() -> Path:
    """Real clip: 30.6 s, 400x300, 25 fps, 765 frames, one face."""
    return DATA / "cap13_edit2.mp4"


@pytest.fixture(scope="session")
def checkpoint_path() -> Path:
    """The embedded checkpoint: configuration, weights and card, without code."""
    return CHECKPOINT


@pytest.fixture(scope="session")
def hub_folders(tmp_path_factory) -> Path:
    """A folder with rdfer-small and aen-small as Hub repositories hold them, code included (`make hub`)."""
    # Imported here: it imports transformers.
    from training.build.hub_folders import main

    folder = tmp_path_factory.mktemp("hub")
    main(["--output-dir", str(folder)])
    return folder


@pytest.fixture
def trained_folder(tmp_path, hub_folders) -> Path:
    """A folder as a training leaves it."""
    folder = tmp_path / "out"
    shutil.copytree(hub_folders / "rdfer-small", folder)
    for name in ("training_args.bin", "optimizer.pt", "trainer_state.json", "sample_table.parquet", "notes.py"):
        (folder / name).write_text(f"private: {tmp_path}")
    (folder / "checkpoint-8").mkdir()
    shutil.copyfile(CHECKPOINT / "model.safetensors", folder / "checkpoint-8" / "model.safetensors")
    (folder / "all_results.json").write_text('{"eval_war": 0.5}')
    return folder


@pytest.fixture(scope="session")
def _running_hub():
    serve(_HUB)
    yield _HUB
    _HUB.shutdown()


@pytest.fixture
def hub(_running_hub, monkeypatch) -> HubServer:
    """A server of the Hub's protocol that the client takes for the Hub, with its token at hand."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    _running_hub.large_files.clear()  # or it would not ask for a file that another test has sent
    _running_hub.parts.clear()
    _running_hub.uploaded.clear()
    yield _running_hub
    _running_hub.cut_above = None


def chromium() -> str | None:
    """Path of the browser."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser():
    """Chromium, driven by playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the driver of the browser is not installed")
    executable = chromium()
    if executable is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()
