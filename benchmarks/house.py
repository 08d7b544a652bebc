"""How the house stands: copied config lines, and how often a scan's road enters a room again.

`python -m benchmarks.house` prints both. The floors are checked by `lint-imports`.

A line is shared if it lies in a run of three or more, blanks aside, that stands in a config of
another bundle; `metadata.json` is left out. The road of a call is the folders of `common` in the
order in which its functions are entered, as a reader goes it: each way from one folder to another
is gone once, however often a loop goes it. A return is a stay in a folder that was left before.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from monai.bundle import ConfigParser

from common.phantom.export import write_phantom_case
from common.phantom.patient import SEED_RANGES

BUNDLES = Path("bundles")
COMMON = Path(__file__).resolve().parents[1] / "common"
RUN = 3


def config_lines() -> dict[Path, list[str]]:
    """Lines of every config, without blanks at their ends and without empty ones."""
    return {
        path: [line.strip() for line in path.read_text().splitlines() if line.strip()]
        for path in sorted(BUNDLES.glob("*/configs/*.json"))
        if path.name != "metadata.json"
    }


def shared_lines(files: dict[Path, list[str]]) -> dict[Path, int]:
    """How many lines of each config are shared with another bundle."""
    where: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for path, lines in files.items():
        for start in range(len(lines) - RUN + 1):
            where[tuple(lines[start : start + RUN])].add(path.parts[1])
    shared = {}
    for path, lines in files.items():
        marked: set[int] = set()
        for start in range(len(lines) - RUN + 1):
            if len(where[tuple(lines[start : start + RUN])]) > 1:
                marked |= set(range(start, start + RUN))
        shared[path] = len(marked)
    return shared


def road(call: Callable[[], Any]) -> list[str]:
    """The folders of `common` that a call enters, each named once for every stay."""
    stays: list[str] = []
    gone: set[tuple[str, str]] = set()
    last = ""

    def enter(frame: FrameType, event: str, _argument: Any) -> None:
        path = Path(frame.f_code.co_filename)
        nonlocal last
        if event != "call" or not path.is_relative_to(COMMON) or "<" in frame.f_code.co_name:
            return
        inside = path.relative_to(COMMON)
        room = inside.parts[0] if len(inside.parts) > 1 else "ground"
        if room in ("ground", last):
            return
        if (last, room) not in gone:
            stays.append(room)
        gone.add((last, room))
        last = room

    sys.setprofile(enter)
    try:
        call()
    finally:
        sys.setprofile(None)
    return stays


def bundle_roads(name: str, scan: Path, folder: Path) -> dict[str, list[str]]:
    """The roads of one bundle: from its input to cases, and from a prediction to its files."""
    config = ConfigParser.load_config_file(str(BUNDLES / name / "configs" / "inference.json"))
    parser = ConfigParser(config)
    parser["input"], parser["output_dir"], parser["weights"] = scan, folder, "demo"
    parser["bundle_root"] = str(BUNDLES / name)
    parser.get_parsed_content("record")  # what `cases` needs of it
    roads = {"input": road(lambda: parser.get_parsed_content("cases"))}
    evaluator = parser.get_parsed_content("evaluator")
    kind = type(evaluator.output)
    write = kind.__call__

    def traced(output: Any, data: dict[str, Any]) -> dict[str, Any]:
        roads["prediction"] = road(lambda: write(output, data))
        return data

    kind.__call__ = traced  # type: ignore[method-assign]
    try:
        evaluator.run()
    finally:
        kind.__call__ = write  # type: ignore[method-assign]
    return roads


def main() -> None:
    """Print both tables."""
    logging.disable(logging.WARNING)
    files = config_lines()
    shared = shared_lines(files)
    total = sum(map(len, files.values()))
    print(f"config lines {total}, shared {sum(shared.values()) / total:.1%}")
    for path in (path for path in files if path.stem in ("inference", "train")):
        print(f"  {path}: {len(path.read_text().splitlines())} lines, {shared[path]} shared")
    with tempfile.TemporaryDirectory() as temporary:
        scan = write_phantom_case(
            Path(temporary) / "scan", SEED_RANGES["example"][0], spacing_mm=(5.0, 5.0, 8.0)
        )
        for name in ("ct_scroll", "ct_fm_wholebody"):
            for what, stays in bundle_roads(name, scan, Path(temporary) / name).items():
                returns = len(stays) - len(set(stays))
                print(f"{name}, {what}: {len(stays)} stays, {returns} returns: {' '.join(stays)}")


if __name__ == "__main__":
    main()
