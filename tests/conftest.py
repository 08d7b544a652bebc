"""Fixtures that every test may use."""

import errno
import io
import json
import os
import shutil
from pathlib import Path

import huggingface_hub.hf_api  # loaded lazily otherwise, and the fixture below turns its knobs
import numpy as np
import pytest
import torch

from common.networks.ct_scroll import ScrollClassifier
from common.results.case_result import case_result, describe_case
from common.results.classification import CLASSIFICATION_DEFINITIONS, classification_outputs
from common.results.run_record import start_record
from common.vocabulary.chest_findings import CT_RATE_LABELS
from common.volumes.volume import Volume
from common.weights.card import read_card
from common.weights.loading import save_weights
from tests.hub import running_hub

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"
TINY_ARCHITECTURE = {
    "num_classes": 18,
    "embedding_dim": 16,
    "windows": [4],
    "num_heads": 2,
    "stem_width": 4,
    "encoder_layers": [1, 1, 1, 1],
    "head_width": 8,
    "chunk": 4,
}


class DeepFolders:
    """pytest's factory of folders, each so deep that no other test's scans lie close to its own.

    What lies around a scan has a part in its name, see `common.case_names`.
    """

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory

    def __getattr__(self, name: str):
        return getattr(self._factory, name)

    def mktemp(self, basename: str, numbered: bool = True) -> Path:
        deep = self._factory.mktemp(basename, numbered) / "of" / "one" / "test"
        deep.mkdir(parents=True)
        return deep


@pytest.fixture(scope="session")
def tmp_path_factory(tmp_path_factory: pytest.TempPathFactory) -> DeepFolders:
    return DeepFolders(tmp_path_factory)


@pytest.fixture
def shared() -> Path:
    """Reference material beside the repository: golden numbers, manifests, real CT."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference folder `shared` beside the repository")
    return SHARED


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture
def make_tiny_network():
    """A CT-Scroll network with a few thousand weights, the same for the same seed."""

    def make(seed=0):
        torch.manual_seed(seed)
        network = ScrollClassifier(**TINY_ARCHITECTURE)
        for module in network.modules():  # batch norm as after training, not as new
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
        return network.eval()

    return make


@pytest.fixture(scope="session")
def tiny_content():
    """What a tiny network's card says, but for its tensors."""
    return {
        "name": "tiny",
        "bundle": "ct_scroll",
        "network": {"class": "ScrollClassifier", "arguments": TINY_ARCHITECTURE},
        "preprocessing": {
            "axcodes": "SLP",
            "spacing_mm": [12, 6, 6],
            "size": [24, 64, 64],
            "hu_window": [-1000, 600],
            "output_range": [-0.449, 0.551],
            "grid": "half_pixel",
        },
        "labels": list(CT_RATE_LABELS),
        "source": "made for a test",
        "synthetic": True,
        "clinical_use": False,
    }


@pytest.fixture
def rewrite():
    """Change a card on disk; None takes a key away."""

    def change(card, **changes):
        content = {**card.content, **changes}
        card.path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
        return card.path

    return change


@pytest.fixture
def tiny_card(tmp_path, make_tiny_network, tiny_content):
    """A card of random tiny weights, with its tensors: `weights/model.json`."""
    path = tmp_path / "weights" / "model.json"
    save_weights(make_tiny_network(), tiny_content, path)
    return read_card(path)


@pytest.fixture
def tiny_bundle(tmp_path, make_tiny_network, tiny_content):
    """A copy of CT-Scroll, `bundles/ct_scroll`, whose demo weights are tiny."""
    folder = tmp_path / "bundles" / "ct_scroll"
    ignore = shutil.ignore_patterns("model.*", "demo.*")
    shutil.copytree(REPOSITORY / "bundles" / "ct_scroll", folder, ignore=ignore)
    save_weights(make_tiny_network(), tiny_content, folder / "models" / "demo.json")
    return folder


@pytest.fixture
def full(monkeypatch):
    """Let the disk be full for what is written beside a path: `full(path)`."""
    real_open = Path.open

    class FullFile(io.RawIOBase):
        def writable(self):
            return True

        def write(self, _content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill(path):
        def open_full(self, mode="r", *arguments, **options):
            file = real_open(self, mode, *arguments, **options)
            if self.parent != path.parent or "w" not in mode:
                return file
            file.close()
            return FullFile()

        monkeypatch.setattr(Path, "open", open_full)

    return fill


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty cache for what comes from the hub."""
    cache = tmp_path / "hub_cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return cache


@pytest.fixture
def hub(hub_cache, monkeypatch):
    """A hub of our own on 127.0.0.1, and nothing in the cache."""
    with running_hub() as running:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", running.endpoint)
        monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", running.endpoint)
        template = running.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield running


@pytest.fixture
def small_volume():
    """A 4 x 5 x 6 scan in LPS, 2 x 1 x 3 mm, stored as int16 with intercept -1024."""
    voxels = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    affine = np.diag([-2.0, -1.0, 3.0, 1.0])
    facts = {"series_uid": "1.2.3", "patient_id": "P7", "warnings": ["spacing from positions"]}
    return Volume(voxels, affine, intercept=-1024.0, facts=facts)


@pytest.fixture
def begin(tmp_path, tiny_card):
    """Begin a run; settings can be changed by keyword."""
    configs = tmp_path / "bundle" / "configs"
    configs.mkdir(parents=True)
    (configs / "metadata.json").write_text(json.dumps({"version": "1.2.3"}))

    def run(**changes):
        settings = {"card": tiny_card, "device": "cpu", "precision": "fp32", "backend": "eager"}
        settings["output_dir"] = tmp_path / "out"
        return start_record(**{**settings, **changes}, bundle_root=tmp_path / "bundle")

    return run


@pytest.fixture
def make_result(small_volume):
    """Build a valid result; keywords replace parts of it."""

    def build(case_id="case_1", **replace):
        case = {"case_id": case_id, "image": "scans/case_1.nii.gz", "format": "nifti"}
        outputs = classification_outputs(
            labels=["Lung nodule", "Pleural effusion"],
            probabilities=[0.75, 0.25],
            thresholds=[0.5, 0.5],
            relevance=[[0.0, 2.0], [1.0, -1.0]],
            # S, L, P with 3 mm slices: the input's slices one to one.
            network_affine=[[0, -2, 0, 0], [0, 0, -1, 0], [3, 0, 0, 0], [0, 0, 0, 1]],
            network_shape=(6, 4, 5),
            input_affine=small_volume.affine,
            input_shape=small_volume.voxels.shape,
            num_top=1,
        )
        parts = {
            "case": describe_case(case, small_volume),
            "bundle": {"name": "ct_scroll", "version": "0.1.0"},
            "weights": {
                "name": "demo",
                "sha256": "ab" * 32,
                "source": "synthetic phantoms",
                "synthetic": True,
                "clinical_use": False,
            },
            "device": "cpu",
            "precision": "fp32",
            "backend": "eager",
            "timings": {"read_preprocess_s": 0.5, "inference_s": 1.25, "write_s": 0.25},
            "outputs": outputs,
            "definitions": CLASSIFICATION_DEFINITIONS,
            "fingerprint": "cd" * 32,
            "settings": {"precision": "fp32"},
            "written_at": "2026-01-02T03:04:05+00:00",
        }
        return case_result(**{**parts, **replace})

    return build
