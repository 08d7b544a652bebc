"""The bound on a case's memory: exact numbers, one line."""

import sys

import pytest

from common import memory
from common.errors import InputError
from common.memory import array_bytes, check_memory, memory_bound_gb


def test_sizes_never_wrap():
    assert array_bytes((2**21, 2**21, 2**22), "int16") == 2**65


def test_a_third_of_the_machine_is_the_default_but_never_more_than_16_gb(
    monkeypatch: pytest.MonkeyPatch,
):
    for machine_gb, bound_gb in ((12, 4), (24, 8), (1000, 16)):
        monkeypatch.setattr(memory, "_machine_bytes", lambda gb=machine_gb: gb * 1e9)
        assert memory_bound_gb("auto") == bound_gb


@pytest.mark.skipif(sys.platform != "linux", reason="reads how Linux states it")
def test_this_machine_states_its_memory():
    assert 1e8 < memory._machine_bytes() < 1e14


@pytest.mark.parametrize("wrong", ["much", "8", 0, -1, float("nan"), True, None])
def test_a_bound_that_is_none_is_refused(wrong: object):
    with pytest.raises(InputError, match="max_gb must be a number above 0 or 'auto', got"):
        memory_bound_gb(wrong)


def test_what_takes_more_is_refused_in_one_line_with_its_numbers():
    check_memory("a.nii", 2 * 10**9, "voxels", max_gb=2)
    with pytest.raises(
        InputError,
        match=r"a\.nii must take at most 2 GB of memory, got 3 GB for voxels; .*--max_gb",
    ):
        check_memory("a.nii", 3 * 10**9, "voxels", max_gb=2)
