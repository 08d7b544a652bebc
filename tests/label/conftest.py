"""MONAI Label's real server with the bundles, driven by its own client and by plain requests."""

import gzip
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.phantom.export import write_phantom_case
from tests.conftest import REPOSITORY

SEED = 1_200_003
SPACING_MM = (4.0, 4.0, 5.0)
LABEL_APP = REPOSITORY / "scripts" / "label_app"
LABEL_PYTHON = Path(os.environ.get("LABEL_PYTHON", REPOSITORY / ".venv-label" / "bin" / "python"))
CLIENT = """
import json, sys
from monailabel.client import MONAILabelClient
client = MONAILabelClient(sys.argv[1])
print(json.dumps(eval(sys.argv[2], {"client": client})))
"""
OFFLINE = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9",
           "no_proxy": "127.0.0.1", "HF_HUB_OFFLINE": "1"}  # fmt: skip


@pytest.fixture(scope="session")
def label_python():
    """The interpreter of the server's environment."""
    if not LABEL_PYTHON.is_file():
        pytest.skip("needs MONAI Label's environment: make label-env")
    return LABEL_PYTHON


@contextmanager
def until_it_answers(command, url, **options):
    """Start a server, wait for its first answer, and stop it at the end."""
    process = subprocess.Popen(command, **options)
    try:
        for _ in range(600):
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            try:
                with urllib.request.urlopen(url, timeout=5):
                    break
            except OSError:
                time.sleep(0.5)
        else:
            pytest.fail(f"{url} did not answer within five minutes")
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@dataclass
class Reply:
    """What a server sent."""

    status: int
    body: bytes
    headers: dict

    @property
    def json(self):
        packed = {name.lower(): value for name, value in self.headers.items()}
        is_packed = packed.get("content-encoding") == "gzip"
        return json.loads(gzip.decompress(self.body) if is_packed else self.body)


@dataclass
class Server:
    """A running server: `server("client.info()")` through MONAI Label's client, or `send`."""

    python: Path
    address: str
    home: Path
    environment: dict

    @property
    def temporary(self):
        """Where it and its processes keep temporary files."""
        return Path(self.environment["TMPDIR"])

    def __call__(self, expression):
        answered = subprocess.run(
            [self.python, "-c", CLIENT, self.address, expression],
            capture_output=True, text=True, check=False,
            env={**self.environment, "TMPDIR": str(self.home)},
        )  # fmt: skip
        assert answered.returncode == 0, answered.stderr + self.log()[-3000:]
        return json.loads(answered.stdout)

    def log(self):
        return (self.home / "server.log").read_text()

    def send(self, method, path, fields=None, files=None, headers=None):
        """One request; `files` is a list of (field, file name, content)."""
        boundary = uuid.uuid4().hex
        parts = [
            (f'name="{name}"', str(value).encode()) for name, value in (fields or {}).items()
        ] + [(f'name="{field}"; filename="{name}"', data) for field, name, data in files or ()]
        body = b"".join(
            f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode()
            + data
            + b"\r\n"
            for head, data in parts
        )
        asked = urllib.request.Request(self.address + path, method=method, headers=headers or {})
        if parts:
            asked.data = body + f"--{boundary}--\r\n".encode()
            asked.add_header("Content-Type", f"multipart/form-data; boundary={boundary}")
        try:
            with urllib.request.urlopen(asked) as answer:
                return Reply(answer.status, answer.read(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.read(), dict(error.headers))


@pytest.fixture(scope="session")
def serve(label_python, tmp_path_factory):
    """`with serve(studies, *options) as server:`, see `Server`."""

    @contextmanager
    def start(studies, *options):
        port = free_port()
        home = tmp_path_factory.mktemp("home")  # MONAI Label keeps caches there
        (home / "tmp").mkdir()
        command = [
            label_python, LABEL_APP / "serve.py", "--studies", studies, "--port", port,
            "--conf", "python", sys.executable, *options,
        ]  # fmt: skip
        address = f"http://127.0.0.1:{port}"
        environment = {**os.environ, **OFFLINE, "HOME": str(home), "TMPDIR": str(home / "tmp")}
        with (
            (home / "server.log").open("w") as out,
            until_it_answers(
                list(map(str, command)), f"{address}/info/", env=environment, stdout=out, stderr=out
            ),
        ):
            yield Server(label_python, address, home, environment)

    return start


@pytest.fixture(scope="session")
def studies(tmp_path_factory):
    """A study folder.

    `case1`, `case2` and `head` are phantoms; `small` is a part of one; `picture` is no CT; `twice`
    is two files; `linked` is a link to a scan elsewhere, and `dangling` one to nothing.
    """
    root = tmp_path_factory.mktemp("hospital")
    folder, elsewhere = root / "studies", root / "elsewhere"
    folder.mkdir()
    for name, seed in (("case1", SEED), ("case2", SEED + 1), ("head", SEED)):
        region, spacing_mm = ("head", (2.0, 2.0, 4.0)) if name == "head" else ("chest", SPACING_MM)
        written = write_phantom_case(root / name, seed, region=region, spacing_mm=spacing_mm)
        written.rename(folder / f"{name}.nii.gz")
    whole = nib.load(folder / "case1.nii.gz")
    nib.save(whole.slicer[40:70, 25:55, 10:35], folder / "small.nii.gz")
    picture = np.random.default_rng(0).integers(0, 255, (32, 32, 32)).astype(np.uint8)
    nib.save(nib.Nifti1Image(picture, np.eye(4)), folder / "picture.nii.gz")
    for suffix in (".nii", ".nii.gz"):
        nib.save(whole, folder / f"twice{suffix}")
    elsewhere.mkdir()
    nib.save(whole, elsewhere / "secret.nii.gz")
    (folder / "linked.nii.gz").symlink_to(elsewhere / "secret.nii.gz")
    (folder / "dangling.nii.gz").symlink_to(elsewhere / "new.nii.gz")
    return folder


@pytest.fixture(scope="session")
def server(serve, studies):
    with serve(studies) as running:
        yield running
