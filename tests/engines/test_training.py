import json

import pytest
import torch
from ignite.handlers import EMAHandler
from monai.data import Dataset
from monai.handlers import from_engine
from torch import nn

from common.engines import training
from common.engines.training import CaseTrainer, CaseValidator, training_loader
from common.errors import InputError
from common.handlers.best_weights import BestWeights
from common.metrics.macro_auroc import MacroAUROC
from common.phantom.cases import phantom_cases

CASES = Dataset([{"image": torch.ones(4) * c, "label": torch.tensor([c % 2.0])} for c in range(6)])


class Heard:
    """Says at the end of each epoch which files the run has left until then."""

    def __init__(self, folder):
        self.folder = folder
        self.files = []

    def attach(self, engine):
        engine.add_event_handler("EPOCH_COMPLETED", self.look)

    def look(self, engine):
        self.files.append({path.name for path in self.folder.iterdir()})


@pytest.fixture
def make(tiny_card, tmp_path):
    """A trainer of one layer on six cases, two at a time."""

    def of(*, max_epochs=2, handlers=(), averaged=False, **options):
        torch.manual_seed(0)
        network = nn.Linear(4, 1)
        ema = EMAHandler(network, momentum=0.5) if averaged else None
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        best = BestWeights(
            network=network, card=tiny_card, output_dir=tmp_path / "run", name="own",
            cases=phantom_cases("train", num=1), dataset_dir="phantom", recipe={},
        )  # fmt: skip
        validator = CaseValidator(
            device="cpu", dataset=CASES, network=network, best=best, batch_size=4,
            key_val_metric={"auroc": MacroAUROC()},
        )  # fmt: skip
        loader = training_loader(CASES, batch_size=2)
        return CaseTrainer(
            device="cpu", max_epochs=max_epochs, train_data_loader=loader,
            network=network, optimizer=optimizer, loss_function=nn.BCEWithLogitsLoss(),
            lr_scheduler=torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9),
            validator=validator, train_handlers=handlers, ema=ema, **options,
        )  # fmt: skip

    return of


def checkpoint(folder):
    return torch.load(folder / "run" / "checkpoint.pt", weights_only=True)


def test_a_run_leaves_weights_their_card_a_checkpoint_and_numbers_to_plot(make, tmp_path):
    make().run()
    left = {path.name.split(".")[0] for path in (tmp_path / "run").iterdir()}
    assert left == {"model", "checkpoint", "events"}
    assert json.loads((tmp_path / "run" / "model.json").read_text())["score"]["auroc"] >= 0
    state = checkpoint(tmp_path)
    assert set(state) == {"network", "optimizer", "lr_scheduler", "best", "trainer"}
    assert state["lr_scheduler"]["last_epoch"] == 6  # stepped with every batch


def test_a_run_that_ended_goes_on_as_one_that_never_did(make, tmp_path):
    make(max_epochs=1).run()
    make(max_epochs=3).run()
    resumed = checkpoint(tmp_path)
    (tmp_path / "run").rename(tmp_path / "resumed")
    make(max_epochs=3).run()
    for name, weight in checkpoint(tmp_path)["network"].items():
        assert torch.equal(weight, resumed["network"][name])


def test_a_bundles_own_handlers_come_before_weights_and_checkpoint(make, tmp_path):
    heard = Heard(tmp_path / "run")
    make(handlers=[heard]).run()
    assert not any(name.startswith(("model", "checkpoint")) for name in heard.files[0])


def test_the_loss_is_read_as_monais_own_handlers_read_it(make):
    trainer = make(max_epochs=1)
    read, losses = from_engine(["loss"], first=True), []
    trainer.add_event_handler(
        "ITERATION_COMPLETED", lambda engine: losses.append(read(engine.state.output).item())
    )
    trainer.run()
    assert len(losses) == 3


def test_averaged_weights_are_part_of_the_run(make, tmp_path):
    make(averaged=True).run()
    state = checkpoint(tmp_path)
    assert not torch.equal(state["ema"]["weight"], state["network"]["weight"])


def test_validation_comes_every_so_many_epochs(make):
    trainer = make(max_epochs=4, val_interval=2)
    scored = []
    trainer.validator.add_event_handler("COMPLETED", lambda _: scored.append(trainer.state.epoch))
    trainer.run()
    assert scored == [2, 4]


def test_one_process_trains_the_network_itself(make):
    assert type(make().network) is nn.Linear


def test_several_processes_train_what_keeps_it_equal_and_share_the_cases(make, monkeypatch):
    monkeypatch.setattr(training.idist, "get_world_size", lambda: 2)
    monkeypatch.setattr(training.idist, "get_rank", lambda: 1)
    wrapped = []

    def wrap(network, **options):
        wrapped.append(options)
        return nn.Sequential(network)

    monkeypatch.setattr(training.idist, "auto_model", wrap)
    trainer = make()
    assert type(trainer.network) is nn.Sequential
    assert wrapped == [{"sync_bn": torch.cuda.is_available()}]
    assert len(trainer.data_loader) == 2  # three of the six cases, two at a time


def test_validation_cases_are_shared_out_and_none_is_scored_twice(make, monkeypatch):
    shares = []
    for rank in range(4):
        monkeypatch.setattr(training.idist, "get_world_size", lambda: 4)
        monkeypatch.setattr(training.idist, "get_rank", lambda rank=rank: rank)
        shares.append(list(training._own_share(CASES)))
    assert sorted(case for share in shares for case in share) == list(range(6))


def test_only_the_first_process_prints_and_plots(monkeypatch, tmp_path):
    assert len(training._said(tmp_path, iteration_log=False)) == 2
    monkeypatch.setattr(training, "is_first_process", lambda: False)
    assert training._said(tmp_path, iteration_log=False) == []


def test_a_loader_takes_a_stretch_of_the_cases_in_an_order_of_its_seed():
    def order(**options):
        loader = training_loader(CASES, batch_size=2, **options)
        return [int(image[0]) for batch in loader for image in batch["image"]]

    assert sorted(order()) == list(range(6))
    assert len(order(cases_per_epoch=4)) == 4
    assert order(seed=1) == order(seed=1) != order(seed=2)


def test_a_loader_of_nothing_is_an_error():
    with pytest.raises(InputError, match="dataset must hold at least one item, got none"):
        training_loader(Dataset([]), batch_size=1)
