"""Caches that settings keep apart."""

from common.transforms.caching import cache_folder


def test_the_same_settings_share_a_folder_and_others_do_not(tmp_path):
    first = cache_folder(tmp_path, spacing_mm=[3, 3, 3], labels=["a", "b"])
    assert first.parent == tmp_path
    assert cache_folder(tmp_path, labels=["a", "b"], spacing_mm=[3, 3, 3]) == first
    assert cache_folder(tmp_path, spacing_mm=[3, 3, 2], labels=["a", "b"]) != first
    assert cache_folder(tmp_path, spacing_mm=None, labels=["a", "b"]) != first
