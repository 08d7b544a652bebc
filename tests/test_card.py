"""A model card, read and checked."""

import pytest

from common.card import Card, card_for_labels, read_card
from common.errors import InputError
from common.tables.totalsegmentator import STRUCTURES


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


def test_a_preset_is_asked_for_by_name(tiny_card):
    card = Card(tiny_card.path, {**tiny_card.content, "presets": {"fast": {"overlap": 0.25}}})
    assert card.preset("fast")["overlap"] == 0.25
    with pytest.raises(InputError, match="preset must be one of fast, got quick"):
        card.preset("quick")
    with pytest.raises(InputError, match=r"card must hold presets\.fast\.refine"):
        card.preset("fast")["refine"]
    with pytest.raises(InputError, match="preset must be one of none, got fast"):
        tiny_card.preset("fast")


def test_numbers_count_the_labels_where_the_card_gives_none(tiny_card):
    assert tiny_card.numbers == list(range(18))
    assert Card(tiny_card.path, {**tiny_card.content, "numbers": [0, 5]}).numbers == [0, 5]


def test_structures_of_totalsegmentator_keep_their_numbers_and_others_count_on(tiny_card):
    organs = card_for_labels(tiny_card, ["background", "liver", "heart"])
    assert organs.labels == ["background", "liver", "heart"]
    assert organs.numbers == [0, 5, 51]
    assert organs.architecture == tiny_card.architecture
    tumour = card_for_labels(organs, ["background", "liver", "tumour"])
    assert tumour.numbers == [0, 1, 2]
    whole = card_for_labels(organs, STRUCTURES)
    assert whole.numbers == list(range(118))
    assert "numbers" not in whole.content
