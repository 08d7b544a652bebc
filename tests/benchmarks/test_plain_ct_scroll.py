"""The baseline of the benchmarks computes what ours computes."""

import torch

from benchmarks.inference import LOGIT_SPREAD, ours_from_plain, seeded_plain, with_slices


def test_plain_network_equals_ours_with_the_same_weights():
    steps = torch.arange(12 * 64 * 64, dtype=torch.float32)
    volume = torch.sin(0.01 * steps).reshape(1, 1, 12, 64, 64)
    plain = seeded_plain(volume)
    with torch.no_grad():
        wanted, found = plain(volume), ours_from_plain(plain)(volume)
    assert torch.isclose(wanted.std(), torch.tensor(LOGIT_SPREAD))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_a_longer_scan_goes_on_upside_down():
    volume = torch.arange(3.0).reshape(1, 1, 3, 1, 1)
    assert with_slices(volume, 5).flatten().tolist() == [0, 1, 2, 2, 1]
    assert with_slices(volume, 2).flatten().tolist() == [0, 1]
