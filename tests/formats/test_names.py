"""Any name that a file system allows is read."""

import os
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pytest

from common.cases.read import SUFFIXES, read_volume

CT = (np.arange(5 * 6 * 7) - 1000).reshape(5, 6, 7).astype(np.int16)
NAMES = [b"two\nlines", b"latin \xe9\xff", b" $(rm) 'quoted\" ", "Röntgen 胸部".encode(), b"-x.y"]


def write(path: Path) -> None:
    plain = path.parent / f"plain{path.suffix}"
    if ".nii" in path.name:
        plain = path.parent / ("plain.nii.gz" if path.suffix == ".gz" else "plain.nii")
        nib.Nifti1Image(CT, np.eye(4)).to_filename(plain)
    elif path.suffix == ".npz":
        np.savez_compressed(plain, ct=CT)
    else:
        header = {"space": "RAS", "space directions": np.eye(3), "space origin": [0, 0, 0]}
        nrrd.write(str(plain), CT, header, detached_header=path.suffix == ".nhdr")
    plain.rename(path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_name_in_any_bytes_is_read(tmp_path: Path, name: bytes, suffix: str):
    path = tmp_path / os.fsdecode(name + suffix.encode())
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system does not allow the name")
    write(path)
    volume = read_volume({"case_id": "a", "image": str(path), "format": SUFFIXES[suffix]})
    np.testing.assert_array_equal(volume.hounsfield(), CT)
    assert volume.facts["path"] == str(path)
