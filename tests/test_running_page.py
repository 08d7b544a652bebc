"""What docs/running.md tells Python users to type works as it stands."""

import os
import re
import subprocess
import sys
import zipfile

import pytest

from common.bundle.packing import pack_bundle
from common.phantom.export import write_phantom_case


@pytest.fixture
def folder(tiny_bundle, tmp_path):
    """A folder with `bundles/ct_scroll`, packed and unpacked, and `scans` with one scan."""
    with zipfile.ZipFile(pack_bundle(tiny_bundle, output_dir=tmp_path / "dist")) as packed:
        packed.extractall(tmp_path / "user" / "bundles")
    write_phantom_case(tmp_path / "user" / "scans", 1_200_000, spacing_mm=(6.0, 6.0, 6.0))
    return tmp_path / "user"


@pytest.fixture
def blocks(repository):
    page = (repository / "docs" / "running.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)


def run(code, folder):
    environment = {**os.environ, "PYTHONPATH": str(folder / "bundles" / "ct_scroll")}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("number", [0, 1])
def test_three_lines_give_the_network(blocks, folder, number):
    assert len([line for line in blocks[number].splitlines() if line]) <= 3
    assert run(blocks[number] + "print(network.num_classes)", folder).endswith("18\n")


def test_a_loop_gives_probabilities_per_case(blocks, folder):
    out = run(blocks[2].replace("/data/scans", "scans"), folder)
    assert "phantom_1200000 tensor([[" in out


def test_three_lines_push_and_pull(blocks, folder, hub, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_TOKEN", "hf_own")
    hub.token = "hf_own"
    assert len([line for line in blocks[3].splitlines() if line]) == 3
    exec(blocks[3])
    assert (folder / "elsewhere" / "ct_scroll" / "SHA256SUMS").is_file()
    assert hub.tags == ["0.1.0", "latest_version"]
