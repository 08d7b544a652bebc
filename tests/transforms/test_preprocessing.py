"""The dictionary transforms, as a bundle uses them."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch, pad_list_data_collate
from monai.transforms import LoadImage

from common.errors import InputError
from common.results.settings import settings_of
from common.transforms.preprocessing import PreprocessCTd, ReadCTd, ct_preprocessing
from common.volumes.inverse import labels_to_input_grid, points_to_input_voxel
from common.volumes.volume import Volume

from .plain_road import make_volume, oriented_affine, wave

AFFINE = np.diag([-1.0, -1, 2, 1])
SMALL = {"spacing_mm": (1, 1, 1), "check_hu": False}


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "Röntgen scan.nii.gz"
    nib.save(nib.Nifti1Image(wave((20, 18, 16)), oriented_affine("LPS", (1, 1, 1))), path)
    return path


def test_a_file_becomes_a_contiguous_float32_tensor_with_affine(scan: Path) -> None:
    data = ct_preprocessing(**SMALL, size=(12, 24, 24))(
        {"case_id": "a", "image": str(scan), "format": "nifti"}
    )
    image = data["image"]
    assert isinstance(image, MetaTensor)
    assert image.shape == (1, 12, 24, 24)
    assert image.dtype == torch.float32
    assert image.is_contiguous()
    assert nib.aff2axcodes(image.affine.numpy()) == ("S", "L", "P")
    assert data["case_id"] == "a"
    assert data["source_grid"]["shape"].tolist() == [20, 18, 16]
    assert json.loads(data["scan_facts"])["format"] == "nifti"


def test_a_phantom_made_on_the_fly_passes_the_reader() -> None:
    volume = make_volume()
    assert ReadCTd()({"image": volume})["image"] is volume


def test_the_case_itself_is_not_changed(scan: Path) -> None:
    case = {"case_id": "a", "image": str(scan), "format": "nifti"}
    before = dict(case)
    ct_preprocessing(**SMALL)(case)
    assert case == before


def test_a_key_may_be_missing_where_allowed() -> None:
    assert PreprocessCTd(allow_missing_keys=True)({"case_id": "a"}) == {"case_id": "a"}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_is_split_into_cases_that_map_back(workers: int) -> None:
    volumes = [
        make_volume("LPS", shape=(9, 8, 7), spacing_mm=(1, 1, 1)),
        make_volume("RIA", shape=(7, 11, 6), spacing_mm=(1, 1, 1.5), degrees=(3, 4, 5)),
    ]
    cases = [{"case_id": f"case {n}", "image": volume} for n, volume in enumerate(volumes)]
    dataset = Dataset(cases, ct_preprocessing(**SMALL, size=(12, 12, 12)))
    (batch,) = DataLoader(dataset, batch_size=2, num_workers=workers)
    assert batch["image"].shape == (2, 1, 12, 12, 12)
    for item, volume in zip(decollate_batch(batch), volumes, strict=True):
        affine = item["image"].affine
        labels = labels_to_input_grid(item["image"] > -2, affine, item["source_grid"])
        assert labels.shape == volume.voxels.shape
        assert labels.all()
        world = affine.numpy() @ (1, 2, 3, 1)
        stored = points_to_input_voxel(np.array([1, 2, 3]), affine, item["source_grid"])
        np.testing.assert_allclose(volume.affine @ (*stored, 1), world, atol=1e-9)


def test_scans_of_different_size_collate_with_padding() -> None:
    volumes = [make_volume(shape=(9, 8, 7)), make_volume(shape=(6, 9, 9))]
    items = [PreprocessCTd(**SMALL)({"image": volume}) for volume in volumes]
    batch = pad_list_data_collate(items)
    assert batch["source_grid"]["shape"].tolist() == [[9, 8, 7], [6, 9, 9]]
    for item, volume in zip(decollate_batch(batch), volumes, strict=True):
        back = labels_to_input_grid(item["image"], item["image"].affine, item["source_grid"])
        assert back.shape == volume.voxels.shape


def test_the_default_output_is_the_published_range() -> None:
    image = PreprocessCTd(check_hu=False, size=(40, 40, 40)).preprocess(make_volume())
    assert image.min() == pytest.approx(-0.449)
    assert image.max() == pytest.approx(0.551)


def test_without_output_range_the_window_stays_in_hu() -> None:
    step = PreprocessCTd(
        hu_window=(-150, 250), output_range=None, size=(60, 60, 60), check_hu=False
    )
    image = step.preprocess(make_volume())
    assert (image.min(), image.max(), image[0, 0, 0, 0]) == (-150, 250, -150)


def test_any_number_of_slices_can_be_padded_to_a_multiple() -> None:
    step = PreprocessCTd(**SMALL, size=(None, 16, 16), pad_multiple=(3, 1, 1))
    volume = make_volume(shape=(9, 9, 7), spacing_mm=(1, 1, 1))
    assert step.preprocess(volume).shape == (1, 9, 16, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hu_window": (200, -1000)}, "hu_window must be two increasing numbers"),
        ({"output_range": (0, 0)}, "output_range must be two increasing numbers"),
        ({"hu_window": None}, "hu_window must be given with output_range"),
        ({"grid": "corner"}, "grid must be 'half_pixel' or 'affine'"),
        ({"axcodes": "SS"}, "axcodes must name L or R"),
        ({"size": (3, 3)}, "size must be three positive numbers"),
        ({"spacing_mm": (-1, 1, 1)}, "spacing_mm must be three positive numbers"),
    ],
)
def test_wrong_settings_are_refused_before_any_scan_is_read(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PreprocessCTd(**arguments)


def test_a_path_without_a_reader_is_refused() -> None:
    with pytest.raises(InputError, match="image must be a Volume, got str; put ReadCTd before"):
        PreprocessCTd()({"image": "scan.nii.gz"})


def test_a_time_series_is_refused() -> None:
    with pytest.raises(InputError, match=r"image must be one 3D volume, got shape \(2, 2, 2, 2\)"):
        PreprocessCTd().preprocess(Volume(np.zeros((2, 2, 2, 2), np.int16), np.eye(4)))


def test_an_error_of_a_reader_in_the_background_reaches_the_caller() -> None:
    def fail(_stop: int) -> None:
        msg = "image must be a whole gzip file, got a truncated one; copy it again"
        raise InputError(msg)

    plain = make_volume()
    with pytest.raises(InputError, match="whole gzip file"):
        PreprocessCTd().preprocess(Volume(plain.voxels, plain.affine, wait_until_filled=fail))


def test_hounsfield_are_checked_unless_told_otherwise() -> None:
    picture = Volume(np.abs(wave((20, 20, 20))).astype(np.uint8), np.diag([1.0, 1, 1, 1]))
    with pytest.raises(InputError, match="8-bit"):
        PreprocessCTd().preprocess(picture)
    PreprocessCTd(check_hu=False).preprocess(picture)


def test_a_scan_that_would_take_too_much_is_refused_before_it_is_resampled() -> None:
    volume = make_volume(shape=(20, 20, 10), spacing_mm=(40, 40, 40))
    taken = volume.voxels.nbytes + 4 * 400 * 800 * 800
    step = PreprocessCTd(spacing_mm=(1, 1, 1), check_hu=False, max_gb=1)
    with pytest.raises(
        InputError, match=rf"at most 1 GB of memory, got {taken / 1e9:.3g} GB .*\(400, 800, 800\)"
    ):
        step.preprocess(volume)


def test_a_grid_that_no_machine_holds_is_refused_by_arithmetic() -> None:
    volume = make_volume(shape=(10, 10, 10), spacing_mm=(1e6, 1e6, 1e6))
    with pytest.raises(InputError, match=r"spacing_mm must give at most 2\*\*33 voxels"):
        PreprocessCTd(check_hu=False).preprocess(volume)


def test_the_bound_holds_while_reading(scan: Path) -> None:
    case = {"case_id": "a", "image": str(scan), "format": "nifti"}
    with pytest.raises(InputError, match=r"must take at most 1e-06 GB of memory"):
        ReadCTd(max_gb=1e-6)(case)


@pytest.mark.parametrize("step", [ReadCTd, PreprocessCTd])
def test_a_bound_that_is_none_is_refused_before_any_scan_is_read(step: type) -> None:
    with pytest.raises(InputError, match="max_gb must be a number above 0 or 'auto', got 0"):
        step(max_gb=0)


@pytest.mark.parametrize("step", [ReadCTd, PreprocessCTd])
def test_another_bound_is_no_reason_to_run_a_finished_case_again(step: type) -> None:
    assert settings_of(step(max_gb=1)) == settings_of(step(max_gb="auto"))


def as_monai_loads(scan: Path) -> MetaTensor:
    return LoadImage(image_only=True, ensure_channel_first=True)(scan)


def in_memory(scan: Path) -> dict[str, dict]:
    """One scan as different hosts hold it."""
    loaded = as_monai_loads(scan)
    array, affine = loaded[0].numpy(), loaded.affine.numpy()
    to_lps = np.diag([-1.0, -1, 1, 1])
    lps = MetaTensor(array, affine=to_lps @ affine, meta={"space": "LPS"})
    deploy = MetaTensor(array, affine=affine, meta={"space": "LPS", "nifti_affine_transform": 0})
    return {
        "as MONAI loads it": {"image": loaded},
        "without channel": {"image": MetaTensor(array, affine=affine)},
        "in LPS": {"image": lps},
        "from MONAI Deploy": {"image": deploy},
        "in double precision": {"image": loaded.double()},
        "a tensor and its affine": {"image": torch.tensor(array), "affine": torch.tensor(affine)},
        "an array and its affine": {"image": array, "affine": affine.tolist()},
        "integers": {"image": array.astype(np.int16)[None], "affine": affine},
    }


@pytest.mark.parametrize("grid", ["half_pixel", "affine"])
@pytest.mark.parametrize("axcodes", ["LPS", "RIA"])
def test_a_scan_in_memory_gives_the_numbers_that_its_file_gives(
    tmp_path: Path, axcodes: str, grid: str
) -> None:
    path = tmp_path / "a.nii.gz"
    affine = oriented_affine(axcodes, (0.9, 1.1, 1.3), degrees=(3, 4, 5))
    nib.save(nib.Nifti1Image(np.rint(wave((20, 18, 16))).astype(np.int16), affine), path)
    steps = ct_preprocessing(spacing_mm=(1.5, 1, 1), grid=grid, check_hu=False)
    wanted = steps({"case_id": "a", "image": str(path), "format": "nifti"})
    for name, case in in_memory(path).items():
        found = steps(case)
        assert torch.equal(found["image"].as_tensor(), wanted["image"].as_tensor()), name
        np.testing.assert_array_equal(found["image"].affine, wanted["image"].affine)
        assert found["source_grid"]["shape"].tolist() == [20, 18, 16]


def test_the_identity_is_an_affine_where_a_file_had_it(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(wave((9, 8, 7)), np.eye(4)), tmp_path / "a.nii")
    volume = ReadCTd()({"image": as_monai_loads(tmp_path / "a.nii")})["image"]
    np.testing.assert_array_equal(volume.affine, np.eye(4))


def test_a_scan_in_memory_is_checked_for_hounsfield_too() -> None:
    picture = torch.zeros(1, 9, 9, 9) + 20 * torch.arange(9)[:, None, None]
    case = ReadCTd()({"image": picture, "affine": AFFINE})
    with pytest.raises(InputError, match="8-bit"):
        PreprocessCTd()(case)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ({"image": np.zeros((5, 5, 5))}, "image must have an affine"),
        ({"image": torch.zeros(5, 5, 5)}, "image must have an affine"),
        ({"image": MetaTensor(torch.zeros(5, 5, 5))}, "the identity that MetaTensor sets by itse"),
        ({"image": np.zeros((2, 5, 5, 5)), "affine": AFFINE}, r"must be one volume .*\(2, 5, 5, 5"),
        ({"image": np.zeros((5, 5)), "affine": AFFINE}, "image must be one volume of numbers"),
        ({"image": np.zeros((5, 5, 1)), "affine": AFFINE}, "image must be one volume of numbers"),
        ({"image": np.zeros((5, 5, 5), bool), "affine": AFFINE}, "of bool"),
        ({"image": np.zeros((5, 5, 5)), "affine": np.eye(3)}, "must have a finite 4 x 4 affine"),
        ({"image": np.zeros((5, 5, 5)), "affine": AFFINE * 1e6}, "must have a voxel spacing of"),
        ({"image": np.zeros((5, 5, 5)), "affine": "RAS"}, "image must have an affine of numbers"),
    ],
)
def test_a_tensor_that_is_no_scan_is_refused_in_one_line(case: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        ReadCTd()(case)
    assert "\n" not in str(caught.value)
