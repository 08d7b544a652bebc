"""Head CTs labelled normal or abnormal: CQ500, SinoCT, lists, phantoms, all of made-up files."""

import math

import pytest

from common.cases.scan_folder import plain_series
from common.datasets.cq500 import cq500_cases, read_reads
from common.datasets.sinoct import label_of, sinoct_cases
from common.datasets.triage_cases import triage_cases
from common.errors import InputError
from common.formats.dicom_scan import find_series
from tests.dicom_files import ramp, write_series

READERS = ("ICH", "BleedLocation-Left", "MassEffect")


def write_reads(folder, marks):
    """`reads.csv` with three readers; `marks` by name: which column is positive, if any."""
    columns = [f"R{reader}:{sign}" for reader in (1, 2, 3) for sign in READERS]
    lines = [",".join(["name", "Category", *columns])]
    for name, positive in marks.items():
        lines.append(",".join([name, "B1", *("1" if c == positive else "0" for c in columns)]))
    (folder / "reads.csv").write_text("\n".join(lines) + "\n")


def slices(folder, *, study, number=1, description="CT Plain", step_mm=5.0, count=12):
    def edit(dataset, _index):
        dataset.SeriesNumber, dataset.SeriesDescription = number, description

    write_series(
        folder, ramp(count), series=description, study=study, step=(0, 0, step_mm), edit=edit
    )


@pytest.fixture
def cq500(tmp_path):
    """Three reads; scan 0 and 12 are there, the first with three series."""
    write_reads(
        tmp_path,
        {"CQ500-CT-0": "R2:MassEffect", "CQ500-CT-12": "", "CQ500-CT-3": "R1:ICH"},
    )
    study = tmp_path / "CQ500CT0 CQ500CT0" / "Unknown Study"
    slices(study / "CT PLAIN THIN", study="0", number=1, description="thin", step_mm=0.6)
    slices(study / "CT Plain", study="0", number=2, description="plain")
    slices(study / "CT POST CONTRAST", study="0", number=3, description="post")
    slices(tmp_path / "CQ500-CT-12" / "x", study="12")
    return tmp_path


def test_any_reader_s_mark_makes_a_scan_abnormal_and_its_category_does_not(tmp_path):
    write_reads(tmp_path, {"CQ500-CT-0": "R3:ICH", "CQ500-CT-1": ""})
    (tmp_path / "reads.csv").write_text(
        (tmp_path / "reads.csv").read_text() + "CQ500-CT-2,B2" + 9 * "," + "\n"
    )
    found = read_reads(tmp_path / "reads.csv")
    assert found["CQ500-CT-0"] == 1
    assert found["CQ500-CT-1"] == 0
    assert math.isnan(found["CQ500-CT-2"])


def test_another_table_is_refused(tmp_path):
    (tmp_path / "reads.csv").write_text("name,Category\nCQ500-CT-0,B1\n")
    with pytest.raises(InputError, match=r"must have columns R1:\.\.\., got"):
        read_reads(tmp_path / "reads.csv")


def test_cq500_takes_the_plain_series_with_slices_nearest_to_5_mm(cq500):
    found = cq500_cases(cq500)
    assert [case["case_id"] for case in found] == ["CQ500-CT-0", "CQ500-CT-12"]
    assert [case["label"] for case in found] == [[1.0], [0.0]]
    assert found[0]["image"].endswith("CT Plain")
    assert len(found[0]["files"]) == 12
    assert [each.path for each in found.rejected] == ["CQ500-CT-3"]


def test_cq500_is_a_test_set(cq500):
    assert len(triage_cases(dataset_dir=cq500, split="test")) == 2
    with pytest.raises(InputError, match="it is for evaluation"):
        triage_cases(dataset_dir=cq500, split="train")


def test_cq500_without_a_scan_says_what_was_looked_for(tmp_path):
    write_reads(tmp_path, {"CQ500-CT-0": ""})
    with pytest.raises(InputError, match="looked for folders such as 'CQ500CT0 CQ500CT0'"):
        cq500_cases(tmp_path)


@pytest.mark.parametrize(
    ("description", "is_plain"),
    [
        ("CT Plain", True),
        ("HEAD WITHOUT IV CONTRAST", True),
        ("non-contrast 5mm", True),
        ("CT 4cc sec POST CONTRAST", False),
        ("Bone 1.25", False),
        ("CTA head", False),
    ],
)
def test_a_plain_series_is_told_by_its_name(tmp_path, description, is_plain):
    slices(tmp_path / "x", study="1", description=description)
    series, _ = find_series(tmp_path.rglob("I*"))
    assert (plain_series(series, 5.0) is not None) == is_plain


@pytest.fixture
def sinoct(tmp_path):
    """Forty directories laid out as guessed, every second scan abnormal."""
    for number in range(40):
        folder = tmp_path / f"scan{number:02d}"
        folder.mkdir()
        (folder / "label.txt").write_text(f"0,{number % 2}\n")
        (folder / "scan.nii.gz").write_bytes(b"")
    return tmp_path


def test_a_label_is_the_second_element(sinoct):
    found = sinoct_cases(sinoct)
    assert [case["label"] for case in found[:3]] == [[0.0], [1.0], [0.0]]
    assert found[1]["case_id"] == found[1]["patient_id"] == "scan01"
    assert label_of('"1,0"', sinoct) == 0


@pytest.mark.parametrize("text", ["1", "1,2", "0,1,0", ""])
def test_another_label_is_refused(text, tmp_path):
    with pytest.raises(InputError, match="must be 'a,b' with b 0 or 1"):
        label_of(text, tmp_path / "label.txt")


def test_another_layout_is_told_what_was_looked_for(tmp_path):
    (tmp_path / "scan").mkdir()
    with pytest.raises(InputError, match=r"each with one of label\.txt.*got .*scan: none of"):
        sinoct_cases(tmp_path)
    with pytest.raises(InputError, match="dataset_dir must be a folder"):
        sinoct_cases(tmp_path / "none")


def test_a_directory_with_two_volumes_is_left_out(sinoct):
    (sinoct / "scan00" / "other.nii.gz").write_bytes(b"")
    found = sinoct_cases(sinoct)
    assert len(found) == 39
    assert "2 volumes where one is meant" in str(found.rejected[0])


def test_sinoct_is_parted_8_1_1_by_directory(sinoct):
    parts = {
        split: {case["case_id"] for case in triage_cases(dataset_dir=sinoct, split=split)}
        for split in ("train", "validation", "test")
    }
    assert [len(part) for part in parts.values()] == [32, 4, 4]
    assert len(set.union(*parts.values())) == 40


def test_a_smaller_share_of_training_is_part_of_a_larger(sinoct):
    shares = [
        {
            case["case_id"]
            for case in triage_cases(dataset_dir=sinoct, split="train", training_share=s)
        }
        for s in (0.1, 0.5, 1.0)
    ]
    assert [len(share) for share in shares] == [3, 16, 32]
    assert shares[0] < shares[1] < shares[2]
    with pytest.raises(InputError, match=r"training_share must be in \(0, 1\], got 0"):
        triage_cases(dataset_dir=sinoct, split="train", training_share=0)


def test_of_a_list_the_column_abnormal_counts(tmp_path):
    rows = ["image,patient_id,Fracture,Abnormal"]
    for number in range(10):
        (tmp_path / f"{number}.nii.gz").write_bytes(b"")
        rows.append(f"{number}.nii.gz,p{number},0,{number % 2}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    listed = {"dataset_dir": tmp_path, "labels_file": "labels.csv"}
    found = triage_cases(split="test", **listed)
    assert [case["label"] for case in found[:2]] == [[0.0], [1.0]]
    assert len(triage_cases(split="validation", **listed)) == 1
    assert len(triage_cases(split="train", **listed)) == 9


def test_phantom_heads_have_one_label():
    found = triage_cases(dataset_dir="phantom", split="test", num_phantoms=20)
    assert {len(case["label"]) for case in found} == {1}
    assert 5 <= sum(case["label"][0] for case in found) <= 15
    assert "region=head" in found[0]["image"]
