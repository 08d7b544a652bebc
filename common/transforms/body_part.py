"""Which part of the body a scan shows, measured on a coarse copy of it.

A network for chests gives a head probabilities too. So a card says what its network is for
(`anatomy`), and a scan that shows something else is refused before anyone reads them.

* A **chest** holds lung: dark (below -300 HU), denser than free air or bowel gas, and between the
  walls of the body. Where the field of view cuts a lung off, mediastinum and chest wall still lie
  on three sides of much of it; foam and air below a thigh have the body on one side. Measured as
  its share of the body where it is largest, so that a child counts as an adult does. Where both
  lungs are white, the ribs are left: cut across they are more pieces of bone than any other part
  of the body has. Where there is little lung, some ribs tell its bases from gas in the bowel and
  from the gap between thighs.
* A **head** holds what a closed ring of bone surrounds in axial slices.

What shows nothing of it is refused, a part of it is a warning. A field of view that lies wholly
within a body, with neither lung, ribs nor skull, is refused as well: a thigh cut so looks the same.

Shapes: D H W a coarse scan in HU, its axes running S, P, L.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import scipy.ndimage
from monai.transforms import MapTransform
from numpy.typing import NDArray

from ..errors import InputError
from ..volumes.geometry import body_axes, without_shear
from ..volumes.volume import Volume
from .preprocessing import PreprocessCTd

LUNG_SHARE = (0.02, 0.10)
"""Lung's share of the body from which a scan is let through as a chest, and without a warning."""
SKULL_SHARE = (0.10, 0.15)
"""The same for what a ring of bone surrounds, and a head."""
LUNG_ALONE = 0.2
"""Share of lung that is a chest's whatever bone there is. Less may be air cells and sinuses beside
a skull, and without ribs bowel gas or the gap between thighs."""
RIB_PIECES = (5.0, 9.0)
"""Pieces of bone per slice from which a scan with less lung, and one without, may be a chest."""
SHORT = 0.35
"""Lung over less than this, as a share of the body's width, is a part of a chest."""
_TISSUE_HU, _BONE_HU, _PADDING_HU = -300.0, 150.0, -1100.0
_DENSE_HU = 250.0  # a piece of bone holds as much somewhere; noise seldom does
_WALLS = 3  # of the four sides in an axial slice
_AIR_HU = -950.0
_AIR_ENCLOSED, _AIR_CUT_OFF = 0.6, 0.1  # lung's most share of air: emphysema, against bowel gas
_CELL_MM, _CELLS_ACROSS = (1.5, 5.0), 64
_SLAB_MM, _SKULL_SLAB_MM = 30.0, 15.0
_IN_PLANE = scipy.ndimage.generate_binary_structure(3, 1)
_IN_PLANE[[0, 2]] = False

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class BodyPart:
    """What a coarse look at a scan measures.

    Attributes:
        lung_share: Lung's share of the body in the 30 mm along it where that is largest, 0 to 1.
        lung_height_mm: Length along the body in which lung is more than 2 % of a slice's body.
        skull_share: Share of the body that lies within closed rings of bone in axial slices, in
            the 15 mm where it is largest; 0 to 1.
        bone_pieces: Separate pieces of bone in the body per axial slice, in the 30 mm where they
            are most.
        body_mm: Extent of the body from right to left, front to back and along it.
    """

    lung_share: float
    lung_height_mm: float
    skull_share: float
    bone_pieces: float
    body_mm: tuple[float, float, float]


def look_at(volume: Volume) -> BodyPart:
    """Measure a scan.

    A tilted scan is looked at slice by slice, without its shear: planes of the patient's frame
    would cut a few tilted slices into strips, and no strip shows a skull's ring whole.

    Args:
        volume: As stored, any orientation; waited for until it is read.
    """
    volume = replace(volume, affine=without_shear(volume.affine))
    spacing, shape = volume.spacing_mm, volume.voxels.shape
    across, depth, _ = body_axes(volume.affine)[0]
    width = min(spacing[axis] * shape[axis] for axis in (across, depth))
    cell = float(np.clip(width / _CELLS_ACROSS, *_CELL_MM))
    coarse = PreprocessCTd(
        axcodes="SPL", spacing_mm=(cell,) * 3, hu_window=None, output_range=None, grid="affine",
        check_hu=False,
    )  # fmt: skip
    return _measure(coarse.preprocess(volume).numpy()[0], cell)


def _measure(hu: NDArray[np.float32], cell_mm: float) -> BodyPart:
    """The measures of a coarse scan `(D, H, W)`."""
    valid = _field_of_view(hu)
    tissue = _largest(valid & (hu > _TISSUE_HU))
    lung, outside = _lung_and_outside(hu, valid, tissue)
    body = _largest(valid & ~outside)
    lung &= body
    area = body.sum(axis=(1, 2))
    bone = valid & (hu > _BONE_HU)
    pieces = [_dense_pieces(*planes) for planes in zip(bone & tissue, hu, strict=True)]
    inside = np.stack([scipy.ndimage.binary_fill_holes(plane) for plane in bone]) & ~bone
    tissue |= inside
    slab, thin = (max(round(mm / cell_mm), 1) for mm in (_SLAB_MM, _SKULL_SLAB_MM))
    lung_area = lung.sum(axis=(1, 2))
    along, back, left = (
        cell_mm * int(body.any(axis=others).sum()) for others in ((1, 2), (0, 2), (0, 1))
    )
    return BodyPart(
        lung_share=_highest(lung_area, area, slab),
        lung_height_mm=cell_mm * int((lung_area > 0.02 * area).sum()),
        skull_share=_highest(inside.sum(axis=(1, 2)), tissue.sum(axis=(1, 2)), thin),
        bone_pieces=_highest(np.array(pieces), np.ones(len(hu)), slab),
        body_mm=(left, back, along),
    )


def _field_of_view(hu: NDArray[np.float32]) -> Mask:
    """Without padding, and without corners that are empty, as round fields of view leave them."""
    rows, columns = (np.linspace(-1, 1, size) for size in hu.shape[1:])
    corners = rows[:, None] ** 2 + columns**2 > 1
    valid: Mask = hu > _PADDING_HU
    if (hu[:, corners] < _AIR_HU).mean() > 0.8:
        valid &= ~corners
    return valid


def _lung_and_outside(hu: NDArray[np.float32], valid: Mask, tissue: Mask) -> tuple[Mask, Mask]:
    """What is lung, and what is outside of the body, among the dark pieces of each axial slice.

    A piece that the edge of the field of view does not touch is inside. One that it touches may be
    lung cut off, told from the air around the body by how little of it is as thin as air, and from
    foam and clothes by what of it lies between walls of the body.
    """
    pieces, number = scipy.ndimage.label(valid & (hu < _TISSUE_HU), _IN_PLANE)
    # Without their rims, which are half tissue; what is too thin to have more is no lung.
    inner = scipy.ndimage.binary_erosion(pieces > 0, _IN_PLANE)
    count = np.bincount(pieces[inner], minlength=number + 1)
    air = np.bincount(pieces[inner & (hu < _AIR_HU)], minlength=number + 1) / np.maximum(count, 1)
    edge = valid & ~scipy.ndimage.binary_erosion(valid, _IN_PLANE)
    at_edge = np.zeros(number + 1, bool)
    at_edge[pieces[edge]] = True
    is_lung = (count > 0) & (air < np.where(at_edge, _AIR_CUT_OFF, _AIR_ENCLOSED))
    at_edge[0] = is_lung[0] = False
    lung = is_lung[pieces] & _between_walls(tissue)
    return lung, at_edge[pieces] & ~lung


def _between_walls(tissue: Mask) -> Mask:
    """What has tissue on at least three of its four sides in its axial slice, at any distance."""
    sides = np.zeros(tissue.shape, np.int8)
    for axis in (1, 2):
        for seen in (tissue, np.flip(tissue, axis)):
            passed = np.maximum.accumulate(seen, axis=axis)
            sides += passed if seen is tissue else np.flip(passed, axis)
    return np.asarray(sides >= _WALLS)


def _dense_pieces(bone: Mask, hu: NDArray[np.float32]) -> int:
    """Pieces of bone in one slice that are dense somewhere."""
    pieces, number = scipy.ndimage.label(bone, np.ones((3, 3)))
    return int((scipy.ndimage.maximum(hu, pieces, np.arange(1, number + 1)) > _DENSE_HU).sum())


def _largest(mask: Mask) -> Mask:
    """The largest piece, after thin bridges in the axial plane, as to the table, are taken off."""
    pieces, _ = scipy.ndimage.label(scipy.ndimage.binary_opening(mask, _IN_PLANE))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray((pieces == sizes.argmax()) & (pieces > 0))


def _highest(part: NDArray[Any], whole: NDArray[Any], slab: int) -> float:
    """The largest share in any slab of neighbouring slices; a slab of little body does not count.

    Args:
        part: Per slice, `(D,)`.
        whole: Per slice, `(D,)`.
        slab: Slices; all of them where there are fewer.
    """
    window = np.ones(min(slab, len(part)))
    parts, wholes = (np.convolve(each, window, "valid") for each in (part, whole))
    least = max(0.3 * float(wholes.max()), 1e-9)
    return float((parts / np.maximum(wholes, least)).max())


@dataclass(frozen=True)
class Doubt:
    """Why a scan may not show what a network is for.

    Attributes:
        found: What was measured, after "got a scan in which ".
        refused: Whether it shows nothing of it.
    """

    found: str
    refused: bool


def doubt_chest(seen: BodyPart) -> Doubt | None:
    """None for a chest; a doubt that is not refused for a part of one."""
    least, sure = LUNG_SHARE
    found = f"lung is {seen.lung_share:.1%} of the body at most"
    if seen.skull_share >= SKULL_SHARE[1] and seen.lung_share < LUNG_ALONE:
        needed = f"{LUNG_ALONE:.0%} or more where a ring of bone holds so much"
        ring = f"a ring of bone, as a skull, holds {seen.skull_share:.0%} of it"
        return Doubt(f"{found} and {ring} (a chest: {needed})", True)
    ribs = RIB_PIECES[0] if seen.lung_share >= least else RIB_PIECES[1]
    if seen.lung_share < LUNG_ALONE and seen.bone_pieces < ribs:
        bone = f"a slice cuts {seen.bone_pieces:.0f} pieces of bone"
        needed = f"{LUNG_ALONE:.0%} or more, or {ribs:.0f} pieces, as of ribs"
        return Doubt(f"{found} and {bone} (a chest: {needed})", True)
    if seen.lung_share < sure:
        return Doubt(f"{found} (a chest: {sure:.0%} or more)", False)
    if seen.lung_height_mm < SHORT * seen.body_mm[0]:
        return Doubt(f"lung is seen over {seen.lung_height_mm:.0f} mm along the body", False)
    return None


def doubt_head(seen: BodyPart) -> Doubt | None:
    """None for a head; a doubt that is not refused for a part of one."""
    least, sure = SKULL_SHARE
    if seen.skull_share >= sure:
        return None
    found = (
        f"a closed ring of bone holds {seen.skull_share:.1%} of the body at most "
        f"(a head: {sure:.0%} or more)"
    )
    return Doubt(found, seen.skull_share < least)


ANATOMIES: Mapping[str, Callable[[BodyPart], Doubt | None]] = {
    "any": lambda _seen: None,
    "chest": doubt_chest,
    "head": doubt_head,
}
"""What a card's `anatomy` may be, and how a scan is judged by it."""


class CheckBodyPartd(MapTransform):
    """Note or refuse a scan that does not show what the network is for.

    What was measured becomes the volume's fact `body_part`, a doubt one of its warnings; a result
    repeats both. Of a network for any CT nothing is measured.

    Args:
        keys: Where the scan as stored is.
        anatomy: One of `ANATOMIES`, as the card says.
        any_body_part: Refuse nothing; what would be refused is a warning.
        allow_missing_keys: Skip a key that is not there.

    Raises:
        InputError: If `anatomy` is none of them, or `any_body_part` no yes or no.
    """

    def __init__(
        self,
        keys: str | Sequence[str] = "volume",
        *,
        anatomy: str,
        any_body_part: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if anatomy not in ANATOMIES:
            known = ", ".join(ANATOMIES)
            msg = f"card's anatomy must be one of {known}, got {anatomy!r}; mend the card"
            raise InputError(msg)
        if not isinstance(any_body_part, bool):
            msg = f"any_body_part must be True or False, got {any_body_part!r}; give one of them"
            raise InputError(msg)
        self.anatomy = anatomy
        self.any_body_part = any_body_part

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Look at the scan.

        Raises:
            InputError: If it shows nothing of `anatomy`, unless `any_body_part`.
        """
        result = dict(data)
        if self.anatomy == "any":
            return result
        for key in self.key_iterator(result):
            volume = result[key]
            seen = look_at(volume)
            doubt = ANATOMIES[self.anatomy](seen)
            size = " x ".join(f"{mm:.0f}" for mm in seen.body_mm)
            if doubt is not None and doubt.refused and not self.any_body_part:
                msg = (
                    f"image must show a {self.anatomy}, got a body of {size} mm in which "
                    f"{doubt.found}; check that it is the right scan, or run it all the same with "
                    f"`--any_body_part True`"
                )
                raise InputError(msg)
            facts = {**volume.facts, "body_part": _rounded(seen)}
            if doubt is not None:
                amount = "nothing" if doubt.refused else "not all"
                sentence = (
                    f"The network is for a {self.anatomy}, of which the scan seems to show "
                    f"{amount}: in a body of {size} mm {doubt.found}."
                )
                facts["warnings"] = [*facts.get("warnings", ()), sentence]
            result[key] = replace(volume, facts=facts)
        return result


def _rounded(seen: BodyPart) -> dict[str, Any]:
    """As a result file holds it."""
    return {
        name: [round(part) for part in value] if isinstance(value, tuple) else round(value, 4)
        for name, value in asdict(seen).items()
    }
