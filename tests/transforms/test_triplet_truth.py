"""Truth by triplet: heights of findings on the network's grid."""

import json

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from common.errors import InputError
from common.phantom import CT_RATE_LABELS, make_chest
from common.transforms.preprocessing import ct_preprocessing
from common.transforms.triplet_truth import TripletTruthd


def scan(extents, *, num_slices=9, spacing_mm=2.0, lowest_mm=0.0):
    affine = np.array(
        [[0, -1, 0, 0], [0, 0, -1, 0], [spacing_mm, 0, 0, lowest_mm], [0, 0, 0, 1]], dtype=float
    )
    return {
        "image": MetaTensor(torch.zeros(1, num_slices, 4, 4), affine=torch.from_numpy(affine)),
        "label": [1.0, 0.0],
        "scan_facts": json.dumps({"extents_z_world_mm": extents}),
    }


def test_a_triplet_shows_what_reaches_into_its_three_slices():
    # Three triplets of 6 mm, centred at 2, 8 and 14 mm.
    label = TripletTruthd(labels=["A", "B"])(scan({"A": [[5.5, 7.0]]}))["label"]
    assert label.tolist() == [[1, 0], [0, 0], [1, 0], [0, 0]]


def test_every_lesion_of_a_label_counts():
    label = TripletTruthd(labels=["A", "B"])(scan({"B": [[0, 1], [13, 30]]}))["label"]
    assert label[1:, 1].tolist() == [1, 0, 1]


def test_a_phantoms_nodule_is_in_the_triplets_that_show_it():
    phantom = make_chest(seed=5, spacing_mm=(3, 3, 3), findings=["Lung nodule"])
    data = {"image": phantom.volume, "label": phantom.labels}
    data = ct_preprocessing(spacing_mm=(3, 3, 3), size=(120, 120, 120))(data)
    truth = TripletTruthd(labels=CT_RATE_LABELS)(data)["label"]
    assert truth[0].tolist() == phantom.labels.tolist()
    affine = data["image"].affine.numpy()
    for nodule in phantom.findings:
        height = nodule.centre_world_mm[2]
        triplet = int(np.floor(((height - affine[2, 3]) / affine[2, 0] + 0.5) / 3))
        assert truth[1 + triplet, CT_RATE_LABELS.index("Lung nodule")] == 1
    assert truth[1:].sum(dim=0).nonzero().flatten().tolist() == [
        CT_RATE_LABELS.index("Lung nodule")
    ]


def test_error_names_the_overlay_for_real_scans():
    data = {**scan({}), "scan_facts": json.dumps({"path": "train_1_a_1.nii.gz"})}
    with pytest.raises(InputError, match=r"got train_1_a_1.nii.gz.*add ct_rate.json"):
        TripletTruthd(labels=["A"])(data)
