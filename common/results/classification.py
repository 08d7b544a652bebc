"""Outputs of a classifier: probabilities, decisions, and where along the body they come from.

Shapes: L labels, T slice triplets; D H W the network's grid, its axes running S, L, P.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..volumes.geometry import body_axes
from ..weights.decision import decide

CLASSIFICATION_DEFINITIONS: Mapping[str, str] = {
    "probabilities": "Probability of each finding in this scan, 0 to 1.",
    "findings": "Decision per finding: positive where probability >= threshold (from the card).",
    "relevance": (
        "The finding's logit for each triplet of three neighbouring axial slices alone, less the "
        "mean over the triplets that show the scan (per_triplet, lowest first; positive speaks "
        "for the finding; 0 for padding). top_triplets, of those in the scan: "
        "centre_world_mm in mm, RAS+; slices_voxel [first, last] along input_axis of the input "
        "array, counted from 0."
    ),
}


def classification_outputs(
    *,
    labels: Sequence[str],
    probabilities: ArrayLike,
    thresholds: ArrayLike,
    relevance: ArrayLike | None = None,
    inside: ArrayLike | None = None,
    network_affine: ArrayLike | None = None,
    network_shape: Sequence[int] | None = None,
    input_affine: ArrayLike | None = None,
    input_shape: Sequence[int] | None = None,
    num_top: int = 3,
) -> dict[str, Any]:
    """A classifier's outputs as `result.json` holds them.

    Args:
        labels: `L` names.
        probabilities: `(L,)`, 0 to 1.
        thresholds: `(L,)`, 0 to 1; a label is positive from its threshold on (>=).
        relevance: `(L, T)`, any scale; left out of the outputs where None.
        inside: `(T,)`, whether a triplet shows the scan; only such are listed. All by default.
        network_affine: `(4, 4)`, index on the network's grid (d, h, w, 1) to world mm; needed
            with ``relevance``, as are the next three.
        network_shape: `(D, H, W)`.
        input_affine: `(4, 4)`, input voxel index to world mm.
        input_shape: `(I, J, K)`.
        num_top: Triplets listed per label, the most relevant first; those in the scan only.

    Returns:
        `probabilities`, `findings` and, where given, `relevance`.

    Raises:
        InputError: If a probability or a relevance is NaN or infinite.
        ValueError: If the lengths disagree.
    """
    # Rounded first, so that whoever reads the file comes to the same decision.
    scores = _rounded(_vector("probabilities", probabilities, len(labels)))
    limits = _rounded(_vector("thresholds", thresholds, len(labels)))
    positive = decide(np.array(scores), limits)
    outputs: dict[str, Any] = {
        "probabilities": dict(zip(labels, scores, strict=True)),
        "findings": {
            label: {"probability": score, "threshold": limit, "positive": bool(is_positive)}
            for label, score, limit, is_positive in zip(
                labels, scores, limits, positive, strict=True
            )
        },
    }
    if relevance is None:
        return outputs
    grids = (network_affine, network_shape, input_affine, input_shape)
    if any(grid is None for grid in grids):
        msg = "relevance needs network_affine, network_shape, input_affine and input_shape"
        raise ValueError(msg)
    push = _finite("relevance", relevance)
    if push.ndim != 2 or push.shape[0] != len(labels):
        msg = f"relevance must have shape ({len(labels)}, T), got {push.shape}"
        raise ValueError(msg)
    places = [locate_triplet(t, *grids) for t in range(push.shape[1])]
    shown = np.ones(len(places), bool) if inside is None else np.asarray(inside, bool)
    shown = shown & [place["slices_voxel"] is not None for place in places]
    outputs["relevance"] = {
        label: {
            "per_triplet": _rounded(row),
            "top_triplets": [
                {"index": int(t), "relevance": _rounded(row[t]), **places[t]}
                for t in np.argsort(np.where(shown, -row, np.inf), kind="stable")[:num_top]
                if shown[t]
            ],
        }
        for label, row in zip(labels, push, strict=True)
    }
    return outputs


def locate_triplet(
    index: int,
    network_affine: Any,
    network_shape: Any,
    input_affine: Any,
    input_shape: Any,
) -> dict[str, Any]:
    """Where one slice triplet lies in the patient and in the input array.

    Args:
        index: Triplet, 0 the lowest; it holds slices `3 * index` to `3 * index + 2` of D.
        network_affine: `(4, 4)`, index on the network's grid (d, h, w, 1) to world mm.
        network_shape: `(D, H, W)`.
        input_affine: `(4, 4)`, input voxel index to world mm.
        input_shape: `(I, J, K)`.

    Returns:
        `centre_world_mm` [x, y, z]; `input_axis` "I", "J" or "K", the input's axis that runs
        along the body; `slices_voxel` [first, last] along it, or None outside the input.
    """
    centre = triplet_centres_world_mm(network_affine, network_shape, index + 1)[index]
    to_world = np.asarray(network_affine, dtype=np.float64)
    half = 1.5 * to_world[:3, 0]
    to_voxel = np.linalg.inv(np.asarray(input_affine, dtype=np.float64))
    axis = body_axes(input_affine)[0][2]
    ends = [
        float((to_voxel @ np.append(point, 1.0))[axis]) for point in (centre - half, centre + half)
    ]
    # A triplet is three slices thick; a slice belongs to it where its centre lies inside, and at
    # least the nearest one does where the input's slices are thicker than the triplet.
    low, high = min(ends), max(ends)
    first, last = int(np.ceil(low - 1e-6)), int(np.floor(high + 1e-6))
    if first > last:
        first = last = round((low + high) / 2)
    size = int(input_shape[axis])
    first, last = max(first, 0), min(last, size - 1)
    return {
        "centre_world_mm": [round(float(value), 3) for value in centre],
        "input_axis": "IJK"[axis],
        "slices_voxel": [first, last] if first <= last else None,
    }


def triplet_centres_world_mm(
    network_affine: ArrayLike, network_shape: Sequence[int], num_triplets: int | None = None
) -> NDArray[np.float64]:
    """Centre of each slice triplet in world mm.

    Args:
        network_affine: `(4, 4)`, index on the network's grid (d, h, w, 1) to world mm.
        network_shape: `(D, H, W)`.
        num_triplets: `D // 3` by default.

    Returns:
        `(T, 3)`.
    """
    depth, height, width = (int(size) for size in network_shape)
    count = depth // 3 if num_triplets is None else num_triplets
    index = np.empty((count, 4))
    index[:, 0] = 3 * np.arange(count) + 1
    index[:, 1:] = (height - 1) / 2, (width - 1) / 2, 1.0
    centres: NDArray[np.float64] = (index @ np.asarray(network_affine, dtype=np.float64).T)[:, :3]
    return centres


def _vector(name: str, values: ArrayLike, length: int) -> NDArray[np.float64]:
    array = _finite(name, values)
    if array.shape != (length,):
        msg = f"{name} must have one value per label ({length}), got shape {array.shape}"
        raise ValueError(msg)
    return array


def _finite(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)].flat[0]
        msg = f"{name} must be finite numbers, got {bad}; the input or the weights are broken"
        raise InputError(msg)
    return array


def _rounded(values: Any) -> Any:
    """Six significant digits: more than fp32 keeps through a network."""
    if np.ndim(values):
        return [_rounded(value) for value in values]
    return float(f"{float(values):.6g}")
