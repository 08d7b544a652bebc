"""What training has in every bundle. Bundles are found by glob; none is left out."""

import json
from pathlib import Path
from typing import ClassVar

import pytest
from ignite.engine import Events
from monai.bundle import ConfigWorkflow
from monai.bundle.utils import DEFAULT_HANDLERS_ID

from common.bundle.catalog import list_bundles
from common.engines.training import CaseTrainer

from .conftest import CT_SCROLL

BUNDLES = [Path(bundle.path) for bundle in list_bundles()]


class Tracker:
    """In the place of MONAI's `MLFlowHandler`: remembers what it would send away."""

    sent: ClassVar = []

    def __init__(self, kind, output_transform=None):
        self.kind = kind
        self.read = output_transform

    def attach(self, engine):
        if self.read:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self.send_loss)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.send_metrics)
        Tracker.sent.append((self.kind, "attached"))

    def send_loss(self, engine):
        Tracker.sent.append((self.kind, self.read(engine.state.output).item()))

    def send_metrics(self, engine):
        Tracker.sent.append((self.kind, dict(engine.state.metrics)))


TRACKING = {
    "handlers_id": DEFAULT_HANDLERS_ID,
    "configs": {
        "save_execute_config": False,
        "trainer": {
            "_target_": f"{__name__}.Tracker", "kind": "trainer",
            "output_transform": "$monai.handlers.from_engine(['loss'], first=True)",
        },
        "validator": {"_target_": f"{__name__}.Tracker", "kind": "validator"},
    },
}  # fmt: skip


@pytest.fixture
def tracked(monkeypatch, tmp_path):
    """Make a training with MONAI's tracking; gives it and the list of what is sent."""
    monkeypatch.chdir(tmp_path)

    def make(bundle, **options):
        files = [str(bundle / "configs" / f"{name}.json") for name in ("inference", "train")]
        workflow = ConfigWorkflow(
            files, workflow_type="train", bundle_root=str(bundle), logging_file=False,
            tracking=TRACKING, **options,
        )  # fmt: skip
        workflow.initialize()
        return workflow, Tracker.sent

    monkeypatch.setattr(Tracker, "sent", [])
    return make


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_monais_experiment_tracking_joins_trainer_and_validator(bundle, tracked):
    workflow, sent = tracked(bundle, num_workers=0)
    assert isinstance(workflow.parser.get_parsed_content("train::trainer"), CaseTrainer)
    assert sorted(sent) == [("trainer", "attached"), ("validator", "attached")]


def test_a_tracked_run_sends_loss_and_score(tracked, quick_training, tmp_path):
    options = {
        key.removeprefix("--"): int(value) if str(value).isdecimal() else str(value)
        for key, value in zip(quick_training[::2], quick_training[1::2], strict=True)
    }
    workflow, sent = tracked(CT_SCROLL, **options)
    workflow.run()
    assert [type(value) for kind, value in sent if kind == "trainer"][1:] == [float, dict]
    assert "macro_auroc" in sent[-2][1] or "macro_auroc" in sent[-1][1]
    assert (tmp_path / "run" / "model.json").is_file()


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_no_config_says_how_many_processes_train(bundle):
    configs = {path.stem: path.read_text() for path in (bundle / "configs").glob("*.json")}
    assert json.loads(configs.pop("multi_gpu")) == {}  # for commands of versions before
    assert not [name for name, text in configs.items() if "auto_model" in text]
