"""What the model zoo demands: each check finds what is wrong."""

import json
import sys
import zipfile
from types import ModuleType

import pytest
import torch
from monai.bundle import ckpt_export

from common.bundle import checks
from common.bundle.checks import (
    check_bundle,
    check_changelog,
    check_files,
    check_in_and_out,
    check_metadata,
    check_onnx,
    check_sums,
    check_torchscript,
)
from common.bundle.packing import pack_bundle
from common.errors import InputError


@pytest.fixture
def packed(tiny_bundle, tmp_path):
    """A packed bundle with tiny weights."""
    return pack_bundle(tiny_bundle, output_dir=tmp_path / "dist")


@pytest.fixture
def unpacked(packed, tmp_path, monkeypatch):
    """The same as a folder whose code can be imported."""
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "unpacked")
    monkeypatch.syspath_prepend(tmp_path / "unpacked" / "ct_scroll")
    return tmp_path / "unpacked" / "ct_scroll"


def edit(folder, **changes):
    path = folder / "configs" / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_is_no_packed_bundle_is_an_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "flat.zip", "w") as flat:
        flat.writestr("configs/metadata.json", "{}")
    with pytest.raises(InputError, match=r"must hold one \*/configs/metadata.json, got .*with 0"):
        list(check_bundle(tmp_path / "flat.zip"))
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(InputError, match=r"must be a zip that pack_bundle made, got .*text\.zip"):
        list(check_bundle(tmp_path / "text.zip"))


def test_one_failure_does_not_hide_the_others(tiny_bundle, tmp_path):
    (tiny_bundle / "LICENSE").unlink()
    edit(
        tiny_bundle, changelog={"0.0.1": "older"}, not_exportable={"onnx": "a", "torchscript": "b"}
    )
    checks = check_bundle(pack_bundle(tiny_bundle, output_dir=tmp_path))
    assert [check.name for check in checks if not check.passed] == ["files", "changelog"]


def test_missing_files_are_named(unpacked):
    (unpacked / "docs" / "data_license.txt").unlink()
    with pytest.raises(InputError, match=r"bundle must hold docs/data_license.txt"):
        check_files(unpacked)


def test_files_above_the_limit_are_named(unpacked, monkeypatch):
    monkeypatch.setattr(checks, "LARGEST_MB", 0.02)
    said = check_files(unpacked)
    assert "above 0.02 MB, to be fetched apart: " in said
    assert "model.pt" in said.split("apart: ")[1]


def test_a_changed_file_is_named(unpacked):
    with (unpacked / "models" / "model.pt").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match=r"got another models/model\.pt"):
        check_sums(unpacked)


@pytest.mark.parametrize(
    "change", [{"version": "1"}, {"task": 3}, {"intended_use": "diagnosis"}, {"changelog": {}}]
)
def test_metadata_must_fit_the_schema(unpacked, change):
    edit(unpacked, **change)
    with pytest.raises(ValueError, match=r"Failed validating"):
        check_metadata(unpacked)


def test_the_changelog_begins_with_the_version(unpacked):
    edit(unpacked, changelog={"0.0.9": "older", "0.1.0": "this"})
    with pytest.raises(InputError, match=r"must begin with version 0\.1\.0, got 0\.0\.9"):
        check_changelog(unpacked)


def test_another_number_of_outputs_is_found(unpacked):
    path = unpacked / "configs" / "metadata.json"
    metadata = json.loads(path.read_text())
    metadata["network_data_format"]["outputs"]["pred"]["num_channels"] = 17
    path.write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match=r"output channel number `18` doesn't match: `17`"):
        check_in_and_out(unpacked)


@pytest.mark.parametrize(
    ("kind", "check"), [("torchscript", check_torchscript), ("onnx", check_onnx)]
)
def test_what_cannot_be_exported_says_why(unpacked, kind, check):
    edit(unpacked, not_exportable={kind: "it writes sentences in a loop"})
    assert check(unpacked) == "none: it writes sentences in a loop"


def test_an_export_that_gives_something_else_is_found(unpacked, monkeypatch):
    def export_others(**given):
        state = torch.load(given["ckpt_file"], weights_only=True)
        state["head.3.bias"] += 1e-3
        torch.save(state, unpacked / "other.pt")
        ckpt_export(**{**given, "ckpt_file": str(unpacked / "other.pt")})

    monkeypatch.setattr(checks, "ckpt_export", export_others)
    with pytest.raises(InputError, match=r"network's output to 1e-05, got 0\.001"):
        check_torchscript(unpacked)


def test_code_of_another_bundle_of_that_name_is_not_taken(tmp_path, monkeypatch):
    for name in ("_ct_scroll_common", "_ct_scroll_common.networks", "_ct_scroll_commonplace"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    with checks._importable(tmp_path / "ct_scroll"):
        assert "_ct_scroll_common" not in sys.modules
        assert "_ct_scroll_common.networks" not in sys.modules
        assert "_ct_scroll_commonplace" in sys.modules
