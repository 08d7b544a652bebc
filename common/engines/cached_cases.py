"""Cases for training whose steps before the first random one are done once and kept on disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from monai.data import Dataset, PersistentDataset
from monai.transforms import Compose
from monai.utils import convert_to_tensor

from ..atomic import PARTIAL
from ..case import Case
from ..errors import InputError
from ..tensor_file import write_tensors
from ..transforms.caching import code_stamp, digest, file_stamps, identity_of
from .case_evaluator import reason_of

logger = logging.getLogger("common.training")

LONGEST_WRITE_S = 3600.0


class UnwritableCacheError(InputError):
    """A cache that cannot be written, such as on a full disk: no fault of the scan's."""


class CachedCases(PersistentDataset):
    """MONAI's `PersistentDataset` that knows when what it keeps is of yesterday.

    An entry is of one case and the settings of every transform up to the first random one. It is
    used as long as the case's files (scan, masks) have their size and time and this package its
    code; else, and where it cannot be read, the case is read anew and the entry replaced, in one
    step. So several trainings may share a folder.

    Args:
        data: Cases, plain JSON values.
        transform: From a case to network input. A `Compose` within it is opened: MONAI takes one
            for random.
        cache_dir: Where it is kept.
    """

    def __init__(
        self,
        data: Sequence[Case],
        transform: Callable[[Any], Any],
        *,
        cache_dir: str | Path,
    ) -> None:
        super().__init__(
            data=list(data),
            transform=Compose(transform).flatten(),
            cache_dir=None,  # MONAI would make it now, and nothing may be read yet
            hash_func=_as_name,
            hash_transform=_as_name,
        )
        self.cache_dir = Path(cache_dir)
        for partial in Path(cache_dir).glob(f"{PARTIAL}*"):
            _remove_if_left(partial)

    def _transform(self, index: int) -> Any:
        with naming(self.data[index]):
            return super()._transform(index)

    def _cachecheck(self, item_transformed: Case) -> Any:
        """The case up to the first random step, kept or made.

        Raises:
            UnwritableCacheError: If it cannot be kept.
        """
        case = item_transformed
        entry = self.cache_dir / f"{_as_name(case).decode()}{self.transform_hash}.pt"
        made_of = digest([file_stamps(case), code_stamp()])
        kept = _read(entry)
        if kept is not None and kept["made_of"] == made_of:
            return kept["item"]
        read = self._pre_transform(deepcopy(case))
        item = convert_to_tensor(read, convert_numeric=False, track_meta=self.track_meta)
        try:
            write_tensors(entry, {"made_of": made_of, "item": item})
        except InputError as error:
            raise UnwritableCacheError(str(error)) from error
        return item


class FreshCases(Dataset):
    """Cases for training, prepared anew each time; one that cannot be read ends the run by name."""

    def _transform(self, index: int) -> Any:
        with naming(self.data[index]):
            return super()._transform(index)


@contextmanager
def naming(case: Case) -> Iterator[None]:
    """Say of which case an error is: no scan or mask is left out of supervised training unsaid."""
    try:
        yield
    except UnwritableCacheError:
        raise
    except Exception as error:  # whatever is wrong with it
        name = f"{case.get('case_id', 'a case')} ({case['image']})"
        msg = (
            f"{name} must be a case that can be trained on, got: {reason_of(error)}; "
            "mend it or take it out of the list"
        )
        raise InputError(msg) from error


def _as_name(value: Any) -> bytes:
    return digest(identity_of(value))[:32].encode()


def _read(entry: Path) -> dict[str, Any] | None:
    """A whole entry, or None."""
    if not entry.exists():
        return None
    try:
        kept: dict[str, Any] = torch.load(entry, weights_only=True)
        if kept.keys() >= {"made_of", "item"}:
            return kept
        reason = "it is of another kind"
    except Exception as error:  # half a file, a bad disk, no right to read it
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    logger.warning("cannot read %s (%s); its scan is read again", entry, reason)
    return None


def _remove_if_left(partial: Path) -> None:
    """Remove what a killed process was writing; another may be writing right now."""
    with suppress(OSError):
        if time.time() - partial.stat().st_mtime > LONGEST_WRITE_S:
            partial.unlink()
