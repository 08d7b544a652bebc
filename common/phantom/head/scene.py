"""A head with findings, ready to be drawn."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..scene import Finding, as_point
from ..solids import Point
from .build import Head
from .edits import Around, Bruise, Change, Crack, InSpaces, InVentricles, Vessel, Within
from .shift import Push
from .vault import Dent
from .ventricles import Ventricles


@dataclass
class HeadScene:
    """A head and what is done to it.

    Attributes:
        head: Whose.
        ventricles: How wide they are.
        swell_mm: How much wider hydrocephalus has made the lateral ones and the third.
        fourth_mm: The same for the fourth.
        around: Between brain and bone.
        within: In the brain.
        changes: Of its tissue, in order.
        spaces: Blood in the fluid around it.
        filled: Blood in the ventricles.
        clots: In arteries.
        cracks: In the vault.
        dents: In the vault.
        bruises: Of the scalp.
        pushes: What moves the brain.
        findings: Truth; volume and centre of most are measured later.
    """

    head: Head
    ventricles: Ventricles
    swell_mm: float = 0.0
    fourth_mm: float = 0.0
    around: list[Around] = field(default_factory=list)
    within: list[Within] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    spaces: list[InSpaces] = field(default_factory=list)
    filled: list[InVentricles] = field(default_factory=list)
    clots: list[Vessel] = field(default_factory=list)
    cracks: list[Crack] = field(default_factory=list)
    dents: list[Dent] = field(default_factory=list)
    bruises: list[Bruise] = field(default_factory=list)
    pushes: list[Push] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def world(self, point: NDArray[np.floating] | Point) -> Point:
        """One point from reference mm to world mm."""
        matrix = self.head.world_from_reference
        return as_point(matrix[:3, :3] @ np.asarray(point, float) + matrix[:3, 3])

    def add(
        self,
        label: str,
        *,
        side: str | None,
        place: str | None,
        size_mm: float | None,
        centre: NDArray[np.floating] | Point | None = None,
    ) -> int:
        """Record a finding; `size_mm` in world mm, `centre` in reference mm.

        Returns:
            Its number.
        """
        where = None if centre is None else self.world(centre)
        self.findings.append(Finding(label, side, place, size_mm, None, where))
        return len(self.findings) - 1
