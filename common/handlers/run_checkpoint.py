"""The state of a training run on disk, so that a run that was killed goes on where it was.

One file, replaced whole after every epoch: a kill while it is written leaves the epoch before.
(MONAI's `CheckpointSaver` writes in place, so a kill can leave half a file, and it cannot hold the
trainer when a config lists it among the trainer's own handlers.) With `EpochSeed` the continued run
equals one that never stopped.

Attach it last, as `CaseTrainer` does, so that what the others do at the end of an epoch is in it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from ignite.engine import Engine, Events
from torch import Tensor, nn

from ..errors import InputError
from ..parallel import is_first_process
from ..results.claims import Claims, owner_of
from ..tensor_file import write_tensors
from ..weights.checkpoint import read_torch, shortened
from ..weights.fitting import is_finite

logger = logging.getLogger("common.training")
_CLAIMS = Claims()  # for as long as the process lives


class RunCheckpoint:
    """Save a run after every epoch, and resume it at the start if its file is there.

    The trainer itself (epoch, iteration) and its gradient scaler are included. In a distributed run
    the first process saves, and all resume.

    Args:
        path: The checkpoint, made if not there.
        objects: What else makes up the run, by name; each has `state_dict` and `load_state_dict`.
            A DistributedDataParallel wrapper is looked through.
        resume: Whether to go on from an existing file; if not, the first epoch replaces it.

    Raises:
        InputError: If an object has no state, or is named like one of the trainer's parts; when the
            run starts, if another training works in the folder.
    """

    def __init__(
        self, *, path: str | Path, objects: Mapping[str, Any], resume: bool = True
    ) -> None:
        for name, part in objects.items():
            if name in ("trainer", "scaler") or not hasattr(part, "load_state_dict"):
                msg = (
                    f"objects must have a state and not be named trainer or scaler, got {name!r} "
                    f"({type(part).__name__}); the trainer saves itself"
                )
                raise InputError(msg)
        self.path = Path(path)
        self.objects = dict(objects)
        self.resume = resume

    def attach(self, engine: Engine) -> None:
        """Resume when the run starts, save when an epoch ends."""
        engine.add_event_handler(Events.STARTED, self._claim)
        if self.resume:
            engine.add_event_handler(Events.STARTED, self.load)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)
        engine.add_event_handler(Events.COMPLETED, lambda _: _CLAIMS.release(self._claim_path))

    @property
    def _claim_path(self) -> Path:
        return self.path.with_name(f".{self.path.name}.claim")

    def _claim(self, _engine: Engine) -> None:
        """Make the folder this run's own: two trainings in one would mix their checkpoints.

        Raises:
            InputError: If another training works there.
        """
        claim = self._claim_path
        if is_first_process() and claim not in _CLAIMS.held() and not _CLAIMS.take(claim):
            msg = (
                f"output_dir must be one training's, got {self.path.parent}, where "
                f"{owner_of(claim)} trains; end that one, or choose another `--output_dir`"
            )
            raise InputError(msg)

    def save(self, engine: Engine) -> None:
        """Replace the file by the state of now.

        Raises:
            InputError: If the place cannot be written.
        """
        if is_first_process():
            state = {name: part.state_dict() for name, part in self._parts(engine).items()}
            write_tensors(self.path, state)

    def load(self, engine: Engine) -> None:
        """Take up the state in the file; does nothing if there is none.

        Raises:
            InputError: If the file is damaged, of another run, or further than `max_epochs`.
        """
        if not self.path.exists():
            return
        parts = self._parts(engine)
        state = self._read(parts)
        max_epochs, epoch_length = engine.state.max_epochs, engine.state.epoch_length
        saved_length = state["trainer"].get("epoch_length")
        if epoch_length is not None and saved_length != epoch_length:
            self._refuse(f"epochs of {saved_length} batches instead of {epoch_length}")
        try:
            for name, part in parts.items():
                self._check_length(name, part, state[name])
                self._check_numbers(name, part, state[name])
                part.load_state_dict(state[name])
        except InputError:
            raise
        except Exception as error:  # each part has errors of its own for a state of another
            first_line = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":")
            self._refuse(f"another {name}: {first_line}", error)
        if max_epochs is not None and engine.state.epoch > max_epochs:
            self._refuse(f"epoch {engine.state.epoch} of at most {max_epochs}")
        engine.state.max_epochs = max_epochs  # a resumed run may be longer than first planned
        logger.info("resuming after epoch %d: %s", engine.state.epoch, self.path)

    def _read(self, parts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The file's content, a state for each part."""
        try:
            state = read_torch(self.path)
        except InputError as error:
            self._refuse("a file that cannot be read", error)
        if not isinstance(state, dict) or state.keys() != parts.keys():
            names = sorted(map(str, state)) if isinstance(state, dict) else type(state).__name__
            self._refuse(f"a state of {names} instead of {sorted(parts)}")
        strange = [name for name, part in state.items() if not isinstance(part, dict)]
        if strange:
            self._refuse(f"no state but a {type(state[strange[0]]).__name__} for {strange[0]}")
        return state

    def _parts(self, engine: Engine) -> dict[str, Any]:
        """Everything that has a state, by name."""
        parts = {name: _unwrapped(part) for name, part in self.objects.items()}
        scaler = getattr(engine, "scaler", None)
        return parts | ({"scaler": scaler} if scaler is not None else {}) | {"trainer": engine}

    def _check_length(self, name: str, part: Any, state: Mapping[str, Any]) -> None:
        """A schedule that ends, such as one cycle, has no learning rate for what comes after."""
        planned = getattr(part, "total_steps", None)
        if planned is not None and state.get("total_steps") != planned:
            self._refuse(f"a {name} of {state.get('total_steps')} steps instead of {planned}")

    def _check_numbers(self, name: str, part: Any, state: Mapping[str, Any]) -> None:
        """A training that blew up has nothing to go on from."""
        if isinstance(part, nn.Module):
            tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
            bad = [key for key, value in tensors.items() if not is_finite(value)]
            if bad:
                self._refuse(f"a {name} with NaN or infinity in {shortened(bad)}")

    def _refuse(self, got: str, cause: Exception | None = None) -> NoReturn:
        msg = (
            f"checkpoint must be of this run, got {got} in {self.path}; delete it to start anew, "
            "or choose another `output_dir`"
        )
        raise InputError(msg) from cause


def _unwrapped(part: Any) -> Any:
    return part.module if isinstance(part, nn.parallel.DistributedDataParallel) else part
