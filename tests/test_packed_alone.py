"""Packed bundles on a machine that has what they declare and nothing else."""

import json
import os
import subprocess
import threading
import time
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from common.bundle.catalog import list_bundles
from common.bundle.packing import pack_bundle

pytestmark = pytest.mark.registry
BUNDLES = [entry.name for entry in list_bundles()]
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON") and k != "VIRTUAL_ENV"}


@pytest.fixture(scope="module")
def archives(repository, tmp_path_factory):
    """Every bundle's zip by name, all in one folder."""
    dist = tmp_path_factory.mktemp("dist")
    packed = {name: pack_bundle(repository / "bundles" / name, output_dir=dist) for name in BUNDLES}
    for archive in packed.values():
        print(f"\n{archive.name}: {archive.stat().st_size / 1e6:.1f} MB")
    return packed


@pytest.fixture(scope="module")
def address(archives):
    """Where a web server on 127.0.0.1 has a bundle's zip."""
    folder = str(next(iter(archives.values())).parent)
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield lambda name: f"http://127.0.0.1:{server.server_port}/{archives[name].name}"
    server.shutdown()


@pytest.fixture(scope="module")
def python(archives, tmp_path_factory):
    """Run the interpreter of an environment with what the bundles declare, from `/`."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run(["python3", "-m", "venv", environment], check=True, env=CLEAN)

    def run(*arguments):
        command = [environment / "bin" / "python", *map(str, arguments)]
        ended = subprocess.run(
            command, cwd="/", env=CLEAN, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    for archive in archives.values():
        with zipfile.ZipFile(archive) as packed:
            requirements = environment / "requirements.txt"
            requirements.write_bytes(packed.read(f"{archive.stem.split('_v')[0]}/requirements.txt"))
        run("-m", "pip", "install", "-q", "-r", requirements)
    return run


@pytest.mark.parametrize("name", BUNDLES)
def test_a_downloaded_bundle_runs(name, python, address, tmp_path):
    start = time.perf_counter()
    python("-m", "monai.bundle", "download", "--name", name, "--url", address(name),
           "--bundle_dir", tmp_path)  # fmt: skip
    config = tmp_path / name / "configs" / "inference.json"
    python("-m", "monai.bundle", "run", "--config_file", config, "--output_dir", tmp_path / "out")
    print(f"\n{name}: {time.perf_counter() - start:.0f} s from download to the first result")
    (result,) = (tmp_path / "out").glob("*/result.json")
    content = json.loads(result.read_text())
    assert content["bundle"]["name"] == name
    assert [file for file in content["files"] if not (result.parent / file).is_file()] == []
    assert "figure.png" in content["files"] or (tmp_path / "out" / "embeddings.parquet").is_file()


def test_all_bundles_run_in_one_process(python, archives, tmp_path):
    for archive in archives.values():
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(tmp_path)
    code = f"""
import sys
from monai.bundle import load
for name in {BUNDLES}:
    sys.path.insert(0, "{tmp_path}/" + name)
    load(name, bundle_dir="{tmp_path}", workflow_type="inference")
    assert f"_{{name}}_common" in sys.modules
assert "common" not in sys.modules
"""
    python("-c", code)
