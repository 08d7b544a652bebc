"""Muscles, bones of the skull base and the face, air spaces, orbits, the first two vertebrae.

Layers to be painted in order, see `painting`; reference mm, RAS. Bones are `skull` to
TotalSegmentator. Whatever runs through the base, such as the carotid canals, belongs after
`bone_layers` and before `air_layers`.
"""

from __future__ import annotations

from ..compounds import Common, Cut, Half, Joined
from ..painting import Filling, Layer
from ..solids import Ellipsoid, Plate, Point, Shape, Tube
from .build import Head

_BONE = Filling(480.0, 1150.0, 1.4, 1.0, mottle_hu=60, grain_mm=4)
_DENSE = Filling(1350.0, 1050.0, 1.5, 2.0, mottle_hu=90, grain_mm=5)
_THIN = Filling(700.0)
_MUSCLE, _GLAND = Filling(56.0, mottle_hu=5, grain_mm=5), Filling(-5.0, mottle_hu=25, grain_mm=5)
_AIR, _SOFT = Filling(-990.0), Filling(42.0)
_ORBIT_FAT, _EYE = Filling(-85.0), Filling(11.0, 48.0, 1.2, 1.0)


def base_layers(head: Head) -> list[Layer]:
    """All but the muscles, the last on top."""
    return [
        *bone_layers(),
        *vertebra_layers(),
        *air_layers(head),
        *_orbit_layers(),
    ]


def _pair(shape: Shape) -> tuple[Shape, Shape]:
    return shape, _mirror(shape)


def _mirror(shape: Shape) -> Shape:
    match shape:
        case Ellipsoid():
            (x, y, z), (a, b, c) = shape.centre, shape.turn_deg
            return Ellipsoid((-x, y, z), shape.radii, (a, -b, -c))
        case Tube():
            return Tube(tuple((-x, y, z) for x, y, z in shape.points), shape.radii)
        case Plate():
            (x, y, z), (a, b, c) = shape.centre, shape.normal
            return Plate((-x, y, z), (-a, b, c), shape.radius_mm, shape.thickness_mm)
        case Joined():
            return Joined(tuple(_mirror(part) for part in shape.parts), shape.blend_mm)
    msg = f"no mirror image of {shape}"
    raise AssertionError(msg)


def _both(name: str, shape: Shape, filling: Filling) -> list[Layer]:
    return [Layer(name, part, filling, within="skin") for part in _pair(shape)]


def muscle_layers() -> list[Layer]:
    """Muscles, glands, ears: under the vault's bone where they meet it."""
    temporal = Ellipsoid((61.0, 16.0, -16.0), (9.0, 30.0, 36.0), (0.0, 8.0, 8.0))
    masseter = Ellipsoid((52.0, 24.0, -78.0), (9.0, 15.0, 32.0))
    pterygoid = Ellipsoid((34.0, 14.0, -66.0), (14.0, 15.0, 24.0))
    parotid = Ellipsoid((58.0, -6.0, -78.0), (11.0, 14.0, 24.0))
    nape = Ellipsoid((21.0, -78.0, -98.0), (22.0, 22.0, 46.0), (-12.0, 0.0, 0.0))
    side = Ellipsoid((52.0, -44.0, -104.0), (11.0, 17.0, 42.0))
    under = Ellipsoid((0.0, -66.0, -84.0), (46.0, 34.0, 20.0))
    pharynx = Ellipsoid((0.0, -2.0, -90.0), (24.0, 20.0, 50.0))
    ear = Ellipsoid((79.0, -32.0, -36.0), (2.4, 13.0, 24.0), (0.0, 0.0, -28.0))
    return [
        *_both("temporal_muscle", temporal, _MUSCLE),
        *_both("masseter", masseter, _MUSCLE),
        *_both("parotid", parotid, _GLAND),
        *_both("nape", nape, _MUSCLE),
        *_both("sternocleidomastoid", side, _MUSCLE),
        Layer("nape", under, _MUSCLE, within="skin"),
        Layer("pharynx", pharynx, _MUSCLE),
        *_both("pterygoid", pterygoid, _MUSCLE),
        *(Layer("ear", part, _SOFT) for part in _pair(ear)),
    ]


def bone_layers() -> list[Layer]:
    """Sphenoid, petrous bones, clivus, occipital condyles, face, jaw."""
    clivus = Joined(
        (Ellipsoid((0.0, 10.0, -33.0), (19.0, 17.0, 13.0)),
         Tube(((0, -2, -32), (0, -14, -46), (0, -24, -64)), (9.0, 8.0, 6.0)),
         Ellipsoid((12.0, -12.0, -46.0), (10.0, 9.0, 7.0)),
         Ellipsoid((-12.0, -12.0, -46.0), (10.0, 9.0, 7.0))), 5.0)  # fmt: skip
    petrous = Tube(((14, -11, -38), (36, -24, -42), (54, -34, -46)), (7.0, 10.0, 13.0))
    mastoid = Ellipsoid((59.0, -40.0, -54.0), (13.0, 19.0, 23.0), (-8.0, 0.0, 0.0))
    condyle = Ellipsoid((19.0, -34.0, -70.0), (7.0, 13.0, 8.0), (0.0, 0.0, -20.0))
    occiput = Ellipsoid((28.0, -50.0, -66.0), (20.0, 22.0, 5.0))
    wing = Joined(
        (Tube(((18, 12, -34), (36, 26, -36), (52, 34, -30)), (6.0, 3.0, 4.0)),
         Plate((53.0, 26.0, -26.0), (0.85, -0.45, 0.0), 17.0, 5.0)), 3.0)  # fmt: skip
    lesser = Tube(((10, 16, -22), (30, 22, -21), (46, 20, -18)), (3.0, 3.0, 2.5))
    rim = Tube(((52, 46, -22), (54, 48, -34), (50, 54, -46)), (4.0, 5.0, 5.0))
    arch = Tube(((50, 52, -46), (63, 34, -47), (67, 10, -46), (62, -8, -44)), (5.0, 2.8, 2.6, 3.5))
    maxilla = Joined(
        (Ellipsoid((27.0, 46.0, -62.0), (19.5, 20.0, 21.0)),
         Tube(((24, 62, -48), (12, 70, -38), (8, 78, -24)), (3.0, 3.0, 4.0))), 3.0)  # fmt: skip
    jaw = Joined(
        (Ellipsoid((51.0, 2.0, -54.0), (8.5, 5.0, 6.0)),
         Tube(((50, 2, -56), (47, 8, -80), (44, 16, -112)), (4.5, 5.0, 6.0)),
         Tube(((47, 12, -80), (46, 26, -58)), (4.0, 2.5))))  # fmt: skip
    pterygoid = Plate((17.0, 16.0, -60.0), (1.0, -0.35, 0.0), 15.0, 3.0)
    brow = Tube(((0, 76, -14), (26, 74, -15), (44, 62, -17), (53, 48, -22)), (7.0, 5.0, 5.0, 4.5))
    ethmoid = Ellipsoid((0.0, 42.0, -36.0), (14.0, 28.0, 15.0))
    return [
        *_both("skull", wing, _BONE),
        *_both("skull", lesser, _BONE),
        *_both("skull", brow, _BONE),
        *_both("skull", maxilla, Filling(350.0, 800.0, 1.5, 1.0)),
        Layer("skull", ethmoid, _THIN),
        *_both("skull", rim, _BONE),
        *_both("skull", arch, _BONE),
        *_both("skull", pterygoid, _THIN),
        Layer("skull", clivus, _BONE),
        *_both("skull", mastoid, _BONE),
        *_both("skull", petrous, _DENSE),
        *_both("skull", occiput, _BONE),
        *_both("skull", condyle, _BONE),
        *_both("skull", jaw, _BONE),
        Layer("skull", Tube(((0, 78, -18), (0, 86, -34)), (4.0, 3.0)), _THIN),
    ]


def vertebra_layers() -> list[Layer]:
    """Atlas and axis; the canal between their arches is drawn with the space inside the skull."""
    middle, canal = (0.0, -41.0), 13.5
    ring = Cut(
        Ellipsoid((0.0, -42.0, -86.0), (27.0, 27.0, 6.5)),
        Tube(((0, -42, -60), (0, -42, -120)), (18.5, 18.5)),
    )
    mass = Ellipsoid((21.0, -34.0, -84.0), (8.0, 10.0, 8.5))
    process = Tube(((24, -36, -86), (41, -38, -87)), (5.0, 4.0))
    dens = Tube(((0, -20, -80), (0, -20, -102)), (5.5, 6.0))
    body = Ellipsoid((0.0, -18.0, -112.0), (11.0, 10.0, 12.0))
    arch = Cut(
        Ellipsoid((0.0, middle[1] - 3, -108.0), (26.0, 28.0, 9.0)),
        Tube(((0, middle[1], -80), (0, middle[1], -140)), (canal + 1, canal + 1)),
    )
    return [
        Layer("vertebrae_C1", ring, _BONE),
        *_both("vertebrae_C1", mass, _BONE),
        *_both("vertebrae_C1", process, _BONE),
        Layer("vertebrae_C2", Cut(arch, Half((0, -26, 0), (0, -1, 0))), _BONE),
        Layer("vertebrae_C2", body, _BONE),
        Layer("vertebrae_C2", dens, _BONE),
    ]


def air_layers(head: Head) -> list[Layer]:
    """Sinuses, nose, throat, ear canals, mastoid cells and inner ears."""
    variants = head.variants
    ethmoid = Ellipsoid((7.0, 42.0, -35.0), (6.0, 25.0, 11.0))
    cells = Filling(-820.0, mottle_hu=330, grain_mm=4.0)
    sphenoid = Ellipsoid((7.5, 12.0, -35.0), (7.0, 12.0, 9.0))
    maxillary = Ellipsoid((28.0, 46.0, -62.0), (16.0, 17.0, 18.0))
    nose = Ellipsoid((5.5, 46.0, -66.0), (5.0, 32.0, 18.0))
    conch = Tube(((8, 26, -64), (7, 64, -66)), (2.5, 2.5))
    throat = Ellipsoid((0.0, 8.0, -74.0), (11.0, 8.0, 20.0))
    ear = Tube(((82, -22, -41), (64, -20, -41), (49, -20, -40)), (3.6, 3.2, 3.2))
    drum = Ellipsoid((44.0, -21.0, -39.0), (3.0, 5.0, 6.0))
    share = variants.mastoid
    pores = Filling(-880.0 + 500 * (1 - share), mottle_hu=480, grain_mm=3.2)
    mastoid = Ellipsoid((59.0, -40.0, -52.0), (11.0, 15.0 * share + 2, 19.0), (-8.0, 0.0, 0.0))
    antrum = Ellipsoid((47.0, -29.0, -37.0), (5.0, 6.0, 5.0))
    layers = [
        *_both("air", ethmoid, cells),
        *_both("air", sphenoid, _AIR),
        *_both("air", maxillary, _AIR),
        *_both("air", nose, _AIR),
        *_both("conch", conch, _SOFT),
        Layer("air", throat, _AIR),
        *_both("air", mastoid, pores),
        *_both("air", antrum, pores),
        *(Layer("air", part, _AIR) for part in _pair(ear)),
        *_both("air", drum, _AIR),
    ]
    canal = Tube(((21, -19, -38), (28, -19, -38)), (2.2, 2.2))
    cochlea = Ellipsoid((33.0, -19.0, -38.0), (2.6, 2.6, 2.6))
    layers += [*_both("ear", canal, _SOFT), *_both("ear", cochlea, Filling(30.0))]
    if variants.frontal_mm:
        wide = variants.frontal_mm
        lobes = tuple(
            Ellipsoid((s * 0.55 * wide, 76.0, -8.0), (0.6 * wide, 4.5, 7.0 + 0.5 * wide))
            for s in (-1.0, 0.85)
        )
        layers.append(Layer("air", Joined(lobes), _AIR, within="skin"))
    return layers


def _orbit_layers() -> list[Layer]:
    apex: Point = (13.0, 20.0, -29.0)
    eye: Point = (31.0, 57.0, -31.0)
    cone = Tube((apex, (24.0, 40.0, -30.0), (31.0, 56.0, -31.0)), (4.0, 13.0, 17.5))
    front = Half((0.0, 66.0, 0.0), (0.0, 1.0, 0.0))
    layers = [
        Layer("orbit", Common((part, front)), _ORBIT_FAT, within="skin") for part in _pair(cone)
    ]
    ends = ((18.5, 60.0, -31.0), (43.5, 56.0, -31.0), (31.0, 60.0, -19.0), (31.0, 60.0, -43.0))
    bends = ((15.0, 40.0, -30.0), (36.0, 40.0, -31.0), (24.0, 40.0, -20.0), (24.0, 40.0, -41.0))
    for bend, end in zip(bends, ends, strict=True):
        layers += _both("eye_muscle", Tube((apex, bend, end), (1.5, 2.4, 1.2)), _MUSCLE)
    nerve = Tube((apex, (21.0, 34.0, -31.0), (27.0, 46.0, -31.0)), (1.8, 2.2, 2.2))
    lens = Ellipsoid((32.0, 66.0, -31.0), (4.6, 2.2, 4.6))
    lid = Ellipsoid((32.0, 69.5, -31.0), (15.0, 3.0, 11.0))
    layers += _both("optic_nerve", nerve, Filling(36.0))
    layers += _both("lid", lid, _SOFT)
    layers += _both("eye", Ellipsoid(eye, (12.0, 12.2, 12.0)), _EYE)
    return [*layers, *_both("lens", lens, Filling(95.0))]
