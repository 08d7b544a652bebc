"""`make_phantom`: the synthetic patient in any region."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .head import HeadPhantom, make_head
from .phantom import Phantom
from .torso import make_torso

AnyPhantom = Phantom | HeadPhantom


def make_phantom(
    *,
    seed: int,
    region: str = "chest",
    spacing_mm: tuple[float, float, float],
    axcodes: str = "LPS",
    findings: Iterable[str] | None = None,
    prevalence: float | Mapping[str, float] | None = None,
) -> AnyPhantom:
    """Make a synthetic CT of one region; see `make_torso` and `make_head`.

    Args:
        seed: Which patient.
        region: One of `REGIONS`.
        spacing_mm: Voxel size along I, J, K; at least 0.2 mm.
        axcodes: Where I, J, K run to.
        findings: Exactly these, by the region's own names; drawn by chance if None.
        prevalence: One share for all of them, or shares by name.

    Raises:
        InputError: If an argument is out of its range, or a finding unknown.
    """
    if region == "head":
        return make_head(
            seed=seed, spacing_mm=spacing_mm, axcodes=axcodes, findings=findings,
            prevalence=prevalence,
        )  # fmt: skip
    return make_torso(
        seed=seed, spacing_mm=spacing_mm, axcodes=axcodes, region=region, findings=findings,
        prevalence=prevalence,
    )  # fmt: skip
