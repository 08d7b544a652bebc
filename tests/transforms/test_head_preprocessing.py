"""Head CT's published order, orient, crop, space, pad, crop, window, against MONAI's own steps."""

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import (
    CenterSpatialCrop,
    Compose,
    CropForeground,
    Orientation,
    Spacing,
    SpatialPad,
)

from common.errors import InputError
from common.phantom.head import make_head
from common.transforms.foreground import foreground_box
from common.transforms.preprocessing import PreprocessCTd
from common.volumes.geometry import Grid
from common.volumes.volume import Volume


def test_the_box_holds_what_is_above_and_no_more():
    voxels = np.full((6, 7, 8), -1000, np.int16)
    voxels[2:5, 3, 1:7] = 40
    voxels[0, 0, 0] = 0
    assert foreground_box(Volume(voxels, np.eye(4)), 0) == (
        slice(2, 5), slice(3, 4), slice(1, 7),
    )  # fmt: skip


def test_the_box_is_in_hounsfield_units_whatever_the_rescale():
    stored = np.full((4, 4, 4), 500, np.uint16)
    stored[1:3, 1:3, 1:3] = 1030
    volume = Volume(stored, np.eye(4), intercept=-1024.0)
    assert foreground_box(volume, 0) == (slice(1, 3),) * 3
    turned = Volume((2000 - stored.astype(np.int16)), np.eye(4), slope=-1.0, intercept=976.0)
    assert foreground_box(turned, 0) == (slice(1, 3),) * 3


def test_nothing_above_is_an_error():
    with pytest.raises(InputError, match="must have a voxel above 3000 HU, got none"):
        foreground_box(Volume(np.zeros((2, 2, 2), np.int16), np.eye(4)), 3000)


def test_a_part_of_a_grid_lies_where_it_lay():
    affine = np.array([[0.0, 0, 3, 10], [-2, 0, 0, 20], [0, 1, 0, 30], [0, 0, 0, 1]])
    part = Grid((9, 9, 9), affine).part((slice(2, 5), slice(1, 9), slice(4, 8)))
    assert part.shape == (3, 8, 4)
    np.testing.assert_allclose(part.affine[:3, 3], (affine @ [2, 1, 4, 1])[:3])


@pytest.mark.parametrize("axcodes", ["LPS", "RAS"])
def test_the_bundle_feeds_what_monai_step_by_step_would(repository, axcodes):
    volume = make_head(seed=3, spacing_mm=(1.2, 1.2, 4.0), axcodes=axcodes).volume
    bundle = repository / "bundles" / "ct_fm_triage"
    config = ConfigParser(ConfigParser.load_config_file(bundle / "configs" / "inference.json"))
    config["bundle_root"] = str(bundle)
    config["weights"] = str(bundle / "models" / "published.json")
    ours = config.get_parsed_content("preprocessing")({"image": volume})["image"]
    assert ours.shape == (1, 192, 128, 128)
    plain = Compose(
        [
            Orientation("SPL"),
            CropForeground(select_fn=lambda hu: hu > 0, allow_smaller=True),
            Spacing((5, 2, 2), mode="bilinear", padding_mode="border"),
            SpatialPad((48, 128, 128), mode="minimum"),
            CenterSpatialCrop((48, 128, 128)),
        ]
    )(MetaTensor(torch.from_numpy(volume.hounsfield())[None], affine=volume.affine))
    windows = ((0, 80), (-125, 175), (28, 36), (-900, 2100))
    scaled = torch.cat([((plain - a) / (b - a)).clamp(0, 1) for a, b in windows], dim=1)
    np.testing.assert_allclose(ours.affine, plain.affine, atol=1e-4)
    # 0.1 HU, of which the narrowest window holds 8
    np.testing.assert_allclose(ours.numpy(), scaled.numpy(), atol=0.1 / 8)


def test_size_is_around_the_box():
    voxels = np.full((40, 40, 40), -1000, np.int16)
    voxels[2:12, 4:20, 30:38] = 50
    fit = PreprocessCTd(
        axcodes="RAS", spacing_mm=None, size=(4, 4, 4), hu_window=None, output_range=None,
        grid="affine", crop_above_hu=0,
    )  # fmt: skip
    image = fit.preprocess(Volume(voxels, np.eye(4)))
    assert float(image.min()) == 50
    np.testing.assert_allclose(image.affine[:3, 3], [5, 10, 32])
