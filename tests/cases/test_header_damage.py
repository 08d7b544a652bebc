"""Headers damaged by formula: an error in one line or a volume, never more than the file claims."""

import bz2
import gzip
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pytest

from common.cases.read import read_volume
from common.errors import InputError
from common.formats.evidence import why_no_ct

CT = (np.arange(5 * 6 * 7) % 200 * 10 - 1000).reshape(5, 6, 7).astype(np.int16)
NUM_VARIANTS = 250
EXTREMES = (np.nan, np.inf, -np.inf, 1e30, -1.0, 0.0, 353.5)


def nifti(kind: type, endianness: str = "<") -> bytes:
    image = kind(CT, np.diag([-2, -2, 2.5, 1]), kind.header_class(endianness=endianness))
    image.set_qform(image.affine, 1)
    return image.to_bytes()


def nrrd_file(folder: Path, encoding: str) -> bytes:
    header = {"space": "LPS", "space directions": np.diag([2, 2, 2.5]), "space origin": [1, 2, 3]}
    nrrd.write(str(folder / "x.nrrd"), CT, {**header, "encoding": encoding})
    return (folder / "x.nrrd").read_bytes()


def npz(save: Callable) -> bytes:
    content = io.BytesIO()
    save(content, ct=CT)
    return content.getvalue()


NAMES = {"nifti": "a.nii.gz", "nrrd": "a.nrrd", "npz": "a.npz"}
FILES = {
    "nifti 1": ("nifti", lambda _: nifti(nib.Nifti1Image), 352),
    "nifti 1 big": ("nifti", lambda _: nifti(nib.Nifti1Image, ">"), 352),
    "nifti 2": ("nifti", lambda _: nifti(nib.Nifti2Image), 544),
    "nrrd raw": ("nrrd", lambda folder: nrrd_file(folder, "raw"), 330),
    "nrrd gzip": ("nrrd", lambda folder: nrrd_file(folder, "gzip"), 380),
    "nrrd bzip2": ("nrrd", lambda folder: nrrd_file(folder, "bzip2"), 380),
    "nrrd text": ("nrrd", lambda folder: nrrd_file(folder, "ascii"), 330),
    "npz": ("npz", lambda _: npz(np.savez_compressed), None),
    "npz stored": ("npz", lambda _: npz(np.savez), None),
}


def damages(content: bytes, reach: int | None) -> Iterator[bytes]:
    """One byte of the header to 0, 255 or anything, in turn; some with more, some cut short."""
    random = np.random.default_rng(len(content))
    reach = min(reach or len(content), len(content))
    for number in range(NUM_VARIANTS):
        copy = bytearray(content)
        place = number * reach // NUM_VARIANTS
        copy[place] = (0, 255, random.integers(256), copy[place] ^ 128)[number % 4]
        if number % 5 == 0:
            for place in random.integers(reach, size=4):
                copy[place] = random.integers(256)
        yield bytes(copy[: random.integers(len(copy))] if number % 25 == 0 else copy)


def check(path: Path, kind: str) -> str:
    """Look at a file and read it; gives the refusal, and fails on anything but one line."""
    case = {"case_id": "a", "image": str(path), "format": kind}
    refusal = ""
    for step in (why_no_ct, lambda case: read_volume(case, max_gb=0.1).hounsfield()):
        try:
            step(case)
        except InputError as error:
            refusal = str(error)
            assert "\n" not in refusal
            assert len(refusal) < 1000
    return refusal


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_header_is_one_line_or_does_no_harm(tmp_path: Path, name: str):
    kind, make, reach = FILES[name]
    path = tmp_path / NAMES[kind]
    refusals = 0
    for copy in damages(make(tmp_path), reach):
        path.write_bytes(copy)
        refusals += bool(check(path, kind))
    assert 0 < refusals < NUM_VARIANTS


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_field_of_any_extreme_is_one_line_or_does_no_harm(tmp_path: Path, kind: type, pack):
    content = nifti(kind)
    fields = kind.header_class.template_dtype.fields
    path = tmp_path / "a.nii.gz"
    for dtype, offset, *_ in fields.values():
        base, count = dtype.base, dtype.itemsize // dtype.base.itemsize
        if base.kind == "f":
            values = np.array(EXTREMES, base)
        elif base.kind == "i":
            limits = np.iinfo(base)
            values = np.array([limits.max, limits.min, -1, 0, limits.max // 2 + 1], base)
        else:
            continue
        for value in values:
            copy = bytearray(content)
            copy[offset : offset + dtype.itemsize] = np.full(count, value).tobytes()
            path.write_bytes(pack(bytes(copy)))
            check(path, "nifti")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_small_file_takes_no_gigabytes_whatever_it_claims(tmp_path: Path, pack):
    content = bytearray(nifti(nib.Nifti2Image))
    content[16:80] = np.array(
        [3, 2**21, 2**21, 2**22, 1, 1, 1, 1], "<i8"
    ).tobytes()  # 2 ** 65 bytes
    (tmp_path / "a.nii.gz").write_bytes(pack(bytes(content) + bytes(10 << 20)))
    assert "must" in check(tmp_path / "a.nii.gz", "nifti")
