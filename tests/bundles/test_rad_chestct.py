"""CT-Scroll evaluated on a folder laid out as Rad-ChestCT is published."""

import json

import pytest
from monai.bundle import create_workflow

from tests import data_sets


@pytest.fixture
def rad_chestct(tmp_path):
    return data_sets.rad_chestct(tmp_path)["dataset_dir"]


def test_the_shared_classes_are_scored_on_the_published_layout(
    rad_chestct, tiny_card, repository, tmp_path, monkeypatch
):
    monkeypatch.chdir(repository)
    configs = repository / "bundles/ct_scroll/configs"
    workflow = create_workflow(
        config_file=[
            str(configs / f"{name}.json") for name in ("inference", "evaluate", "rad_chestct")
        ],
        logging_file=False,
        dataset_dir=str(rad_chestct),
        weights=str(tiny_card.path),
        output_dir=str(tmp_path / "out"),
        num_bootstrap=10,
        num_workers=0,
        device="cpu",
    )
    workflow.run()
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics["num_cases"] == 4
    assert len(metrics["labels"]) == 16
    assert "Mosaic attenuation pattern" not in metrics["labels"]
    assert metrics["labels"]["Pleural effusion"]["num_positive"] == 2
    assert metrics["labels"]["Lung nodule"]["num_positive"] == 2
