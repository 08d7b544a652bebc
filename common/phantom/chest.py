"""`make_chest`: a synthetic chest CT with its truth, from a seed; see `torso`.

Speed on one core, as `python scripts/make_phantom.py --time` prints it: 0.46 s for 240 x 240 x 120
voxels, 0.80 s for 400 x 340 x 200, 1.8 s for 512 x 512 x 300 (AMD EPYC, 2.6 GHz).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from .phantom import Phantom
from .torso import make_torso


def make_chest(
    *,
    seed: int,
    spacing_mm: tuple[float, float, float] = (0.8, 0.8, 1.5),
    shape: tuple[int, int, int] | None = None,
    axcodes: str = "LPS",
    affine: NDArray[np.float64] | None = None,
    findings: Iterable[str] | None = None,
    prevalence: float | Mapping[str, float] | None = None,
) -> Phantom:
    """Make a synthetic chest CT.

    The patient lies with mid lung at the world's origin.

    Args:
        seed: Which patient; `SEED_RANGES` keeps training, validation and test apart.
        spacing_mm: Voxel size along I, J, K; at least 0.2 mm.
        shape: Number of voxels along I, J, K; what holds the patient if None. The field of view
            is centred on the scan range.
        axcodes: Where I, J, K run to, such as `LPS` or `SLP`.
        affine: Voxel index to world mm, `(4, 4)`, in place of `spacing_mm` and `axcodes`; needs
            `shape`. May be oblique or sheared.
        findings: Exactly these labels; drawn by chance if None.
        prevalence: One share for all labels, or shares by label name, in place of `PREVALENCE`.

    Returns:
        The phantom.

    Raises:
        InputError: If an argument is out of its range, or a label unknown.
    """
    return make_torso(
        seed=seed,
        spacing_mm=spacing_mm,
        shape=shape,
        axcodes=axcodes,
        affine=affine,
        region="chest",
        findings=findings,
        prevalence=prevalence,
    )
