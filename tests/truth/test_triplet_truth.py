"""Truth by cell and triplet: points of findings on the network's grid."""

import json

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Flipd

from common.errors import InputError
from common.phantom import CT_RATE_LABELS, make_chest
from common.transforms.preprocessing import ct_preprocessing
from common.truth.triplet_truth import TripletTruthd


def scan(points, *, num_slices=9, spacing_mm=2.0, width=40):
    """Axes run up, left and back from the world's origin."""
    s = spacing_mm
    affine = np.array([[0, -s, 0, 0], [0, 0, -s, 0], [s, 0, 0, 0], [0, 0, 0, 1]])
    image = torch.zeros(1, num_slices, width, width)
    return {
        "image": MetaTensor(image, affine=torch.from_numpy(affine)),
        "scan_facts": json.dumps({"points_world_mm": points}),
    }


def cells(points, **options):
    where = TripletTruthd(labels=["A", "B"], stride_px=16)(scan(points, **options))["where"]
    return [tuple(cell) for cell in where.nonzero().tolist()]


def test_there_is_a_place_for_every_cell_of_the_encoders_map():
    where = TripletTruthd(labels=["A", "B"])(scan({}, width=100))["where"]
    assert where.shape == (3, 2, 4, 4)  # cells centred on pixels 0, 32, 64 and 96
    assert not where.any()


@pytest.mark.parametrize(
    ("slice_index", "triplet"), [(-0.4, 0), (0, 0), (2.4, 0), (2.6, 1), (8.4, 2)]
)
def test_a_triplet_shows_what_lies_in_its_three_slices(slice_index, triplet):
    assert cells({"B": [[0, 0, 2 * slice_index]]}) == [(triplet, 1, 0, 0)]


@pytest.mark.parametrize(("pixel", "cell"), [(0, 0), (7.9, 0), (8.1, 1), (16, 1), (32, 2)])
def test_a_cell_is_centred_on_a_multiple_of_the_stride(pixel, cell):
    assert cells({"A": [[-2 * pixel, 0, 0]]}) == [(0, 0, cell, 0)]
    assert cells({"A": [[0, -2 * pixel, 0]]}) == [(0, 0, 0, cell)]


def test_every_point_counts_and_what_is_outside_does_not():
    points = {"A": [[0, 0, 0], [0, 0, 13]], "B": [[0, 0, -3], [20, 0, 0], [0, 0, 40]]}
    assert cells(points) == [(0, 0, 0, 0), (2, 0, 0, 0)]


def test_a_phantoms_nodule_is_in_the_cell_that_shows_it():
    phantom = make_chest(seed=5, spacing_mm=(3, 3, 3), findings=["Lung nodule"])
    data = ct_preprocessing(spacing_mm=(3, 3, 3), size=(120, 120, 120))({"image": phantom.volume})
    truth = TripletTruthd(labels=CT_RATE_LABELS)
    for seen in (data, Flipd(keys="image", spatial_axis=1)(data)):
        where = truth(seen)["where"].numpy()
        to_index = np.linalg.inv(seen["image"].affine.numpy())
        for nodule in phantom.findings:
            d, h, w = (to_index @ (*nodule.centre_world_mm, 1))[:3]
            cell = round((d - 1) / 3), round(h / 32), round(w / 32)
            assert where[cell[0], CT_RATE_LABELS.index("Lung nodule"), cell[1], cell[2]] == 1
        assert set(np.nonzero(where)[1]) == {CT_RATE_LABELS.index("Lung nodule")}


def test_error_says_which_config_takes_real_scans():
    data = {**scan({}), "scan_facts": json.dumps({"path": "train_1_a_1.nii.gz"})}
    with pytest.raises(InputError, match=r"got train_1_a_1.nii.gz.*with ct_rate.json"):
        TripletTruthd(labels=["A"])(data)
