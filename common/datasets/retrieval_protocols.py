"""Two published retrieval protocols, read from the files as their authors give them out.

**OrganMNIST3D** (MedMNIST v2, Yang et al. 2023, 64 voxels a side): gallery the 971 training
volumes, queries the 161 + 610 of validation and test, eleven organs. The file holds cropped organs
in an abdominal window, 0 to 255, without spacing or orientation: its numbers are no HU, and a scale
of [0, 1] is not the one that CT networks were trained with. That is so in every published number.

Which way its axes run is not documented. CT-FM's own two readings differ, see `ORIENTATIONS`.

**3D-MIR** (Ben Abacha et al. 2023, arXiv:2311.13752): scans of the Medical Segmentation Decathlon
in four parts, one per organ; a query's kind is whether the organ has a lesion (`cancer_flag`), or
its size group (`lesion_group`, -1 for none). A part holds scans of other organs' tasks as healthy
examples. `Data/Data_Splits/` and `Data/3DMIR_labels/` of its repository are read as they are.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from ..csv_table import read_table
from ..errors import InputError
from ..files import given_path

logger = logging.getLogger("common.datasets")

ORGAN_MNIST_URL = "https://zenodo.org/records/10519652/files/organmnist3d_64.npz"
ORGAN_MNIST_SIZES = {"train": 971, "val": 161, "test": 610}
ORGAN_MNIST_LABELS = (
    "liver",
    "kidney-right",
    "kidney-left",
    "femur-right",
    "femur-left",
    "bladder",
    "heart",
    "lung-right",
    "lung-left",
    "spleen",
    "pancreas",
)
ORIENTATIONS: Mapping[str, str] = {"published": "", "corrected": "IAL"}
"""`published` reverses the order of the three axes, as CT-FM's retrieval did. `corrected` takes
them to run down, to the front and to the left, as CT-FM's clustering did, which turns two of them
round to get to up, back, left (SPL). The second is a reading of theirs too, not a fact of the
file: look at a volume, and give three letters of your own where they are wrong."""

Organ = Literal["liver", "colon", "pancreas", "lung"]
ORGANS: tuple[Organ, ...] = get_args(Organ)
Relevance = Literal["cancer_flag", "lesion_group"]
MIR_URL = "https://github.com/abachaa/3D-MIR/tree/main/Data"
DECATHLON = {
    "liver": "Task03_Liver",
    "lung": "Task06_Lung",
    "pancreas": "Task07_Pancreas",
    "colon": "Task10_Colon",
}
_PAIRS = ("RL", "AP", "SI")


@dataclass(frozen=True)
class OrganVolumes:
    """Volumes of OrganMNIST3D, turned and scaled when they are asked for.

    Attributes:
        case_ids: `train_0`, `val_0`, ...; N names.
        labels: Name of the organ, N.
        voxels: `(N, 64, 64, 64)` uint8, as stored.
        orientation: See `ORIENTATIONS`.
        axcodes: Of the volumes given out.
    """

    case_ids: list[str]
    labels: list[str]
    voxels: NDArray[np.uint8]
    orientation: str
    axcodes: str

    def __len__(self) -> int:
        return len(self.case_ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """`case_id`, `label` and `image` `(1, 64, 64, 64)` float32 in [0, 1]."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        volume = turned(self.voxels[index], self.orientation, self.axcodes)
        image = torch.from_numpy(np.ascontiguousarray(volume, dtype=np.float32) / 255)[None]
        return {"case_id": self.case_ids[index], "label": self.labels[index], "image": image}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))


@dataclass(frozen=True)
class RetrievalSplit:
    """Which cases query which gallery, and what each is.

    Attributes:
        name: Of the protocol's part.
        query_ids: As case_id; Q.
        query_labels: Equal is relevant; Q.
        gallery_ids: G.
        gallery_labels: G.
        unlabelled: Cases of the split that the label table lacks; they take no part.
    """

    name: str
    query_ids: list[str]
    query_labels: list[str]
    gallery_ids: list[str]
    gallery_labels: list[str]
    unlabelled: list[str]


def read_organ_mnist(
    path: str | Path, *, orientation: str = "corrected", axcodes: str = "SPL"
) -> tuple[OrganVolumes, OrganVolumes]:
    """The gallery and the queries of OrganMNIST3D.

    Args:
        path: `organmnist3d_64.npz`, or the folder that holds it.
        orientation: `published`, `corrected`, or three letters of R L A P S I that say which way
            the stored axes run.
        axcodes: Which way the network's axes run; `published` does not look at it.

    Returns:
        The 971 training volumes, and the 771 of validation and test.

    Raises:
        InputError: If the file is missing or not what MedMNIST publishes, or letters are wrong.
    """
    path = Path(path)
    path = path / "organmnist3d_64.npz" if path.is_dir() else path
    if not path.is_file():
        msg = f"OrganMNIST3D must be there, got no {path}; download {ORGAN_MNIST_URL}"
        raise InputError(msg)
    turned(np.zeros((1, 1, 1), np.uint8), orientation, axcodes)  # letters first, then the file
    parts: dict[str, OrganVolumes] = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for part in ORGAN_MNIST_SIZES:
                voxels = np.squeeze(arrays[f"{part}_images"])
                numbers = arrays[f"{part}_labels"].reshape(-1).astype(int)
                _check_organ_mnist(path, part, voxels, numbers)
                parts[part] = OrganVolumes(
                    [f"{part}_{row}" for row in range(len(voxels))],
                    [ORGAN_MNIST_LABELS[number] for number in numbers],
                    voxels,
                    orientation,
                    axcodes,
                )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        msg = f"{path} must be MedMNIST's file, got {error}; download {ORGAN_MNIST_URL}"
        raise InputError(msg) from error
    val, test = parts["val"], parts["test"]
    queries = OrganVolumes(
        val.case_ids + test.case_ids,
        val.labels + test.labels,
        np.concatenate([val.voxels, test.voxels]),
        orientation,
        axcodes,
    )
    return parts["train"], queries


def turned(volume: NDArray[Any], orientation: str, axcodes: str) -> NDArray[Any]:
    """A volume of three axes turned from how it is stored to how a network wants it; a view.

    Raises:
        InputError: If letters do not name three axes.
    """
    if orientation == "published":
        return volume.transpose(2, 1, 0)
    stored = ORIENTATIONS.get(orientation, orientation)
    axes = [next((k for k, pair in enumerate(_PAIRS) if c in pair), -1) for c in stored]
    wanted = [next((k for k, pair in enumerate(_PAIRS) if c in pair), -1) for c in axcodes]
    if sorted(axes) != [0, 1, 2] or sorted(wanted) != [0, 1, 2]:
        msg = (
            f"orientation must be {', '.join(ORIENTATIONS)} or three letters such as IAL, and "
            f"axcodes such as SPL, got {orientation!r} and {axcodes!r}; correct them"
        )
        raise InputError(msg)
    order = [axes.index(kind) for kind in wanted]
    flips = tuple(k for k, place in enumerate(order) if stored[place] != axcodes[k])
    return np.asarray(np.flip(volume.transpose(order), flips))


def read_3d_mir(
    data_dir: str | Path, *, organ: Organ, relevance: Relevance = "cancer_flag"
) -> RetrievalSplit:
    """One organ of 3D-MIR. CT-FM pools the queries of all four, see `pool_retrievals`.

    Args:
        data_dir: 3D-MIR's folder `Data`, or one that holds its CSV files side by side.
        organ: Which part.
        relevance: What makes a scan relevant, a column of the label table.

    Returns:
        Cases by their file names without ending, such as `liver_47`.

    Raises:
        InputError: If a file is missing or has not its published columns, or nothing is left.
    """
    for name, value, kinds in (("organ", organ, Organ), ("relevance", relevance, Relevance)):
        if value not in get_args(kinds):
            msg = f"{name} must be one of {', '.join(get_args(kinds))}, got {value!r}; choose one"
            raise InputError(msg)
    folder = given_path(data_dir, name="data_dir")
    table = _find(folder, "3DMIR_labels", f"{organ}_labels_and_captions.csv")
    rows = read_table(table, columns=("name", relevance))
    kind = {_case_id(row["name"]): row[relevance] for row in rows}
    lists = {}
    for part, column in (("test", "testing"), ("train", "training")):
        path = _find(folder, "Data_Splits", f"{organ}_full_{part}_split.csv")
        names = (_case_id(row[column]) for row in read_table(path, columns=(column,)))
        lists[part] = list(dict.fromkeys(names))
    both = sorted({*lists["test"]} & {*lists["train"]})
    if both:
        logger.warning("3D-MIR %s: queries that stand in the gallery too: %s", organ, both)
    unlabelled = [name for names in lists.values() for name in names if not kind.get(name)]
    queries, gallery = ([n for n in lists[part] if kind.get(n)] for part in ("test", "train"))
    if not queries or not gallery:
        msg = (
            f"{table} must label the cases of the split, got none of them; "
            f"download both folders from {MIR_URL}"
        )
        raise InputError(msg)
    if unlabelled:
        logger.warning("3D-MIR %s: no label for %s; left out", organ, ", ".join(unlabelled))
    return RetrievalSplit(
        name=f"3D-MIR {organ} {relevance}",
        query_ids=queries,
        query_labels=[kind[name] for name in queries],
        gallery_ids=gallery,
        gallery_labels=[kind[name] for name in gallery],
        unlabelled=unlabelled,
    )


def missing_scans(split: RetrievalSplit, case_ids: Sequence[str]) -> dict[str, list[str]]:
    """Which tasks of the Medical Segmentation Decathlon hold the cases that are not there yet.

    Args:
        split: From `read_3d_mir`.
        case_ids: Those that have an embedding.

    Returns:
        Missing cases by the Decathlon's folder, such as `Task03_Liver`; empty if none is missing.
    """
    have = set(case_ids)
    missing: dict[str, list[str]] = {}
    for name in [*split.query_ids, *split.gallery_ids]:
        if name not in have:
            task = DECATHLON.get(name.split("_")[0], "?")
            missing.setdefault(task, []).append(name)
    return missing


def _check_organ_mnist(
    path: Path, part: str, voxels: NDArray[Any], numbers: NDArray[np.int_]
) -> None:
    wanted = ORGAN_MNIST_SIZES[part]
    good = (
        voxels.ndim == 4
        and voxels.dtype == np.uint8
        and len(voxels) == len(numbers) == wanted
        and set(numbers.tolist()) <= set(range(len(ORGAN_MNIST_LABELS)))
    )
    if not good:
        msg = (
            f"{path} must hold {wanted} uint8 volumes with labels 0 to 10 as {part}, got "
            f"{voxels.dtype} {voxels.shape} and {len(numbers)} labels; download {ORGAN_MNIST_URL}"
        )
        raise InputError(msg)


def _find(folder: Path, inner: str, name: str) -> Path:
    for place in (folder / inner / name, folder / name, folder / "Data" / inner / name):
        if place.is_file():
            return place
    msg = f"3D-MIR's folder must hold {inner}/{name}, got {folder} without it; download {MIR_URL}"
    raise InputError(msg)


def _case_id(name: str) -> str:
    """`liver_47` of `liver_47.nii.gz`."""
    return name.strip().rsplit("/", 1)[-1].removesuffix(".gz").removesuffix(".nii")
