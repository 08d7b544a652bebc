"""A Hugging Face hub on 127.0.0.1: what `huggingface_hub` asks for, and the ways it can fail."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What is on the hub and how it behaves; change it while it runs.

    Attributes:
        files: Content by `owner/name/path`.
        hashes: What the hub says a file hashes to, where that is not the truth.
        token: If not empty, what a request must bring.
        gated: Whether the repositories ask to accept terms.
        cut_after: Bytes after which a download's connection drops; negative for never.
        cuts: How many more times it drops.
        sent: Bytes of content sent so far.
        objects: Large files that were uploaded, by hash.
        tags: That were given to revisions.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    token: str = ""
    gated: bool = False
    cut_after: int = -1
    cuts: int = 0
    sent: int = 0
    objects: dict[str, bytes] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    endpoint: str = ""


class Server(ThreadingHTTPServer):
    """One hub."""

    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.hub = Hub()


class Handler(BaseHTTPRequestHandler):
    """Answers for the hub of its server."""

    protocol_version = "HTTP/1.1"
    server: Server

    @property
    def hub(self) -> Hub:
        """What is served."""
        return self.server.hub

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._serve(with_content=False)

    def do_GET(self) -> None:
        self._serve(with_content=True)

    def do_POST(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.hub.token and self.headers["Authorization"] != f"Bearer {self.hub.token}":
            self._end(401, {"X-Error-Message": "Invalid username or password."})
            return
        for pattern, answer in UPLOAD.items():
            if match := re.fullmatch(pattern, path):
                self._json(answer(self.hub, match[1], body))
                return
        self._end(404)

    def do_PUT(self) -> None:
        digest = self.path.rpartition("/")[2]
        self.hub.objects[digest] = self.rfile.read(int(self.headers["Content-Length"]))
        self._end(200)

    def _serve(self, *, with_content: bool) -> None:
        path = self.path.partition("?")[0].strip("/")
        if info := re.fullmatch(r"api/models/([^/]+/[^/]+)/revision/([^/]+)", path):
            self._answer_info(*info.groups())
        elif refs := re.fullmatch(r"api/models/([^/]+/[^/]+)/refs", path):
            self._answer_refs(refs[1])
        elif tree := re.fullmatch(r"api/models/([^/]+/[^/]+)/tree/[^/]+", path):
            self._answer_tree(tree[1])
        elif file := re.fullmatch(r"([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            self._answer_file(*file.groups(), with_content=with_content)
        else:
            self._end(404)

    def _may(self, repository: str) -> bool:
        known = any(name.startswith(f"{repository}/") for name in self.hub.files)
        allowed = not self.hub.token or self.headers["Authorization"] == f"Bearer {self.hub.token}"
        if self.hub.gated and not allowed:
            self._end(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
        elif not allowed:
            self._end(401, {"X-Error-Code": "RepoNotFound"})
        elif not known:
            self._end(404, {"X-Error-Code": "RepoNotFound"})
        return known and allowed

    def _answer_info(self, repository: str, revision: str) -> None:
        if not self._may(repository):
            return
        if revision not in ("main", COMMIT, *self.hub.tags):
            self._end(404, {"X-Error-Code": "RevisionNotFound"})
            return
        self._json({"id": repository, "modelId": repository, "sha": COMMIT, "siblings": []})

    def _answer_refs(self, repository: str) -> None:
        if self._may(repository):
            tags = [
                {"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": COMMIT}
                for tag in self.hub.tags
            ]
            self._json({"branches": [], "converts": [], "tags": tags})

    def _answer_tree(self, repository: str) -> None:
        if not self._may(repository):
            return
        entries = []
        for name, content in self.hub.files.items():
            if name.startswith(f"{repository}/"):
                lfs = {
                    "oid": _hash(self.hub, name),
                    "size": len(content),
                    "pointerSize": 130,
                }
                entry = {"path": name.removeprefix(f"{repository}/"), "lfs": lfs}
                entries.append({"type": "file", "size": len(content), "oid": "0" * 40, **entry})
        self._json(entries)

    def _answer_file(self, repository: str, path: str, *, with_content: bool) -> None:
        if not self._may(repository):
            return
        content = self.hub.files.get(f"{repository}/{path}")
        if content is None:
            self._end(404, {"X-Error-Code": "EntryNotFound"})
            return
        start = int((self.headers["Range"] or "bytes=0-").split("=")[1].split("-")[0])
        digest = f'"{_hash(self.hub, f"{repository}/{path}")}"'
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", digest)
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if not with_content:
            return
        part = content[start:]
        if self.hub.cuts > 0 and 0 <= self.hub.cut_after < len(part):
            self.hub.cuts -= 1
            part = part[: self.hub.cut_after]
            self.close_connection = True
        self.wfile.write(part)
        self.hub.sent += len(part)

    def _json(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _end(self, code: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {**(headers or {}), "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Serve a hub on a free port."""
    server = Server(("127.0.0.1", 0), Handler)
    server.hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        server.server_close()


def _create(hub: Hub, _: str, body: bytes) -> dict[str, Any]:
    made = json.loads(body)
    return {"url": f"{hub.endpoint}/{made['organization']}/{made['name']}"}


def _choose_modes(_hub: Hub, _: str, body: bytes) -> dict[str, Any]:
    """Tensors go as large files, everything else within the commit."""
    files = []
    for file in json.loads(body)["files"]:
        mode = "lfs" if file["path"].endswith((".pt", ".safetensors")) else "regular"
        files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False})
    return {"files": files}


def _place_objects(hub: Hub, _: str, body: bytes) -> dict[str, Any]:
    objects = [
        {**one, "actions": {"upload": {"href": f"{hub.endpoint}/lfs/{one['oid']}"}}}
        for one in json.loads(body)["objects"]
    ]
    return {"transfer": "basic", "objects": objects}


def _commit(hub: Hub, repository: str, body: bytes) -> dict[str, Any]:
    for line in map(json.loads, body.splitlines()):
        value = line["value"]
        if line["key"] == "file":
            hub.files[f"{repository}/{value['path']}"] = base64.b64decode(value["content"])
        elif line["key"] == "lfsFile":
            hub.files[f"{repository}/{value['path']}"] = hub.objects[value["oid"]]
    url = f"{hub.endpoint}/{repository}/commit/{COMMIT}"
    return {"success": True, "commitOid": COMMIT, "commitUrl": url}


def _tag(hub: Hub, _: str, body: bytes) -> dict[str, Any]:
    hub.tags.append(json.loads(body)["tag"])
    return {}


UPLOAD = {
    "api/repos/(create)": _create,
    "api/(validate-yaml)": lambda *_: {"errors": [], "warnings": []},
    "api/models/([^/]+/[^/]+)/preupload/main": _choose_modes,
    "([^/]+/[^/]+).git/info/lfs/objects/batch": _place_objects,
    "api/models/([^/]+/[^/]+)/commit/main": _commit,
    "api/models/([^/]+/[^/]+)/tag/main": _tag,
}


def _hash(hub: Hub, name: str) -> str:
    return hub.hashes.get(name) or hashlib.sha256(hub.files[name]).hexdigest()
