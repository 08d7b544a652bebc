"""The bundles' side of the MONAI Label app, in this process."""

import json
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch

import common.weights.loading
from common.phantom.export import write_phantom_case

from .conftest import LABEL_APP, SEED


@pytest.fixture
def worker(monkeypatch):
    monkeypatch.syspath_prepend(LABEL_APP)
    import worker

    return worker


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return write_phantom_case(tmp_path_factory.mktemp("scan"), SEED, spacing_mm=(6.0, 6.0, 6.0))


def ask(worker, networks, image, output_dir, bundle="ct_scroll", **options):
    question = {"do": "run", "bundle": bundle, "image": str(image), "output_dir": str(output_dir)}
    return worker.answer(networks, {**question, "options": options})


def outputs(answer, folder):
    return json.loads((folder / answer["folder"] / "result.json").read_text())["outputs"]


def test_a_network_is_loaded_once_and_answers_alike(worker, scan, tmp_path, monkeypatch):
    loaded = []
    load = common.weights.loading.load_weights
    monkeypatch.setattr(
        common.weights.loading, "load_weights", lambda *a, **k: loaded.append(1) or load(*a, **k)
    )
    networks = worker.LoadedNetworks(1.0)
    first = ask(worker, networks, scan, tmp_path / "first")
    second = ask(worker, networks, scan, tmp_path / "second")
    assert outputs(first, tmp_path) == outputs(second, tmp_path)
    assert len(loaded) == 1
    worker.describe_bundles()
    assert len(loaded) == 1


def test_other_weights_in_the_same_place_are_loaded(worker, tmp_path):
    card = SimpleNamespace(tensors=tmp_path / "model.safetensors", path="model.json")
    states = {worker._state_of(card)}
    for content in (b"one", b"other"):
        card.tensors.write_bytes(content)
        states.add(worker._state_of(card))
    assert len(states) == 3


def test_networks_take_no_more_memory_than_allowed(worker):
    made = {name: torch.nn.Linear(1000, 250, bias=False) for name in "abc"}  # 1 MB each
    networks = worker.LoadedNetworks(0.0021)
    for name in "abac":
        parser = SimpleNamespace(get_parsed_content=lambda _key, name=name: made[name])
        assert networks.get((name,), parser) is made[name]
    assert [key for (key,) in networks._networks] == ["a", "c"]
    assert networks.size_gb() == pytest.approx(0.002)
    small = worker.LoadedNetworks(0.0)
    small.get(("a",), SimpleNamespace(get_parsed_content=lambda _key: made["a"]))
    assert small.size_gb() == pytest.approx(0.001)  # the one in use stays


def test_a_scan_that_cannot_be_used_is_an_error_in_one_line(worker, tmp_path):
    networks = worker.LoadedNetworks(1.0)
    answer = ask(worker, networks, tmp_path / "nobody.nii.gz", tmp_path / "out")
    assert answer["error"].startswith("input must exist, got ")
    assert "fault" not in answer


def test_a_fault_of_our_own_tells_no_details(worker, tmp_path, monkeypatch, capsys):
    def broken(*_a, **_k):
        msg = "secret line of a file"
        raise RuntimeError(msg)

    monkeypatch.setattr(worker, "list_bundles", broken)
    answer = worker.answer(worker.LoadedNetworks(1.0), {"do": "list"})
    assert answer == {"error": worker.FAULT, "fault": True}
    assert "secret line of a file" in capsys.readouterr().err


def test_every_bundle_has_labels_from_one_on(worker):
    bundles = {bundle["name"]: bundle["labels"] for bundle in worker.describe_bundles()}
    assert len(bundles) >= 4
    for labels in bundles.values():
        assert sorted(labels.values()) == list(range(1, len(labels) + 1))


def test_a_number_that_weights_do_not_use_keeps_its_place(worker, monkeypatch):
    monkeypatch.setattr(worker, "makes_mask", lambda _bundle: True)
    card = SimpleNamespace(labels=["background", "spleen", "liver"], numbers=[0, 1, 3])
    assert worker.labels_sent(None, card) == {"spleen": 1, "unused 2": 2, "liver": 3}


@pytest.fixture
def where(worker):
    import where

    return where


def relevance_of(**slices):
    return {
        "findings": {name: {"positive": name != "no"} for name in slices},
        "relevance": {
            name: {"top_triplets": [{"input_axis": axis, "slices_voxel": span}]}
            for name, (axis, span) in slices.items()
        },
    }


def test_the_most_relevant_slices_of_a_finding_are_its_slab(where):
    told = relevance_of(nodule=("K", [1, 2]), no=("K", [0, 3]), outside=("K", None))
    found = where.relevant_slices(told, ["no", "nodule", "outside"], (2, 2, 4))
    assert found[0, 0].tolist() == [0, 2, 2, 0]
    assert (found == found[0, 0]).all()


def test_findings_share_a_slice_in_strips(where):
    told = relevance_of(a=("I", [0, 1]), b=("I", [1, 1]))
    found = where.relevant_slices(told, ["a", "b"], (3, 4, 1))[..., 0]
    assert found.tolist() == [[1, 1, 1, 1], [1, 1, 2, 2], [0, 0, 0, 0]]


def test_what_tells_no_slices_shows_what_the_network_saw(worker, tmp_path):
    head = write_phantom_case(tmp_path, SEED, region="head", spacing_mm=(4.0, 4.0, 4.0))
    image = nib.load(head)
    wide = np.pad(np.asarray(image.dataobj), ((0, 0), (0, 0), (0, 30)), constant_values=-1024)
    nib.save(nib.Nifti1Image(wide, image.affine), head)
    answer = ask(worker, worker.LoadedNetworks(1.0), head, tmp_path / "out", "ct_fm_triage")
    shown = np.asarray(nib.load(f"{answer['folder']}/{answer['volume']}").dataobj)
    assert shown.shape == wide.shape
    seen = np.flatnonzero(shown.any(axis=(0, 1)))
    assert set(np.unique(shown)) == {0, 1}
    assert len(seen) < wide.shape[2]  # the air above was left out
    assert answer["labels"] == {"seen by the network": 1}
