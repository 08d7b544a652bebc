"""MONAI's evaluator over a list of cases, one at a time, that outlives a bad case."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine
from monai.data import Dataset, ThreadDataLoader
from monai.engines import SupervisedEvaluator
from torch import Tensor
from tqdm import tqdm

from ..case import Case, CaseList
from ..errors import InputError
from ..parallel import is_first_process, own_share, wait_for_others
from ..results.case_result import write_failure
from ..results.schema import RESULT_NAME
from ..results.summary import write_summary

logger = logging.getLogger("common.cases")


class CaseDataset(Dataset):
    """Cases, each read and prepared when its turn comes; a case that fails says why.

    Args:
        data: Cases.
        transform: From a case to network input.
    """

    def __init__(self, data: Sequence[Case], transform: Callable[[Any], Any]) -> None:
        super().__init__(data=list(data), transform=transform)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The prepared case with `read_preprocess_s`, or the case with its `failure`."""
        case = dict(self.data[index])
        start = time.perf_counter()
        try:
            prepared = dict(self.transform(dict(case)))
        except Exception as error:  # whatever a reader throws must not end the other cases
            return {**case, "failure": reason_of(error)}
        return {**prepared, "case": case, "read_preprocess_s": time.perf_counter() - start}


def one_case(batch: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Collate a batch of one: tensors get a batch axis, everything else stays as it is."""
    (case,) = batch
    return {key: value[None] if isinstance(value, Tensor) else value for key, value in case.items()}


class CaseLoader(ThreadDataLoader):
    """Reads ahead in threads, one case per batch; a scan never travels between processes.

    Args:
        dataset: Cases.
        num_workers: Threads that read ahead; 0 reads each case when it is needed.

    Raises:
        InputError: If `num_workers` is no number of threads.
    """

    def __init__(self, dataset: CaseDataset, *, num_workers: int = 1) -> None:
        if not isinstance(num_workers, int) or num_workers < 0:
            msg = f"num_workers must be 0 or more, got {num_workers}; 1 is enough for most"
            raise InputError(msg)
        ahead = {"prefetch_factor": 1} if num_workers > 0 else {}
        super().__init__(
            dataset,
            batch_size=1,
            num_workers=num_workers,
            use_thread_workers=True,
            collate_fn=one_case,
            **ahead,
        )


class CaseEvaluator(SupervisedEvaluator):
    """Runs every case, keeps failures apart, and merges the summary at the end.

    Args:
        output_dir: Where `<case_id>/` folders and `summary.csv` go.
        cases: All cases of the run, of all processes, of which the loader holds those that are not
            finished yet. Damaged files that the list left out count as failed.
        merge: Makes one file of all finished cases below `output_dir`, besides `summary.csv`.
            Called once for all processes, if any case is finished, whether or not others failed.
        kwargs: Of MONAI's `SupervisedEvaluator`. `postprocessing` sees one dictionary with the
            case's entries and the inferer's answer under `pred`.

    Raises:
        InputError: At the end of `run`, if any case failed; the others are finished by then.
    """

    def __init__(
        self,
        *,
        output_dir: str | Path,
        cases: Sequence[Case] = (),
        merge: Callable[[Path], object] | None = None,
        **kwargs: Any,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.cases = cases
        self.merge = merge
        self.failures: dict[str, str] = {}  # of this process
        super().__init__(decollate=False, **kwargs)
        self.logger.setLevel(logging.WARNING)  # the progress bar says it better

    def run(self) -> None:
        """Run all cases, then write `summary.csv` once for all processes."""
        num_cases = len(self.data_loader)
        self._say_what_is_skipped(num_cases)
        if is_first_process() and isinstance(self.cases, CaseList):
            damaged = [rejection for rejection in self.cases.rejected if rejection.damaged]
            num_cases += len(damaged)
            self.failures |= {Path(each.path).name: each.reason for each in damaged}
        if len(self.data_loader):
            with tqdm(
                total=len(self.data_loader), unit="case", disable=not is_first_process()
            ) as self.bar:
                super().run()
        wait_for_others()
        if is_first_process():
            summary = write_summary(self.output_dir)
            if self.merge is not None and any(self.output_dir.glob(f"*/{RESULT_NAME}")):
                self.merge(self.output_dir)
            logger.info("Results: %s", summary)
        if self.failures:
            listed = "; ".join(f"{case}: {why}" for case, why in self.failures.items())
            msg = f"{len(self.failures)} of {num_cases} cases failed: {listed}"
            raise InputError(msg)

    def _say_what_is_skipped(self, num_own: int) -> None:
        num_skipped = idist.all_reduce(max(len(own_share(self.cases)) - num_own, 0))
        if num_skipped and is_first_process():
            logger.info("%d cases were finished before and are not run again", num_skipped)

    def _iteration(self, engine: Engine, batchdata: dict[str, Any]) -> dict[str, Any]:
        case_id = batchdata["case_id"]
        self.bar.set_postfix_str(case_id)
        reason = batchdata.get("failure")
        output: dict[str, Any] = {}
        if reason is None:
            try:
                output = super()._iteration(engine, batchdata)
            except Exception as error:  # one case must not end the others
                reason = reason_of(error)
        if reason is not None:
            self.failures[case_id] = reason
            write_failure(
                self.output_dir / case_id, reason, case_id=case_id, path=batchdata["image"]
            )
        self.bar.update()
        return output


def reason_of(error: BaseException) -> str:
    """The message a user can act on: the first `InputError` of a chain, else its first cause."""
    chain = [error]
    while (deeper := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(deeper)
    for link in chain:
        if isinstance(link, InputError):
            return str(link)
    first = chain[-1]
    return f"{type(first).__name__}: {first}"
