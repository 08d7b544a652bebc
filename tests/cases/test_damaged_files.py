"""Damaged files of every format: a scan, or one line that says what is wrong; nothing else."""

from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from common.cases.find import find_cases
from common.cases.read import read_volume
from common.errors import InputError
from tests.dicom_files import ramp, write_series

CT = (np.arange(12**3) % 2000 - 1000).reshape(12, 12, 12).astype(np.int16)
NUM_DAMAGES = 40


def write_nrrd(path: Path, encoding: str) -> Path:
    header = {"space": "RAS", "space directions": np.eye(3), "space origin": [0, 0, 0]}
    nrrd.write(str(path), CT, {**header, "encoding": encoding})
    return path


def write_nifti(path: Path) -> Path:
    nib.Nifti1Image(CT, np.eye(4)).to_filename(path)
    return path


def write_npz(path: Path, save) -> Path:
    save(path, ct=CT)
    return path


WRITERS = {
    "nii.gz": lambda folder: write_nifti(folder / "a.nii.gz"),
    "nii": lambda folder: write_nifti(folder / "a.nii"),
    "nrrd raw": lambda folder: write_nrrd(folder / "a.nrrd", "raw"),
    "nrrd gzip": lambda folder: write_nrrd(folder / "a.nrrd", "gzip"),
    "npz": lambda folder: write_npz(folder / "a.npz", np.savez_compressed),
    "npz stored": lambda folder: write_npz(folder / "a.npz", np.savez),
    "dicom": lambda folder: write_series(folder, transfer_syntax=ExplicitVRLittleEndian)[1],
    "jpeg 2000": lambda folder: write_series(
        folder, ramp(4, 32, 32), transfer_syntax=JPEG2000Lossless
    )[1],
}


def damages(content: bytes) -> list[bytes]:
    """Copies with a few bytes changed, most of them in the header, some cut short."""
    random = np.random.default_rng(len(content))
    copies = []
    for number in range(NUM_DAMAGES):
        copy = bytearray(content)
        reach = len(copy) if number % 3 == 0 else min(len(copy), 700)
        for _ in range(1 + number % 5):
            copy[random.integers(reach)] = random.integers(256)
        cut = int(random.integers(len(copy))) if number % 5 == 0 else len(copy)
        copies.append(bytes(copy[:cut]))
    return copies


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", WRITERS)
def test_damage_is_an_error_in_one_line_or_does_no_harm(tmp_path: Path, kind: str):
    path = WRITERS[kind](tmp_path)
    given = path if path.suffix else tmp_path
    messages = []
    for copy in damages(path.read_bytes()):
        path.write_bytes(copy)
        try:
            for case in find_cases(given, series="all"):
                read_volume(case).hounsfield()
        except InputError as error:
            messages.append(str(error))
    assert messages
    assert not any("\n" in message for message in messages)
