"""What an encoder leaves: a case's embedding, and its windows' where asked for.

Shapes: D H W the network's grid, N windows, F numbers per embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..atomic import replacing
from ..embeddings.table import merge_embeddings
from ..figures.embedding import write_embedding_figure
from ..results.run_record import RunRecord
from ..results.schema import CaseRecord
from ..volumes.inverse import points_to_world_mm
from .base import CaseOutput, Left

WINDOWS_NAME = "windows.npz"
EMBEDDING_DEFINITIONS: Mapping[str, str] = {
    "embedding": (
        "The encoder's last map averaged over its voxels, then over windows as `pooling` says; "
        "float32, any sign, no unit, not normalised to a length."
    ),
    "num_dimensions": "Numbers in the embedding.",
    "pooling": "How windows became one embedding, number by number: mean, max or min.",
    "num_windows": "Windows that the scan was cut into; 1 where it was embedded whole.",
    "num_empty_windows": "Those of them without foreground, which were not embedded.",
}


class SaveEmbeddingd(CaseOutput):
    """Write what belongs to one embedded case; see `CaseOutput`.

    `pred` is the answer of `EmbeddingInferer`; `source_grid` is read too.

    `windows.npz` holds `embedding` `(N, F)` float32; `centre_world_mm` `(N, 3)`, RAS+;
    `centre_voxel` `(N, 3)` and `window_size_voxel` `(3,)` on the network's grid D H W; `affine`
    `(4, 4)` of that grid, voxel (d, h, w, 1) to world mm.

    Args:
        record: From `start_record`.
        keep_windows: Whether to write `windows.npz`.
        figures: Whether to write `figure.png`.
    """

    definitions = EMBEDDING_DEFINITIONS

    def __init__(
        self, *, record: RunRecord, keep_windows: bool = False, figures: bool = True
    ) -> None:
        super().__init__(record=record, figures=figures)
        self.keep_windows = keep_windows

    def merge(self, output_dir: Path) -> None:
        """`embeddings.parquet`."""
        merge_embeddings(output_dir)

    def write(self, folder: Path, data: dict[str, Any], case: CaseRecord) -> Left:
        """`windows.npz` where asked for, `figure.png`."""
        pred = data["pred"]
        affine = np.asarray(data["image"].affine.cpu(), dtype=np.float64)
        files = []
        if self.keep_windows:
            files.append(WINDOWS_NAME)
            write_windows(
                folder / WINDOWS_NAME,
                embeddings=pred["windows"][0].float().cpu().numpy(),
                centres_voxel=pred["centres_voxel"].cpu().numpy(),
                window_size=pred["window_size"],
                affine=affine,
            )
        if self.figures:
            files.append("figure.png")
            write_embedding_figure(
                folder / "figure.png",
                volume=data["volume"],
                pred=pred,
                affine=affine,
                source_grid=data["source_grid"],
                case=case,
                bundle=self.record.bundle,
                weights=self.record.card.provenance(),
            )
        return Left(embedding_outputs(pred), files)


def embedding_outputs(pred: Mapping[str, Any]) -> dict[str, Any]:
    """An encoder's outputs as `result.json` holds them.

    Args:
        pred: Of `EmbeddingInferer`: `embedding` `(1, F)`, `pooling`, `num_windows`, `num_empty`.

    Returns:
        Plain values by the names of `EMBEDDING_DEFINITIONS`. Each number of the embedding has as
        many digits as give the same float32 back.
    """
    embedding = pred["embedding"][0].float().cpu().numpy()
    return {
        "embedding": [float(str(number)) for number in embedding],
        "num_dimensions": len(embedding),
        "pooling": pred["pooling"],
        "num_windows": int(pred["num_windows"]),
        "num_empty_windows": int(pred["num_empty"]),
    }


def write_windows(
    path: str | Path,
    *,
    embeddings: NDArray[np.float32],
    centres_voxel: ArrayLike,
    window_size: ArrayLike,
    affine: ArrayLike,
) -> Path:
    """Write windows with their places, whole or not at all; see `SaveEmbeddingd` for the arrays.

    Args:
        path: An `.npz` file.
        embeddings: `(N, F)`.
        centres_voxel: `(N, 3)` on the network's grid, may be fractional.
        window_size: d h w, in voxels.
        affine: `(4, 4)` of that grid, voxel to world mm, RAS+.

    Raises:
        InputError: If the place cannot be written.
    """
    path, centres = Path(path), np.asarray(centres_voxel, dtype=np.float64)
    arrays: dict[str, Any] = {
        "embedding": np.asarray(embeddings, dtype=np.float32),
        "centre_world_mm": points_to_world_mm(centres, affine),
        "centre_voxel": centres,
        "window_size_voxel": np.asarray(window_size, dtype=np.int64),
        "affine": np.asarray(affine, dtype=np.float64),
    }
    with replacing(path) as partial:
        np.savez(partial, **arrays)
    return path
