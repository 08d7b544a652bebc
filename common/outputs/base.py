"""What a task leaves of a case: the road is the same for all, the files and values are the kind's.

A kind says in `write` which files it makes and which values stand in `result.json`; everything
around that is here. Numbers and texts at the top of the values become columns of `summary.csv`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from monai.transforms import Transform

from ..results.case_result import describe_case
from ..results.run_record import RunRecord
from ..results.schema import CaseRecord


class Left(NamedTuple):
    """What is left of one case.

    Attributes:
        outputs: Values by the names of the kind's `definitions`.
        files: Names of the files beside `result.json`, in the order that a person opens them.
    """

    outputs: Mapping[str, Any]
    files: list[str]


class CaseOutput(Transform, ABC):
    """Last step of a case: its folder, with `result.json`.

    Reads, per case: `case`, `volume` (the scan as stored), `image` `(1, 1, D, H, W)` with its
    affine, `read_preprocess_s`, `fingerprint`, and `pred`, the inferer's answer, with
    `inference_s`.

    Args:
        record: The run.
        figures: Whether to draw `figure.png`.

    Attributes:
        definitions: Of each value one sentence with its unit, range and frame.
    """

    definitions: ClassVar[Mapping[str, str]]

    def __init__(self, *, record: RunRecord, figures: bool = True) -> None:
        self.record = record
        self.figures = figures

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Write the case's folder; `data` goes through unchanged."""
        start = time.perf_counter()
        case = describe_case(data["case"], data["volume"])
        outputs, files = self.write(self.record.draft(case["case_id"]), data, case)
        self.record.finish(
            data,
            case=case,
            outputs=outputs,
            definitions=self.definitions,
            files=files,
            write_s=time.perf_counter() - start,
        )
        return data

    @abstractmethod
    def write(self, folder: Path, data: dict[str, Any], case: CaseRecord) -> Left:
        """Write the files of one case; what a reader must know is added to its `warnings`.

        Raises:
            OutputError: If one cannot be written.
        """

    def merge(self, output_dir: Path) -> None:
        """Make one file of all finished cases, besides `summary.csv`.

        Called once for all processes, whether or not other cases failed.
        """
