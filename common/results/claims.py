"""One process at a time works on a case: claims that end with the process that made them.

A claim is a small file. Creating it is the one step that a shared file system, NFS included, does
for one process alone. It names its owner, who touches it as long as he lives. A claim whose owner
is dead is stale and taken over: at once where the owner ran on this machine, after `LEASE_S` where
only the missing touch tells.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from ..atomic import create_text, partial_name, unwritable

LEASE_S = 180.0  # a claim that nobody has touched for so long is nobody's
TOUCH_S = 20.0
LONGEST_STILL_S = 3600.0  # the same for a process of this machine that is there but stands still
RETRY_S, TELL_S = 0.1, 60.0
logger = logging.getLogger("common.cases")


@dataclass(frozen=True)
class Owner:
    """Who made a claim, and what for.

    Attributes:
        host: Name of the machine.
        process: Number of the process.
        life: Tells this process from all that had its number before, on this machine and in
            other containers on it; empty where the system does not say.
        about: What is claimed, such as the path of a scan.
        since: Seconds since 1970, by the owner's clock.
        token: Of this claim alone.
    """

    host: str
    process: int
    life: str
    about: str = ""
    since: float = 0.0
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


class Claims:
    """The claims of one run, kept fresh until they are released."""

    def __init__(self) -> None:
        self._held: dict[Path, Owner] = {}
        self._lock = threading.Lock()
        self._keeper: threading.Thread | None = None

    def take(self, path: str | Path, *, about: str = "") -> bool:
        """Make a claim; False where someone who lives has made it before.

        Args:
            path: The claim's file; its folder is made where missing.
            about: What is claimed.

        Raises:
            OutputError: If the place cannot be written.
        """
        path, mine = Path(path), _me(about)
        try:
            taken = _take(path, mine)
        except OSError as error:
            raise unwritable(path, error) from error
        if taken:
            with self._lock:
                self._held[path] = mine
            self._keep_fresh()
        return taken

    def release(self, path: str | Path) -> None:
        """Give up a claim; nothing happens where it is not held."""
        with self._lock:
            mine = self._held.pop(Path(path), None)
        if mine is not None and owner_of(path) == mine:
            with suppress(OSError):
                Path(path).unlink()

    def is_lost(self, path: str | Path) -> bool:
        """Whether someone else has taken over what is held: this process stood still for long."""
        mine = self._held.get(Path(path))
        return mine is not None and owner_of(path) not in (None, mine)

    def held(self) -> list[Path]:
        """The files of all claims that are held."""
        return list(self._held)

    @contextmanager
    def waiting(self, path: str | Path) -> Iterator[None]:
        """Hold a claim for a moment, after waiting for whoever holds it."""
        told = time.monotonic()
        while not self.take(path):
            time.sleep(RETRY_S)
            if time.monotonic() - told > TELL_S:
                told = time.monotonic()
                logger.info("%s is waited for, %s holds it", path, owner_of(path))
        try:
            yield
        finally:
            self.release(path)

    def _keep_fresh(self) -> None:
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._touch, daemon=True, name="claims")
            self._keeper.start()

    def _touch(self) -> None:
        while True:
            time.sleep(TOUCH_S)
            for path in self.held():
                with suppress(OSError):
                    if not self.is_lost(path):
                        os.utime(path)


def owner_of(path: str | Path) -> Owner | None:
    """Who has made a claim; None where there is none, or none that can be read."""
    try:
        return Owner(**json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def living_owner(path: str | Path) -> Owner | None:
    """The same, but None where the owner is dead."""
    owner = owner_of(path)
    return None if owner is None or _is_stale(Path(path), owner) else owner


def _me(about: str) -> Owner:
    host, process, life = _identity(os.getpid())
    return Owner(host, process, life, about=about, since=time.time())


@cache
def _identity(process: int) -> tuple[str, int, str]:
    """Host, number and life of this process; asked anew after a fork."""
    return socket.gethostname(), process, _life(process)


def _life(process: int) -> str:
    """Boot, number space and start of a process; empty where it is dead or nothing says."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = Path("/proc/self/ns/pid").readlink()
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else f"{boot} {space} {rest[18]}"  # a zombie is dead


def _take(path: Path, mine: Owner) -> bool:
    for attempt in range(3):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return _create(path, mine) or _take_over(path, mine)
        except FileNotFoundError:  # another run gave up the last case in this folder
            if attempt == 2:
                raise
    return False


def _create(path: Path, mine: Owner) -> bool:
    return create_text(path, json.dumps(asdict(mine)))


def _take_over(path: Path, mine: Owner) -> bool:
    """Put a claim in the place of a stale one.

    Of several that see the same stale claim, one makes the mark that bears its token; whoever comes
    later finds another owner under the mark.
    """
    if not path.exists():
        return _create(path, mine)  # given up this moment
    old = owner_of(path)
    if old is None and _age_s(path) < LEASE_S:
        return False  # being written this moment, by one of those without links
    if old is not None and not _is_stale(path, old):
        return False
    mark = path.with_name(f"{path.name}-over-{old.token if old else 'unreadable'}")
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        if _age_s(mark) > LEASE_S:  # whoever made it died at it
            with suppress(OSError):
                mark.unlink()
        return False
    try:
        if owner_of(path) != old:
            return False
        draft = partial_name(path)
        draft.write_text(json.dumps(asdict(mine)), encoding="utf-8")
        draft.replace(path)
    finally:
        with suppress(OSError):
            mark.unlink()
    if old is not None:
        logger.info("%s: %s is gone, its claim is taken over", path.parent.name, old)
    return True


def _is_stale(path: Path, owner: Owner) -> bool:
    host, _, life = _identity(os.getpid())
    here = owner.host == host and owner.life.split()[:2] == life.split()[:2] and life != ""
    if here and _is_visible(owner.process):
        stands_still = _age_s(path) > LONGEST_STILL_S  # stopped with Ctrl-Z and forgotten
        return _life(owner.process) != owner.life or stands_still
    return _age_s(path) > LEASE_S


def _is_visible(process: int) -> bool:
    """Whether this user may look at a process; one that is gone hides nothing."""
    try:
        os.kill(process, 0)
    except PermissionError:
        return Path(f"/proc/{process}/stat").exists()
    except OSError:
        return True
    return True


def _age_s(path: Path) -> float:
    """Seconds since a file was touched, by the clock of the file system it lies on."""
    probe = partial_name(path)
    try:
        before = path.stat().st_mtime
        probe.touch()
        return probe.stat().st_mtime - before
    except FileNotFoundError:
        return 0.0
    finally:
        with suppress(OSError):
            probe.unlink()
