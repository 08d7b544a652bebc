"""Kill a run and go on. Run alone: pytest tests/handlers/test_run_checkpoint.py"""

import json
import multiprocessing
import os
import signal
from dataclasses import asdict, replace

import pytest
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from torch import nn

from common.errors import InputError
from common.handlers.epoch_seed import EpochSeed
from common.handlers.run_checkpoint import RunCheckpoint
from common.results.claims import Claims, owner_of
from tests.handlers.conftest import build_trainer

CHILDREN = multiprocessing.get_context("forkserver")  # imports torch and MONAI once for all
CHILDREN.set_forkserver_preload(["tests.handlers.test_run_checkpoint"])


def start_trainer(max_epochs, path, *, resume=True, **options):
    """A trainer that keeps its state in `path`."""
    trainer, state = build_trainer(max_epochs, handlers=[EpochSeed(seed=1)], **options)
    RunCheckpoint(path=path, objects=state, resume=resume).attach(trainer)
    return trainer, state


def run_and_die(path, num_workers, moment, number):
    """Train in a process of its own, to be killed the `number`-th time at `moment`."""
    multiprocessing.set_start_method(
        "fork", force=True
    )  # workers of a fork server outlive the kill
    trainer, _ = start_trainer(4, path, num_workers=num_workers)
    trainer.add_event_handler(
        Events[moment](once=number), lambda _: os.kill(os.getpid(), signal.SIGKILL)
    )
    trainer.run()


@pytest.fixture
def start():
    return start_trainer


@pytest.mark.parametrize(
    ("moment", "num_workers"),
    [
        (Events.ITERATION_COMPLETED, 0),
        (Events.ITERATION_COMPLETED, 2),
        (Events.EPOCH_COMPLETED, 0),
    ],
)
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    start, numbers, tmp_path, num_workers, moment
):
    number = 8 if moment == Events.ITERATION_COMPLETED else 3  # both in the third epoch
    child = CHILDREN.Process(
        target=run_and_die, args=(tmp_path / "killed.pt", num_workers, moment.name, number)
    )
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    resumed, resumed_state = start(4, tmp_path / "killed.pt", num_workers=num_workers)
    first = []
    resumed.add_event_handler(Events.EPOCH_STARTED, lambda e: first.append(e.state.epoch))
    resumed.run()
    whole, whole_state = start(4, tmp_path / "whole.pt", num_workers=num_workers)
    whole.run()
    assert first[0] == (3 if moment == Events.ITERATION_COMPLETED else 4)
    assert torch.equal(numbers(resumed_state), numbers(whole_state))
    assert resumed_state["lr_scheduler"].last_epoch == whole_state["lr_scheduler"].last_epoch


def test_a_kill_while_writing_leaves_the_epoch_before(start, tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    start(1, path)[0].run()
    before = path.read_bytes()

    def die(_state, partial):
        partial.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", die)
    trainer, _ = start(2, path)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert path.read_bytes() == before


def test_a_full_disk_ends_the_run_in_one_line_and_leaves_the_epoch_before(start, tmp_path, full):
    path = tmp_path / "run.pt"
    start(1, path)[0].run()
    before = path.read_bytes()
    full(path)
    with pytest.raises(InputError, match=r"be written, got .*run\.pt.* \(No space left on device"):
        start(2, path)[0].run()
    assert path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} - {".run.pt.claim"} == {"run.pt"}


def test_two_trainings_never_share_a_folder(start, tmp_path):
    other = Claims()
    assert other.take(tmp_path / ".run.pt.claim")
    owner = replace(owner_of(tmp_path / ".run.pt.claim"), host="elsewhere")
    (tmp_path / ".run.pt.claim").write_text(json.dumps(asdict(owner)))
    with pytest.raises(InputError, match=r"output_dir must be one training's, .* elsewhere trains"):
        start(1, tmp_path / "run.pt")[0].run()
    assert not (tmp_path / "run.pt").exists()


def test_a_training_that_ended_leaves_its_folder_to_the_next(start, tmp_path):
    start(1, tmp_path / "run.pt")[0].run()
    assert [each.name for each in tmp_path.iterdir()] == ["run.pt"]


def test_a_finished_run_trains_no_further(start, numbers, tmp_path):
    trainer, state = start(2, tmp_path / "run.pt")
    trainer.run()
    done = numbers(state)
    again, state = start(2, tmp_path / "run.pt")
    again.run()
    assert torch.equal(numbers(state), done)


def test_a_run_can_be_made_longer(start, tmp_path):
    start(1, tmp_path / "run.pt")[0].run()
    trainer, _ = start(3, tmp_path / "run.pt")
    trainer.run()
    assert trainer.state.epoch == 3


def test_a_run_can_start_anew(start, tmp_path):
    start(2, tmp_path / "run.pt")[0].run()
    trainer, _ = start(1, tmp_path / "run.pt", resume=False)
    trainer.run()
    assert trainer.state.epoch == 1


def test_it_works_from_a_config(tmp_path):
    config = {
        "imports": ["$import torch"],
        "network": {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 1},
        "optimizer": {"_target_": "torch.optim.SGD", "params": "$@network.parameters()", "lr": 0.1},
        "dataset": [{"image": torch.ones(2), "label": torch.ones(1)}] * 4,
        "trainer": {
            "_target_": "SupervisedTrainer",
            "device": "$torch.device('cpu')",
            "max_epochs": 2,
            "train_data_loader": {
                "_target_": "DataLoader",
                "dataset": "@dataset",
                "batch_size": 2,
            },
            "network": "@network",
            "optimizer": "@optimizer",
            "loss_function": {"_target_": "torch.nn.MSELoss"},
            "accumulation_steps": 2,
            "train_handlers": [
                {"_target_": "common.handlers.epoch_seed.EpochSeed", "seed": 0},
                {
                    "_target_": "common.handlers.run_checkpoint.RunCheckpoint",
                    "path": str(tmp_path / "run.pt"),
                    "objects": {"network": "@network", "optimizer": "@optimizer"},
                },
            ],
        },
    }
    ConfigParser(config).get_parsed_content("trainer").run()
    assert torch.load(tmp_path / "run.pt", weights_only=True)["trainer"]["iteration"] == 4


def test_a_damaged_checkpoint_is_an_error(start, tmp_path):
    (tmp_path / "run.pt").write_bytes(b"PK not a checkpoint")
    with pytest.raises(
        InputError, match=r"of this run, got a file that cannot be read in .*run.pt"
    ):
        start(1, tmp_path / "run.pt")[0].run()


def test_a_checkpoint_of_other_parts_is_an_error(start, tmp_path):
    torch.save({"network": {}}, tmp_path / "run.pt")
    with pytest.raises(InputError, match=r"a state of \['network'\] instead of \['lr_scheduler'"):
        start(1, tmp_path / "run.pt")[0].run()


def test_a_file_of_something_else_is_an_error(start, tmp_path):
    torch.save(torch.zeros(1), tmp_path / "run.pt")
    with pytest.raises(InputError, match="got a state of Tensor instead of"):
        start(1, tmp_path / "run.pt")[0].run()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s["network"]["0.bias"].fill_(torch.nan),
            "a network with NaN or infinity in 0.b",
        ),
        (lambda s: s.update(network=[1]), "no state but a list for network"),
        (lambda s: s.update(trainer=None), "no state but a NoneType for trainer"),
        (lambda s: s["optimizer"].update(param_groups=3), "another optimizer: "),
        (lambda s: s["trainer"].update(iteration="many"), "another trainer: "),
    ],
)
def test_a_checkpoint_with_a_damaged_part_is_one_line(start, tmp_path, change, message):
    start(1, tmp_path / "run.pt")[0].run()
    state = torch.load(tmp_path / "run.pt", weights_only=True)
    change(state)
    torch.save(state, tmp_path / "run.pt")
    with pytest.raises(InputError, match=f"must be of this run, got {message}") as caught:
        start(2, tmp_path / "run.pt")[0].run()
    assert len(str(caught.value).splitlines()) == 1


def test_a_checkpoint_cut_anywhere_is_one_line(start, tmp_path):
    start(1, tmp_path / "run.pt")[0].run()
    whole = (tmp_path / "run.pt").read_bytes()
    for end in range(0, len(whole) - 1, len(whole) // 40):
        (tmp_path / "run.pt").write_bytes(whole[:end])
        with pytest.raises(InputError, match=r"got a file that cannot be read in .*; delete it"):
            start(2, tmp_path / "run.pt")[0].run()


def test_a_checkpoint_of_another_network_is_an_error(start, tmp_path):
    start(1, tmp_path / "run.pt")[0].run()
    state = torch.load(tmp_path / "run.pt", weights_only=True)
    state["network"]["0.weight"] = torch.zeros(8, 5)
    torch.save(state, tmp_path / "run.pt")
    with pytest.raises(InputError, match=r"got another network: Error.* loading state_dict"):
        start(2, tmp_path / "run.pt")[0].run()


def test_a_checkpoint_of_other_batches_is_an_error(start, tmp_path):
    start(1, tmp_path / "run.pt")[0].run()
    with pytest.raises(InputError, match="got epochs of 3 batches instead of 2"):
        start(2, tmp_path / "run.pt", epoch_length=2)[0].run()


def test_a_run_shorter_than_its_checkpoint_is_an_error(start, tmp_path):
    start(2, tmp_path / "run.pt")[0].run()
    with pytest.raises(InputError, match="got epoch 2 of at most 1"):
        start(1, tmp_path / "run.pt")[0].run()


def test_a_schedule_that_ends_elsewhere_is_an_error(tmp_path):
    def start(num_steps):
        trainer, state = build_trainer(1)
        state["lr_scheduler"] = torch.optim.lr_scheduler.OneCycleLR(
            state["optimizer"], 0.1, total_steps=num_steps
        )
        RunCheckpoint(path=tmp_path / "run.pt", objects=state).attach(trainer)
        return trainer

    start(9).run()
    with pytest.raises(InputError, match="got a lr_scheduler of 9 steps instead of 12"):
        start(12).run()


@pytest.mark.parametrize("objects", [{"trainer": nn.Linear(1, 1)}, {"epochs": 3}])
def test_an_object_without_state_or_named_trainer_is_an_error(tmp_path, objects):
    with pytest.raises(InputError, match="must have a state and not be named trainer or scaler"):
        RunCheckpoint(path=tmp_path / "run.pt", objects=objects)


def test_the_gradient_scaler_is_part_of_the_run(tmp_path):
    engine = Engine(lambda engine, batch: None)
    engine.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    RunCheckpoint(path=tmp_path / "run.pt", objects={}).attach(engine)
    engine.run([0], max_epochs=1)
    assert torch.load(tmp_path / "run.pt", weights_only=True)["scaler"]["scale"] == 8.0
