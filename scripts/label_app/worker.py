"""The bundles' side of the MONAI Label app: questions come on standard input, answers go out.

Runs in the bundles' environment, started by `bundle_process.py`. One JSON object per line:

- `{"do": "list"}`: the bundles, and the labels of the volumes that each sends.
- `{"do": "run", "bundle": ..., "image": ..., "output_dir": ..., "options": {...}}`: one scan
  through `inference.json`, as the bundle's own command, the network kept for the next one.

A run's folder then holds what the command writes, and `where.nii.gz` where that is no mask.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from argparse import ArgumentParser
from collections import OrderedDict
from pathlib import Path
from typing import Any

from ignite.engine import Events
from monai.bundle import ConfigWorkflow
from torch import nn
from where import WHERE_NAME, ShowWhere, labels_of

from common.bundle.catalog import WEIGHTS, BundleEntry, list_bundles
from common.errors import InputError, first_of
from common.outputs.segmentation import SEGMENTATION_NAME, names_by_number
from common.weights.card import Card, read_card

logger = logging.getLogger("label_app.worker")
FAULT = "the run failed for a reason of its own; the server's log tells more"
OTHERS = {"figures": False, "num_workers": 0}


class LoadedNetworks:
    """Networks ready to run, the least recently used ones dropped above a size.

    Args:
        keep_gb: Of all weights together, 10^9 bytes; one network is kept whatever its size.
    """

    def __init__(self, keep_gb: float) -> None:
        self.keep_gb = keep_gb
        self._networks: OrderedDict[tuple[Any, ...], nn.Module] = OrderedDict()

    def get(self, key: tuple[Any, ...], parser: Any) -> nn.Module:
        """The network of `key`, as `parser` makes it where it is not there yet."""
        if key not in self._networks:
            self._networks[key] = parser.get_parsed_content("network")
        self._networks.move_to_end(key)
        while len(self._networks) > 1 and self.size_gb() > self.keep_gb:
            self._networks.popitem(last=False)
        return self._networks[key]

    def size_gb(self) -> float:
        """Of all weights together."""
        tensors = (t for each in self._networks.values() for t in each.state_dict().values())
        return float(sum(tensor.numel() * tensor.element_size() for tensor in tensors)) / 1e9

    def clear(self) -> None:
        """Drop all, for example when memory has run out."""
        self._networks.clear()


def describe_bundles() -> list[dict[str, Any]]:
    """Every bundle: name, title, version, task, and its labels; none where it has no weights."""
    return [
        {
            "name": bundle.name,
            "title": bundle.title,
            "version": bundle.version,
            "task": bundle.task,
            "labels": labels_sent(bundle, _card_of(bundle)) if bundle.runs_with else None,
        }
        for bundle in list_bundles()
    ]


def labels_sent(bundle: BundleEntry, card: Card) -> dict[str, int]:
    """Name to number in the volume that a viewer gets, every number from 1 on.

    3D Slicer's client counts: the first name is 1, the next 2. A number that the weights do not
    use keeps its place.
    """
    if makes_mask(bundle):
        names = names_by_number(card)[1:]
    else:
        names = labels_of(card, tells_slices=tells_slices(bundle))
    return {name or f"unused {number}": number for number, name in enumerate(names, start=1)}


def makes_mask(bundle: BundleEntry) -> bool:
    """Whether the bundle's own command writes a label volume."""
    return any(output["format"] == "segmentation" for output in bundle.outputs.values())


def tells_slices(bundle: BundleEntry) -> bool:
    """Whether the bundle's own command says which slices speak for a finding."""
    return bool(json.loads(_config_of(bundle).read_text(encoding="utf-8")).get("relevance"))


def run(
    networks: LoadedNetworks, *, bundle: str, image: str, output_dir: str, options: dict[str, str]
) -> dict[str, Any]:
    """One scan through one bundle.

    Returns:
        `folder` of the case, `volume` (the label volume there) and its `labels`.

    Raises:
        InputError: If the scan or an option cannot be used.
    """
    entry = next(each for each in list_bundles() if each.name == bundle)
    workflow = ConfigWorkflow(
        config_file=str(_config_of(entry)),
        logging_file=False,
        workflow_type="infer",
        bundle_root=entry.path,
        input=Path(image),  # no text, which a config might read as an expression
        output_dir=Path(output_dir),
        **OTHERS,
        **options,
    )
    workflow.initialize()
    parser = workflow.parser
    card = parser.get_parsed_content("card")
    key = (bundle, str(parser.get_parsed_content("device")), *_state_of(card))
    network = networks.get(key, parser)
    labels = labels_sent(entry, card)
    parser["network"] = network
    if not makes_mask(entry):
        evaluator = parser.get_parsed_content("evaluator")
        show = ShowWhere(Path(output_dir), list(labels))
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, show)
    workflow.run()
    (result,) = Path(output_dir).glob("*/result.json")
    return {
        "folder": str(result.parent),
        "volume": SEGMENTATION_NAME if makes_mask(entry) else WHERE_NAME,
        "labels": labels,
    }


def answer(networks: LoadedNetworks, question: dict[str, Any]) -> dict[str, Any]:
    """Answer one question; what goes wrong is an `error`, by a user or by a `fault` of our own."""
    try:
        if question.pop("do") == "list":
            return {"bundles": describe_bundles()}
        return run(networks, **question)
    except Exception as error:  # the next question must find us alive
        link = first_of(error, InputError)
        if link is not None:
            return {"error": str(link)}
        networks.clear()
        traceback.print_exc()
        return {"error": FAULT, "fault": True}


def main() -> None:
    options = ArgumentParser(description=__doc__)
    options.add_argument("--keep_gb", type=float, required=True)
    networks = LoadedNetworks(options.parse_args().keep_gb)
    logging.basicConfig(level=logging.INFO)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is no answer
    for line in sys.stdin:
        print(json.dumps(answer(networks, json.loads(line))), file=answers, flush=True)


def _config_of(bundle: BundleEntry) -> Path:
    return Path(bundle.path, "configs", "inference.json")


def _card_of(bundle: BundleEntry) -> Card:
    return read_card(Path(bundle.path, "models", WEIGHTS[str(bundle.runs_with)]))


def _state_of(card: Card) -> tuple[str, int, int]:
    """Changes when other tensors are put in place of those that were loaded."""
    if card.tensors is None or not card.tensors.is_file():
        return str(card.path), 0, 0  # loading says what is missing
    facts = card.tensors.stat()
    return str(card.tensors), facts.st_mtime_ns, facts.st_size


if __name__ == "__main__":
    main()
