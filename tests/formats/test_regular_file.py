"""Only files are read: a pipe would wait for ever."""

import os
from pathlib import Path

import pytest

from common.cases.read import SUFFIXES, read_volume
from common.errors import InputError


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_or_a_link_to_a_device_is_refused_at_once(tmp_path: Path, suffix: str):
    pipe, link = tmp_path / f"pipe{suffix}", tmp_path / f"link{suffix}"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    for path in (pipe, link):
        with pytest.raises(InputError, match="must be a file, got"):
            read_volume({"case_id": "a", "image": str(path), "format": SUFFIXES[suffix]})
