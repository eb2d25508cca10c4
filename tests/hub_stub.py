"""A Hub on this machine: the few addresses that `huggingface_hub` asks when it downloads a model."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves one model.

    Args:
        name: its id, such as "org/name".
        folder: its files.
    """

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.name = name
        self.folder = folder
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        """Where it listens, for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(name: str, folder: Path) -> Iterator[Hub]:
    """A Hub that answers inside the block."""
    with Hub(name, folder) as hub:
        thread = threading.Thread(target=hub.serve_forever, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def log_message(self, *arguments: object) -> None:
        """Nothing on stderr: what was asked is kept in `asked`."""

    def _answer(self, with_content: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        content, kind = self._find(path)
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound" if path.startswith("/api/") else "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if with_content:
            self.wfile.write(content)

    def _find(self, path: str) -> tuple[bytes | None, str]:
        name, folder = self.server.name, self.server.folder
        if path.startswith(f"/api/models/{name}/tree/"):
            tree = [
                {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": COMMIT}
                for file in sorted(folder.iterdir())
            ]
            return json.dumps(tree).encode(), "application/json"
        if path.startswith(f"/api/models/{name}"):
            files = [{"rfilename": file.name} for file in sorted(folder.iterdir())]
            about = {"_id": "1", "id": name, "modelId": name, "sha": COMMIT, "private": False, "siblings": files}
            return json.dumps(about | {"tags": [], "downloads": 0, "likes": 0}).encode(), "application/json"
        start = f"/{name}/resolve/{COMMIT}/"
        file = folder / path.removeprefix(start)
        if path.startswith(start) and file.is_file():
            return file.read_bytes(), "application/octet-stream"
        return None, ""
