"""MONAI's evaluator over cases, one at a time: it outlives a bad case and loses none."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import ignite.distributed as idist
from ignite.engine import Engine
from monai.data import Dataset
from monai.engines import SupervisedEvaluator
from tqdm import tqdm

from ..case import Case, CaseList
from ..cases.read import draw
from ..errors import InputError, OutputError, causes_of, first_of
from ..naming import shown
from ..outputs.base import CaseOutput
from ..parallel import from_first, gather, is_first_process, own_share, wait_for_others
from ..results.case_result import fingerprint_in
from ..results.claims import TELL_S
from ..results.run_record import RunRecord
from ..results.settings import settings_of
from ..results.summary import SUMMARY_NAME
from .case_loader import CaseLoader

LONGEST_CASE_S = 6 * 3600.0  # a process that works on one case for longer is taken for hung
MOST_TOLD = 20  # failures named in the last line; all stand in the summary
logger = logging.getLogger("common.cases")


class Evaluation(Protocol):
    """What is made of all results."""

    def run(self) -> object:
        """Score, print, and write the numbers."""


class CaseDataset(Dataset):
    """Cases, each read and prepared when its turn comes; a case that fails says why.

    Args:
        data: Cases.
        transform: From a case to network input.
    """

    def __init__(self, data: Sequence[Case], transform: Callable[[Any], Any]) -> None:
        super().__init__(data=data, transform=transform)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The prepared case with `read_preprocess_s`, or the case with its `failure`."""
        return self.prepare(self.data[index])

    def prepare(self, case: Case) -> dict[str, Any]:
        """The same for a case."""
        start = time.perf_counter()
        try:
            prepared = dict(self.transform(dict(case)))
        except Exception as error:  # whatever a reader throws must not end the other cases
            return {**case, "case": case, "failure": reason_of(error)}
        return {**prepared, "case": case, "read_preprocess_s": time.perf_counter() - start}


@dataclass
class Account:
    """How each case of one process ended."""

    finished: dict[str, str] = field(default_factory=dict)  # to the result's fingerprint
    failures: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # failed, and nothing is written of it
    num_before: int = 0

    def lost(self, cases: Sequence[Case], output_dir: Path) -> list[str]:
        """The cases without an end, and those whose results are gone again or another's."""
        ended = self.failures.keys() | self.refused.keys()
        names = [case["case_id"] for case in cases if case["case_id"] not in ended]
        return [name for name in names if not self._stands(name, output_dir)]

    def _stands(self, name: str, output_dir: Path) -> bool:
        """Whether the result that this process left, or found, is there still."""
        mark = self.finished.get(name, "")
        return mark != "" and mark == fingerprint_in(output_dir / name)


class CaseEvaluator(SupervisedEvaluator):
    """Runs every case that is not finished, keeps failures apart, and merges the summary.

    Args:
        record: Where results go and what makes them.
        dataset: All cases of the run, of all processes, and how they are read. Damaged files that
            the list left out count as failed.
        postprocessing: What is left of each case. It sees one dictionary with the case's entries
            and the inferer's answer under `pred`.
        num_workers: Threads that read ahead.
        then: What the first process does last, where no case failed, such as an evaluation.
        kwargs: Of MONAI's `SupervisedEvaluator`.

    Raises:
        InputError: At the end of `run`, if any case failed or is unaccounted for; the others are
            finished by then.
        OutputError: As soon as results cannot be written.
    """

    def __init__(
        self,
        *,
        record: RunRecord,
        dataset: CaseDataset,
        postprocessing: CaseOutput,
        num_workers: int = 1,
        then: Evaluation | None = None,
        **kwargs: Any,
    ) -> None:
        self.record = record
        self.dataset = dataset
        self.output = postprocessing
        self.then = then
        self.account = Account()
        loader = CaseLoader((), self._claim_and_read, num_workers=num_workers)
        super().__init__(
            device=record.device,
            decollate=False,
            val_data_loader=loader,
            postprocessing=postprocessing,
            **kwargs,
        )
        record.settings |= {
            name: settings_of(part)
            for name, part in (
                ("preprocessing", dataset.transform),
                ("inferer", self.inferer),
                ("postprocessing", postprocessing),
            )
        }
        self.logger.setLevel(logging.CRITICAL)  # what goes wrong is raised, and said once

    def run(self) -> None:
        """Run all cases, write what they have in common once for all processes, then `then`."""
        self.account = Account()
        self.record.open()
        if is_first_process():
            self.record.keep_names(self.dataset.data)
            for case in self.dataset.data:
                draw(case)
        self.dataset.data = from_first(self.dataset.data)  # each may have seen another folder
        own = own_share(self.dataset.data)
        todo = [case for case in own if not self._was_finished(case)]
        self._say_what_is_skipped()
        try:
            self._run(todo)
        except KeyboardInterrupt:
            if idist.get_world_size() == 1:  # of several, none waits for the others now
                self._write_tables([self.account])
            raise
        finally:
            try:
                self.data_loader.close()  # who still reads would claim once more
            finally:
                self.record.release_all()
        self._conclude(own)

    def _was_finished(self, case: Case) -> bool:
        mark = self.record.fingerprint(case)
        if not self.record.is_finished(case, mark):
            return False
        self.account.finished[case["case_id"]] = mark
        self.account.num_before += 1
        return True

    def _say_what_is_skipped(self) -> None:
        num_skipped = sum(gather(self.account.num_before))
        if num_skipped and is_first_process():
            logger.info("%d cases were finished before and are not run again", num_skipped)

    def _run(self, cases: Sequence[Case]) -> None:
        self.data_loader.cases = list(cases)
        self.state.epoch_length = len(cases)
        self._told: dict[str, float] = {}
        if cases:
            with tqdm(total=len(cases), unit="case", disable=not is_first_process()) as self.bar:
                super().run()

    def _claim_and_read(self, case: Case) -> dict[str, Any] | None:
        """What the network needs of a case; None while another process works on it."""
        case_id = case["case_id"]
        try:
            owner = self.record.claim(case)
        except OutputError:
            raise
        except InputError as error:
            return {**case, "case": case, "refusal": str(error)}
        if owner is not None:
            if time.monotonic() - self._told.get(case_id, -TELL_S) >= TELL_S:
                self._told[case_id] = time.monotonic()
                logger.info("%s is waited for, %s works on it", case_id, owner)
            return None
        mark = self.record.fingerprint(case)  # of the scan as it was before it was read
        if self.record.is_finished(case, mark):  # by another run, since this one began
            self.record.release(case_id)
            return {**case, "case": case, "finished": mark}
        return {**self.dataset.prepare(case), "fingerprint": mark}

    def _iteration(self, engine: Engine, batchdata: dict[str, Any]) -> dict[str, Any]:
        case, output = batchdata["case"], {}
        case_id = case["case_id"]
        self.bar.set_postfix_str(case_id)
        if "refusal" in batchdata:
            self.account.refused[case_id] = batchdata["refusal"]
        elif "finished" in batchdata:
            self.account.finished[case_id] = batchdata["finished"]
        else:
            output = self._infer(engine, batchdata)
            self.record.release(case_id)
        self.bar.update()
        return output

    def _infer(self, engine: Engine, batchdata: dict[str, Any]) -> dict[str, Any]:
        """Inference and results of one case, or its failure, on the disk and in the account."""
        case, reason = batchdata["case"], batchdata.get("failure")
        output: dict[str, Any] = {}
        if reason is None:
            try:
                output = super()._iteration(engine, batchdata)
            except Exception as error:  # one case must not end the others
                stop = first_of(error, OutputError)
                if stop is not None:
                    raise stop  # noqa: B904 - it is in that chain already
                reason = reason_of(error)
        if reason is None:
            self.account.finished[case["case_id"]] = batchdata["fingerprint"]
        else:
            self.account.failures[case["case_id"]] = reason
            self.record.fail(case, reason)
        return output

    def _conclude(self, own: Sequence[Case]) -> None:
        """Bring the accounts of all processes together; the first one writes and says it."""
        wait_for_others(watch=self._look_for_hung)
        output_dir = self.record.output_dir
        accounts = gather((self.account, self.account.lost(own, output_dir)))
        if is_first_process():
            damaged = self._write_tables([account for account, _ in accounts])
        wait_for_others()  # whoever raises now takes nobody along who still writes
        if is_first_process():
            failed = [each for a, _ in accounts for each in {**a.failures, **a.refused}.items()]
            self._raise(failed + damaged, [name for _, lost in accounts for name in lost])
            if self.then is not None:
                self.then.run()

    def _write_tables(self, accounts: Sequence[Account]) -> list[tuple[str, str]]:
        """`rejected.csv`, `summary.csv` and the merged file; gives damaged files with reasons."""
        record, cases = self.record, self.dataset.data
        refused = {name: why for account in accounts for name, why in account.refused.items()}
        rejected = cases.rejected if isinstance(cases, CaseList) else []
        summary = record.write_tables(cases, rejected, refused, merge=self.output.merge)
        logger.info("Results: %s", summary)
        damaged = [each for each in rejected if each.damaged]
        return [(each.case_id or Path(each.path).name, each.reason) for each in damaged]

    def _raise(self, failures: Sequence[tuple[str, str]], lost: Sequence[str]) -> None:
        problems = []
        if failures:
            listed = "; ".join(f"{case}: {why}" for case, why in failures[:MOST_TOLD])
            if len(failures) > MOST_TOLD:
                listed += f"; and {len(failures) - MOST_TOLD} more, see {SUMMARY_NAME}"
            total = len(self.dataset.data) + sum(
                each.damaged for each in getattr(self.dataset.data, "rejected", ())
            )
            problems.append(shown(f"{len(failures)} of {total} cases failed: {listed}"))
        if lost:
            named = ", ".join(lost[:MOST_TOLD]) + f" and {len(lost) - MOST_TOLD} more" * (
                len(lost) > MOST_TOLD
            )
            problems.append(
                f"every case must end as finished or failed, got neither for {named}; "
                f"look whether {self.record.output_dir} was changed meanwhile, and run again"
            )
        if problems:
            raise InputError("; ".join(problems))

    def _look_for_hung(self) -> None:
        """End the waiting where another process has worked on one case for too long.

        Raises:
            InputError: Naming the process and the case.
        """
        for case in self.dataset.data:
            owner = self.record.owner_of_case(case["case_id"])
            if owner is not None and time.time() - owner.since > LONGEST_CASE_S:
                msg = (
                    f"a process must finish a case within {LONGEST_CASE_S / 3600:g} hours, got "
                    f"{owner} still at {case['case_id']}; end it and run the same command again"
                )
                raise InputError(msg)


def reason_of(error: BaseException) -> str:
    """The message a user can act on: the first `InputError` of a chain, else its first cause."""
    link = first_of(error, InputError)
    if link is not None:
        return str(link)
    first = causes_of(error)[-1]
    return f"{type(first).__name__}: {first}"
