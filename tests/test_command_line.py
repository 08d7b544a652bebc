import json
import sys

import pytest

from common.command_line import check_command_line, say_in_one_line, start_run
from common.errors import InputError


@pytest.fixture
def configs(tmp_path):
    base = {"input": "phantom", "output_dir": "out", "train": {"trainer": {"max_epochs": 3}}}
    (tmp_path / "base.json").write_text(json.dumps(base))
    (tmp_path / "overlay.json").write_text(json.dumps({"seed": 0}))
    return tmp_path / "base.json", tmp_path / "overlay.json"


def test_known_overrides_pass(configs):
    base, overlay = configs
    both = f"['{base}', '{overlay}']"
    check_command_line(["--config_file", str(base), "--input", "a b.nii", "--run_id", "run"])
    check_command_line(["--config_file", both, "--seed", "3", "--train::trainer::max_epochs=5"])
    check_command_line([f"--config-file={base}", "--output-dir", "there"])


@pytest.mark.parametrize("form", ["['{}','{}']", '["{}", "{}"]', "('{}','{}')"])
def test_config_files_are_read_as_fire_reads_them(configs, form):
    check_command_line(["--config_file", form.format(*configs), "--seed", "1"])


def test_mistyped_override_names_the_nearest(configs):
    with pytest.raises(InputError, match=r"got --inptu; did you mean --input\?"):
        check_command_line(["--config_file", str(configs[0]), "--inptu", "x"])


def test_every_unknown_override_is_named(configs):
    with pytest.raises(InputError, match=r"got --sed, --zzz; known are input, output_dir, train"):
        check_command_line(["--config_file", str(configs[0]), "--sed", "1", "--zzz", "2"])


def test_nested_override_that_is_not_there(configs):
    with pytest.raises(InputError, match="got --train::trainer::max_epoch"):
        check_command_line(["--config_file", str(configs[0]), "--train::trainer::max_epoch", "9"])


def test_overrides_in_an_args_file_are_checked_too(configs, tmp_path):
    arguments = tmp_path / "args.json"
    arguments.write_text(json.dumps({"config_file": [str(file) for file in configs], "seed": 1}))
    check_command_line(["--args_file", str(arguments)])
    arguments.write_text(json.dumps({"config_file": str(configs[0]), "sede": 1}))
    with pytest.raises(InputError, match="got --sede"):
        check_command_line(["--args_file", str(arguments)])


def test_other_programs_command_lines_are_none_of_ours(monkeypatch):
    hook = sys.excepthook
    monkeypatch.setattr(sys, "argv", ["pytest", "run", "--config_file", "x", "--nonsense"])
    check_command_line()
    assert sys.excepthook is hook


def test_the_commands_own_line_is_checked(monkeypatch, configs):
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    program = "/site-packages/monai/bundle/__main__.py"
    arguments = ["run", "--config_file", str(configs[0]), "--inptu", "x"]
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    with pytest.raises(InputError, match="did you mean --input"):
        start_run()
    assert sys.excepthook is say_in_one_line


def test_run_does_not_start_on_a_device_that_is_not_there():
    with pytest.raises(InputError, match="device must be one that torch can use here, got tpu9"):
        start_run(device="tpu9")


def caught(error, cause):
    try:
        try:
            raise cause
        except BaseException as inner:
            raise error from inner
    except BaseException:
        return sys.exc_info()


def test_input_error_anywhere_in_the_chain_is_one_line(capsys):
    say_in_one_line(*caught(RuntimeError("failed to instantiate"), InputError("a must b, got c")))
    assert capsys.readouterr().err == "error: a must b, got c\n"


def test_our_own_faults_keep_their_traceback(capsys):
    say_in_one_line(*caught(RuntimeError("outer"), ZeroDivisionError("inner")))
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "ZeroDivisionError: inner" in shown
    assert "error: " not in [line[:7] for line in shown.splitlines()]


def test_interrupt_ends_without_traceback(capsys):
    say_in_one_line(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err.strip() == (
        "interrupted: the same command goes on with what is left"
    )
