"""Files of tensors, whole and damaged, as people save them."""

import argparse
import logging
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch

from common.errors import InputError
from common.weights.checkpoint import HOLDERS, read_tensors, read_torch

WEIGHT = {"weight": torch.ones(2)}
ADVICE = ("weights_only", "safe_globals", "trust", "Re-running")


def saved(content, path):
    torch.save(content, path)
    return path


@pytest.mark.parametrize("holder", HOLDERS)
def test_weights_are_found_under_every_usual_name(tmp_path, holder):
    path = saved({holder: WEIGHT, "epoch": 3, "optimizer": {"state": {}}}, tmp_path / "a.pth")
    assert read_tensors(path).keys() == {"weight"}


def test_holders_may_be_nested(tmp_path):
    path = saved({"model": {"state_dict": WEIGHT, "step": 1}}, tmp_path / "a.pth")
    assert read_tensors(path).keys() == {"weight"}


@pytest.mark.parametrize(
    "beside",
    [
        0.8,
        np.float64(0.8),
        np.float32(0.8),
        np.int64(3),
        np.arange(3.0),
        [np.float64(0.1), np.float64(0.2)],
        "ct",
        None,
        argparse.Namespace(lr=1e-3),
    ],
    ids=str,
)
@pytest.mark.parametrize("holder", ["", "state_dict"])
def test_what_stands_beside_the_weights_is_looked_past_and_said(tmp_path, caplog, beside, holder):
    content = {holder: WEIGHT, "best": beside} if holder else {**WEIGHT, "best": beside}
    with caplog.at_level(logging.INFO, "common.weights"):
        assert read_tensors(saved(content, tmp_path / "a.pth")).keys() == {"weight"}
    assert holder or "left out beside the weights: best" in caplog.text


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".ckpt", ".bin"])
def test_safetensors_are_told_by_their_content(tmp_path, suffix):
    safetensors.torch.save_file(WEIGHT, tmp_path / f"a{suffix}")
    assert read_tensors(tmp_path / f"a{suffix}").keys() == {"weight"}


def header(text, length=None):
    return (len(text) if length is None else length).to_bytes(8, "little") + text


SCALAR = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
DAMAGED = {
    "empty": (b"", "an empty file"),
    "page": (b"<!DOCTYPE html><html>sign in</html>", "a web page"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "a Git LFS pointer"),
    "text": (b"no tensors here", "damaged"),
    "half a pickle": (b"\x80\x02}q\x00", "a damaged file or no checkpoint"),
    "half an archive": (b"PK\x03\x04" + bytes(60), "a damaged file or no checkpoint"),
    "header bomb": (header(b"{", 2**62), "cut off, too long or damaged"),
    "long header": (header(b"{}", 90_000_000), "cut off, too long or damaged"),
    "deep header": (header(b'{"a":' * 200_000), "cut off, too long or damaged"),
    "cut off": (header(SCALAR) + bytes(2), "cut off, too long or damaged"),
    "too long": (header(SCALAR) + bytes(9), "cut off, too long or damaged"),
    "huge": (header(SCALAR.replace(b"[1]", b"[4611686018427387904,4]")) + bytes(4), "cut off"),
}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_one_clear_line(tmp_path, content, message, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"must be a state dict .*model\{suffix}.*") as caught:
        read_tensors(path)
    assert message in str(caught.value) or "damaged" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not any(word in str(caught.value) for word in ADVICE)


class Stranger:
    pass


def test_objects_that_could_run_code_are_named_and_torchs_advice_is_not(tmp_path):
    for content in ({"weight": Stranger()}, torch.nn.Linear(1, 1)):
        path = saved(content, tmp_path / "model.pt")
        name = r"(tests\.weights\.test_checkpoint\.Stranger|torch\.nn\.modules\.linear\.Linear)"
        with pytest.raises(InputError, match=rf"an object of {name}, which could run") as caught:
            read_torch(path)
        assert not any(word in str(caught.value) for word in ADVICE)
        assert caught.value.__cause__ is None  # nor in a traceback's chain
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_torchscript_program_is_not_run(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("model/constants.pkl", b"")
    with pytest.raises(InputError, match=r"a TorchScript program.* network.state_dict") as caught:
        read_tensors(tmp_path / "model.pt")
    assert not any(word in str(caught.value) for word in ADVICE)


def test_an_archive_that_unfolds_is_not_unfolded(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", bytes(10_000_000))
    with pytest.raises(InputError, match="an archive that unfolds to more than its size"):
        read_tensors(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "no tensors but list"),
        ({}, "no tensors but dict"),
        ({"epoch": 1}, "no tensors but 1 other things"),
        ({0: torch.ones(1), 1: torch.ones(1)}, "2 keys that are no names, such as 0"),
        ({"a": torch.ones(2, device="meta")}, r"without numbers \(meta\), such as a"),
        ({"a": torch.ones(2).to_sparse()}, "sparse, nested or quantized tensors, such as a"),
        (
            {"a": torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8)},
            "sparse, nested or quantized tensors, such as a",
        ),
    ],
    ids=["list", "nothing", "numbers", "integer keys", "meta", "sparse", "quantized"],
)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_what_holds_no_numbers_by_name_says_so(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_tensors(saved(content, tmp_path / "model.pt"))


def test_every_single_byte_that_flips_is_read_or_refused_in_one_line(tmp_path):
    whole = bytearray(saved({"state_dict": WEIGHT}, tmp_path / "a.pt").read_bytes())
    for place in range(0, len(whole), 7):
        damaged = bytes([*whole[:place], whole[place] ^ 0xFF, *whole[place + 1 :]])
        (tmp_path / "b.pt").write_bytes(damaged)
        try:
            read_tensors(tmp_path / "b.pt")
        except InputError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017
