import pytest
import torch

from common.metrics.probe_score import ProbeScore


@pytest.fixture
def embeddings():
    return torch.randn(60, 8, generator=torch.Generator().manual_seed(0))


def test_what_the_embeddings_hold_is_found_and_chance_is_not(embeddings):
    chance = torch.randn(60, generator=torch.Generator().manual_seed(1)) > 0
    held = ProbeScore()
    held(embeddings, (embeddings[:, 3] > 0).float()[:, None])
    assert held.aggregate() > 0.9
    guess = ProbeScore()
    guess(embeddings, chance.float()[:, None])
    assert 0.25 < guess.aggregate() < 0.75


def test_cases_of_all_batches_count_and_unknown_truth_does_not(embeddings):
    truth = (embeddings[:, :2] > 0).float()
    truth[40:, 1] = torch.nan
    whole, parts = ProbeScore(), ProbeScore()
    whole(embeddings, truth)
    for start in range(0, 60, 7):
        parts(embeddings[start : start + 7], truth[start : start + 7])
    assert parts.aggregate() == whole.aggregate() > 0.8
    first = ProbeScore()
    first(embeddings[:40], truth[:40, 1:])
    second = ProbeScore()
    second(embeddings, truth[:, 1:])
    assert first.aggregate() == pytest.approx(second.aggregate(), abs=1e-6)


def test_a_rare_label_is_left_out_by_name(embeddings, caplog):
    truth = torch.stack([(embeddings[:, 0] > 0).float(), torch.zeros(60)], dim=1)
    truth[:4, 1] = 1
    score = ProbeScore(["common", "rare"])
    score(embeddings, truth)
    assert score.aggregate() > 0.9
    assert "over 1 of 2 labels" in caplog.text
    assert "rare" in caplog.text


def test_nothing_to_probe_is_zero(embeddings):
    score = ProbeScore()
    score(embeddings, torch.ones(60, 1))
    assert score.aggregate() == 0.0
