"""Where findings are against the voxels that they change."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from common.phantom import CT_RATE_LABELS, make_chest

# A wide heart moves what is beside it, a collapsed lobe the diaphragm below it.
MOVES_THE_REST = ("Cardiomegaly", "Atelectasis")
GRID = {"seed": 11, "spacing_mm": (4.0, 4.0, 4.0), "shape": (90, 80, 90)}


@pytest.fixture(scope="module")
def healthy():
    return make_chest(findings=[], **GRID)


def distances_mm(phantom, label):
    """Of each voxel to the nearest point of a finding."""
    points = np.array(phantom.volume.facts["points_world_mm"][label])
    affine = phantom.volume.affine
    index = np.rint((points - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T).astype(int)
    index = index[((index >= 0) & (index < GRID["shape"])).all(axis=1)]
    away = np.ones(GRID["shape"])
    away[tuple(index.T)] = 0
    return distance_transform_edt(away, sampling=4.0)


@pytest.mark.parametrize("label", [name for name in CT_RATE_LABELS if name not in MOVES_THE_REST])
def test_what_a_finding_changes_lies_at_its_points(label, healthy):
    ill = make_chest(findings=[label], **GRID)
    changed = np.abs(ill.volume.hounsfield() - healthy.volume.hounsfield()) > 50
    assert changed.any()
    away = distances_mm(ill, label)
    assert np.quantile(away[changed], 0.9) < 20


@pytest.mark.parametrize("label", ["Lung nodule", "Consolidation", "Pleural effusion"])
def test_at_its_points_a_finding_changes_the_scan(label, healthy):
    ill = make_chest(findings=[label], **GRID)
    changed = np.abs(ill.volume.hounsfield() - healthy.volume.hounsfield()) > 50
    at_points = distances_mm(ill, label) == 0
    near = distance_transform_edt(~changed, sampling=4.0) < 8
    assert near[at_points].mean() > 0.9


def test_a_wide_hearts_points_are_the_heart(healthy):
    ill = make_chest(findings=["Cardiomegaly"], **GRID)
    points = np.array(ill.volume.facts["points_world_mm"]["Cardiomegaly"])
    middle = np.array(ill.findings[0].centre_world_mm)
    assert np.linalg.norm(points.mean(axis=0) - middle) < 15
    assert 80 < np.ptp(points[:, 0]) < ill.findings[0].size_mm + 16
