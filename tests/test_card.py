"""A model card, read and checked."""

import pytest

from common.card import read_card
from common.errors import InputError


def test_thresholds_are_a_half_where_the_card_gives_none(tiny_card, rewrite):
    card = read_card(rewrite(tiny_card, thresholds={"Emphysema": 0.3}))
    assert card.thresholds["Emphysema"] == 0.3
    assert card.thresholds["Cardiomegaly"] == 0.5
    assert list(card.thresholds) == card.labels


def test_missing_card_says_what_to_do():
    with pytest.raises(
        InputError, match=r"card that exists, got nowhere\.json; use demo or a path"
    ):
        read_card("nowhere.json")


@pytest.mark.parametrize("text", ["{", "\udcff", '{"a": 1'])
def test_card_that_is_no_json(tmp_path, text):
    path = tmp_path / "model.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match="card must be readable JSON"):
        read_card(path)


def test_card_that_is_no_object(tmp_path):
    path = tmp_path / "model.json"
    path.write_text("[1]")
    with pytest.raises(InputError, match=r"card must be a JSON object, got .* with a list"):
        read_card(path)


def test_all_missing_keys_are_named_at_once(tiny_card, rewrite):
    rewrite(tiny_card, labels=None, network={"class": "ScrollClassifier"})
    with pytest.raises(InputError, match=r"without labels, network\.arguments; add them"):
        read_card(tiny_card.path)


def test_a_missing_argument_is_named_when_asked_for(tiny_card):
    with pytest.raises(InputError, match=r"card must hold network\.arguments\.depth, got .*json"):
        tiny_card.architecture["depth"]
    with pytest.raises(InputError, match=r"card must hold preprocessing\.colour"):
        tiny_card.preprocessing["colour"]


def test_provenance_is_what_results_repeat(tiny_card):
    assert tiny_card.provenance() == {
        "name": "tiny",
        "sha256": tiny_card.sha256,
        "source": "made for a test",
        "synthetic": True,
        "clinical_use": False,
    }
