"""Bundles as users run them: the real command line, with weights and scans that take seconds."""

import csv
import logging
import os
import runpy
import subprocess
import sys
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest
import torch
from monai.networks.nets import SegResNetDS

from common.bundle.catalog import read_metadata, read_stages
from common.phantom.export import write_phantom_case
from common.phantom.patient import SEED_RANGES
from common.vocabulary.chest_findings import CT_RATE_LABELS
from common.weights.card import read_card
from common.weights.loading import save_weights
from tests import contract, data_sets
from tests.conftest import REPOSITORY

CT_SCROLL = REPOSITORY / "bundles" / "ct_scroll"
CT_FM_WHOLEBODY = REPOSITORY / "bundles" / "ct_fm_wholebody"
CT_FM_ENCODER = REPOSITORY / "bundles" / "ct_fm_encoder"
CT_FM_TRIAGE = REPOSITORY / "bundles" / "ct_fm_triage"
ENVIRONMENT = {
    **os.environ,
    "MONAI_FAIL_ON_DUPLICATE_CONFIG": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(REPOSITORY),
}
TINY_TRAINING = (
    "--num_epochs", "1", "--cases_per_epoch", "2", "--num_training", "4", "--num_validation", "2",
    "--batch_size", "2", "--num_workers", "0",
)  # fmt: skip

TINY_SEGMENTER = {"init_filters": 4, "blocks_down": [1, 1, 1], "dsdepth": 2}
COARSE = {
    "spacing_mm": [6, 6, 6],
    "overlap": 0.25,
    "refine": 2,
    "crop_above_hu": -500,
    "body_only": True,
}


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """Its one line of error; fails where there is not exactly one, or a traceback."""
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert self.code != 0
        return lines[0]


def command(names, options, *, configs=CT_SCROLL / "configs"):
    """`run --config_file ...` as the README writes it."""
    files = [str(configs / f"{name}.json") for name in names]
    return ["run", "--config_file", files[0] if len(files) == 1 else str(files), *map(str, options)]


@pytest.fixture
def run_bundle(monkeypatch, capsys):
    """Run `python -m monai.bundle run` in this process: `run_bundle("inference")(*options)`.

    Of CT-Scroll, or of the bundle whose `configs` are given.
    """
    monkeypatch.setenv("MONAI_FAIL_ON_DUPLICATE_CONFIG", "1")
    root = logging.getLogger()
    before = list(root.handlers), root.level

    def for_configs(*names, configs=CT_SCROLL / "configs"):
        def run(*options):
            arguments = command(names, options, configs=configs)
            with monkeypatch.context() as patch:
                patch.setattr(sys, "argv", ["monai.bundle", *arguments])
                patch.setattr(sys, "path", list(sys.path))
                patch.setattr(sys, "excepthook", sys.__excepthook__)
                capsys.readouterr()
                try:
                    runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
                    code = 0
                except Exception:
                    sys.excepthook(*sys.exc_info())
                    code = 1
                return Ended(code, *capsys.readouterr())

        return run

    yield for_configs
    root.handlers, root.level = before


@pytest.fixture
def run_stage(run_bundle, scans, tmp_path, monkeypatch):
    """Run one stage of a bundle, small; gives what is not as it was to be."""

    def run(bundle, stage, conf):
        (tmp_path / "weights").mkdir()
        card = contract.small_card(bundle, conf, tmp_path / "weights")
        options = contract.stage_options(bundle, conf, stage, card=card, scan=scans / "one.nii.gz")
        options += ["--output_dir", tmp_path / "out"]
        if data := conf["stages"][stage].get("data"):
            (tmp_path / "data").mkdir()
            made = getattr(data_sets, data)(tmp_path / "data", monkeypatch)
            options += [text for name, value in made.items() for text in (f"--{name}", str(value))]
        configs = read_stages(read_metadata(bundle))[stage].configs
        names = [Path(config).stem for config in configs]
        ended = run_bundle(*names, configs=bundle / "configs")(*options)
        if ended.code:
            return [ended.err]
        problems = contract.leaving_problems(tmp_path / "out", conf["stages"][stage]["leaves"])
        trained = tmp_path / "out" / "model.json"
        lost = contract.section_problems(trained) if "--train_as" in options else []
        return [*problems, *lost]

    return run


@pytest.fixture
def start_bundle():
    """Run the same in a process of its own: `start_bundle("inference")(*options, cwd=...)`."""

    def for_configs(*names, launcher=("-m", "monai.bundle"), configs=CT_SCROLL / "configs"):
        def run(*options, cwd=REPOSITORY):
            done = subprocess.run(
                [sys.executable, *launcher, *command(names, options, configs=configs)],
                cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
            return Ended(done.returncode, done.stdout, done.stderr)

        return run

    return for_configs


@pytest.fixture(scope="session")
def scans(tmp_path_factory):
    """A folder of five coarse phantoms: `one.nii.gz` to `five.nii.gz`; not to be changed."""
    folder = tmp_path_factory.mktemp("scans")
    seeds = SEED_RANGES["example"]
    for name, seed in zip(("one", "two", "three", "four", "five"), seeds, strict=False):
        path = write_phantom_case(folder / "made", seed, spacing_mm=(5.0, 5.0, 8.0))
        path.rename(folder / f"{name}.nii.gz")
    for leftover in (folder / "made").iterdir():
        leftover.unlink()
    (folder / "made").rmdir()
    return folder


@pytest.fixture
def five_scans(tmp_path, scans):
    """A copy of the five scans that a test may spoil."""
    folder = tmp_path / "five"
    folder.mkdir()
    for path in scans.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def quick(tiny_card, tmp_path):
    """Options for inference with tiny weights, results to `tmp_path/out`, without figures."""
    return ["--weights", tiny_card.path, "--output_dir", tmp_path / "out", "--figures", "False"]


@pytest.fixture
def quick_training(tiny_card, tmp_path):
    """Options for one epoch of a tiny network on four phantoms, results to `tmp_path/run`."""
    card = tiny_card.path.with_suffix("")
    return ["--train_as", card, "--output_dir", tmp_path / "run", *TINY_TRAINING]


@pytest.fixture
def quick_list_training(tiny_card, tmp_path, scans):
    """For `ct_rate`: a list that has the five scans as those of sixty patients."""
    (tmp_path / "sixty").mkdir()
    rows = []
    for number, name in zip(range(60), cycle(("one", "two", "three", "four", "five"))):
        (tmp_path / "sixty" / f"p{number}.nii.gz").hardlink_to(scans / f"{name}.nii.gz")
        row = {"image": f"p{number}.nii.gz", "patient_id": f"p{number}"}
        rows.append({**row, **dict.fromkeys(CT_RATE_LABELS, 0)})
    for number, row in enumerate(rows):
        row.update({label: (number >> place % 3) % 2 for place, label in enumerate(CT_RATE_LABELS)})
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return [
        "--train_as", tiny_card.path.with_suffix(""), "--output_dir", tmp_path / "run",
        "--dataset_dir", tmp_path / "sixty", "--labels_file", tmp_path / "labels.csv",
        "--validation_fraction", "0.1", "--initial_weights", "", "--num_workers", "0",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def tiny_segmenter(tmp_path_factory):
    """A card of random weights: noise, but the same noise every time."""
    torch.manual_seed(0)
    network = SegResNetDS(spatial_dims=3, in_channels=1, out_channels=118, **TINY_SEGMENTER)
    content = {
        **read_card(CT_FM_WHOLEBODY / "models" / "published.json").content,
        "name": "tiny",
        "network": {"class": "SegResNetDS", "arguments": TINY_SEGMENTER},
        "presets": {
            "accurate": COARSE,
            "published": {
                **COARSE,
                "spacing_mm": None,
                "refine": 1,
                "crop_above_hu": -1024,
                "body_only": False,
            },
        },
        "source": "made for a test",
        "synthetic": True,
    }
    content["preprocessing"] = {**content["preprocessing"], "roi_size": [32, 32, 32]}
    return save_weights(network, content, tmp_path_factory.mktemp("weights") / "model.json")


@pytest.fixture
def quick_segmenter_training(tiny_segmenter, tmp_path):
    """Options for one epoch of a tiny network on two phantoms, results to `tmp_path/run`."""
    return quick_training_of(CT_FM_WHOLEBODY, tiny_segmenter, tmp_path)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory):
    """A card of random weights that embeds a scan in 16 numbers."""
    conf = contract.conf_of(CT_FM_ENCODER)
    return contract.small_card(CT_FM_ENCODER, conf, tmp_path_factory.mktemp("weights"))


@pytest.fixture
def quick_encoder_training(tiny_encoder, tmp_path):
    """Options for one epoch of a tiny encoder on two phantoms, results to `tmp_path/run`."""
    return quick_training_of(CT_FM_ENCODER, tiny_encoder, tmp_path)


@pytest.fixture(scope="session")
def tiny_triage(request, tmp_path_factory):
    """A card of random weights; windows as channels, or as the test's own parameter says."""
    conf = contract.conf_of(CT_FM_TRIAGE)
    conf["card"]["preprocessing"]["arrangement"] = getattr(request, "param", "channels")
    return contract.small_card(CT_FM_TRIAGE, conf, tmp_path_factory.mktemp("triage"))


@pytest.fixture
def quick_triage_training(tiny_triage, tmp_path):
    """Options for one epoch of a tiny network on four heads, results to `tmp_path/run`."""
    return quick_training_of(CT_FM_TRIAGE, tiny_triage, tmp_path)


def quick_training_of(bundle, card, tmp_path):
    """Options of the contract's own training, results to `tmp_path/run`."""
    options = contract.stage_options(bundle, contract.conf_of(bundle), "train", card=card)
    return [*options, "--output_dir", tmp_path / "run"]
