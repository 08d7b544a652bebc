"""A model card, read and checked."""

from math import nan

import pytest

from common.errors import InputError
from common.vocabulary.totalsegmentator import STRUCTURES
from common.weights.card import Card, card_for_labels, kept_by_training, read_card


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
    rewrite(tiny_card, bundle=None, clinical_use=None, network={"class": "ScrollClassifier"})
    missing = (
        r"bundle must be given, got nothing; network\.arguments must be given, got nothing; "
        r"clinical_use must be given, got nothing; mend it"
    )
    with pytest.raises(InputError, match=missing):
        read_card(tiny_card.path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 3}, "name must be text, got 3"),
        ({"labels": "liver"}, 'labels must be a list of different names, got "liver"'),
        ({"labels": ["a", "a"]}, "labels must be a list of different names"),
        ({"labels": ["a", 1]}, "labels must be a list of different names"),
        ({"network": [1]}, "network must be an object"),
        ({"network": {"class": 1, "arguments": {}}}, r"network\.class must be text"),
        ({"network": {"class": "A", "arguments": []}}, r"network\.arguments must be an object"),
        (
            {"network": {"class": "A", "arguments": {"init_filters": "16"}}},
            r"network\.arguments\.init_filters must be a number .*, a name, .* of such, got",
        ),
        ({"preprocessing": None}, "preprocessing must be given, got nothing"),
        ({"preprocessing": "affine"}, "preprocessing must be an object"),
        (
            {"preprocessing": {"spacing_mm": "1"}},
            r"preprocessing\.spacing_mm must be three numbers",
        ),
        (
            {"preprocessing": {"spacing_mm": [1, 1, -1]}},
            r"spacing_mm must be three numbers above 0",
        ),
        ({"preprocessing": {"size": [1, 2]}}, r"preprocessing\.size must be three whole numbers"),
        ({"preprocessing": {"axcodes": "SPS"}}, r"preprocessing\.axcodes must be three letters"),
        ({"preprocessing": {"hu_window": [1, 0]}}, "must be two numbers, the lower first"),
        ({"preprocessing": {"grid": 1}}, "must be affine or half_pixel"),
        (
            {"thresholds": {"Emphysema": "0.5"}},
            r"thresholds\.Emphysema must be a number from 0 to 1",
        ),
        ({"thresholds": {"Lung nodule": nan}}, r'thresholds\["Lung nodule"\] must be .*, got NaN'),
        ({"thresholds": [0.5]}, r"thresholds must be an object, got \[0\.5\]"),
        (
            {"thresholds": {"Emphysema": 2}},
            r"thresholds\.Emphysema must be a number from 0 to 1, got 2",
        ),
        ({"thresholds": {"Emphysem": 0.5}}, 'must be of the card\'s labels, got "Emphysem"'),
        ({"numbers": [1, 2]}, r"numbers must be one per label \(18\), got 2"),
        ({"numbers": {"a": 1}}, "numbers must be a list of different whole numbers"),
        ({"presets": {"fast": 3}}, r"presets\.fast must be an object, got 3"),
        (
            {"presets": {"fast": {"overlap": 1}}},
            r"presets\.fast\.overlap must be from 0 to below 1",
        ),
        ({"num_features": "many"}, "num_features must be a whole number"),
        ({"tensors": 3}, "tensors must be the name of a file beside the card"),
        ({"tensors": "/etc/model.pt"}, "tensors must be the name of a file beside the card"),
        ({"tensors": "../model.pt"}, "tensors must be the name of a file beside the card"),
        ({"tensors": "..\\model.pt"}, "tensors must be the name of a file beside the card"),
        ({"sha256": 12}, "sha256 must be 64 hexadecimal digits"),
        ({"training": "much"}, "training must be an object"),
        ({"files": ["model.pt"]}, "files must be an object"),
        ({"files": {}}, r"files must list the tensors model\.pt, got \[\]"),
        ({"files": {"model.pt": "abc"}}, r'files\["model.pt"\] must be 64 hexadecimal digits'),
        ({"sha256": "0" * 64}, r"sha256 must be that of model\.pt in files, got"),
        (
            {"tensors": None, "files": {"a/vocab.json": "0" * 64, "b/vocab.json": "1" * 64}},
            "files must differ in name below their folders",
        ),
        ({"synthetic": "no"}, 'synthetic must be true or false, got "no"'),
        ({"clinical_use": "no"}, "clinical_use must be false"),
        ({"clinical_use": True}, "clinical_use must be false, got true"),
    ],
)
def test_a_value_of_the_wrong_type_is_one_line(tiny_card, rewrite, changes, message):
    rewrite(tiny_card, **changes)
    with pytest.raises(InputError, match=message) as caught:
        read_card(tiny_card.path)
    assert len(str(caught.value).splitlines()) == 1
    assert str(tiny_card.path) in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["../vocab.json", "/etc/passwd", "a/../../b", "a//b", "./a", "a/.", "..", "", "a\\b", "C:b"],
)
def test_a_file_outside_the_cards_folder_is_refused(tiny_card, rewrite, name):
    listed = {**tiny_card.content["files"], name: "0" * 64}
    with pytest.raises(InputError, match=r"files\[.*\] must be a path below the card's folder"):
        read_card(rewrite(tiny_card, files=listed))


def test_a_network_may_be_built_of_more_than_sizes(tiny_card, rewrite):
    arguments = {
        "dropout": 0.2, "bias": -2.5, "norm": "group", "mask": True, "grid": [8, 8, 8],
        "head": None, "levels": {"deep": [1, 2]},
    }  # fmt: skip
    card = read_card(rewrite(tiny_card, network={"class": "A", "arguments": arguments}))
    assert card.architecture == arguments
    for wrong in (-1, "16", ["8"], {"deep": [-1]}, nan):
        rewrite(tiny_card, network={"class": "A", "arguments": {"size": wrong}})
        with pytest.raises(InputError, match=r"network\.arguments\.size must be a number"):
            read_card(tiny_card.path)


def test_a_card_needs_no_labels_and_code_that_wants_them_says_which_card_lacks_them(
    tiny_card, rewrite
):
    card = read_card(rewrite(tiny_card, labels=None, landmarks={"left": 0}))
    assert card.section("landmarks")["left"] == 0
    for ask in (lambda: card.labels, lambda: card.thresholds, lambda: card.numbers):
        with pytest.raises(
            InputError, match=r"card must hold labels, got .*model\.json without it"
        ):
            ask()
    with pytest.raises(InputError, match=r"card must hold landmarks\.right, got .*model\.json"):
        card.section("landmarks")["right"]
    with pytest.raises(InputError, match=r"card must hold readers, got .*model\.json without it"):
        card.section("readers")
    assert card_for_labels(card, ["a"]).labels == ["a"]


def test_training_keeps_every_section_but_those_of_the_old_weights(tiny_card, rewrite):
    sections = {"landmarks": ["C4", "C7"], "thresholds": {"Emphysema": 0.3}, "presets": {"a": {}}}
    old = {"score": {"auroc": 1}, "training": {"data": "x"}, "origin": {"url": "x"}, "licence": "x"}
    card = read_card(rewrite(tiny_card, **sections, **old))
    kept = kept_by_training(card)
    assert {key: kept[key] for key in sections} == sections
    assert kept.keys() - sections == {"bundle", "network", "preprocessing", "labels"}


def test_a_card_without_a_list_of_files_has_its_tensors_and_their_hash(tiny_card, rewrite):
    sha256 = tiny_card.sha256
    old = read_card(rewrite(tiny_card, files=None, sha256=sha256))
    assert (old.tensors, old.sha256) == (tiny_card.tensors, sha256)
    assert old.files_beside == {}


def test_much_that_is_wrong_is_cut_short(tiny_card, rewrite):
    rewrite(tiny_card, name=1, labels=1, training=1, score=1, synthetic=1)
    with pytest.raises(InputError, match=r"name must be text.*; and 2 more; mend it"):
        read_card(tiny_card.path)


def test_every_card_of_the_repository_is_right(repository):
    cards = [p for p in repository.glob("bundles/*/models/*.json") if p.stem != "key_map"]
    assert len(cards) >= 8
    assert [read_card(path).name for path in cards if path.stem == "demo"]


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
    assert organs.architecture == {**tiny_card.architecture, "num_classes": 3}
    tumour = card_for_labels(organs, ["background", "liver", "tumour"])
    assert tumour.numbers == [0, 1, 2]
    whole = card_for_labels(organs, STRUCTURES)
    assert whole.numbers == list(range(118))
    assert "numbers" not in whole.content


def test_label_volumes_keep_the_numbers_of_the_data_they_were_trained_on(tiny_card):
    numbers = {"liver": 1, "tumour": 3, "vessel": 7}
    own = card_for_labels(tiny_card, ["background", "tumour", "liver"], numbers)
    assert own.numbers == [0, 3, 1]
    assert card_for_labels(tiny_card, ["background", "liver"], numbers).numbers == [0, 1]
    assert card_for_labels(tiny_card, ["background", "liver"], {}).numbers == [0, 5]
    assert card_for_labels(tiny_card, ["background", "a"], {"a": 300}).numbers == [0, 1]


def test_a_classifiers_card_for_other_labels_builds_a_network_for_them(tiny_card):
    own = card_for_labels(tiny_card, ["Edema", "Embolism"])
    assert own.labels == ["Edema", "Embolism"]
    assert own.architecture["num_classes"] == 2
    assert tiny_card.architecture["num_classes"] == 18
    assert card_for_labels(tiny_card, []) is tiny_card
