"""What training has in every bundle. Bundles are found by glob; none is left out."""

import json
import logging
import re
from pathlib import Path

import pytest
from monai.bundle import ConfigWorkflow
from monai.bundle.utils import DEFAULT_HANDLERS_ID

from common.bundle.catalog import list_bundles
from common.engines.training import CaseTrainer

BUNDLES = [Path(bundle.path) for bundle in list_bundles()]
TRACKING = {
    "handlers_id": DEFAULT_HANDLERS_ID,
    "configs": {
        "save_execute_config": False,
        "trainer": {
            "_target_": "StatsHandler", "name": "tracked", "tag_name": "train_loss",
            "output_transform": "$monai.handlers.from_engine(['loss'], first=True)",
        },
        "validator": {"_target_": "StatsHandler", "name": "tracked", "iteration_log": False},
    },
}  # fmt: skip


def workflow(bundle, **options):
    files = [str(bundle / "configs" / f"{name}.json") for name in ("inference", "train")]
    made = ConfigWorkflow(
        files, workflow_type="train", bundle_root=str(bundle), logging_file=False, **options
    )
    made.initialize()
    return made


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_monais_experiment_tracking_joins_trainer_and_validator(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = workflow(bundle, tracking=TRACKING, num_workers=0)
    trainer = made.parser.get_parsed_content("train::trainer")
    assert isinstance(trainer, CaseTrainer)
    for engine in (trainer, trainer.validator):
        listening = {
            getattr(getattr(handler, "__self__", None), "name", "")
            for handlers in engine._event_handlers.values()
            for handler, *_ in handlers
        }
        assert "tracked" in listening


def test_a_tracked_run_trains(quick_training, tmp_path, caplog):
    settings = dict(zip(quick_training[::2], quick_training[1::2], strict=True))
    options = {
        key.lstrip("-"): int(value) if str(value).isdecimal() else str(value)
        for key, value in settings.items()
    }
    bundle = next(bundle for bundle in BUNDLES if bundle.name == "ct_scroll")
    with caplog.at_level(logging.INFO, "tracked"):
        workflow(bundle, tracking=TRACKING, **options).run()
    assert re.search(r"train_loss: \d\.\d+", caplog.text)
    assert (tmp_path / "run" / "model.json").is_file()


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_no_config_but_the_empty_one_speaks_of_several_processes(bundle):
    configs = {path.stem: path.read_text() for path in (bundle / "configs").glob("*.json")}
    assert json.loads(configs.pop("multi_gpu")) == {}
    assert not [name for name, text in configs.items() if "auto_model" in text]
