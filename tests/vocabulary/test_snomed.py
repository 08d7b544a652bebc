import pytest
from pydicom.sr import _cid_dict
from pydicom.sr._concepts_dict import concepts

from common.errors import InputError
from common.vocabulary import snomed
from common.vocabulary.snomed import INEXACT, Code, structure_code
from common.vocabulary.totalsegmentator import STRUCTURES

NAMES = STRUCTURES[1:]


def meanings(value: str) -> set[str]:
    """What pydicom's copy of DICOM's context groups calls a SNOMED CT code."""
    return {entry[value][0] for entry in concepts["SCT"].values() if value in entry}


def group(number: int) -> set[str]:
    """Code values of a DICOM context group."""
    names = _cid_dict.cid_concepts[number]["SCT"]
    return {value for name in names for value in concepts["SCT"][name]}


def type_of(name: str) -> Code:
    return structure_code(name).type


def test_every_code_means_in_dicom_what_it_says() -> None:
    for name in NAMES:
        category, kind, side, region = structure_code(name)
        for code in filter(None, (category, kind, side, region)):
            assert code.scheme == "SCT", name
            assert code.meaning in meanings(code.value), name
        assert category.value in group(7150), name
        assert side is None or side.value in group(244), name


def test_a_code_is_what_dicom_calls_the_structure() -> None:
    assert type_of("liver") == Code("10200004", "SCT", "Liver")
    assert type_of("kidney_left") == type_of("kidney_right")
    assert type_of("atrial_appendage_left").meaning == "Left auricular appendage"
    vertebrae = [name for name in NAMES if name.startswith("vertebrae_") and name[-2:] != "S1"]
    assert len(vertebrae) == 24
    for name in vertebrae:
        assert type_of(name).meaning == f"{name.removeprefix('vertebrae_')} vertebra"


def test_types_are_from_dicoms_group_of_segments_but_for_two_that_it_words_elsewhere() -> None:
    segments = group(7192) | group(7159) | group(7191)
    outside = {code.meaning for code in map(type_of, NAMES) if code.value not in segments}
    assert outside == {"Pelvis", "Skeletal muscle"}


def test_the_side_is_that_of_the_name() -> None:
    for name in NAMES:
        side = structure_code(name).side
        named = next((word for word in ("left", "right") if word in name.split("_")), None)
        assert (side.meaning.lower() if side else None) == named
    assert sum(structure_code(name).side is not None for name in NAMES) == 66


def test_only_cysts_are_abnormal_and_lie_in_a_region() -> None:
    abnormal = [name for name in NAMES if structure_code(name).category == snomed.ABNORMAL]
    assert abnormal == ["kidney_cyst_left", "kidney_cyst_right"]
    for name in NAMES:
        region = structure_code(name).region
        assert (region.meaning if region else "") == ("Kidney" if name in abnormal else "")


def test_exact_codes_tell_structures_apart() -> None:
    exact = [name for name in NAMES if name not in INEXACT]
    assert len({structure_code(name) for name in exact}) == len(exact) == 79


def test_inexact_codes_are_listed_where_people_read() -> None:
    listed = snomed.__doc__ or ""
    for name in INEXACT:
        assert snomed.split_side(name)[0] in listed
        assert type_of(name).meaning in " ".join(listed.split())


def test_names_that_are_no_structure_are_refused() -> None:
    for name in ("background", "face", "heart_myocardium"):
        with pytest.raises(InputError, match="name must be a structure"):
            structure_code(name)
