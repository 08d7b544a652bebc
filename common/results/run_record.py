"""What all cases of one run share: where results go, and what made them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..card import Card
from ..case import Case, CaseList, Rejection
from ..errors import InputError
from ..naming import unique_names
from ..parallel import is_first_process, own_share
from .case_result import (
    case_result,
    fingerprint,
    is_finished,
    write_case_result,
    write_failure,
)
from .schema import BundleRecord, CaseRecord


@dataclass(frozen=True)
class RunRecord:
    """One run of one bundle.

    Attributes:
        output_dir: Holds a folder per case and `summary.csv`.
        bundle: Name and version.
        card: The weights' card.
        device: Where the network runs.
        precision: `fp32` or `bf16`, as used.
        backend: What executes the network.
        settings: Whatever else decides what the results hold.
    """

    output_dir: Path
    bundle: BundleRecord
    card: Card
    device: torch.device
    precision: str
    backend: str
    settings: Mapping[str, Any]

    def folder(self, case_id: str) -> Path:
        """The folder of one case."""
        return self.output_dir / case_id

    def fingerprint(self, case: Case) -> str:
        """Changes with the input, the weights and everything else that decides the result."""
        return fingerprint(
            case=case,
            weights_sha256=str(self.card.sha256),
            settings={
                "bundle": self.bundle,
                "precision": self.precision,
                "backend": self.backend,
                "preprocessing": self.card.preprocessing,
                "thresholds": self.card.thresholds,
                **self.settings,
            },
        )

    def finish(
        self,
        data: Mapping[str, Any],
        *,
        case: CaseRecord,
        outputs: Mapping[str, Any],
        definitions: Mapping[str, str],
        files: Sequence[str],
        write_s: float,
    ) -> None:
        """Write a case's `result.json`, once everything beside it is there.

        Args:
            data: What a case has gathered: `case`, `read_preprocess_s` and `pred.inference_s`.
            case: From `describe_case`.
            outputs: Of the task.
            definitions: One sentence with unit, range and frame per output.
            files: Names of the files beside it.
            write_s: Seconds that they took.
        """
        result = case_result(
            case=case,
            bundle=self.bundle,
            weights=self.card.provenance(),
            device=self.device_name(),
            precision=self.precision,
            backend=self.backend,
            timings={
                "read_preprocess_s": data["read_preprocess_s"],
                "inference_s": data["pred"]["inference_s"],
                "write_s": write_s,
            },
            outputs=outputs,
            definitions=definitions,
            fingerprint=self.fingerprint(data["case"]),
            settings=self.settings,
            files=files,
        )
        write_case_result(self.folder(case["case_id"]), result)

    def device_name(self) -> str:
        """`cpu`, or the GPU by its name."""
        if self.device.type == "cuda":
            return f"{self.device}: {torch.cuda.get_device_name(self.device)}"
        return str(self.device)


def start_record(
    *,
    output_dir: str | Path,
    bundle_root: str | Path,
    card: Card,
    device: torch.device | str,
    precision: str,
    backend: str,
    **settings: Any,
) -> RunRecord:
    """Gather what a run's results repeat, and make the output folder.

    Args:
        output_dir: Made where missing.
        bundle_root: Its `configs/metadata.json` gives name and version.
        card: The weights' card.
        device: Where the network runs.
        precision: As used, not `auto`.
        backend: What executes the network.
        settings: Whatever else decides what the results hold.

    Raises:
        InputError: If the folder cannot be made.
    """
    metadata = Path(bundle_root) / "configs" / "metadata.json"
    version = json.loads(metadata.read_text(encoding="utf-8"))["version"]
    try:
        Path(output_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = (
            f"output_dir must be a folder that can be written, got {output_dir} "
            f"({error.strerror}); name another"
        )
        raise InputError(msg) from error
    return RunRecord(
        output_dir=Path(output_dir),
        bundle={"name": str(card.content["bundle"]), "version": str(version)},
        card=card,
        device=torch.device(device),
        precision=precision,
        backend=backend,
        settings=settings,
    )


def unfinished_cases(cases: Sequence[Case], *, record: RunRecord) -> list[Case]:
    """This process's share of the cases that have no finished result of the same run settings.

    Rejected volumes, if the list knows of any, are written down beside the results. What an earlier
    run left in the folder for cases that are not in this one's list stays, in `summary.csv` too.
    """
    if is_first_process() and isinstance(cases, CaseList):
        _write_rejections(cases, record)
    return [
        case
        for case in own_share(cases)
        if not is_finished(record.folder(case["case_id"]), record.fingerprint(case))
    ]


def _write_rejections(cases: CaseList, record: RunRecord) -> None:
    """One folder per rejected volume, named by as much of its path as tells it from all others.

    A damaged scan has the name that it will have as a case once it is mended.
    """
    taken = [[case["case_id"]] for case in cases]
    rejected = [rejection for rejection in cases.rejected if rejection.is_volume]
    wanted = [_longer_and_longer(rejection) for rejection in rejected]
    names = unique_names([*taken, *wanted])[len(taken) :]
    for name, rejection in zip(names, rejected, strict=True):
        write_failure(
            record.folder(name),
            rejection.reason,
            path=rejection.path,
            status="failed" if rejection.damaged else "rejected",
        )


def _longer_and_longer(rejection: Rejection) -> list[str]:
    """Names for a rejected file, from its own alone to its whole path."""
    path = Path(rejection.path)
    if rejection.damaged:
        path = Path(rejection.path.removesuffix(".gz")).with_suffix("")
    parts = [part for part in path.parts if part != path.anchor]
    return ["_".join(parts[start:]) for start in range(len(parts) - 1, -1, -1)]
