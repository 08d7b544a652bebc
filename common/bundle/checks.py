"""What the MONAI model zoo demands of a bundle, tried on a packed one.

MONAI's own functions do the work (`verify_metadata`, `verify_net_in_out`, `load`, `ckpt_export`,
`onnx_export`). Two things are added: an exported network is run beside the original, and the
metadata's schema comes from here, so that no network is needed.
"""

from __future__ import annotations

import io
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import (
    ConfigWorkflow,
    ckpt_export,
    load,
    onnx_export,
    verify_metadata,
    verify_net_in_out,
)
from torch import Tensor, nn

from ..errors import InputError
from ..weights.card import read_card
from ..weights.loading import file_sha256
from .catalog import METADATA, read_metadata
from .golden import check_golden, difference, example_inputs, outputs_of, run_network
from .packing import SUMS

SCHEMA = Path(__file__).with_name("metadata_schema.json")
FILES = (
    "LICENSE",
    "configs/metadata.json",
    "configs/inference.json",
    "configs/evaluate.json",
    "configs/train.json",
    "configs/logging.conf",
    "docs/README.md",
    "docs/data_license.txt",
    "models/model.pt",
    "models/model.json",
)
LARGEST_MB = 25.0  # the model zoo takes no larger file
AXES = {0: "batch", 2: "depth", 3: "height", 4: "width"}
TOLERANCE = 1e-5  # between a network's output and its export's, of the largest number in it


@dataclass(frozen=True)
class Check:
    """Attributes: `name` of the check, whether it `passed`, and in a few words what it found."""

    name: str
    passed: bool
    found: str


def check_bundle(archive: Path) -> Iterator[Check]:
    """Unpack a packed bundle into a folder of its own and run every check on it.

    Args:
        archive: `<name>_v<version>.zip`, with weights.

    Yields:
        One result after another; a check that fails does not stop the next.

    Raises:
        InputError: If the file is no packed bundle.
    """
    with tempfile.TemporaryDirectory() as temporary:
        try:
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(temporary)
        except (OSError, zipfile.BadZipFile) as error:
            msg = f"bundle must be a zip that pack_bundle made, got {archive} ({error})"
            raise InputError(msg) from error
        folders = [path.parents[1] for path in Path(temporary).glob(f"*/{METADATA}")]
        if len(folders) != 1:
            msg = f"bundle must hold one */{METADATA}, got {archive} with {len(folders)}; pack it"
            raise InputError(msg)
        with _importable(folders[0]):
            for name, check in CHECKS.items():
                yield _run(name, check, folders[0])


def check_files(folder: Path) -> str:
    """Every file of a complete bundle is there, none beyond the model zoo's limit."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        msg = f"bundle must hold {', '.join(missing)}; add them"
        raise InputError(msg)
    size = {path: path.stat().st_size / 1e6 for path in folder.rglob("*") if path.is_file()}
    large = [path.name for path, megabytes in size.items() if megabytes > LARGEST_MB]
    note = f"; above {LARGEST_MB:g} MB, to be fetched apart: {', '.join(large)}" if large else ""
    return f"{len(size)} files, {sum(size.values()):.1f} MB{note}"


def check_sums(folder: Path) -> str:
    """Every file is the one that was packed."""
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    for line in lines:
        digest, name = line.split("  ", 1)
        if file_sha256(folder / name) != digest:
            msg = f"file must have the sha256 of {SUMS}, got another {name}; pack it again"
            raise InputError(msg)
    return f"{len(lines)} as listed"


def check_metadata(folder: Path) -> str:
    """The metadata has what MONAI's schema demands, and more."""
    verify_metadata(meta_file=str(folder / METADATA), filepath=str(SCHEMA))
    return "fits the schema"


def check_changelog(folder: Path) -> str:
    """The changelog tells of the version, newest first."""
    metadata = read_metadata(folder)
    version, changelog = metadata["version"], metadata["changelog"]
    if next(iter(changelog)) != version:
        msg = f"changelog must begin with version {version}, got {next(iter(changelog))}; add it"
        raise InputError(msg)
    return f"{version}: {changelog[version]}"


def check_properties(folder: Path) -> str:
    """The configs hold what MONAI's workflows ask of them."""
    configs = folder / "configs"
    inference = str(configs / "inference.json")
    for kind, files in (
        ("infer", [inference]),
        ("train", [inference, str(configs / "train.json")]),
    ):
        workflow = ConfigWorkflow(
            files, workflow_type=kind, bundle_root=str(folder), logging_file=False
        )
        workflow.initialize()
        missing = workflow.check_properties()
        if missing:
            msg = f"{kind} workflow must have {', '.join(missing)}; add them to the configs"
            raise InputError(msg)
    return "infer, train"


def check_in_and_out(folder: Path) -> str:
    """The network takes and gives what the metadata says; MONAI's own check knows one of each."""
    metadata = read_metadata(folder)
    expected = metadata["network_data_format"]
    if len(expected["inputs"]) + len(expected["outputs"]) > 2:
        for name, output in run_network(_network(folder), _example(folder), metadata).items():
            channels = expected["outputs"][name]["num_channels"]
            if output.shape[1] != channels:
                msg = f"{name} must have {channels} channels, got shape {list(output.shape)}"
                raise InputError(msg)
        return f"{', '.join(expected['inputs'])} to {', '.join(expected['outputs'])}"
    verify_net_in_out(
        net_id="network_def",
        device="cpu",
        meta_file=str(folder / METADATA),
        config_file=str(folder / "configs" / "inference.json"),
    )
    return "as the metadata says"


def check_golden_output(folder: Path) -> str:
    """The network gives what it gave where it was packed."""
    return check_golden(folder, _network(folder))


def check_torchscript(folder: Path) -> str:
    """`ckpt_export` makes a TorchScript that gives what the network gives."""
    return _check_export(folder, "torchscript", "model.ts", ckpt_export, _run_torchscript)


def check_onnx(folder: Path) -> str:
    """`onnx_export` makes an ONNX model that gives what the network gives.

    Of any number and size of scans, but for the axes that the metadata calls `onnx_fixed_axes`.
    """
    fixed = read_metadata(folder).get("onnx_fixed_axes", [])
    axes = {axis: name for axis, name in AXES.items() if name not in fixed}
    return _check_export(
        folder, "onnx", "model.onnx", onnx_export, _run_onnx, axes,
        input_shape=list(_example(folder)["image"].shape),
        converter_kwargs={
            "input_names": ["image"], "output_names": ["pred"], "dynamic_axes": {"image": axes}
        },
    )  # fmt: skip


CHECKS: dict[str, Callable[[Path], str]] = {
    "files": check_files,
    "sha256": check_sums,
    "metadata": check_metadata,
    "changelog": check_changelog,
    "properties": check_properties,
    "data shape": check_in_and_out,
    "golden": check_golden_output,
    "torchscript": check_torchscript,
    "onnx": check_onnx,
}


def _run(name: str, check: Callable[[Path], str], folder: Path) -> Check:
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # exporters talk
            found = check(folder)
        return Check(name, passed=True, found=found)
    except Exception as error:  # whatever goes wrong in a bundle is what this is to find
        return Check(name, passed=False, found=f"{type(error).__name__}: {error}")


def _check_export(
    folder: Path,
    kind: str,
    file: str,
    export: Callable[..., None],
    run: Callable[[Path, Sequence[Tensor]], Sequence[Tensor]],
    axes: Mapping[int, str] | None = None,
    **given: Any,
) -> str:
    """Export and compare, on a second size too where `axes` names what may change."""
    reason = read_metadata(folder).get("not_exportable", {}).get(kind)
    if reason:
        return f"none: {reason}"
    examples = [_example(folder), *([_example(folder, axes)] if axes else [])]
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / file
        export(
            net_id="network_def",
            filepath=str(path),
            ckpt_file=str(folder / "models" / "model.pt"),
            meta_file=str(folder / METADATA),
            config_file=str(folder / "configs" / "inference.json"),
            **given,
        )
        size = path.stat().st_size / 1e6
        exported = [run(path, list(example.values())) for example in examples]
    network, metadata = _network(folder), read_metadata(folder)
    worst = 0.0
    for example, outputs in zip(examples, exported, strict=True):
        wanted = run_network(network, example, metadata)
        for found, each in zip(outputs, wanted.values(), strict=True):
            worst = max(worst, difference(found, each))
    if not worst <= TOLERANCE:
        msg = f"export must give the network's output to {TOLERANCE:g}, got {worst:g} off"
        raise InputError(msg)
    shapes = " and ".join(str(list(example["image"].shape)) for example in examples)
    return f"{size:.1f} MB, {worst:.1g} from the network on {shapes}"


def _network(folder: Path) -> nn.Module:
    """The network as a user gets it from MONAI."""
    network: nn.Module = load(
        folder.name, bundle_dir=str(folder.parent), workflow_type="inference", device="cpu"
    )
    return network.eval().requires_grad_(requires_grad=False)


def _example(folder: Path, larger: Mapping[int, str] | None = None) -> dict[str, Tensor]:
    """What the network takes, by name; `image` of a scan's or a window's size.

    It is noise of the range that the card's preprocessing gives, with as many channels as the
    metadata says, one step larger along the axes of `larger`. Other inputs are `example_inputs`.
    """
    preprocessing = read_card(folder / "models" / "model.json").preprocessing
    low, high = preprocessing["output_range"]
    size = preprocessing.get("size") or preprocessing["roi_size"]
    metadata = read_metadata(folder)
    expected = metadata["network_data_format"]["inputs"]["image"]
    shape = [1, expected["num_channels"], *size]
    steps = [1, 0, *(int(each.split("*")[0]) for each in expected["spatial_shape"])]
    for axis in larger or {}:
        shape[axis] += steps[axis]
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return {**example_inputs(metadata), "image": low + (high - low) * noise}


def _run_torchscript(path: Path, given: Sequence[Tensor]) -> Sequence[Tensor]:
    with torch.no_grad():
        return list(outputs_of(torch.jit.load(path)(*given)))


def _run_onnx(path: Path, given: Sequence[Tensor]) -> Sequence[Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    inputs = {name: each.numpy() for name, each in zip(names, given, strict=True)}
    return [torch.as_tensor(output) for output in session.run(None, inputs)]


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let a packed bundle's code be imported, and no other's of that name, before or afterwards."""
    _forget(folder.name)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        _forget(folder.name)


def _forget(bundle: str) -> None:
    code = f"_{bundle}_common"
    for name in [name for name in sys.modules if name.split(".")[0] == code]:
        del sys.modules[name]
