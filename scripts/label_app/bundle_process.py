"""The process in which the bundles run, in an environment of their own, and stay loaded."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

from fastapi import HTTPException

REPOSITORY = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("worker.py")


class BundleProcess:
    """Answers one question at a time; started by the first, and again by the next if it ended.

    Args:
        python: Interpreter of the bundles' environment.
        keep_gb: Of weights kept loaded, 10^9 bytes.
        timeout_s: The longest that one question may take; the process is ended then.
    """

    def __init__(self, python: str, *, keep_gb: float, timeout_s: float) -> None:
        self._command = [python, str(WORKER), "--keep_gb", str(keep_gb)]
        self._timeout_s = timeout_s
        self._one_at_a_time = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        atexit.register(self.close)

    def ask(self, **question: Any) -> dict[str, Any]:
        """The answer to one question, see `worker.py`.

        Raises:
            HTTPException: 422 with the reason where the question cannot be answered; 500 or 504
                where the process failed, ended, or took too long.
        """
        with self._one_at_a_time:
            process = self._started()
            deadline = threading.Timer(self._timeout_s, process.kill)
            deadline.start()
            try:
                line = self._exchange(process, json.dumps(question))
            finally:
                in_time = deadline.is_alive()
                deadline.cancel()
            if not line:
                self.close()
                raise self._ended(in_time=in_time)
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise HTTPException(500 if answer.get("fault") else 422, answer["error"])
        return answer

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                self._command,
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C is the server's; it ends this process by itself
            )
        return self._process

    @staticmethod
    def _exchange(process: subprocess.Popen[str], question: str) -> str:
        assert process.stdin is not None  # a pipe, and so is the other
        assert process.stdout is not None
        try:
            print(question, file=process.stdin, flush=True)
            return process.stdout.readline()
        except OSError:  # it ended before it read the question
            return ""

    def _ended(self, *, in_time: bool) -> HTTPException:
        if in_time:
            return HTTPException(500, "the bundles' process ended; is there enough memory?")
        return HTTPException(504, f"the run took more than {self._timeout_s:g} s and was ended")
