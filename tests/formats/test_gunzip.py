"""Gzip content: members are one stream, what follows is ignored, damage is not."""

import gzip
import io

import numpy as np
import pytest

from common.formats.gunzip import DAMAGE_ERRORS, INPUT_BYTES, PIECE_BYTES, open_gzip

CONTENT = np.random.default_rng(0).integers(0, 50, 3 * PIECE_BYTES, np.uint8).tobytes()
CUT = PIECE_BYTES + 17


def opened(content: bytes) -> io.BufferedReader:
    return open_gzip(io.BytesIO(content))


@pytest.mark.parametrize("behind", [b"", b"\x01", b"\0" * 100, b"\0\0text", b"\x1e\x8b" * 9000])
def test_what_follows_the_last_member_is_no_content(behind: bytes):
    assert opened(gzip.compress(CONTENT) + behind).read() == CONTENT


def test_several_members_are_one_stream():
    cut = gzip.compress(CONTENT[:CUT]) + gzip.compress(b"") + gzip.compress(CONTENT[CUT:])
    assert opened(cut + b"\x01behind").read() == CONTENT


def test_many_small_members_are_one_stream_wherever_the_file_is_cut():
    parts = [gzip.compress(CONTENT[n : n + 100]) for n in range(0, INPUT_BYTES, 100)]
    assert opened(b"".join(parts)).read() == CONTENT[: 100 * len(parts)]


@pytest.mark.parametrize("lost", [1, 4, 8, 9, 1000])
def test_a_member_that_ends_early_is_damage(lost: int):
    with pytest.raises(DAMAGE_ERRORS, match="ends before its gzip stream does"):
        opened(gzip.compress(CONTENT)[:-lost]).read()


@pytest.mark.parametrize("place", [-1, -5])
def test_a_wrong_size_or_checksum_is_damage_even_with_bytes_behind(place: int):
    content = bytearray(gzip.compress(CONTENT))
    content[place] ^= 1
    with pytest.raises(DAMAGE_ERRORS, match="checksum"):
        opened(bytes(content) + b"behind").read()


@pytest.mark.parametrize("content", [b"", b"text", b"\x1f\x8b", b"\x1f\x8b\x07" + bytes(30)])
def test_what_is_no_gzip_is_damage(content: bytes):
    with pytest.raises(DAMAGE_ERRORS):
        opened(content).read()


def test_content_can_be_skipped_but_not_turned_back():
    stream = opened(gzip.compress(CONTENT))
    stream.seek(CUT)
    assert stream.read(9) == CONTENT[CUT : CUT + 9]
    assert stream.tell() == CUT + 9
    with pytest.raises(io.UnsupportedOperation, match="only be skipped forward"):
        stream.seek(0)
