"""What all cases of one run share: where results go, who works on a case, and what made them."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from ..atomic import partial_name, unwritable
from ..case import Case, Rejection
from ..errors import InputError
from ..weights.card import Card
from .case_result import (
    case_result,
    fingerprint,
    is_finished,
    source_of,
    source_of_folder,
    sweep,
    write_case_result,
    write_failure,
)
from .claims import Claims, Owner, living_owner, owner_of
from .places import own_folder, results_dir
from .rejections import write_rejections
from .schema import RESULT_NAME, BundleRecord, CaseRecord
from .summary import write_summary

CLAIM_NAME = ".claim"


@dataclass
class RunRecord:
    """One run of one bundle.

    Attributes:
        output_dir: Holds a folder per case and `summary.csv`.
        owner: Whose results the folder holds: the bundle, with the stage if any.
        bundle: Name and version.
        card: The weights' card.
        device: Where the network runs.
        precision: `fp32` or `bf16`, as used.
        backend: What executes the network.
        settings: Whatever else decides what the results hold; the engine adds those of its parts.
        claims: The cases that this process works on.
    """

    output_dir: Path
    owner: str
    bundle: BundleRecord
    card: Card
    device: torch.device
    precision: str
    backend: str
    settings: dict[str, Any]
    claims: Claims = field(default_factory=Claims)
    _drafts: dict[str, Path] = field(default_factory=dict)

    def open(self) -> None:
        """Make the output folder this bundle's, before the first case.

        Raises:
            OutputError: If it cannot be made or written.
            InputError: If another bundle has taken it since this run was put together.
        """
        own_folder(self.output_dir, self.owner)

    def folder(self, case_id: str) -> Path:
        """The folder of one case."""
        return self.output_dir / case_id

    def draft(self, case_id: str) -> Path:
        """Where a case's files are written; they reach its folder together, by `finish`."""
        if case_id not in self._drafts:
            draft = partial_name(self.folder(case_id) / "result")
            try:
                draft.mkdir(parents=True)
            except OSError as error:
                raise unwritable(draft, error) from error
            self._drafts[case_id] = draft
        return self._drafts[case_id]

    def fingerprint(self, case: Case) -> str:
        """Changes with the input, the weights and everything else that decides the result."""
        return fingerprint(
            case=case,
            weights_sha256=str(self.card.sha256),
            settings={
                "bundle": self.bundle,
                "precision": self.precision,
                "backend": self.backend,
                "card": self.card.content,
                **self.settings,
            },
        )

    def keep_rejections(self, rejected: Sequence[Rejection]) -> None:
        """Write down why a run without a case has none, as one with cases does at its end.

        Raises:
            InputError: If the folder cannot be written.
        """
        self.open()
        self.write_tables((), rejected)

    def write_tables(
        self,
        cases: Sequence[Case],
        rejected: Sequence[Rejection],
        refused: Mapping[str, str] = MappingProxyType({}),
        *,
        merge: Callable[[Path], object] | None = None,
    ) -> Path:
        """Write `rejected.csv`, `summary.csv` and what else is made of all results, undisturbed.

        Args:
            cases: Of the run.
            rejected: What was found and is none.
            refused: By case_id, why a case could have no folder.
            merge: Called where any case is finished.

        Returns:
            Path of the summary.

        Raises:
            InputError: If the folder cannot be written.
        """
        with self.claims.waiting(self.output_dir / ".summary"):
            write_rejections(self.output_dir, cases, rejected, refused)
            summary = write_summary(self.output_dir)
            if merge is not None and any(self.output_dir.glob(f"*/{RESULT_NAME}")):
                merge(self.output_dir)
        return summary

    def keep_names(self, cases: Sequence[Case]) -> None:
        """Let scans that have a folder here keep its name, in place.

        What a scan is called depends on its neighbours; one that came later must not make the
        others run again under longer names.
        """
        names = {case["case_id"] for case in cases}
        paths = list(self.output_dir.glob("*/"))
        if names.issuperset(path.name for path in paths):
            return  # nobody had another name: nothing is read
        folders: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            source = source_of_folder(path)
            if source:
                folders[os.path.realpath(source)].append(path.name)
        sources = Counter(os.path.realpath(source_of(case)) for case in cases)
        for case in cases:
            source = os.path.realpath(source_of(case))
            found = folders.get(source, [])
            if len(found) == 1 == sources[source] and found[0] not in names:
                case["case_id"] = found[0]

    def is_finished(self, case: Case, mark: str | None = None) -> bool:
        """Whether a whole result of this scan, made in the same way, is there.

        Args:
            case: Of which scan.
            mark: Its `fingerprint`, where that is known.
        """
        return is_finished(self.folder(case["case_id"]), mark or self.fingerprint(case))

    def claim(self, case: Case) -> Owner | None:
        """Make a case this process's own.

        Returns:
            None once it is; whoever works on it otherwise.

        Raises:
            InputError: If the folder of that name holds the result of another scan.
            OutputError: If the folder cannot be written.
        """
        folder, source = self.folder(case["case_id"]), source_of(case)
        claim = folder / CLAIM_NAME
        taken = self.claims.take(claim, about=source)
        owner = None if taken else owner_of(claim)
        others = source_of_folder(folder) if owner is None else owner.about
        if others and os.path.realpath(others) != os.path.realpath(source):
            self.claims.release(claim)
            msg = (
                f"case {case['case_id']} must have a folder of its own, got {folder} with the "
                f"result of another scan, {others}; choose another `--output_dir`, or name the "
                "scans in a list with a column case_id"
            )
            raise InputError(msg)
        return None if taken else owner or Owner("another machine", 0, "")

    def release(self, case_id: str) -> None:
        """Give a case up; what was written of it and is not finished goes."""
        folder, draft = self.folder(case_id), self._drafts.pop(case_id, None)
        if not self.claims.is_lost(folder / CLAIM_NAME):
            sweep(folder)
        elif draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
        self.claims.release(folder / CLAIM_NAME)
        with suppress(OSError):
            folder.rmdir()  # where nothing is in it

    def release_all(self) -> None:
        """Give up every case that this process still has."""
        for claim in self.claims.held():
            self.release(claim.parent.name)

    def owner_of_case(self, case_id: str) -> Owner | None:
        """Who works on a case, if anybody who lives."""
        return living_owner(self.folder(case_id) / CLAIM_NAME)

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
        """Give a case's files their place, `result.json` last.

        Args:
            data: What a case has gathered: `case`, `fingerprint` of the scan before it was read,
                `read_preprocess_s` and `pred.inference_s`.
            case: From `describe_case`.
            outputs: Of the task.
            definitions: One sentence with unit, range and frame per output.
            files: Names of the files in the case's `draft`.
            write_s: Seconds that they took.
        """
        self._check_not_taken_over(case["case_id"])
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
            fingerprint=data["fingerprint"],
            settings=self.settings,
            files=files,
        )
        case_id = case["case_id"]
        write_case_result(self.folder(case_id), result, draft=self.draft(case_id))

    def _check_not_taken_over(self, case_id: str) -> None:
        claim = self.folder(case_id) / CLAIM_NAME
        if self.claims.is_lost(claim):
            msg = (
                f"case {case_id} must be worked on by one process, got it taken over by "
                f"{owner_of(claim) or 'another'} while this one stood still; theirs counts"
            )
            raise InputError(msg)

    def fail(self, case: Case, reason: str) -> None:
        """Write down why a case has no result, unless another process has taken it over."""
        if self.claims.is_lost(self.folder(case["case_id"]) / CLAIM_NAME):
            return
        write_failure(
            self.folder(case["case_id"]), reason, case_id=case["case_id"], path=source_of(case)
        )

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
    stage: str = "",
    **settings: Any,
) -> RunRecord:
    """Gather what a run's results repeat; nothing is written yet.

    Args:
        output_dir: Where results go; see `results_dir` for what happens if another bundle's are
            there.
        bundle_root: Its `configs/metadata.json` gives name and version.
        card: The weights' card.
        device: Where the network runs.
        precision: As used, not `auto`.
        backend: What executes the network.
        stage: What is run of a bundle that leaves several kinds of results, such as `saliency`.
        settings: What else results shall repeat, such as the name of a preset.

    Raises:
        InputError: If ``output_dir`` is empty.
    """
    metadata = Path(bundle_root) / "configs" / "metadata.json"
    version = json.loads(metadata.read_text(encoding="utf-8"))["version"]
    bundle = str(card.content["bundle"])
    owner = f"{bundle}_{stage}" if stage else bundle
    return RunRecord(
        output_dir=results_dir(output_dir, owner),
        owner=owner,
        bundle={"name": bundle, "version": str(version)},
        card=card,
        device=torch.device(device),
        precision=precision,
        backend=backend,
        settings=dict(settings),
    )
