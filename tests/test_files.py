"""What lies below a folder: regular files, each once, and by name what is none."""

import logging
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from common.errors import InputError
from common.files import given_path, list_files, told, why_not_regular


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    return path


def test_files_come_by_folder_and_name(tmp_path: Path):
    names = ["b", "a/z", "a/b/y", "c/x", "a.txt"]
    for name in names:
        write(tmp_path / name)
    files, rejected = list_files(tmp_path)
    found = [path.relative_to(tmp_path).as_posix() for path in files]
    assert found == ["a.txt", "b", "a/z", "a/b/y", "c/x"]
    assert rejected == []


def test_links_are_followed_to_each_folder_once(tmp_path: Path):
    write(tmp_path / "data" / "a")
    (tmp_path / "data" / "up").symlink_to(tmp_path)
    (tmp_path / "data" / "b").symlink_to(tmp_path / "data" / "a")
    files, rejected = list_files(tmp_path)
    assert [path.name for path in files] == ["a", "b"]
    assert rejected == []


def test_what_is_no_file_is_named_and_never_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.nii")
    (tmp_path / "link.nii").symlink_to(tmp_path / "pipe.nii")
    (tmp_path / "zero.nii").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "sock"))  # its path must be short
        files, rejected = list_files(tmp_path)
    assert files == []
    assert {Path(item.path).name: item.reason for item in rejected} == {
        "link.nii": "a named pipe, not a file",
        "pipe.nii": "a named pipe, not a file",
        "sock": "a socket, not a file",
        "zero.nii": "a device, not a file",
    }


def test_links_to_nothing_and_in_circles_may_be_lost_scans(tmp_path: Path):
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    _, (gone, loop) = list_files(tmp_path)
    assert gone.reason == "a link to nothing"
    assert "cannot be read (too many levels of symbolic links)" in loop.reason
    assert gone.damaged
    assert loop.damaged


def test_folder_that_cannot_be_read_may_hold_lost_scans(tmp_path, monkeypatch):
    write(tmp_path / "open" / "a")
    write(tmp_path / "shut" / "b")
    scandir = os.scandir

    def some_denied(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", some_denied)
    files, (rejection,) = list_files(tmp_path)
    assert [path.name for path in files] == ["a"]
    assert rejection.path == str(tmp_path / "shut")
    assert rejection.reason == "cannot be read (permission denied)"
    assert rejection.damaged


def test_what_systems_keep_beside_data_is_not_looked_at(tmp_path: Path):
    for name in ("lost+found/a", ".hidden/a", ".a", "@eaDir/a"):
        write(tmp_path / name)
    assert list_files(tmp_path) == ([], [])


@pytest.mark.parametrize(("name", "found"), [("d", True), ("deep", False)])
def test_folders_a_thousand_deep_are_listed_as_far_as_paths_go(tmp_path, name, found):
    here = Path.cwd()
    os.chdir(tmp_path)
    for _ in range(1100):
        Path(name).mkdir()
        os.chdir(name)
    Path("scan").write_text("x")
    os.chdir(here)
    files, rejected = list_files(tmp_path)
    subprocess.run(["rm", "-r", name], cwd=tmp_path, check=True)  # rmtree recurses
    assert [path.name for path in files] == ["scan"] * found
    assert ["file name too long" in item.reason for item in rejected] == [True] * (not found)


def test_regular_file_is_one(tmp_path: Path):
    assert why_not_regular(write(tmp_path / "a")) == ""
    assert why_not_regular(tmp_path) == "a folder"


@pytest.mark.parametrize("value", ["", " ", "\n", None, [], {}, True, b"a"])
def test_empty_path_is_never_the_current_folder(value):
    with pytest.raises(InputError, match=r"data_dir must be a path, got .*; name a file or folder"):
        given_path(value, name="data_dir")


@pytest.mark.parametrize("value", ["https://host/a.nii.gz", "s3://bucket/a", "file:///data/a"])
def test_url_is_no_path(value):
    with pytest.raises(InputError, match=r"input must be a path on this machine, got the URL"):
        given_path(value, name="input")


@pytest.mark.parametrize("value", ["C:/scans/a.nii", "study:/a.nii", "a::b", "a/b://c"])
def test_colon_alone_makes_no_url(value):
    assert given_path(value, name="input") == Path(value)


@pytest.mark.parametrize("value", ["12", 12, Path("12")])
def test_number_is_the_name_of_a_file(value):
    assert given_path(value, name="input") == Path("12")


def slowly(items):
    for item in items:
        time.sleep(0.02)
        yield item


def test_what_takes_long_says_how_far_it_is(monkeypatch, caplog):
    monkeypatch.setattr("common.files.SILENT_S", 0.01)
    monkeypatch.setattr("common.files.SAY_EVERY_S", 0.05)
    with caplog.at_level(logging.INFO, "common.cases"):
        assert list(told(slowly(range(9)), what="files listed", total=9)) == list(range(9))
    assert 1 < len(caplog.messages) < 9
    assert all("of 9 files listed" in message for message in caplog.messages)


def test_what_takes_a_moment_says_nothing(caplog):
    with caplog.at_level(logging.INFO, "common.cases"):
        assert list(told(range(1000), what="files listed")) == list(range(1000))
    assert caplog.messages == []


def test_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr("common.files.SILENT_S", 0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    list(told(slowly(range(9)), what="files listed", total=9))
    assert "files listed" in capsys.readouterr().err


def test_interruption_is_passed_on(monkeypatch):
    def interrupted():
        yield 1
        raise KeyboardInterrupt

    for terminal in (True, False):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal)
        with pytest.raises(KeyboardInterrupt):
            list(told(interrupted(), what="files listed"))
