import csv

import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.handlers import IgniteMetricHandler, ValidationHandler
from monai.metrics import CumulativeIterationMetric

from common.handlers.best_weights import BestWeights
from common.handlers.epoch_seed import EpochSeed
from common.handlers.learning_curve import LearningCurve
from common.handlers.run_checkpoint import RunCheckpoint
from common.phantom.cases import phantom_cases


class MeanScore(CumulativeIterationMetric):
    """The network's mean answer, so that every step moves it."""

    def _compute_tensor(self, y_pred, y):
        return y_pred.mean(dim=1)

    def aggregate(self):
        return float(self.get_buffer().mean())


@pytest.fixture
def make_run(make_trainer, tiny_card, tmp_path):
    """A trainer that is validated after every second epoch, and its curve."""

    def make(max_epochs):
        trainer, parts = make_trainer(max_epochs)
        best = BestWeights(
            network=parts["network"],
            card=tiny_card,
            output_dir=tmp_path,
            name="own",
            cases=phantom_cases("train", num=1),
            dataset_dir="phantom",
            recipe={},
        )
        data = [{"image": torch.ones(4) * case, "label": torch.ones(2)} for case in range(3)]
        validator = SupervisedEvaluator(
            device="cpu",
            val_data_loader=DataLoader(Dataset(data), batch_size=3),
            network=parts["network"],
            decollate=False,
            key_val_metric={
                "mean_answer": IgniteMetricHandler(
                    metric_fn=MeanScore(), output_transform=lambda out: (out["pred"], out["label"])
                )
            },
            val_handlers=[best],
        )
        curve = LearningCurve(validator=validator, best=best)
        parts |= {"best": best}
        for handler in (
            curve,
            EpochSeed(seed=0),
            ValidationHandler(2, validator),
            RunCheckpoint(path=tmp_path / "checkpoint.pt", objects=parts),
        ):
            handler.attach(trainer)
        return trainer, curve

    return make


def rows(folder):
    with (folder / "curve.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_first_point_is_the_network_before_training_and_is_not_kept(make_run, tmp_path):
    trainer, curve = make_run(1)
    trainer.run()
    assert [(point.step, point.epoch, point.loss) for point in curve.points] == [(0, 0, None)]
    assert not (tmp_path / "model.json").exists()


def test_each_validation_adds_its_step_score_and_the_mean_loss_since(make_run, tmp_path):
    trainer, curve = make_run(4)
    losses = []
    trainer.add_event_handler(
        "ITERATION_COMPLETED", lambda engine: losses.append(float(engine.state.output[0]["loss"]))
    )
    trainer.run()
    assert [(point.step, point.epoch) for point in curve.points] == [(0, 0), (6, 2), (12, 4)]
    assert curve.points[1].loss == pytest.approx(sum(losses[:6]) / 6)
    assert curve.points[2].loss == pytest.approx(sum(losses[6:]) / 6)
    assert len({point.score for point in curve.points}) == 3
    found = rows(tmp_path)
    assert list(found[0]) == ["step", "epoch", "mean_answer", "loss"]
    assert [row["step"] for row in found] == ["0", "6", "12"]
    assert found[0]["loss"] == ""
    assert (tmp_path / "curve.png").stat().st_size > 5000
    assert (tmp_path / "model.json").exists()


def test_a_resumed_run_goes_on_with_its_curve(make_run, tmp_path):
    first, _ = make_run(2)
    first.run()
    second, curve = make_run(4)
    second.run()
    assert [row["step"] for row in rows(tmp_path)] == ["0", "6", "12"]
    whole = [point.score for point in curve.points]
    for left in ("checkpoint.pt", "model.json", "curve.csv"):
        (tmp_path / left).unlink()
    unbroken, other = make_run(4)
    unbroken.run()
    assert [point.score for point in other.points] == pytest.approx(whole, abs=1e-5)
