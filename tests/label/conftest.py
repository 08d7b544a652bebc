"""MONAI Label's real server with the bundles, driven by its own client."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

LABEL_PYTHON = Path(os.environ.get("LABEL_PYTHON", REPOSITORY / ".venv-label" / "bin" / "python"))
CLIENT = """
import json, sys
from monailabel.client import MONAILabelClient
client = MONAILabelClient(sys.argv[1])
as_text = lambda part: json.loads(part)  # the client hands on a reply without a mask as bytes
print(json.dumps(eval(sys.argv[2], {"client": client}), default=as_text))
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
        for _ in range(240):
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            try:
                with urllib.request.urlopen(url, timeout=5):
                    break
            except OSError:
                time.sleep(0.5)
        else:
            pytest.fail(f"{url} did not answer within two minutes")
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="session")
def serve(label_python, tmp_path_factory):
    """`with serve(studies, *options) as ask:` and then `ask("client.info()")`."""

    @contextmanager
    def start(studies, *options):
        port = free_port()
        home = tmp_path_factory.mktemp("home")  # MONAI Label keeps caches there
        command = [
            label_python, REPOSITORY / "scripts" / "label_app" / "serve.py", "--studies", studies,
            "--host", "127.0.0.1", "--port", port, "--conf", "python", sys.executable, *options,
        ]  # fmt: skip
        address = f"http://127.0.0.1:{port}"
        environment = {**os.environ, **OFFLINE, "HOME": str(home)}
        log = home / "server.log"

        def ask(expression):
            answered = subprocess.run(
                [label_python, "-c", CLIENT, address, expression],
                capture_output=True, text=True, check=False, env=environment,
            )  # fmt: skip
            assert answered.returncode == 0, answered.stderr + log.read_text()[-3000:]
            return json.loads(answered.stdout)

        with (
            log.open("w") as out,
            until_it_answers(
                list(map(str, command)), f"{address}/info/", env=environment, stdout=out, stderr=out
            ),
        ):
            yield ask

    return start
