import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.atomic import (
    json_text,
    remove_partials,
    replacing,
    write_bytes,
    write_json,
    write_text,
)
from common.errors import InputError


def write_half(path: Path, then: BaseException) -> None:
    with replacing(path) as partial:
        partial.write_bytes(b"ne")
        raise then


def test_a_file_appears_whole_and_alone(tmp_path: Path) -> None:
    write_text(tmp_path / "deep" / "er" / "note.txt", "grüß")
    assert (tmp_path / "deep" / "er" / "note.txt").read_text(encoding="utf-8") == "grüß"
    assert [path.name for path in (tmp_path / "deep" / "er").iterdir()] == ["note.txt"]


def test_a_name_that_is_not_utf8_is_written_and_read_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"scan\xff\n.nii.gz")
    write_json(tmp_path / "a.json", {"path": name})
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {"path": name}
    write_text(tmp_path / "a.csv", name)
    assert (tmp_path / "a.csv").read_text("utf-8") == "scan\\udcff\n.nii.gz"


def test_an_error_while_writing_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    write_bytes(tmp_path / "x.bin", b"old")
    with pytest.raises(ZeroDivisionError):
        write_half(tmp_path / "x.bin", ZeroDivisionError())
    assert (tmp_path / "x.bin").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "x.bin", KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []


def test_the_partial_file_keeps_the_suffix_and_the_folder(tmp_path: Path) -> None:
    with replacing(tmp_path / "seg.nii.gz") as partial:
        assert partial.parent == tmp_path
        assert partial.name.endswith("seg.nii.gz")
        partial.touch()


def test_a_killed_writer_leaves_the_old_file_and_its_rest_is_swept(tmp_path: Path) -> None:
    write_text(tmp_path / "result.json", "old")
    program = (
        "import sys, time\n"
        "from common.atomic import replacing\n"
        "with replacing(sys.argv[1]) as partial:\n"
        "    partial.write_text('half')\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(60)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path / "result.json"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert (tmp_path / "result.json").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_file_in_the_way_of_the_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="output must be a place that can be written") as error:
        write_text(tmp_path / "out" / "case" / "result.json", "{}")
    assert "\n" not in str(error.value)
    assert "--output_dir" in str(error.value)


def test_a_forbidden_folder_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, content: bytes) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(InputError, match=r"x\.txt \(Permission denied\)"):
        write_text(tmp_path / "x.txt", "content")


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No space left on device"), replacing(tmp_path / "x"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_an_error_about_another_file_is_passed_on(tmp_path: Path) -> None:
    other = PermissionError(errno.EACCES, "denied", "/somewhere/else")
    with pytest.raises(PermissionError) as error, replacing(tmp_path / "x"):
        raise other
    assert error.value is other


def test_json_keeps_lists_of_numbers_on_one_line(tmp_path: Path) -> None:
    write_json(
        tmp_path / "x.json",
        {"a": np.float32(0.5), "b": np.arange(3), "c": [[1, 2], [3, 4]], "d": Path("x"), "e": {}},
    )
    assert (tmp_path / "x.json").read_text() == (
        '{\n  "a": 0.5,\n  "b": [0, 1, 2],\n  "c": [\n    [1, 2],\n    [3, 4]\n  ],\n'
        '  "d": "x",\n  "e": {}\n}\n'
    )


def test_json_text_reads_back() -> None:
    value = {"ä": [None, True, 1, 1.5, "x\ny"], "nested": [{"a": []}, {"b": {"c": [1]}}]}
    assert json.loads(json_text(value)) == value


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), np.float32("-inf")])
def test_json_refuses_what_json_cannot_hold_and_names_it(tmp_path: Path, bad: float) -> None:
    with pytest.raises(InputError, match=r"value\.outputs\[1\]\.p must be a finite number"):
        write_json(tmp_path / "x.json", {"outputs": [1.0, {"p": bad}]})
    assert list(tmp_path.iterdir()) == []


def test_json_refuses_an_object_by_its_type(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"value\.x must be a value that JSON can hold, got object"):
        write_json(tmp_path / "x.json", {"x": object()})
