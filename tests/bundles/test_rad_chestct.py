"""CT-Scroll evaluated on a folder laid out as Rad-ChestCT is published."""

import csv
import json

import numpy as np
import pytest
from monai.bundle import create_workflow

from common.phantom import make_chest

ABNORMALITIES = (
    "cardiomegaly", "pericardial_effusion", "calcification", "hernia", "lymphadenopathy",
    "emphysema", "atelectasis", "nodule", "nodulegr1cm", "opacity", "scarring", "fibrosis",
    "pleural_effusion", "bronchial_wall_thickening", "consolidation", "bronchiectasis",
    "septal_thickening", "catheter_or_port", "chest_tube", "clip", "gi_tube", "hardware",
    "pacemaker_or_defib", "stent", "tracheal_tube", "staple", "suture", "breast_implant",
)  # fmt: skip


@pytest.fixture
def rad_chestct(tmp_path):
    """Four scans: half with an effusion on the right, half with a nodule."""
    folder = tmp_path / "rad"
    folder.mkdir()
    rows, spacing = [], []
    for index, finding in enumerate(["Pleural effusion", "Lung nodule"] * 2):
        phantom = make_chest(seed=index, spacing_mm=(6, 6, 6), axcodes="IPL", findings=[finding])
        name = f"tst{index:05d}"
        np.savez_compressed(folder / f"{name}.npz", ct=phantom.volume.voxels)
        row = {f"{abnormality}*right_lung": 0 for abnormality in ABNORMALITIES}
        shown = "pleural_effusion" if finding == "Pleural effusion" else "nodule"
        rows.append({"NoteAcc_DEID": name, **row, f"{shown}*right_lung": 1})
        spacing.append({"NoteAcc_DEID": name, "final_spacing": 6.0})
    tables = {
        "imgtest_Abnormality_and_Location_Labels.csv": rows,
        "CT_Scan_Metadata_Complete_35747.csv": spacing,
    }
    for file, table in tables.items():
        with (folder / file).open("w", newline="") as handle:
            writer = csv.DictWriter(handle, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
    return folder


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
