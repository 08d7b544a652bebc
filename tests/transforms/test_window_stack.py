"""Windows of one scan, stacked."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from common.errors import InputError
from common.transforms.window_stack import WindowStackd

WINDOWS = {"blood": [0, 80], "bone": [-900, 2100]}


def ramp():
    """HU -1000 to 2200, every voxel another: `(1, 2, 2, 8)`, with an affine."""
    values = torch.linspace(-1000, 2200, 32).reshape(1, 2, 2, 8)
    return MetaTensor(values, affine=torch.diag(torch.tensor([5.0, 2.0, 2.0, 1.0])))


def scaled(image, low, high):
    return np.clip((image.numpy() - low) / (high - low), 0, 1)


@pytest.mark.parametrize(
    ("arrangement", "shape", "axis"), [("depth", (1, 4, 2, 8), 1), ("channels", (2, 2, 2, 8), 0)]
)
def test_each_copy_is_its_window_from_0_to_1(arrangement, shape, axis):
    image = ramp()
    stack = WindowStackd(hu_windows=WINDOWS, arrangement=arrangement)
    result = stack({"image": image, "case_id": "a"})["image"]
    assert result.shape == shape
    assert stack.num_channels == shape[0]
    wanted = np.concatenate([scaled(image, 0, 80), scaled(image, -900, 2100)], axis=axis)
    np.testing.assert_allclose(result.numpy(), wanted, atol=1e-6)
    assert torch.equal(result.affine, image.affine)


def test_a_plain_tensor_stays_one_and_the_range_can_be_another():
    stack = WindowStackd(hu_windows={"blood": [0, 80]}, output_range=(-1, 1))
    result = stack.stack(torch.tensor([-5.0, 0.0, 40.0, 90.0]).reshape(1, 1, 1, 4))
    assert not isinstance(result, MetaTensor)
    assert result.flatten().tolist() == [-1.0, -1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arrangement": "width"}, "arrangement must be depth or channels, got 'width'"),
        ({"hu_windows": {}}, "hu_windows must name at least one window"),
        ({"hu_windows": {"blood": [80, 0]}}, "blood must be two increasing numbers"),
        ({"output_range": [1, 1]}, "output_range must be two increasing numbers"),
    ],
)
def test_what_is_no_window_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        WindowStackd(**{"hu_windows": WINDOWS, **change})


def test_what_is_no_scan_is_refused():
    with pytest.raises(InputError, match=r"image must be \(1, D, H, W\), got \(2, 2, 2, 8\)"):
        WindowStackd(hu_windows=WINDOWS)({"image": torch.zeros(2, 2, 2, 8)})
