"""A golden input and output: they travel with a packed bundle, and any machine can repeat them.

`models/golden.safetensors` holds `inputs.<name>` and `outputs.<name>` by the names of
`metadata.json`, and in its header how many values lie between two that were kept of an output.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import InputError
from .catalog import read_metadata

GOLDEN = Path("models", "golden.safetensors")
TOLERANCE = 1e-4  # of the largest number in an output; other processors add in another order
MOST_VALUES = 4096  # kept of each output
_STEPS = 2  # of what a side must be a multiple of


def write_golden(folder: Path, *, config: Path) -> Path:
    """Run a packed bundle's weights on made-up input and keep what comes out.

    Args:
        folder: The bundle, with `models/model.json`.
        config: An `inference.json` whose code can be imported here.
    """
    parser = ConfigParser(ConfigParser.load_config_file(str(config)))
    parser["weights"], parser["device"] = folder / "models" / "model.json", torch.device("cpu")
    parser["bundle_root"] = str(folder)
    metadata = read_metadata(folder)
    given = example_inputs(metadata)
    found = run_network(parser.get_parsed_content("network"), given, metadata)
    tensors = {f"inputs.{name}": tensor for name, tensor in given.items()}
    steps = {}
    for name, output in found.items():
        step = -(-output.numel() // MOST_VALUES)
        steps[f"step.{name}"] = str(step)
        tensors[f"outputs.{name}"] = output.flatten()[::step].clone()
    save_file(tensors, folder / GOLDEN, metadata=steps)
    return folder / GOLDEN


def check_golden(folder: Path, network: nn.Module) -> str:
    """Run a network on the golden input.

    Returns:
        How far its output is from the golden one.

    Raises:
        InputError: If it is further than `TOLERANCE`, or there is none.
    """
    path = folder / GOLDEN
    if not path.is_file():
        msg = f"bundle must hold {GOLDEN}, got none; pack it again"
        raise InputError(msg)
    with safe_open(path, "pt") as kept:
        tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118 - no dict
        steps = dict(kept.metadata() or {})
    metadata = read_metadata(folder)
    given = {name: tensors[f"inputs.{name}"] for name in metadata["network_data_format"]["inputs"]}
    worst = 0.0
    for name, output in run_network(network, given, metadata).items():
        wanted = tensors[f"outputs.{name}"]
        values = output.flatten()[:: int(steps[f"step.{name}"])]
        if values.shape != wanted.shape:
            msg = f"{name} must have as many values as golden, got another shape; pack it again"
            raise InputError(msg)
        worst = max(worst, difference(values, wanted))
    if not worst <= TOLERANCE:
        msg = f"output must be the golden one to {TOLERANCE:g}, got {worst:g} off"
        raise InputError(msg)
    return f"{worst:.1g} from what the packer had"


def example_inputs(metadata: Mapping[str, Any]) -> dict[str, Tensor]:
    """Made-up input of a network, by the names and in the order of its metadata.

    A slow wave over the range that the metadata gives, each side the smallest but one that the
    network takes.
    """
    return {name: _wave(entry) for name, entry in metadata["network_data_format"]["inputs"].items()}


def run_network(
    network: nn.Module, given: Mapping[str, Tensor], metadata: Mapping[str, Any]
) -> dict[str, Tensor]:
    """A network's outputs by the names of its metadata.

    Raises:
        InputError: If it gives another number of outputs.
    """
    with torch.no_grad():
        found = network.eval()(*given.values())
    names = list(metadata["network_data_format"]["outputs"])
    outputs = list(outputs_of(found))
    if len(outputs) != len(names):
        msg = f"network must give {', '.join(names)}, got {len(outputs)} outputs"
        raise InputError(msg)
    return {name: output.float() for name, output in zip(names, outputs, strict=True)}


def difference(found: Tensor, wanted: Tensor) -> float:
    """How far an output is from the one that is wanted, as a share of its largest number, or 1."""
    return float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1))


def outputs_of(found: Any) -> Iterable[Tensor]:
    """What a network gave, one tensor after another, whether it was one, several or named ones."""
    if isinstance(found, Tensor):
        return [found]
    return found.values() if isinstance(found, Mapping) else found


def _wave(entry: Mapping[str, Any]) -> Tensor:
    shape = [1, int(entry["num_channels"]), *map(_side, entry["spatial_shape"])]
    low, high = entry.get("value_range") or (0.0, 1.0)
    steps = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    wave = 0.5 + 0.5 * torch.sin(0.37 * steps + 0.001 * steps.square() % 1)
    return (low + (high - low) * wave).reshape(shape).float()


def _side(rule: str | int) -> int:
    """`3*n`, `n`, `*` or a number, at the smallest but one `n`."""
    multiple = re.fullmatch(r"(?:(\d+)\s*\*\s*)?[np]", str(rule))
    if multiple:
        return _STEPS * int(multiple[1] or 1)
    return int(rule) if str(rule).isdigit() else _STEPS
