"""What is no CT in HU, told by type, units and values; and what is, although it is derived."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from common.cases.find import find_cases
from common.cases.read import read_volume
from common.errors import InputError
from tests.dicom_files import ramp, write_multi_frame, write_series


def in_units(code: str, label: str = "RCBF") -> Sequence:
    """A real-world value mapping."""
    unit, mapping = Dataset(), Dataset()
    unit.CodeValue = code
    mapping.LUTLabel = label
    mapping.MeasurementUnitsCodeSequence = Sequence([unit])
    return Sequence([mapping])


def of_type(*values: str) -> dict:
    return {"ImageType": list(values)}


DERIVED = of_type("DERIVED", "SECONDARY", "AXIAL")
NOT_HU = [
    ({"RescaleType": "ml/100ml/s"}, "values in ML/100ML/S, not in HU"),
    ({"RescaleType": "MGML"}, "values in MGML, not in HU"),
    ({"RealWorldValueMappingSequence": in_units("ml/100ml/s")}, r"values in ml/100ml/s \(RCBF\)"),
    (of_type("DERIVED", "PRIMARY", "PERFUSION", "RCBF"), "a map of another quantity .*RCBF"),
    (of_type("DERIVED", "PRIMARY", "PERFUSION"), "a perfusion map"),
    (of_type("DERIVED", "SECONDARY", "OTHER", "TTP"), "a map of another quantity"),
    (of_type("DERIVED", "PRIMARY", "VOLUME", "EFF_ATOMIC_NUM"), "a map of another quantity"),
    (of_type("DERIVED", "PRIMARY", "VOLUME", "SUBTRACTION"), "a map of another quantity"),
    (of_type("DERIVED", "SECONDARY", "AXIAL", "GSI_IODINE"), "a map of another quantity"),
    ({**DERIVED, "SeriesDescription": "Perfusion rCBV"}, "a derived image described as"),
    ({**DERIVED, "DerivationDescription": "Iodine map"}, "a derived image described as"),
    ({**DERIVED, "PixelPresentation": "COLOR"}, "a colour map"),
]


@pytest.mark.parametrize(("change", "reason"), NOT_HU, ids=[reason for _, reason in NOT_HU])
def test_what_is_not_in_hu_is_refused_with_what_was_found(
    tmp_path: Path, change: dict, reason: str
):
    def edit(dataset: Dataset, index: int) -> None:
        for keyword, value in change.items():
            setattr(dataset, keyword, value)

    write_series(tmp_path, edit=edit)
    with pytest.raises(InputError, match=reason):
        find_cases(tmp_path)


IN_HU = [
    {"RescaleType": "Hounsfield"},
    {"RescaleType": "HOUNSFIELD UNITS"},
    {"RescaleType": "hu "},
    {"RescaleType": "[hnsf'U]"},
    {"RescaleType": "HU_MOD"},
    {"RescaleType": "US"},
    {"RealWorldValueMappingSequence": in_units("[hnsf'U]", "CT")},
    of_type("DERIVED", "SECONDARY", "MPR"),
    of_type("DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"),
    of_type("DERIVED", "PRIMARY", "AXIAL", "CT_SOM5 MPR"),
    of_type("DERIVED", "PRIMARY", "VOLUME", "MAXIMUM"),
    of_type("DERIVED", "PRIMARY", "PERFUSION", "MEAN"),
    of_type("ORIGINAL", "PRIMARY", "PERFUSION", "NONE"),
    of_type("DERIVED", "PRIMARY", "MONOENERGETIC"),
    {**DERIVED, "SeriesDescription": "Thorax 5.0 Axial"},
    {"SeriesDescription": "Perfusion CBF source"},
]


@pytest.mark.parametrize("change", IN_HU, ids=str)
def test_what_is_in_hu_is_read_whatever_its_spelling_or_type(tmp_path: Path, change: dict):
    def edit(dataset: Dataset, index: int) -> None:
        for keyword, value in change.items():
            setattr(dataset, keyword, value)

    write_series(tmp_path, edit=edit)
    (case,) = find_cases(tmp_path)
    np.testing.assert_array_equal(read_volume(case).hounsfield(), ramp().transpose(2, 1, 0))


def test_a_derived_series_without_air_is_refused_with_its_range(tmp_path: Path):
    def edit(dataset: Dataset, index: int) -> None:
        dataset.ImageType = DERIVED["ImageType"]

    write_series(tmp_path, ramp() + 1000, edit=edit)
    with pytest.raises(InputError, match=r"derived .* values, 0 to 119\), none below"):
        find_cases(tmp_path)


def test_the_units_of_an_enhanced_file_s_frames_are_looked_at(tmp_path: Path):
    def edit(group: Dataset, index: int) -> None:
        group.RealWorldValueMappingSequence = in_units("s", "TTP")

    write_multi_frame(tmp_path / "e.dcm", ramp(), edit=edit)
    with pytest.raises(InputError, match=r"values in s \(TTP\), not in HU"):
        find_cases(tmp_path)


def test_a_real_perfusion_map_is_refused(shared: Path):
    path = shared / "failing_inputs/real/eCT_Supplemental.dcm"
    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    with pytest.raises(InputError, match="values in ml/100ml/s"):
        find_cases(path)
