"""Small folders laid out as data sets are published, and the options that point at them."""

import csv

import numpy as np

from common.phantom import make_chest
from common.phantom.export import write_phantom_case
from common.phantom.patient import SEED_RANGES

ABNORMALITIES = (
    "cardiomegaly", "pericardial_effusion", "calcification", "hernia", "lymphadenopathy",
    "emphysema", "atelectasis", "nodule", "nodulegr1cm", "opacity", "scarring", "fibrosis",
    "pleural_effusion", "bronchial_wall_thickening", "consolidation", "bronchiectasis",
    "septal_thickening", "catheter_or_port", "chest_tube", "clip", "gi_tube", "hardware",
    "pacemaker_or_defib", "stent", "tracheal_tube", "staple", "suture", "breast_implant",
)  # fmt: skip


def rad_chestct(tmp_path, _monkeypatch=None):
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
    return {"dataset_dir": folder}


def organ_mnist(tmp_path, monkeypatch):
    """A file in MedMNIST's layout with few volumes: each organ a brightness of its own."""
    sizes = {"train": 22, "val": 5, "test": 6}
    monkeypatch.setattr("common.datasets.retrieval_protocols.ORGAN_MNIST_SIZES", sizes)
    arrays = {}
    for part, num in sizes.items():
        kinds = np.arange(num) % 11
        volumes = np.broadcast_to(kinds[:, None, None, None] * 20, (num, 16, 16, 16))
        gradient = np.arange(16)[None, :, None, None]
        arrays[f"{part}_images"] = (volumes + gradient).astype(np.uint8)
        arrays[f"{part}_labels"] = kinds[:, None].astype(np.uint8)
    np.savez(tmp_path / "organmnist3d_64.npz", **arrays)
    return {"dataset_dir": tmp_path}


def mir(tmp_path, _monkeypatch=None):
    """3D-MIR's lists of one organ, and the Decathlon's folders with the scans that they name."""
    names = ["liver_1", "liver_2", "lung_3", "liver_4", "lung_5"]
    images = tmp_path / "msd" / "Task03_Liver" / "imagesTr"
    images.mkdir(parents=True)
    for name, seed in zip(names, SEED_RANGES["example"], strict=False):
        path = write_phantom_case(tmp_path / "made", seed, spacing_mm=(5.0, 5.0, 8.0))
        path.rename(images / f"{name}.nii.gz")
    lists = tmp_path / "Data" / "Data_Splits"
    lists.mkdir(parents=True)
    files = [f"{name}.nii.gz" for name in names]
    (lists / "liver_full_test_split.csv").write_text("\n".join(["testing", *files[:2]]))
    (lists / "liver_full_train_split.csv").write_text("\n".join(["training", *files[2:]]))
    table = ["name,cancer_flag,lesion_group"]
    table += [f"{file},{row % 2},{row % 3}" for row, file in enumerate(files)]
    (tmp_path / "Data" / "3DMIR_labels").mkdir()
    (tmp_path / "Data" / "3DMIR_labels" / "liver_labels_and_captions.csv").write_text(
        "\n".join(table)
    )
    return {
        "dataset_dir": tmp_path / "Data",
        "scans_dir": tmp_path / "msd",
        "organs": ["liver"],
        "at": [1, 3],
    }
