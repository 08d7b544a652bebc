"""What is refused as no CT in HU, with the reason; and what CT must pass."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.errors import InputError
from common.transforms.hounsfield import check_hounsfield
from common.volumes.volume import Volume

SHAPE = (48, 40, 32)


def chest(noise: float = 15.0) -> np.ndarray:
    """Air, lungs, fat, muscle and a spine, with grain that repeats nowhere near."""
    i, j, k = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    x, y = (i - 24) / 24, (j - 20) / 20
    hu = np.full(SHAPE, -1000.0)
    hu[np.broadcast_to((x / 0.9) ** 2 + (y / 0.8) ** 2 < 1, SHAPE)] = -90
    hu[np.broadcast_to((x / 0.8) ** 2 + (y / 0.7) ** 2 < 1, SHAPE)] = 45
    hu[np.broadcast_to(((abs(x) - 0.4) / 0.25) ** 2 + (y / 0.45) ** 2 < 1, SHAPE)] = -850
    hu[np.broadcast_to((x / 0.12) ** 2 + ((y - 0.5) / 0.15) ** 2 < 1, SHAPE)] = 600
    grain = np.sin(12.9898 * i + 78.233 * j + 37.719 * k) * 43758.5453
    return hu + noise * 2 * (grain - np.floor(grain) - 0.5)


def volume(values: np.ndarray, dtype: str = "int16", slope: float = 1, intercept: float = 0):
    stored = np.round(values) if np.dtype(dtype).kind in "iu" else values
    return Volume(stored.astype(dtype, order="F"), np.eye(4), slope, intercept)


def outside_field_of_view(value: float) -> np.ndarray:
    hu = chest()
    i, j, _ = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    hu[np.broadcast_to(((i - 24) / 24) ** 2 + ((j - 20) / 20) ** 2 > 1, SHAPE)] = value
    return hu


def with_metal() -> np.ndarray:
    hu = chest()
    hu[20:24, 18:20, 5:9] = 30000
    return hu


ACCEPTED = {
    "int16": volume(chest()),
    "int32": volume(chest(), "int32"),
    "float32": volume(chest(), "float32"),
    "float64": volume(chest(), "float64"),
    "uint16 with intercept": volume(chest() + 1024, "uint16", 1, -1024),
    "slope": volume((chest() + 1024) * 2, "int16", 0.5, -1024),
    "without noise": volume(chest(noise=0)),
    "padding -2000": volume(outside_field_of_view(-2000)),
    "padding -2048": volume(outside_field_of_view(-2048)),
    "padding -3024": volume(outside_field_of_view(-3024)),
    "metal": volume(with_metal(), "int32"),
    "contrast": volume(np.where(chest() > 0, chest() + 400, chest())),
    "crop without air": volume(chest()[20:28, 24:36]),
    "crop of lung": volume(chest()[6:18, 14:26]),
    "cut at -1000 and 1000": volume(chest().clip(-1000, 1000)),
    "cut at -1024 and 200": volume(chest().clip(-1024, 200)),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_ct_in_hounsfield_is_accepted(name: str) -> None:
    check_hounsfield(ACCEPTED[name])


def with_value(value: float) -> np.ndarray:
    hu = chest()
    hu[3, 4, 5] = hu[6, 7, 8] = value
    return hu


def labels(top: int) -> np.ndarray:
    i, j, k = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    blocks = (i // 12) + 4 * (j // 10) + 16 * (k // 11)
    return np.where(chest(0) > -1000, blocks * top // 47, 0)


def magnitude() -> np.ndarray:
    """MR: bright fat, dark air, Rician floor; no negative value."""
    return np.abs(chest() + 1000) ** 0.8 % 900


REFUSED = {
    "8-bit": (volume((chest().clip(-160, 240) + 160) / 400 * 255, "uint8"), "8-bit.*export"),
    "8-bit as int16": (volume((chest().clip(-160, 240) + 160) / 400 * 255), "0 to 255.*8-bit"),
    "mask": (volume(chest(0) == 45, "uint8"), "label volume"),
    "labels": (volume(labels(117), "uint8"), "distinct whole numbers from 0 to 117.*label volume"),
    "labels as float": (volume(labels(117), "float32"), "label volume"),
    "large labels": (volume(labels(12000), "int32"), "label volume.*give the scan it belongs to"),
    "MR": (volume(magnitude()), "none negative, so no air or fat, as in MR"),
    "normalised": (volume((chest() + 1000) / 1200, "float32"), "too narrow for CT.*windowed"),
    "z-scored": (volume((chest() + 400) / 500, "float32"), "too narrow for CT"),
    "rescaled twice": (volume(chest(), "int16", 1, -1024), "rescaled twice.*adding 1024"),
    "not rescaled": (volume(chest() + 1024), "near 1024.*subtracting 1024"),
    "not rescaled, padded": (
        volume(outside_field_of_view(-3024) + 1024),
        "near 1024 and no air or lung.*subtracting 1024",
    ),
    "air only": (volume(chest(noise=150)[:3]), "soft tissue near 0 HU"),
    "NaN": (volume(with_value(np.nan), "float32"), f"2 NaN or infinite of {chest().size} voxels"),
    "infinite": (volume(with_value(-np.inf), "float64"), "2 NaN or infinite"),
    "constant": (volume(np.full(SHAPE, -1000.0)), "the one value -1000 throughout"),
    "one slice": (volume(chest()[:, :, :1]), r"at least 2 slices, got shape \(48, 40, 1\)"),
    "two dimensions": (volume(chest()[:, :, 0]), "3D scan of at least 2 slices"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_ct_in_hounsfield_is_refused_with_the_reason(name: str) -> None:
    wrong, message = REFUSED[name]
    with pytest.raises(InputError, match=message) as caught:
        check_hounsfield(wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["abdomen_3mm", "cardiac_cta_1p5mm"])
def test_real_ct_is_accepted(shared: Path, name: str) -> None:
    image = nib.load(shared / "data" / "ct" / f"{name}.nii.gz")
    stored = np.asarray(image.dataobj)
    check_hounsfield(Volume(stored, image.affine))
    check_hounsfield(Volume(stored[30:90, 30:80, 40:60], image.affine))
    with pytest.raises(InputError, match="rescaled twice"):
        check_hounsfield(Volume(stored, image.affine, 1, -1024))
    with pytest.raises(InputError, match="subtracting 1024"):
        check_hounsfield(Volume(stored, image.affine, 1, 1024))


@pytest.mark.parametrize("name", ["abdomen_3mm_seg", "cardiac_cta_1p5mm_pulmonary_artery"])
def test_real_label_volumes_are_refused(shared: Path, name: str) -> None:
    image = nib.load(shared / "data" / "ct" / f"{name}.nii.gz")
    with pytest.raises(InputError, match="label volume"):
        check_hounsfield(Volume(np.asarray(image.dataobj), image.affine))


def test_the_reader_is_waited_for() -> None:
    asked: list[int] = []
    plain = volume(chest())
    check_hounsfield(Volume(plain.voxels, plain.affine, wait_until_filled=asked.append))
    assert max(asked) >= 32
