"""A model hub on this machine alone: as much of the Hugging Face hub as its client needs for a download."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["Hub", "serving"]

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What is served: files by repository, all at ``commit``, which is where ``main`` points."""

    repositories: Mapping[str, Mapping[str, bytes]]
    commit: str = COMMIT
    address: str = ""
    requests: list[str] = field(default_factory=list)
    """Method and path of every request, in order."""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for one path without its query."""
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            repo, rest = "/".join(parts[2:4]), parts[4:]
            if repo not in self.repositories or (rest and rest[1] not in ("main", self.commit)):
                return self._missing("RepoNotFound" if repo not in self.repositories else "RevisionNotFound")
            return 200, {"Content-Type": "application/json"}, json.dumps(self._described(repo, rest)).encode()
        repo, name = "/".join(parts[:2]), "/".join(parts[4:])
        content = self.repositories.get(repo, {}).get(name)
        if content is None or parts[2:3] != ["resolve"] or parts[3] not in ("main", self.commit):
            return self._missing("EntryNotFound")
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": self.commit}
        return 200, headers, content

    def _described(self, repo: str, rest: list[str]) -> object:
        files = self.repositories[repo]
        if rest[:1] == ["tree"]:
            return [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in files.items()
            ]
        return {"id": repo, "sha": self.commit, "siblings": [{"rfilename": name} for name in files], "tags": []}

    @staticmethod
    def _missing(code: str) -> tuple[int, dict[str, str], bytes]:
        return 404, {"X-Error-Code": code, "X-Error-Message": "not here"}, b""


@contextlib.contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub at ``hub.address`` within the block; afterwards nobody listens there."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            status, headers, body = hub.answer(self.path.split("?")[0])
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815  # the name that http.server looks for

        def log_message(self, format: str, *args: object) -> None:
            """Requests are kept in ``hub.requests`` and not printed."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
