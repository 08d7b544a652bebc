import json
import os
import subprocess
import sys

import fire
import pytest
from fire.parser import DefaultParseValue

from common.bundle.command_line import (
    _options,
    first_look,
    read_command_line,
    say_in_one_line,
    start_run,
)
from common.errors import InputError


def read(*arguments):
    """What `run` with these arguments keeps from being evaluated."""
    resolved = {}
    read_command_line(resolved, ["run", *map(str, arguments)])
    return resolved


@pytest.fixture
def configs(tmp_path):
    base = {"input": "phantom", "output_dir": "out", "train": {"trainer": {"max_epochs": 3}}}
    (tmp_path / "base.json").write_text(json.dumps(base))
    (tmp_path / "overlay.json").write_text(json.dumps({"seed": 0}))
    return tmp_path / "base.json", tmp_path / "overlay.json"


def test_known_overrides_pass(configs):
    base, overlay = configs
    both = f"['{base}', '{overlay}']"
    read("--config_file", base, "--input", "a b.nii", "--run_id", "run")
    read("--config_file", both, "--seed", "3", "--train::trainer::max_epochs=5")
    read(f"--config-file={base}", "--output-dir", "there")
    read("-config_file", base, "-input", "x", "--", "--trace")


@pytest.mark.parametrize("form", ["['{}','{}']", '["{}", "{}"]', "('{}','{}')"])
def test_config_files_are_read_as_fire_reads_them(configs, form):
    read("--config_file", form.format(*configs), "--seed", "1")


def test_mistyped_override_names_the_nearest(configs):
    with pytest.raises(InputError, match=r"got --inptu; did you mean --input\?"):
        read("--config_file", configs[0], "--inptu", "x")


def test_every_unknown_override_is_named(configs):
    with pytest.raises(InputError, match=r"got --sed, --zzz; known are input, output_dir, train"):
        read("--config_file", configs[0], "--sed", "1", "--zzz", "2")


def test_nested_override_that_is_not_there(configs):
    with pytest.raises(InputError, match="got --train::trainer::max_epoch"):
        read("--config_file", configs[0], "--train::trainer::max_epoch", "9")


def test_overrides_in_an_args_file_are_checked_too(configs, tmp_path):
    arguments = tmp_path / "args.json"
    arguments.write_text(json.dumps({"config_file": [str(file) for file in configs], "seed": 1}))
    read("--args_file", arguments)
    arguments.write_text(json.dumps({"config_file": str(configs[0]), "sede": 1}))
    with pytest.raises(InputError, match="got --sede"):
        read("--args_file", arguments)


@pytest.mark.parametrize(
    "text",
    [
        "2024_05", "1,2", "[x]", "1e5", "None", "True", "a#b", "a::b", "@at", "[]",
        "$__import__('os').system('touch x').nii.gz", "C:\\new", "'quoted'", "a=b",
        "zwei Wörter\n", "~/x", "['a', 1]", "('a','b')",
    ],
)  # fmt: skip
def test_a_path_is_taken_as_it_stands(configs, text):
    kept = {"input": text, "output_dir": text}
    assert read("--config_file", configs[0], "--input", text, f"--output_dir={text}") == kept


def test_a_python_list_of_quoted_paths_is_a_list_of_them(configs):
    assert read("--config_file", configs[0], "--input", "['a','$b']") == {"input": ["a", "$b"]}


def test_names_are_read_as_ever_and_not_evaluated():
    assert read("--exclude", "[s1,'$b']")["exclude"] == ["s1", "$b"]
    assert read("--structures", "liver,spleen")["structures"] == ("liver", "spleen")


def test_what_is_no_text_is_left_to_monai():
    assert read("--device", "$torch.device('cpu')", "--patch_size", "[96,96,96]") == {}


def test_text_of_an_args_file_is_taken_as_it_stands(configs, tmp_path):
    arguments = tmp_path / "args.yaml"
    arguments.write_text(f"config_file: {configs[0]}\ninput: $b\noutput_dir: '@c'\n")
    assert read("--args_file", arguments) == {"input": "$b", "output_dir": "@c"}
    assert read("--args_file", arguments, "--input", "d")["input"] == "d"


@pytest.mark.parametrize("arguments", [["--input", "--output_dir", "x"], ["--input", ""]])
def test_a_path_without_a_value(configs, arguments):
    with pytest.raises(InputError, match="--input must have a value, got none"):
        read("--config_file", configs[0], *arguments)


def test_a_file_that_may_be_left_out_may_be_empty():
    assert read("--initial_weights", "") == {"initial_weights": ""}


def test_none_would_be_left_out_without_a_word(configs):
    with pytest.raises(InputError, match="--seed must have a value, got None, which MONAI leaves"):
        read("--config_file", f"['{configs[0]}','{configs[1]}']", "--seed", "None")


@pytest.mark.parametrize(
    "line",
    [
        ["--a", "1", "--b=2", "-c", "3"],
        ["--a-b", "x", "--c", "--d"],
        ["--nofigures", "--a", "-1"],
        ["-abc=x=y", "--e", "-x"],
        ["--a", "1", "--a", "2", "--", "--verbose"],
    ],
)
def test_options_are_those_that_fire_finds(line):
    def show(**given):
        return given

    found = {key: DefaultParseValue(str(value)) for key, value in _options(line).items()}
    assert found == fire.Fire(show, line)


def test_other_programs_command_lines_are_none_of_ours(monkeypatch):
    hook = sys.excepthook
    monkeypatch.setattr(sys, "argv", ["pytest", "run", "--config_file", "x", "--nonsense"])
    read_command_line({})
    assert sys.excepthook is hook


def test_the_commands_own_line_is_checked(monkeypatch, configs):
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    program = "/site-packages/monai/bundle/__main__.py"
    arguments = ["run", "--config_file", str(configs[0]), "--inptu", "x"]
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    with pytest.raises(InputError, match="did you mean --input"):
        read_command_line({})
    assert sys.excepthook is say_in_one_line


PROGRAM = "/site-packages/monai/bundle/__main__.py"


@pytest.fixture
def look(monkeypatch, configs):
    """What a command's first look says of its line: an error, or nothing."""
    base, _ = configs
    whole = base.with_name("inference.json")
    whole.write_text(json.dumps({"bundle_root": "", **json.loads(base.read_text())}))
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)

    def say(*arguments, files="['inference.json','overlay.json']"):
        monkeypatch.chdir(base.parent)
        line = [PROGRAM, "run", "--config_file", files, *arguments]
        monkeypatch.setattr(sys, "argv", line)
        try:
            first_look()
        except SystemExit as end:
            return end.code
        return None

    return say


def test_ctrl_c_is_told_in_one_line_from_the_first_look_on(look):
    assert look() is None
    assert sys.excepthook is say_in_one_line


def test_first_look_leaves_other_programs_alone(monkeypatch):
    hook = sys.excepthook
    monkeypatch.setattr(sys, "argv", ["pytest", "run", "--input", "%x"])
    first_look()
    assert sys.excepthook is hook


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ("overlay.json", "overlay.json"),
        ("['overlay.json','base.json']", "overlay.json, base.json"),
        ("['overlay.json','inference.json']", "overlay.json, inference.json"),
    ],
)
def test_an_overlay_must_lie_over_its_base(look, files, names):
    error = look(files=files)
    rest = [name for name in names.split(", ") if name != "inference.json"]
    assert error == (
        f"error: config_file must begin with inference.json, got {names}; "
        f'write --config_file "{["inference.json", *rest]}"'
    )


@pytest.mark.parametrize(
    "text",
    [
        "$import os.nii.gz", "$from os import x", "$import a b", "$ import os", "%x.nii.gz",
        "%input", "['a.nii.gz','%b.nii.gz']", "['$import os']",
    ],
)  # fmt: skip
def test_what_monai_would_run_or_replace_is_refused(look, text):
    for option in ("--input", "--output_dir"):
        error = look(option, text)
        assert error.startswith(f"error: {option} must not begin with % or $import, got ")
        assert error.endswith("; write ./ before the path, or rename it")


@pytest.mark.parametrize("text", ["./$import os", "./%x", "$a.nii.gz", "100%", "important", "@x"])
def test_other_paths_pass_the_first_look(look, text):
    assert look("--input", text) is None


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


def test_interrupt_of_an_import_ends_without_traceback_too(tmp_path, repository):
    (tmp_path / "slow.py").write_text("raise KeyboardInterrupt")
    program = (
        "import pydoc, sys\nfrom common.bundle import command_line\n"
        "sys.excepthook = command_line.say_in_one_line\npydoc.locate('slow.part')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False,
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(repository)},
    )  # fmt: skip
    assert ended.stderr.strip().splitlines()[-1].startswith("interrupted: ")
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 130


def test_interrupt_ends_without_traceback(capsys):
    say_in_one_line(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err.strip() == (
        "interrupted: the same command goes on with what is left"
    )
