"""Densities of what is inside the skull, at points, and what share of each is which finding's."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..painting import density
from ..solids import F32, Ellipsoid, Shape, Texture, Tube, cover
from .edits import NOBODY
from .near import distance_near
from .scene import HeadScene
from .shift import displaced, effacement
from .tissue import RIBBON_MM, Parts, Room, find_parts

DURA_HU, CORD_HU, CALCIUM_HU, VEIN_HU, ARTERY_HU = 54.0, 33.0, 260.0, 52.0, 43.0
STEM_HU_BELOW_GREY = 4.0
MIDDLE_ARTERY = Tube(((7, 4, -17), (20, 8, -16), (33, 11, -13)), (1.5, 1.4, 1.2))
_BASILAR = Tube(((0, -12.5, -14), (0, -13.5, -30), (2, -21, -44)), (1.7, 1.7, 1.7))
_CLEAR_MM = 1.0  # of pia and fluid between the brain and what lies around it

Place = tuple[F32, F32, F32]


@dataclass
class Inside:
    """What is inside the skull at points, flat arrays.

    Attributes:
        hu: Densities.
        cord: Distance to brain stem and cord.
        shares: By number of a finding: how far it fills a point, in [0, 1].
    """

    hu: F32
    cord: F32
    shares: dict[int, F32] = field(default_factory=dict)

    def paint(self, share: F32, hu: F32 | np.float32 | float, number: int = NOBODY) -> None:
        """Put something over what is there."""
        self.hu += share * (np.asarray(hu, np.float32) - self.hu)
        if number != NOBODY:
            for other in self.shares:
                self.shares[other] *= 1 - share
            self.note(share, number)

    def note(self, share: F32, number: int) -> None:
        """Remember that a share is a finding's."""
        before = self.shares.get(number)
        self.shares[number] = share.copy() if before is None else np.maximum(before, share)


def fill_inside(scene: HeadScene, place: Place, cavity: F32, width_mm: float) -> Inside:
    """Densities at points within the skull.

    Args:
        scene: What is drawn.
        place: Points, reference mm, `(N,)` each.
        cavity: Their distance to the inner table.
        width_mm: Over how many mm an edge rises.

    Returns:
        Densities, HU, and shares of findings.
    """
    head, pushes = scene.head, scene.pushes
    envelope = cavity
    outer = [(edit, edit.shape.distance(*place, cavity)) for edit in scene.around]
    for _, distance in outer:
        envelope = np.maximum(envelope, np.float32(_CLEAR_MM) - distance)
    before = displaced(pushes, *place) if pushes else place
    room = Room(envelope, effacement(pushes, *place), scene.swell_mm)
    parts = find_parts(head, room, *before)
    brush = _Brush(scene, parts, place, before, width_mm)
    state = Inside(np.full(cavity.shape, np.float32(head.csf_hu)), parts.stem)
    brush.fluid(state)
    brush.brain(state)
    brush.ventricles(state)
    brush.membranes(state, cavity)
    brush.lesions(state, envelope)
    for edit, distance in outer:
        hu = density(edit.filling, distance, list(place), head.seed + edit.number)
        if edit.level is not None:
            under = cover(place[1] - np.float32(edit.level), 5.0)
            hu = hu + under * (np.float32(edit.settled_hu) - hu)
        state.paint(cover(distance, width_mm), hu, edit.number)
    state.hu -= np.float32(head.bar_hu) * _between_petrous(*place)
    return state


class _Brush:
    """Draws one head's inside; everything is kept for as long as that takes."""

    def __init__(
        self, scene: HeadScene, parts: Parts, place: Place, before: Place, width_mm: float
    ) -> None:
        self.scene, self.head, self.parts = scene, scene.head, parts
        self.place, self.before, self.width = place, before, width_mm
        self.side: Place = (np.abs(before[0]), before[1], before[2])

    def fluid(self, state: Inside) -> None:
        """Blood in the fluid around the brain."""
        self.blood: list[tuple[int, F32]] = []
        for edit in self.scene.spaces:
            share = edit.share(*self.place)
            state.hu += share * (np.float32(edit.hu) - state.hu)
            self.blood.append((edit.number, share))

    def brain(self, state: Inside) -> None:
        """Cerebrum, cerebellum, stem."""
        parts, head = self.parts, self.head
        share = cover(parts.cerebrum, self.width)
        for number, blood in self.blood:
            taken = np.maximum.reduce(
                [share, cover(parts.cerebellum, self.width), cover(parts.stem, self.width)]
            )
            state.note(blood * (1 - taken), number)
        tissue, white = self._cerebrum()
        self._change(state, tissue, white, share, below=False)
        state.hu += share * (tissue - state.hu)
        share = cover(parts.cerebellum, self.width)
        tissue, white = self._cerebellum()
        self._change(state, tissue, white, share, below=True)
        state.hu += share * (tissue - state.hu)
        share = cover(parts.stem, self.width)
        tissue = np.full_like(state.hu, np.float32(head.grey_hu - STEM_HU_BELOW_GREY))
        self._change(state, tissue, np.full_like(tissue, 0.5), share, below=True)
        state.hu += share * (tissue - state.hu)

    def _cerebrum(self) -> tuple[F32, F32]:
        parts, head = self.parts, self.head
        white = cover(parts.cerebrum + np.float32(RIBBON_MM), 1.6)
        white *= 1 - cover(parts.deep, 2.2)
        white *= 1 - np.float32(0.7) * cover(parts.pallidum, 2.2)
        mottle = np.float32(0.8) * Texture(head.seed + 5, 6.0).at(*self.place)
        return self._mixed(white) + mottle, white

    def _cerebellum(self) -> tuple[F32, F32]:
        parts = self.parts
        white = cover(parts.core, 6.0)
        lines = cover(parts.folia - np.float32(0.35), 1.0)
        lines *= cover(np.float32(-9) - parts.cerebellum, 6.0) * (1 - white)
        tissue = self._mixed(white) - np.float32(0.5)
        tissue -= np.float32(4 + 9 * self.head.atrophy) * lines
        return tissue, white

    def _mixed(self, white: F32) -> F32:
        grey, drop = (
            np.float32(self.head.grey_hu),
            np.float32(self.head.grey_hu - self.head.white_hu),
        )
        return grey - drop * white

    def _change(self, state: Inside, tissue: F32, white: F32, share: F32, *, below: bool) -> None:
        for edit in self.scene.changes:
            if edit.below != below:
                continue
            here = cover(edit.shape.distance(*self.place), edit.soft_mm)
            here *= white + np.float32(edit.grey) * (1 - white)
            tissue += here * (np.float32(edit.to_hu) - tissue)
            if edit.number != NOBODY:
                state.note(here * share, edit.number)

    def ventricles(self, state: Inside) -> None:
        """Their fluid, the plexus, blood in them."""
        v, head = self.scene.ventricles, self.head
        lateral = v.lateral(*self.before)
        central = np.minimum(v.middle(*self.before), v.lowest(*self.before))
        if self.scene.swell_mm > 1:
            seep = cover(lateral - 2.5, 7.0) * cover(self.parts.cerebrum + 6, 4.0)
            state.hu -= np.float32(6) * seep
        both = cover(np.minimum(lateral, central), self.width)
        state.paint(both, head.csf_hu)
        if v.septum_mm:
            state.paint(cover(v.cavum(*self.before), self.width), head.csf_hu)
        plexus = distance_near(Ellipsoid((24.5, -44.0, 10.0), (2.6, 6.0, 3.0)), *self.side)
        state.paint(cover(np.maximum(plexus, lateral + 1), 2.0), head.grey_hu + 2)
        for edit in self.scene.filled:
            part = np.maximum(lateral, edit.distance(*self.place))
            if edit.middle:
                part = np.minimum(part, central)
            state.paint(cover(part, self.width), edit.hu, edit.number)

    def membranes(self, state: Inside, cavity: F32) -> None:
        """Falx, tentorium, veins, arteries, calcium."""
        parts, variants = self.parts, self.head.variants
        x, y, z = self.place
        under = cover(cavity + 0.5, self.width)
        state.paint(cover(parts.falx, self.width) * under, DURA_HU)
        state.paint(cover(np.maximum(parts.tent, cavity), self.width), DURA_HU - 4)
        crown = np.maximum(np.abs(x) - (5.5 + 0.8 * cavity), -4.5 - cavity)
        crown = np.maximum(crown, np.maximum(-12 - z, y - 55))
        sinus = np.maximum(np.abs(parts.below) - 3.5, -5.0 - cavity)
        sinus = np.minimum(crown, np.maximum(sinus, y + 52))
        state.paint(cover(sinus, self.width), VEIN_HU)
        arteries = np.minimum(
            distance_near(_BASILAR, *self.before), distance_near(MIDDLE_ARTERY, *self.side)
        )
        state.paint(cover(arteries, self.width), ARTERY_HU)
        for clot in self.scene.clots:
            state.paint(cover(distance_near(clot.shape, *self.before), self.width), clot.hu)
        for shape, mirrored in self._calcium(variants.pineal_mm):
            place = self.side if mirrored else self.before
            state.paint(cover(distance_near(shape, *place), self.width), CALCIUM_HU)
        if variants.pallidum_mm:
            spot = Ellipsoid(
                (19.0, 0.0, 0.0), (variants.pallidum_mm,) * 3, rough_mm=1.0, grain_mm=3
            )
            state.paint(cover(distance_near(spot, *self.side), 3.0), 85.0)

    def _calcium(self, pineal_mm: float) -> list[tuple[Shape, bool]]:
        variants = self.head.variants
        found: list[tuple[Shape, bool]] = []
        if pineal_mm:
            found.append(
                (Ellipsoid((0.0, -31.0, 1.0), (pineal_mm, 1.2 * pineal_mm, pineal_mm)), False)
            )
        if variants.plexus_mm:
            r = variants.plexus_mm
            found.append((Ellipsoid((24.5, -45.0, 10.0), (0.8 * r, r, r)), True))
        if variants.falx_mm:
            half = 0.5 * variants.falx_mm
            found.append((Ellipsoid((0.0, 38.0, 40.0), (1.1, half, 0.6 * half)), False))
        return found

    def lesions(self, state: Inside, envelope: F32) -> None:
        """Bleeds and tumours in the brain."""
        for edit in self.scene.within:
            distance = np.maximum(edit.shape.distance(*self.place), envelope + np.float32(1.0))
            near = distance < np.float32(0.5 * self.width)
            if not near.any():
                state.note(np.zeros_like(state.hu), edit.number)
                continue
            points = [v[near] for v in self.place]
            hu = np.zeros_like(state.hu)
            hu[near] = density(edit.filling, distance[near], points, self.head.seed + edit.number)
            state.paint(cover(distance, self.width), hu, edit.number)


def _between_petrous(x: F32, y: F32, z: F32) -> F32:
    """Where beam hardening darkens a scan: a bar through the pons."""
    u, v = (y + 27) * np.float32(1 / 12), (z + 37) * np.float32(1 / 13)
    return np.exp(-0.5 * (u * u + v * v)) * (np.abs(x) < 45) * cover(np.abs(x) - 38, 14.0)
