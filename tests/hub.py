"""A stand-in of the Hugging Face hub's HTTP interface, as far as sending a model needs it."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_stand_in_for_a_token"


class Hub(ThreadingHTTPServer):
    """Keeps what it is sent.

    Attributes:
        repositories: Name to whether it is private.
        commits: Of each repository, the files of each commit.
        denied: Whether it refuses to be written to.
        full: Whether it has no room for large files.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.repositories: dict[str, bool] = {}
        self.commits: dict[str, list[dict[str, bytes]]] = {}
        self.large: dict[str, bytes] = {}
        self.denied = self.full = False


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is written."""

    def do_GET(self) -> None:  # noqa: N802
        self._say({}, 404)

    def do_PUT(self) -> None:  # noqa: N802
        content = self._content()
        if self.server.full:
            self._say({"error": "no room"}, 507)
        else:
            self.server.large[self.path.rpartition("/")[2]] = content
            self._say({})

    def do_POST(self) -> None:  # noqa: N802
        content, path = self._content(), self.path.partition("?")[0]
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._say({"error": "Invalid credentials in Authorization header"}, 401)
        elif self.server.denied:
            self._say({"error": "You don't have the rights"}, 403)
        elif path == "/api/repos/create":
            asked = json.loads(content)
            name = f"{asked['organization']}/{asked['name']}"
            there = {"url": f"{self.server.url}/{name}", "name": name}
            if name in self.server.repositories:
                self._say({"error": "You already created this model repo", **there}, 409)
            else:
                self.server.repositories[name] = asked.get("visibility") == "private"
                self._say(there)
        elif path == "/api/validate-yaml":
            self._say({"errors": [], "warnings": []})
        elif path.endswith("/preupload/main"):
            files = json.loads(content)["files"]
            self._say({"files": [_upload_mode(file) for file in files]})
        elif path.endswith(".git/info/lfs/objects/batch"):
            objects = json.loads(content)["objects"]
            self._say({"transfer": "basic", "objects": [self._place(o) for o in objects]})
        elif path.endswith("/commit/main"):
            name = path.removeprefix("/api/models/").removesuffix("/commit/main")
            self._commit(name, [json.loads(line) for line in content.splitlines()])
            url = f"{self.server.url}/{name}/commit/{'0' * 40}"
            self._say({"commitUrl": url, "commitOid": "0" * 40, "hookOutput": ""})
        else:
            self._say({"error": path}, 404)

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        files = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
        self.server.commits.setdefault(name, []).append(files)

    def _place(self, item: dict[str, Any]) -> dict[str, Any]:
        upload = {"href": f"{self.server.url}/large/{item['oid']}"}
        return {**item, "actions": {"upload": upload}}

    def _content(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _say(self, body: Any, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status >= 400 and isinstance(body, dict) and "error" in body:
            self.send_header("X-Error-Message", body["error"])
        self.end_headers()
        self.wfile.write(data)


def _upload_mode(file: dict[str, Any]) -> dict[str, Any]:
    large = file["path"].endswith(".safetensors")
    return {
        "path": file["path"],
        "uploadMode": "lfs" if large else "regular",
        "shouldIgnore": False,
    }


@contextmanager
def stand_in() -> Iterator[Hub]:
    """A hub on this machine."""
    with Hub() as hub:
        threading.Thread(target=hub.serve_forever, args=(0.01,), daemon=True).start()
        yield hub
        hub.shutdown()
