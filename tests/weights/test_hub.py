"""Files from a hub of our own on 127.0.0.1."""

import errno
import os

import huggingface_hub
import pytest

from common.errors import InputError
from common.weights.hub import fetch_file
from common.weights.loading import file_sha256

MEGABYTE = 1_000_000


@pytest.fixture
def content(hub):
    """A checkpoint of more than one of the downloader's chunks, beside other files."""
    hub.files["ann/net/model.pth"] = os.urandom(25 * MEGABYTE)
    hub.files["ann/net/README.md"] = b"about"
    hub.files["ann/net/thresholds.json"] = b"{}"
    return hub.files["ann/net/model.pth"]


def is_nothing_left(cache):
    return not any(path.is_file() for path in cache.rglob("snapshots/*/*.pth"))


def test_a_file_comes_whole_and_alone(hub, content, hub_cache):
    path = fetch_file("ann/net", "*.pth")
    assert path.read_bytes() == content
    assert hub.sent == len(content)


def test_a_second_time_it_comes_from_the_cache(hub, content):
    first = fetch_file("ann/net", "model.pth")
    assert fetch_file("ann/net", "*.pth") == first
    assert hub.sent == len(content)


def test_what_was_cut_off_goes_on_where_it_was(hub, content):
    hub.cut_after, hub.cuts = 15 * MEGABYTE, 1
    assert fetch_file("ann/net", "*.pth").read_bytes() == content
    assert hub.sent < len(content) + 15 * MEGABYTE


def test_a_line_that_keeps_breaking_is_an_error_that_leaves_no_half_file(hub, content, hub_cache):
    hub.cut_after, hub.cuts = MEGABYTE, 1000
    with pytest.raises(InputError, match=r"\*.pth of ann/net must be in the cache.*try again"):
        fetch_file("ann/net", "*.pth")
    assert is_nothing_left(hub_cache)
    hub.cuts = 0
    assert fetch_file("ann/net", "*.pth").read_bytes() == content


def test_without_a_network_the_cache_is_enough(hub, content, monkeypatch):
    path = fetch_file("ann/net", "*.pth")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert fetch_file("ann/net", "*.pth") == path


def test_without_a_network_and_cache_it_is_an_error(hub, content, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="must be in the cache or the hub within reach"):
        fetch_file("ann/net", "*.pth")


def test_a_hub_that_does_not_answer_is_an_error(hub, hub_cache, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(InputError, match="must be in the cache or the hub within reach"):
        fetch_file("ann/net", "*.pth")


def test_another_hash_than_wanted_is_an_error(content):
    with pytest.raises(InputError, match=f"must have sha256 {'0' * 64}, got [0-9a-f]{{64}}"):
        fetch_file("ann/net", "model.pth", sha256="0" * 64)


def test_another_hash_than_the_hubs_is_an_error_and_leaves_nothing(hub, content, hub_cache):
    hub.hashes["ann/net/model.pth"] = "ab" * 32
    with pytest.raises(InputError, match="removed from the cache: fetch it again"):
        fetch_file("ann/net", "model.pth")
    hub.hashes = {}
    assert file_sha256(fetch_file("ann/net", "model.pth"))


def test_a_token_opens_what_is_private(hub, content, monkeypatch):
    hub.token = "secret"
    with pytest.raises(InputError, match="ann/net must be on the hub, got no such repository or"):
        fetch_file("ann/net", "*.pth")
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert fetch_file("ann/net", "*.pth").read_bytes() == content


def test_a_gated_repository_says_so(hub, content):
    hub.token, hub.gated = "secret", True
    with pytest.raises(InputError, match="got a gated repository; accept its terms"):
        fetch_file("ann/net", "*.pth")


@pytest.mark.parametrize(
    ("repository", "pattern", "revision", "message"),
    [
        ("ann/other", "*.pth", "main", "ann/other must be on the hub"),
        ("ann/net", "*.zip", "main", r"must hold one file \*.zip at main, got none"),
        ("ann/net", "*.*", "main", "got README.md, model.pth, thresholds.json; name it exactly"),
        ("ann/net", "*.pth", "v9", "revision must be in ann/net, got v9"),
        ("ann/net/x y", "*.pth", "main", "repository must be <owner>/<name>, got ann/net/x y"),
    ],
)
def test_what_is_not_there_is_named(content, repository, pattern, revision, message):
    with pytest.raises(InputError, match=message):
        fetch_file(repository, pattern, revision=revision)


def test_a_full_disk_is_an_error(content, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", full)
    with pytest.raises(InputError, match=r"the disk must have room for \*.pth of ann/net"):
        fetch_file("ann/net", "*.pth")
