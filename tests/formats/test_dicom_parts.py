"""One series, several volumes: phases, kernels and acquisitions, scouts, copies, shared UIDs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from common.cases.find import find_cases
from common.cases.read import read_volume
from common.errors import InputError
from tests.dicom_files import ramp, uid, write_multi_frame, write_series


def setting(**elements: object) -> Callable[[Dataset, int], None]:
    """An edit that sets elements to the same value in every slice."""

    def edit(dataset: Dataset, index: int) -> None:
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)

    return edit


def lowest(folder: Path, **choice: object) -> list[float]:
    """Lowest HU of each case: -1000 of a ramp, one more for each that was added."""
    cases = find_cases(folder, **choice)
    assert cases.rejected == []
    return [float(read_volume(case).hounsfield().min()) for case in cases]


APART = [
    ({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}),
    ({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}),
    ({"TemporalPositionIndex": 1}, {"TemporalPositionIndex": 2}),
    ({"NominalPercentageOfCardiacPhase": 40.0}, {"NominalPercentageOfCardiacPhase": 75.0}),
    ({"ScanOptions": "TP40PC"}, {"ScanOptions": "TP75PC"}),
    ({"TriggerTime": 280}, {"TriggerTime": 525}),
    ({"ConvolutionKernel": "B30f"}, {"ConvolutionKernel": "B70f"}),
    ({"KVP": 80}, {"KVP": 140}),
    ({"AcquisitionTime": "120000"}, {"AcquisitionTime": "120030"}),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}, {"ImageType": ["DERIVED", "PRIMARY", "MPR"]}),
    ({"FrameOfReferenceUID": "1.2.3"}, {"FrameOfReferenceUID": "1.2.4"}),
    ({"PatientName": "A^B"}, {"PatientName": "C^D"}),
]


@pytest.mark.parametrize("shift_mm", [0.0, 1.25, 0.4])
@pytest.mark.parametrize(("first", "second"), APART, ids=[next(iter(a)) for a, _ in APART])
def test_acquisitions_in_one_stretch_are_two_volumes(
    tmp_path: Path, first: dict, second: dict, shift_mm: float
):
    write_series(tmp_path, edit=setting(**first), prefix="A")
    origin = (-10.0, -20.0, 30.0 + shift_mm)
    write_series(tmp_path, ramp() + 100, edit=setting(**second), prefix="B", origin=origin)
    assert lowest(tmp_path, series="all") == [-1000, -900]
    assert lowest(tmp_path, series="1/2") == [-900]
    with pytest.raises(InputError, match=rf"series 1/1 'Chest' \({next(iter(first))} "):
        find_cases(tmp_path)


def test_parts_are_numbered_by_what_tells_them_apart(tmp_path: Path):
    for phase in (100, 5, 40):
        edit = setting(NominalPercentageOfCardiacPhase=float(phase))
        write_series(tmp_path, ramp() + phase, edit=edit, prefix=f"P{phase}_")
    assert lowest(tmp_path, series="all") == [-995, -960, -900]
    assert lowest(tmp_path, series="1/3") == [-900]


def test_two_kernels_of_two_phases_are_four_volumes(tmp_path: Path):
    for number, (phase, kernel) in enumerate(((1, "A"), (1, "B"), (2, "A"), (2, "B"))):
        edit = setting(AcquisitionNumber=phase, ConvolutionKernel=kernel)
        write_series(tmp_path, ramp() + number, edit=edit, prefix=f"P{number}_")
    assert sorted(lowest(tmp_path, series="all")) == [-1000, -999, -998, -997]


def test_chest_and_pelvis_in_one_series_are_two_volumes(tmp_path: Path):
    write_series(tmp_path, ramp(6), edit=setting(AcquisitionNumber=1), prefix="A")
    write_series(
        tmp_path, ramp(6), edit=setting(AcquisitionNumber=2), prefix="B", origin=(0, 0, 300)
    )
    assert lowest(tmp_path, series="all") == [-1000, -1000]


def test_blocks_that_run_into_each_other_where_they_join_stay_one_volume(tmp_path: Path):
    """Thin slices up to 17.5 mm, thick ones from 16.25 mm on, each its own acquisition."""
    thin, thick = 2.5 * np.arange(8), 16.25 + 5.0 * np.arange(8)
    for name, heights in (("thin", thin), ("thick", thick)):

        def edit(dataset: Dataset, index: int, name: str = name, heights: object = heights) -> None:
            dataset.AcquisitionNumber = 1 + (name == "thick")
            dataset.ImagePositionPatient = [0, 0, heights[index]]

        hu = np.broadcast_to(10 * heights[:, None, None], (8, 6, 5)).astype(np.int16)
        write_series(tmp_path, hu - 1000, edit=edit, prefix=name)
    (case,) = find_cases(tmp_path)
    volume = read_volume(case)
    world_z = volume.affine[2, 3] + volume.affine[2, 2] * np.arange(volume.voxels.shape[2])
    np.testing.assert_allclose(volume.hounsfield()[2, 2], 10 * world_z - 1000, atol=1.0)


def test_slices_shared_among_folders_without_numbers_are_one_volume(tmp_path: Path):
    def edit(dataset: Dataset, index: int) -> None:
        dataset.InstanceNumber = None

    write_series(tmp_path / "a", ramp(8), edit=edit, skip=range(0, 8, 2))
    write_series(tmp_path / "b", ramp(8), edit=edit, skip=range(1, 8, 2))
    (case,) = find_cases(tmp_path)
    np.testing.assert_array_equal(read_volume(case).hounsfield(), ramp(8).transpose(2, 1, 0))


def test_rotations_of_one_scan_stay_one_volume(tmp_path: Path):
    """Axial scans count every rotation, and every second one may be marked in another way."""

    def edit(dataset: Dataset, index: int) -> None:
        dataset.AcquisitionNumber = index // 2
        dataset.AcquisitionTime = f"1200{index:02d}"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "ADD"][: 3 + index // 6]

    write_series(tmp_path, ramp(12), edit=edit)
    (case,) = find_cases(tmp_path)
    np.testing.assert_array_equal(read_volume(case).hounsfield(), ramp(12).transpose(2, 1, 0))


def test_a_rotation_that_is_missing_does_not_part_a_scan(tmp_path: Path):
    def edit(dataset: Dataset, index: int) -> None:
        dataset.AcquisitionNumber = index // 4

    write_series(tmp_path, ramp(40), edit=edit, skip=range(8, 12))
    with pytest.raises(InputError, match="got 4 missing of 40 slices"):
        find_cases(tmp_path)


def test_two_volumes_that_only_their_instance_numbers_tell_apart_are_parted(tmp_path: Path):
    write_series(tmp_path, ramp(8), prefix="A")
    write_series(tmp_path, ramp(8) + 100, prefix="B", origin=(-10, -20, 31.25))
    assert lowest(tmp_path, series="all") == [-1000, -900]


def in_time(index: int) -> Sequence:
    content = Dataset()
    content.TemporalPositionIndex = index
    return Sequence([content])


def at_phase(percent: float) -> Sequence:
    cardiac = Dataset()
    cardiac.NominalPercentageOfCardiacPhase = percent
    return Sequence([cardiac])


@pytest.mark.parametrize(
    "mark",
    [
        lambda group, second: setattr(group, "FrameContentSequence", in_time(1 + second)),
        lambda group, second: setattr(
            group, "CardiacSynchronizationSequence", at_phase(40.0 + second)
        ),
    ],
    ids=["time", "cardiac phase"],
)
def test_time_points_of_one_enhanced_file_are_parted(tmp_path: Path, mark: Callable):
    def edit(group: Dataset, index: int) -> None:
        group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 3.0 * (index % 4)]
        mark(group, index >= 4)

    write_multi_frame(tmp_path / "e.dcm", np.concatenate([ramp(), ramp() + 100]), edit=edit)
    for choice, added in (("1/1", 0), ("1/2", 100)):
        (case,) = find_cases(tmp_path, series=choice)
        volume = read_volume(case)
        np.testing.assert_array_equal(volume.hounsfield(), (ramp() + added).transpose(2, 1, 0))
        assert volume.spacing_mm[2] == 3


def test_a_localizer_frame_of_an_enhanced_file_is_left_out_by_name(tmp_path: Path):
    def edit(group: Dataset, index: int) -> None:
        kind = Dataset()
        kind.FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER" if index == 5 else "VOLUME", "NONE"]
        group.CTImageFrameTypeSequence = Sequence([kind])

    write_multi_frame(tmp_path / "e.dcm", ramp(6), edit=edit)
    cases = find_cases(tmp_path)
    assert "a localizer" in cases.rejected[0].reason
    np.testing.assert_array_equal(
        read_volume(cases[0]).hounsfield(), ramp(6)[:5].transpose(2, 1, 0)
    )


@pytest.mark.parametrize(
    "scout",
    [
        {"orientation": (1, 0, 0, 0, 0, -1)},
        {"spacing_mm": (2.0, 2.0)},
        {"hu": np.concatenate([ramp(1, 9, 9)])},
    ],
    ids=["direction", "spacing", "size"],
)
def test_a_scout_that_does_not_say_so_is_named_and_the_stack_is_kept(tmp_path: Path, scout: dict):
    write_series(tmp_path)
    write_series(tmp_path, **{"hu": ramp(1), "prefix": "scout", **scout})
    cases = find_cases(tmp_path)
    assert "of another size, direction or spacing than the 4 slices" in cases.rejected[0].reason
    np.testing.assert_array_equal(read_volume(cases[0]).hounsfield(), ramp().transpose(2, 1, 0))


def test_a_stray_slice_of_another_acquisition_is_named_and_the_stack_is_kept(tmp_path: Path):
    write_series(tmp_path, ramp(6))
    write_series(tmp_path, ramp(1) + 5, edit=setting(AcquisitionNumber=9), prefix="B")
    cases = find_cases(tmp_path)
    assert cases.rejected[0].reason == (
        "1 slices that form no volume with the 6 others of the series "
        "(AcquisitionNumber 9, theirs 1)"
    )
    assert len(cases[0]["files"]) == 6


def test_reformats_of_two_planes_in_one_series_are_two_volumes(tmp_path: Path):
    write_series(tmp_path)
    write_series(
        tmp_path, ramp() + 100, prefix="B", orientation=(1, 0, 0, 0, 0, -1), step=(0, 2.5, 0)
    )
    assert sorted(lowest(tmp_path, series="all")) == [-1000, -900]


def numbered_uids(dataset: Dataset, index: int) -> None:
    dataset.SOPInstanceUID = f"1.2.3.{index + 1}"


SHARED = {
    "patient": lambda dataset, second: setattr(dataset, "PatientID", f"P{second}"),
    "study": lambda dataset, second: setattr(dataset, "StudyInstanceUID", uid("study", second)),
    "series": lambda dataset, second: setattr(dataset, "SeriesInstanceUID", uid("series", second)),
    "nothing but the pixels": lambda dataset, second: None,
}


@pytest.mark.parametrize("differs", SHARED.values(), ids=SHARED.keys())
@pytest.mark.parametrize("shift_mm", [0.0, 1.0])
def test_images_that_share_their_uids_are_all_kept(
    tmp_path: Path, differs: Callable, shift_mm: float
):
    for second in (0, 1):

        def edit(dataset: Dataset, index: int, second: int = second) -> None:
            numbered_uids(dataset, index)
            differs(dataset, second)

        origin = (0, 0, second * shift_mm)
        write_series(tmp_path / f"p{second}", ramp() + 100 * second, edit=edit, origin=origin)
    assert sorted(lowest(tmp_path, series="all")) == [-1000, -900]


def test_uids_that_are_not_unique_are_said(tmp_path: Path):
    for patient in ("P1", "P2"):

        def edit(dataset: Dataset, index: int, patient: str = patient) -> None:
            numbered_uids(dataset, index)
            dataset.PatientID = patient

        write_series(tmp_path / patient, edit=edit, study=patient)
    for case in find_cases(tmp_path):
        assert "they are not unique" in read_volume(case).facts["warnings"][0]


def test_two_patients_of_one_study_uid_are_two_cases(tmp_path: Path):
    for patient in ("P1", "P2"):
        write_series(tmp_path / patient, edit=setting(PatientID=patient))
    assert [case["case_id"] for case in find_cases(tmp_path)] == ["P1", "P2"]


def test_a_copy_with_another_header_is_one_slice_there_twice(tmp_path: Path):
    write_series(tmp_path / "a")
    for path in write_series(tmp_path / "b"):
        dataset = dcmread(path)
        dataset.StationName = "archive"
        dataset.save_as(path)
    cases = find_cases(tmp_path)
    assert len(cases) == 1
    assert "the same image as one in" in cases.rejected[0].reason
    assert "(and 3 more files of the series)" in cases.rejected[0].reason


def test_different_images_at_one_place_are_refused_at_discovery(tmp_path: Path):
    write_series(tmp_path, prefix="A")
    write_series(tmp_path, ramp() + 1, prefix="B")
    with pytest.raises(InputError, match="one slice per position, got different images in"):
        find_cases(tmp_path)
