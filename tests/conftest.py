"""Fixtures that every test may use."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"


@pytest.fixture
def shared() -> Path:
    """Reference material beside the repository: golden numbers, manifests, real CT."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference folder `shared` beside the repository")
    return SHARED


@pytest.fixture
def repository() -> Path:
    return REPOSITORY
