"""Run four cases in the processes of torchrun; the first one is slow to write the summary."""

import shutil
import sys
import time
from pathlib import Path

import torch

from common.engines import case_evaluator
from common.engines.case_evaluator import CaseDataset, CaseEvaluator
from common.outputs.base import CaseOutput, Left
from common.parallel import is_first_process, join_processes
from common.results import run_record
from common.results.run_record import start_record
from common.volumes.volume import Volume


class FakeCard:
    """As much of a card as a record repeats."""

    content = {"bundle": "fake"}  # noqa: RUF012
    sha256, preprocessing, thresholds = "00", {}, {}

    def provenance(self):
        return {
            "name": "fake", "sha256": "00", "source": "none", "synthetic": True,
            "clinical_use": False,
        }  # fmt: skip


class Nothing(CaseOutput):
    """A kind that leaves nothing but the result."""

    definitions = {}  # noqa: RUF012

    def __call__(self, data):
        volume = Volume(torch.zeros(2, 2, 2).numpy(), torch.eye(4).numpy())
        return super().__call__({**data, "volume": volume, "pred": {"inference_s": 0.0}})

    def write(self, folder, data, case):
        return Left({} if case["case_id"] != "unlucky" else {"one": 1 / 0}, [])


def main(output_dir, second):
    join_processes()
    root = output_dir.parent / "bundle"
    how = {"device": "cpu", "precision": "fp32", "backend": "eager"}
    record = start_record(output_dir=output_dir, bundle_root=root, card=FakeCard(), **how)
    summarise, lost = run_record.write_summary, case_evaluator.Account.lost

    def slow(folder):
        time.sleep(3)
        return summarise(folder)

    def lost_after(account, cases, folder):
        if "vanishing" in account.finished:
            shutil.rmtree(folder / "vanishing")
        return lost(account, cases, folder)

    run_record.write_summary, case_evaluator.Account.lost = slow, lost_after
    names = ("a", second, "b", "c")
    if second == "differing" and is_first_process():
        names = ("a", "differing", "b")  # as if c had come a moment later
    cases = [{"case_id": name, "image": f"{name}.nii", "format": "nifti"} for name in names]
    CaseEvaluator(
        record=record,
        dataset=CaseDataset(cases, lambda case: {**case, "image": torch.ones(1, 2)}),
        network=torch.nn.Identity(),
        inferer=lambda inputs, _network: inputs,
        postprocessing=Nothing(record=record),
    ).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
