from ignite.engine import Engine

from common.handlers.tensorboard_stats import TensorBoardStats


def test_the_file_is_made_with_the_first_number(tmp_path):
    engine = Engine(lambda _engine, batch: {"loss": batch})
    handler = TensorBoardStats(
        log_dir=tmp_path / "log", tag_name="loss", output_transform=lambda output: output["loss"]
    )
    handler.attach(engine)
    assert not (tmp_path / "log").exists()
    engine.run([1.0, 2.0], max_epochs=1)
    (written,) = (tmp_path / "log").iterdir()
    assert written.stat().st_size > 100
