"""CT-FM's whole-body bundle from end to end, every config, with tiny weights."""

import csv
import json
import re

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch

from common.datasets.segmentation_cases import segmentation_cases
from common.phantom.chest import make_chest
from common.vocabulary.totalsegmentator import STRUCTURES
from common.weights.card import read_card
from common.weights.loading import read_tensors

from ..dicom_files import ramp, write_series
from .conftest import CT_FM_WHOLEBODY

CONFIGS = CT_FM_WHOLEBODY / "configs"


@pytest.fixture
def segment(run_bundle, tiny_segmenter, tmp_path):
    """Run inference with tiny weights, results to `tmp_path/out`, without figures."""

    def run(*options):
        return run_bundle("inference", configs=CONFIGS)(
            "--weights", tiny_segmenter.path, "--output_dir", tmp_path / "out",
            "--figures", "False", *options,
        )  # fmt: skip

    return run


def organs(seed):
    """A coarse chest and its organs, on the same grid."""
    phantom = make_chest(seed=seed, spacing_mm=(6.0, 6.0, 6.0))
    affine = phantom.volume.affine
    return (
        nib.Nifti1Image(phantom.volume.voxels, affine),
        nib.Nifti1Image(phantom.organs, affine),
    )


@pytest.fixture(scope="session")
def totalsegmentator(tmp_path_factory):
    """Five cases laid out as TotalSegmentator's data set, of two structures each."""
    folder = tmp_path_factory.mktemp("totalsegmentator")
    rows = ["image_id;age;gender;study_type;split"]
    for seed, split in enumerate(("train", "train", "train", "val", "test")):
        image, labels = organs(seed)
        masks = folder / f"s{seed:04d}" / "segmentations"
        masks.mkdir(parents=True)
        nib.save(image, masks.parent / "ct.nii.gz")
        for name in ("liver", "heart"):
            mask = (np.asarray(labels.dataobj) == STRUCTURES.index(name)).astype(np.uint8)
            nib.save(nib.Nifti1Image(mask, image.affine), masks / f"{name}.nii.gz")
        rows.append(f"s{seed:04d};50;m;ct thorax;{split}")
    (folder / "meta.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="session")
def decathlon(tmp_path_factory):
    """Five cases laid out as a task of the Medical Segmentation Decathlon."""
    folder = tmp_path_factory.mktemp("Task06_Lung")
    training = []
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir()
    for seed in range(5):
        image, labels = organs(seed)
        tumour = 3 * (np.asarray(labels.dataobj) == STRUCTURES.index("heart")).astype(np.uint8)
        nib.save(image, folder / "imagesTr" / f"lung_{seed:03d}.nii.gz")
        nib.save(
            nib.Nifti1Image(tumour, image.affine), folder / "labelsTr" / f"lung_{seed:03d}.nii.gz"
        )
        name = f"lung_{seed:03d}.nii.gz"
        training.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    described = {"labels": {"0": "background", "3": "cancer"}, "training": training, "test": []}
    (folder / "dataset.json").write_text(json.dumps(described))
    return folder


def result(folder):
    return json.loads((folder / "result.json").read_text())


def volumes(folder):
    with (folder / "volumes.csv").open() as file:
        return {row["structure"]: row for row in csv.DictReader(file)}


def turned(path, axcodes, target):
    """The same scan stored along other axes, rotated a little in the world."""
    image = nib.load(path)
    wanted = nib.orientations.axcodes2ornt(axcodes)
    moved = image.as_reoriented(
        nib.orientations.ornt_transform(nib.io_orientation(image.affine), wanted)
    )
    tilt = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.1, -0.05, 0.2))
    nib.save(nib.Nifti1Image(np.asarray(moved.dataobj), tilt @ moved.affine), target)
    return target


def test_phantom_leaves_everything_that_belongs_to_a_segmentation(
    run_bundle, tiny_segmenter, tmp_path
):
    ended = run_bundle("inference", configs=CONFIGS)(
        "--weights", tiny_segmenter.path, "--output_dir", tmp_path / "out"
    )
    assert ended.code == 0, ended.err
    assert ended.out.count("SYNTHETIC") == 1
    (folder,) = (path.parent for path in (tmp_path / "out").glob("*/result.json"))
    assert {path.name for path in folder.iterdir()} == {
        "figure.png", "result.json", "segmentation.ctbl", "segmentation.nii.gz", "volumes.csv",
    }  # fmt: skip
    written = result(folder)
    assert written["settings"]["preset"] == "accurate"
    windowing = written["settings"]["inferer"]["StreamingInferer"]["windowing"]["Windowing"]
    assert windowing["overlap"] == [0.25] * 3  # of the card
    assert set(written["outputs"]["structures"]) == set(volumes(folder))


def test_a_tilted_scan_gets_a_copy_of_its_mask_without_shear(segment, scans, tmp_path):
    image = nib.load(scans / "one.nii.gz")
    tilted = image.affine @ np.array([[1, 0, 0, 0], [0, 1, 0.4, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    scan = nib.Nifti1Image(np.asarray(image.dataobj), None)
    scan.header.set_xyzt_units("mm")
    scan.set_sform(tilted, 1)
    nib.save(scan, tmp_path / "scan.nii.gz")
    assert segment("--input", tmp_path / "scan.nii.gz", "--untilted_copy", "True").code == 0
    written = result(folder := tmp_path / "out" / "scan")
    assert {"segmentation.nii.gz", "segmentation_untilted.nii.gz"} <= set(written["files"])
    assert "The scan is tilted" in written["case"]["warnings"][-1]
    mask, copy = (nib.load(folder / f"segmentation{name}.nii.gz") for name in ("", "_untilted"))
    axes = copy.affine[:3, :3]
    np.testing.assert_allclose(axes.T @ axes, np.diag(np.diag(axes.T @ axes)), atol=1e-3)
    inside = np.argwhere(np.asarray(copy.dataobj) > 0)[::97]
    places = nib.affines.apply_affine(np.linalg.inv(mask.affine) @ copy.affine, inside)
    back = np.rint(places).astype(int)
    seen = ((back >= 0) & (back < mask.shape)).all(axis=1)
    here = np.asarray(mask.dataobj)[tuple(back[seen].T)]
    same = here == np.asarray(copy.dataobj)[tuple(inside[seen].T)]
    assert seen.mean() > 0.5  # the network sees a box round the tilted scan
    assert same.mean() > 0.8  # the labels are noise of a few voxels


@pytest.mark.parametrize("axcodes", ["RAS", "IPL", "ALS"])
def test_the_mask_has_the_scans_shape_and_affine_whatever_they_are(
    segment, scans, tmp_path, axcodes
):
    scan = turned(scans / "one.nii.gz", axcodes, tmp_path / "scan.nii.gz")
    assert segment("--input", scan).code == 0
    mask, image = nib.load(tmp_path / "out" / "scan" / "segmentation.nii.gz"), nib.load(scan)
    assert mask.shape == image.shape
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(mask.affine, image.affine)
    counted = np.bincount(np.asarray(mask.dataobj).ravel(), minlength=118)
    found = volumes(tmp_path / "out" / "scan")
    assert found
    assert {STRUCTURES[n] for n in np.flatnonzero(counted) if n} == set(found)
    voxel_ml = abs(np.linalg.det(image.affine[:3, :3])) / 1000
    for name, row in found.items():
        number = STRUCTURES.index(name)
        assert int(row["number"]) == number
        assert float(row["volume_ml"]) == pytest.approx(counted[number] * voxel_ml, rel=1e-4)


def test_chosen_structures_are_those_of_the_whole(segment, scans, tmp_path):
    scan = scans / "one.nii.gz"
    assert segment("--input", scan).code == 0
    whole = np.asarray(nib.load(tmp_path / "out" / "one" / "segmentation.nii.gz").dataobj)
    chosen = [STRUCTURES[n] for n in np.unique(whole) if n][:2]
    ended = segment("--input", scan, "--structures", ",".join(chosen))
    assert ended.code == 0, ended.err
    part = np.asarray(nib.load(tmp_path / "out" / "one" / "segmentation.nii.gz").dataobj)
    numbers = [STRUCTURES.index(name) for name in chosen]
    np.testing.assert_array_equal(part, np.where(np.isin(whole, numbers), whole, 0))
    assert set(volumes(tmp_path / "out" / "one")) == set(chosen)


def test_pieces_smaller_than_asked_for_are_left_out(segment, scans, tmp_path):
    scan, folder = scans / "one.nii.gz", tmp_path / "out" / "one"
    assert segment("--input", scan).code == 0
    before = {name: float(row["volume_ml"]) for name, row in volumes(folder).items()}
    limit = sorted(before.values())[-1] / 2
    ended = segment("--input", scan, "--smallest_piece_ml", str(limit))
    assert ended.code == 0, ended.err
    after = {name: float(row["volume_ml"]) for name, row in volumes(folder).items()}
    assert len(after) < len(before)
    assert all(before[name] > 0.9 * limit for name in after)
    saved = result(folder)["settings"]["postprocessing"]["SaveSegmentationd"]
    assert saved["smallest_piece_ml"] == pytest.approx(limit)


def test_the_published_preset_keeps_the_scans_spacing(segment, scans, tmp_path):
    ended = segment("--input", scans / "one.nii.gz", "--preset", "published")
    assert ended.code == 0, ended.err
    steps = result(tmp_path / "out" / "one")["settings"]["preprocessing"]["Compose"]["transforms"]
    assert [step["PreprocessCTd"]["spacing_mm"] for step in steps if "PreprocessCTd" in step] == [
        None
    ]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--structures", "lver"), "structures must be all or names .* did you mean liver"),
        (("--structures", "liver,aorte"), "did you mean aorta"),
        (("--smallest_piece_ml", "-1"), "smallest_piece_ml must be 0 or more, got -1"),
        (("--preset", "best"), "preset must be one of accurate, published, got best"),
    ],
)
def test_what_there_is_not_is_refused_before_anything_is_read(segment, scans, option, message):
    ended = segment("--input", scans / "one.nii.gz", *option)
    assert re.search(message, ended.error)


def test_dicom_comes_back_as_dicom(segment, shared, tmp_path):
    ended = segment("--input", shared / "data" / "ct" / "abdomen_dicom_jpeg2000")
    assert ended.code == 0, ended.err
    (folder,) = (path.parent for path in (tmp_path / "out").glob("*/result.json"))
    written = pydicom.dcmread(folder / "segmentation.dcm")
    assert written.Modality == "SEG"
    found = {segment.SegmentLabel for segment in written.SegmentSequence}
    assert found == set(volumes(folder))
    assert not (folder / "structures_rt.dcm").exists()


def test_an_rt_structure_set_is_written_where_asked_for(segment, tmp_path):
    write_series(tmp_path / "scan", ramp(12, 24, 24), spacing_mm=(6.0, 6.0), step=(0, 0, 6.0))
    ended = segment("--input", tmp_path / "scan", "--structure_set", "True")
    assert ended.code == 0, ended.err
    (folder,) = (path.parent for path in (tmp_path / "out").glob("*/result.json"))
    assert {"segmentation.dcm", "structures_rt.dcm"} <= set(result(folder)["files"])
    written = pydicom.dcmread(folder / "structures_rt.dcm")
    assert {roi.ROIName for roi in written.StructureSetROISequence} == set(volumes(folder))
    warnings = result(folder)["case"]["warnings"]
    assert sum("no FrameOfReferenceUID" in warning for warning in warnings) == 1


def test_training_writes_weights_that_run(
    run_bundle, quick_segmenter_training, segment, scans, tmp_path
):
    ended = run_bundle("inference", "train", configs=CONFIGS)(*quick_segmenter_training)
    assert ended.code == 0, ended.err
    card = read_card(tmp_path / "run" / "model.json")
    assert card.is_synthetic
    assert 0 <= card.content["score"]["mean_dice"] <= 1
    assert card.content["score"]["dice"]
    ended = segment("--input", scans / "one.nii.gz", "--weights", card.path)
    assert ended.code == 0, ended.err


def test_training_keeps_what_no_chance_is_in(run_bundle, quick_segmenter_training, tmp_path):
    assert run_bundle("inference", "train", configs=CONFIGS)(*quick_segmenter_training).code == 0
    kept = [torch.load(path)["item"] for path in (tmp_path / "run" / "cache").glob("*/*.pt")]
    assert len(kept) == 3
    assert all(torch.is_tensor(case["image"]) and "case_id" not in case for case in kept)
    assert sum("centre_cls_indices" in case for case in kept) == 2  # validation needs none


FROM_SCRATCH = ("--initial_weights", "", "--val_interval", "1", "--batch_size", "1")


def test_fine_tuning_on_totalsegmentators_folder_keeps_its_numbers(
    run_bundle, quick_segmenter_training, totalsegmentator, segment, scans, tmp_path
):
    ended = run_bundle("inference", "train", "totalsegmentator", configs=CONFIGS)(
        *quick_segmenter_training, *FROM_SCRATCH, "--dataset_dir", totalsegmentator,
        "--validation_share", "0", "--training_share", "0.7", "--classes", "['liver','heart']",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    card = read_card(tmp_path / "run" / "model.json")
    assert card.labels == ["background", "liver", "heart"]
    assert card.numbers == [0, 5, 51]
    assert not card.is_synthetic
    assert set(card.content["score"]["dice"]) == {"liver", "heart"}
    assert segment("--input", scans / "one.nii.gz", "--weights", card.path).code == 0
    mask = nib.load(tmp_path / "out" / "one" / "segmentation.nii.gz")
    assert set(np.unique(np.asarray(mask.dataobj))) <= {0, 5, 51}


def test_a_tumour_s_segmenter_is_trained_used_and_scored_on_cases_it_has_not_seen(
    run_bundle, quick_segmenter_training, decathlon, segment, scans, tmp_path
):
    ended = run_bundle("inference", "train", "msd", configs=CONFIGS)(
        *quick_segmenter_training, *FROM_SCRATCH, "--dataset_dir", decathlon
    )
    assert ended.code == 0, ended.err
    card = read_card(tmp_path / "run" / "model.json")
    assert card.labels == ["background", "cancer"]
    assert card.numbers == [0, 3]  # as in the data's own volumes
    assert segment("--input", scans / "one.nii.gz", "--weights", card.path).code == 0
    ended = run_bundle("inference", "evaluate", configs=CONFIGS)(
        "--weights", card.path, "--output_dir", tmp_path / "scores", "--num_bootstrap", "20",
        "--dataset_dir", decathlon, "--test_share", "0.2",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    metrics = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert metrics["num_cases"] == 1
    assert {"dice", "surface_dice", "surface_distance_mm"} <= set(metrics["classes"]["cancer"])
    shares = {"dataset_dir": decathlon, "validation_share": 0.2, "test_share": 0.2}
    seen = [
        case
        for part in ("train", "validation")
        for case in segmentation_cases(split=part, **shares)
    ]
    (scored,) = (path.parent.name for path in (tmp_path / "scores").glob("*/result.json"))
    assert len(seen) == 4
    assert scored not in {case["case_id"] for case in seen}


def test_a_whole_body_segmenter_is_tuned_to_an_organ_of_ones_own(
    run_bundle, quick_segmenter_training, decathlon, tiny_segmenter, segment, scans, tmp_path
):
    ended = run_bundle("inference", "train", "msd", configs=CONFIGS)(
        *quick_segmenter_training, "--dataset_dir", decathlon, "--val_interval", "1",
        "--initial_weights", tiny_segmenter.path, "--learning_rate", "1e-9",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "New heads: cancer. Kept by name: background." in ended.out + ended.err
    card = read_card(tmp_path / "run" / "model.json")
    assert card.labels == ["background", "cancer"]
    started = card.content["training"]["initial_weights"]
    assert started["new_heads"] == ["cancer"]
    assert started["kept_heads"] == ["background"]
    assert started["sha256"] == tiny_segmenter.sha256
    before, after = (read_tensors(c.tensors) for c in (tiny_segmenter, card))
    for key, weight in after.items():
        same = before[key][:1] if ".head." in key else before[key]
        if not key.endswith(("running_mean", "running_var", "num_batches_tracked")):
            torch.testing.assert_close(weight[: len(same)], same, rtol=0, atol=1e-6)
    ended = segment("--input", scans / "one.nii.gz", "--weights", card.path)
    assert ended.code == 0, ended.err
    assert set(volumes(tmp_path / "out" / "one")) <= {"cancer"}
    mask = nib.load(tmp_path / "out" / "one" / "segmentation.nii.gz")
    assert set(np.unique(np.asarray(mask.dataobj))) <= {0, 3}


def test_a_body_of_another_size_is_no_start(
    run_bundle, quick_segmenter_training, decathlon, tmp_path
):
    ended = run_bundle("inference", "train", "msd", configs=CONFIGS)(
        *quick_segmenter_training, "--dataset_dir", decathlon, "--val_interval", "1",
        "--initial_weights", CT_FM_WHOLEBODY / "models" / "demo.json",
    )  # fmt: skip
    assert "does not fit SegResNetDS: " in ended.error
    assert len(ended.err[ended.err.index("error: ") :].splitlines()) <= 10
    assert not (tmp_path / "run" / "model.json").exists()


def test_a_frozen_encoder_stays_as_it_was(
    run_bundle, quick_segmenter_training, tiny_segmenter, tmp_path
):
    before = read_tensors(tiny_segmenter.tensors)
    ended = run_bundle("inference", "train", configs=CONFIGS)(
        *quick_segmenter_training,
        "--initial_weights",
        tiny_segmenter.path,
        "--frozen_encoder",
        "True",
    )
    assert ended.code == 0, ended.err
    after = read_tensors(tmp_path / "run" / "model.pt")
    learned = {key for key in before if not torch.equal(before[key], after[key])}
    assert learned
    assert not [
        key
        for key in learned
        if key.startswith("encoder.") and "running" not in key and "num_batches" not in key
    ]


def test_evaluation_scores_held_out_phantoms(run_bundle, tiny_segmenter, tmp_path):
    ended = run_bundle("inference", "evaluate", configs=CONFIGS)(
        "--weights", tiny_segmenter.path, "--output_dir", tmp_path / "out", "--num_test", "2",
        "--num_bootstrap", "10",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["num_cases"] == 2


def test_evaluation_takes_the_test_cases_that_a_split_file_names(
    run_bundle, tiny_segmenter, totalsegmentator, tmp_path
):
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": ["s0001", "s0002"], "test": ["s0003"]}))
    ended = run_bundle("inference", "evaluate", configs=CONFIGS)(
        "--weights", tiny_segmenter.path, "--output_dir", tmp_path / "out", "--num_bootstrap", "10",
        "--dataset_dir", totalsegmentator, "--split_file", split, "--classes", "['liver','heart']",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["num_cases"] == 1
    assert set(metrics["classes"]) == {"liver", "heart"}
