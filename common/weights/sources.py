"""Where a bundle's weights are published, as its `large_files.yml` says.

large_files:
  - name: published                # what --source picks it by; the first entry is the default
    path: models/model.pt
    url: https://huggingface.co/ann/net      # empty where nobody has published any
    file: "*.pth"
    layout: published              # of models/key_map.json
    thresholds: thresholds.json
    files:                         # what else belongs to the weights, by its name beside them
      tokenizer/vocab.json: {url: https://huggingface.co/gpt2, file: vocab.json}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Required
from urllib.parse import urlparse

from monai.bundle import ConfigParser
from typing_extensions import TypedDict

from ..errors import InputError
from ..typed_json import problems_of
from .card_content import FilePath, Sha256

LARGE_FILES = "large_files.yml"


@dataclass(frozen=True)
class PublishedFile:
    """One file on the hub.

    Attributes:
        file: Its name in the repository, or a pattern that fits it alone.
        url: The repository's page.
        revision: Branch, tag or commit.
        sha256: Empty if it is not known.
    """

    file: str
    url: str
    revision: str = "main"
    sha256: str = ""

    @property
    def repository(self) -> str:
        """`<owner>/<name>` on the hub."""
        return urlparse(self.url).path.strip("/")


@dataclass(frozen=True)
class Source:
    """A checkpoint and what belongs to it, as `large_files.yml` has it.

    Attributes:
        path: Where it goes, below the bundle.
        url: The repository's page on the hub; empty if nobody has published any.
        file: Name of the checkpoint there, or a pattern that fits it alone.
        layout: Which of the key map's layouts it has.
        name: What it is picked by, where a bundle has several.
        card: Of these weights, in `models`.
        revision: Branch, tag or commit.
        part: The submodule that the checkpoint fills; empty where it is the whole network. A part
            is no weights to run: training starts from it.
        thresholds: Name or pattern of a JSON with a threshold per label; empty if there is none.
        files: What else belongs to the weights, by its name beside them: `file`, and where they
            differ from the checkpoint's `url`, `revision`; `sha256` where it is known.
        hash_type: `sha256`.
        hash_val: Of the checkpoint; `unpublished` if the publisher names none. MONAI's
            `download_large_files` then refuses whatever it gets, such as a web page.
    """

    path: str
    url: str
    file: str
    layout: str
    name: str = "published"
    card: str = "published.json"
    revision: str = "main"
    part: str = ""
    thresholds: str = ""
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    hash_type: str = "sha256"
    hash_val: str = "unpublished"

    @property
    def sha256(self) -> str:
        """Of the checkpoint; empty if it is not known."""
        return "" if self.hash_val == "unpublished" else self.hash_val

    @property
    def repository(self) -> str:
        """`<owner>/<name>` on the hub."""
        return self.checkpoint.repository

    @property
    def checkpoint(self) -> PublishedFile:
        """The file of the network's tensors."""
        return PublishedFile(self.file, self.url, self.revision, self.sha256)

    @property
    def thresholds_file(self) -> PublishedFile | None:
        """The file of the thresholds, if there is one."""
        named = PublishedFile(self.thresholds, self.url, self.revision)
        return named if self.thresholds else None

    @property
    def further_files(self) -> dict[str, PublishedFile]:
        """What else belongs to the weights, by its name beside them."""
        found = {}
        for name, given in self.files.items():
            here = {"url": self.url, "revision": self.revision} if "url" not in given else {}
            found[name] = PublishedFile(**{**here, **given})
        return found


class _File(TypedDict, total=False):
    file: Required[str]
    url: str
    revision: str
    sha256: Sha256


class _Source(TypedDict, total=False):
    path: Required[str]
    url: Required[str]
    file: Required[str]
    layout: Required[str]
    name: str
    card: str
    revision: str
    part: str
    thresholds: str
    files: dict[FilePath, _File]
    hash_type: str
    hash_val: str


class _LargeFiles(TypedDict):
    large_files: list[_Source]


def read_sources(bundle_root: str | Path) -> list[Source]:
    """Where a bundle's weights are published, the default first.

    Raises:
        InputError: If the bundle names no source, or one in a wrong way.
    """
    path = Path(bundle_root) / LARGE_FILES
    content: dict[str, Any] = ConfigParser.load_config_file(path) if path.is_file() else {}
    if not content.get("large_files"):
        got = f"no entry in {path}" if content else f"no {path}"
        msg = f"bundle must name where its weights are published, got {got}; train your own"
        raise InputError(msg)
    wrong = problems_of(content, _LargeFiles, name=LARGE_FILES) or _disagreements(content)
    if wrong:
        msg = f"{path}: {'; '.join(wrong)}; mend it"
        raise InputError(msg)
    return [Source(**entry) for entry in content["large_files"]]


def read_source(bundle_root: str | Path, name: str = "") -> Source:
    """One of a bundle's sources; the first if no name is given.

    Raises:
        InputError: If the bundle has none, or none of that name.
    """
    sources = {source.name: source for source in read_sources(bundle_root)}
    if name and name not in sources:
        msg = f"source must be one of {', '.join(sources)}, got {name}; see {LARGE_FILES}"
        raise InputError(msg)
    return sources[name] if name else next(iter(sources.values()))


def _disagreements(content: Mapping[str, Any]) -> list[str]:
    """Keys that nobody reads, and names that pick more than one source."""
    found: list[str] = []
    names: set[str] = set()
    for number, entry in enumerate(content["large_files"]):
        where = f"large_files[{number}]"
        found += _strangers(where, entry, Source)
        for name, file in entry.get("files", {}).items():
            found += _strangers(f"{where}.files.{name}", file, PublishedFile)
        name = entry.get("name", Source.name)
        if name in names:
            found.append(f"{where}.name must differ from the others', got {name}")
        names.add(name)
    return found


def _strangers(where: str, entry: Mapping[str, Any], of: type[Source | PublishedFile]) -> list[str]:
    known = [each.name for each in fields(of)]
    strangers = [key for key in entry if key not in known]
    return [f"{where} must have no keys but {', '.join(known)}, got {key}" for key in strangers]
