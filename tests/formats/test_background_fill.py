"""Voxels read in the background: whole, or one line."""

import contextlib
import io
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.errors import InputError
from common.formats.background_fill import CHUNK_BYTES, BackgroundFill
from common.formats.nifti import read_nifti


class Shrinking(io.FileIO):
    """A file that someone cuts short while it is read."""

    def readinto(self, buffer: memoryview) -> int:
        count = super().readinto(buffer)
        os.truncate(self.name, self.tell())
        return count


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path: Path):
    path = tmp_path / "a.raw"
    path.write_bytes(bytes(3 * CHUNK_BYTES))
    fill = BackgroundFill(Shrinking(path), np.empty((3, 2, CHUNK_BYTES // 2), np.uint8), path)
    with pytest.raises(InputError, match=rf"a\.raw must be complete.*{CHUNK_BYTES} of"):
        fill.wait_until_filled(3)


def test_a_scan_that_vanishes_after_its_header_was_read_never_ends_the_process(tmp_path: Path):
    path = tmp_path / "a.nii"
    voxels = np.ones((256, 256, 200), np.int16)
    nib.Nifti1Image(voxels, np.eye(4)).to_filename(path)
    volume = read_nifti(path)
    os.truncate(path, 0)
    with contextlib.suppress(InputError):  # unless all was read before
        assert volume.hounsfield().min() == 1


def test_a_stream_that_goes_on_is_cut_off(tmp_path: Path):
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:
            return len(buffer)

    fill = BackgroundFill(Endless(), np.empty((2, 3, 4), np.int16), tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match=r"must hold 48 bytes of voxels.*got more"):
        fill.wait_until_filled(2)
