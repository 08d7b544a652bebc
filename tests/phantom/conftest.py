"""Phantoms that several tests look at, made once."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest

from common.phantom import HeadPhantom, Phantom, make_chest, make_head, make_torso

SPACING_MM = (2.0, 2.0, 3.0)


@lru_cache(maxsize=40)
def _chest(seed: int, findings: tuple[str, ...]) -> Phantom:
    return make_chest(seed=seed, spacing_mm=SPACING_MM, findings=findings)


@pytest.fixture
def chest() -> Callable[..., Phantom]:
    """`chest(seed, *findings)`: a patient with exactly these findings at 2 x 2 x 3 mm."""
    return lambda seed, *findings: _chest(seed, findings)


@lru_cache(maxsize=8)
def _torso(seed: int) -> Phantom:
    return make_torso(seed=seed, spacing_mm=(3.0, 3.0, 3.0), findings=[])


@pytest.fixture
def torso() -> Callable[[int], Phantom]:
    """`torso(seed)`: a healthy patient from neck to thighs at 3 mm, made once."""
    return _torso


@lru_cache(maxsize=40)
def _head(seed: int, findings: tuple[str, ...]) -> HeadPhantom:
    return make_head(seed=seed, spacing_mm=(2.0, 2.0, 2.5), findings=findings)


@pytest.fixture
def head() -> Callable[..., HeadPhantom]:
    """`head(seed, *findings)`: a head with exactly these findings at 2 x 2 x 2.5 mm, made once."""
    return lambda seed, *findings: _head(seed, findings)


@pytest.fixture
def world() -> Callable[[Phantom | HeadPhantom], np.ndarray]:
    """World mm of all voxels of a phantom, `(3, I, J, K)`."""

    def of(phantom: Phantom | HeadPhantom) -> np.ndarray:
        affine = phantom.volume.affine
        index = np.indices(phantom.volume.voxels.shape).astype(np.float32)
        return np.einsum("rc,cijk->rijk", affine[:3, :3], index) + affine[:3, 3, None, None, None]

    return of
