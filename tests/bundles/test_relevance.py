"""The demo weights' relevance points at a finding that was planted."""

import json

import numpy as np
import pytest
from monai.bundle import create_workflow

from common.phantom import make_chest
from common.phantom.export import write_nifti


@pytest.mark.parametrize("label", ["Hiatal hernia", "Pericardial effusion"])
def test_the_most_relevant_triplet_lies_at_the_planted_finding(
    label, repository, tmp_path, monkeypatch
):
    monkeypatch.chdir(repository)
    phantom = make_chest(seed=1_200_017, findings=[label], spacing_mm=(1.5, 1.5, 2.5))
    scan = tmp_path / "planted.nii.gz"
    write_nifti(phantom.volume, scan)
    workflow = create_workflow(
        config_file=str(repository / "bundles/ct_scroll/configs/inference.json"),
        logging_file=False,
        input=str(scan),
        output_dir=str(tmp_path / "out"),
        weights="demo",
        figures=False,
        num_workers=0,
    )
    workflow.run()
    result = json.loads((tmp_path / "out" / "planted" / "result.json").read_text())
    best = result["outputs"]["relevance"][label]["top_triplets"][0]
    heights = np.array(phantom.volume.facts["points_world_mm"][label])[:, 2]
    assert best["relevance"] > 0
    assert heights.min() - 6 < best["centre_world_mm"][2] < heights.max() + 6
