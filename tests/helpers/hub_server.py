# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""A server of the Hub's protocol in memory, on the loopback interface: the routes by which huggingface_hub makes
repositories, uploads, commits, lists and downloads.
"""

import base64
import hashlib
import itertools
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_" + "right" * 7
LFS_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".parquet", ".png")
LFS_BYTES = 10_000_000
PART_BYTES = 1_000_000  # size of the parts of a large file; on the Hub far larger


@dataclass
class Commit:
    oid: str
    message: str
    files: dict[str, bytes]


@dataclass
class Repo:
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, message: str, changes: dict[str, bytes | None]) -> Commit:
        files = dict(self.commits[self.branches[branch]].files) if branch in self.branches else {}
        for name, content in changes.items():
            files.pop(name, None)
            if content is not None:
                files[name] = content
        oid = hashlib.sha1(f"{len(self.commits)} {message} {sorted(files)}".encode()).hexdigest()
        self.commits[oid] = Commit(oid, message, files)
        self.branches[branch] = oid
        return self.commits[oid]

    def at(self, revision: str) -> Commit | None:
        return self.commits.get(self.branches.get(revision, revision))

    @property
    def files(self) -> dict[str, bytes]:
        """Of the main branch."""
        return self.at("main").files


def is_large(name: str, size: int) -> bool:
    return name.endswith(LFS_SUFFIXES) or size > LFS_BYTES


def file_oid(name: str, content: bytes) -> str:
    if is_large(name, len(content)):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class HubServer(ThreadingHTTPServer):
    """A server of the Hub's protocol.

    Attributes:
        repos (`dict[str, Repo]`): repositories by name.
        requests (list of (method, path)): all requests, in order.
        uploaded (`list[str]`): sha256 of the large files that arrived completely, in order.
        cut_above (`int`, *optional*): an upload of more bytes is cut off in the middle. When it is tried again, it is
            refused, like an expired signed address.
    """

    daemon_threads = True

    def __init__(self, address=("127.0.0.1", 0)):
        super().__init__(address, Handler, bind_and_activate=False)
        self.server_bind()  # takes a free port; connections are refused until `serve`
        self.lock = threading.Lock()
        self.repos, self.large_files, self.parts = {}, {}, {}
        self.requests, self.uploaded, self.cut_above, self.broken = [], [], None, set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        pass  # a client closed the connection


class Refused(Exception):
    """An error answer."""

    def __init__(self, status: int, message: str, code: str | None = None):
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def log_message(self, *args):
        pass

    def do_request(self):
        path = urlsplit(self.path)
        self.parts = [unquote(part) for part in path.path.strip("/").split("/")]
        self.query = {name: values[0] for name, values in parse_qs(path.query).items()}
        self.user = None
        with self.server.lock:
            self.server.requests.append((self.command, path.path))
        try:
            if self.parts[0] == "large":
                return self.receive_large()
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if token and token != TOKEN:
                raise Refused(401, "Invalid credentials in Authorization header")
            self.user = "user" if token else None
            with self.server.lock:
                self.route(body)
        except Refused as error:
            headers = {"X-Error-Message": error.message}
            if error.code:
                headers["X-Error-Code"] = error.code
            self.answer({"error": error.message}, error.status, headers)

    do_GET = do_HEAD = do_POST = do_PUT = do_request

    def answer(self, content, status=200, headers=None):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def route(self, body: bytes):
        parts = self.parts
        if parts == ["api", "whoami-v2"]:
            self.need_user()
            return self.answer({"name": "user", "type": "user", "orgs": []})
        if parts == ["api", "validate-yaml"]:
            return self.answer({"errors": [], "warnings": []})
        if parts == ["api", "repos", "create"]:
            return self.create(json.loads(body))
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            return self.api("/".join(parts[2:4]), parts[4:], body)
        if parts[1].endswith(".git") and parts[2:] == ["info", "lfs", "objects", "batch"]:
            self.find(f"{parts[0]}/{parts[1].removesuffix('.git')}", write=True)
            return self.batch(json.loads(body))
        if len(parts) > 4 and parts[2] == "resolve":
            return self.resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        raise Refused(404, f"No such route: {self.path}")

    def need_user(self):
        if self.user is None:
            raise Refused(401, "Invalid username or password.")

    def find(self, repo_id: str, write: bool = False) -> Repo:
        if write:
            self.need_user()
        repo = self.server.repos.get(repo_id)
        if repo is None or (repo.private and self.user is None):
            raise Refused(404 if self.user else 401, "Repository not found", "RepoNotFound")
        return repo

    def create(self, settings: dict):
        self.need_user()
        repo_id = f"{settings.get('organization') or self.user}/{settings['name']}"
        if not repo_id.startswith(("user/", "timm/")):
            raise Refused(403, f"You don't have the rights to create a model under {repo_id.split('/')[0]}")
        answer = {"url": f"{self.server.url}/{repo_id}", "id": repo_id}
        if repo_id in self.server.repos:
            return self.answer({**answer, "error": "You already created this model repo"}, 409)
        repo = self.server.repos[repo_id] = Repo(
            settings.get("visibility") == "private" or bool(settings.get("private"))
        )
        repo.commit("main", "initial commit", {".gitattributes": b"*.safetensors filter=lfs\n"})
        return self.answer(answer)

    def api(self, repo_id: str, parts: list[str], body: bytes):
        writes = self.command == "POST"
        repo = self.find(repo_id, writes)
        action, revision = (parts + [None, None])[:2]
        if writes and action == "branch":
            if revision in repo.branches:
                raise Refused(409, "Reference already exists")
            repo.branches[revision] = repo.branches["main"]
            return self.answer({})
        if action == "refs":
            branches = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": o} for n, o in repo.branches.items()]
            return self.answer({"branches": branches, "converts": [], "tags": []})
        commit = repo.at(revision or "main")
        if commit is None:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        if writes and action == "preupload":
            return self.preupload(commit, json.loads(body))
        if writes and action == "commit":
            return self.commit(repo_id, repo, revision, body)
        if action in (None, "revision"):
            files = [{"rfilename": name} for name in commit.files]
            model = {"id": repo_id, "_id": repo_id, "sha": commit.oid, "private": repo.private, "siblings": files}
            return self.answer({**model, "tags": [], "downloads": 0, "likes": 0})
        if action == "tree":
            return self.answer([self.entry(name, content) for name, content in commit.files.items()])
        raise Refused(404, f"No such route: {self.path}")

    @staticmethod
    def entry(name: str, content: bytes) -> dict:
        oid, size = file_oid(name, content), len(content)
        large = {"lfs": {"oid": oid, "size": size, "pointerSize": 130}} if is_large(name, size) else {}
        return {"type": "file", "path": name, "oid": oid, "size": size, **large}

    def preupload(self, commit: Commit, asked: dict):
        files = []
        for file in asked["files"]:
            name = file["path"]
            mode = "lfs" if is_large(name, file["size"]) else "regular"
            known = {"oid": file_oid(name, commit.files[name])} if name in commit.files else {}
            files.append({"path": name, "uploadMode": mode, "shouldIgnore": False, **known})
        self.answer({"files": files, "commitOid": commit.oid})

    def commit(self, repo_id: str, repo: Repo, branch: str, body: bytes):
        if branch not in repo.branches:
            raise Refused(404, f"Invalid rev id: {branch}", "RevisionNotFound")
        header, changes = None, {}
        for line in body.splitlines():
            key, value = (entry := json.loads(line))["key"], entry["value"]
            if key == "header":
                header = value
            elif key == "file":
                changes[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                if value["oid"] not in self.server.large_files:
                    raise Refused(400, f"{value['path']} has not been uploaded")
                changes[value["path"]] = self.server.large_files[value["oid"]]
            elif key == "deletedFile":
                changes[value["path"]] = None
        commit = repo.commit(branch, header["summary"], changes)
        url = f"{self.server.url}/{repo_id}/commit/{commit.oid}"
        self.answer({"success": True, "commitUrl": url, "commitOid": commit.oid, "hookOutput": ""})

    # Large files -----------------------------------------------------------------------------------------------------

    def batch(self, asked: dict):
        objects = []
        for file in asked["objects"]:
            oid, size = file["oid"], file["size"]
            answer = {"oid": oid, "size": size}
            if oid not in self.server.large_files:
                address = f"{self.server.url}/large/{oid}"
                upload = {"href": address}
                if size > PART_BYTES:
                    count = -(-size // PART_BYTES)
                    addresses = {str(number + 1): f"{address}/{number}" for number in range(count)}
                    upload["header"] = {"chunk_size": str(PART_BYTES), **addresses}
                answer["actions"] = {"upload": upload}
            objects.append(answer)
        self.answer({"transfer": "multipart", "objects": objects})

    def receive_large(self):
        oid, server = self.parts[1], self.server
        length = int(self.headers["Content-Length"])
        number = int(self.parts[2]) if len(self.parts) > 2 else None
        cut = server.cut_above is not None and length > server.cut_above
        content = self.rfile.read(length // 2 if cut else length)
        if cut and self.path not in server.broken:
            server.broken.add(self.path)
            self.close_connection = True
            self.connection.close()
            return
        if cut:
            self.close_connection = True
            raise Refused(403, "Request has expired")
        with server.lock:
            if self.command == "POST":
                parts = json.loads(content)["parts"]
                content = b"".join(server.parts[oid, part["partNumber"] - 1] for part in parts)
            elif number is not None:
                server.parts[oid, number] = content
                return self.answer(b"", headers={"ETag": hashlib.md5(content).hexdigest()})
            if hashlib.sha256(content).hexdigest() != oid:
                raise Refused(400, "The content is not that of its sha256")
            server.large_files[oid] = content
            server.uploaded.append(oid)
        self.answer(b"")

    # Download --------------------------------------------------------------------------------------------------------

    def resolve(self, repo_id: str, revision: str, name: str):
        repo = self.find(repo_id)
        commit = repo.at(revision)
        if commit is None:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        headers = {"X-Repo-Commit": commit.oid}
        if name not in commit.files:
            headers |= {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}
            return self.answer({"error": "Entry not found"}, 404, headers)
        content, status = commit.files[name], 200
        headers |= {"ETag": f'"{file_oid(name, content)}"', "Accept-Ranges": "bytes"}
        if is_large(name, len(content)):
            headers |= {"X-Linked-Etag": headers["ETag"], "X-Linked-Size": str(len(content))}
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes="):
            start, _, end = wanted.removeprefix("bytes=").partition("-")
            start, end = int(start), min(int(end or len(content) - 1), len(content) - 1)
            status, headers["Content-Range"] = 206, f"bytes {start}-{end}/{len(content)}"
            content = content[start : end + 1]
        self.answer(content, status, headers)


def serve(server: HubServer) -> threading.Thread:
    """Starts a server; `server.shutdown()` ends it."""
    server.server_activate()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    return thread


_numbers = itertools.count()


def new_repo_id() -> str:
    """A name that no repository has yet, since the client caches downloads."""
    return f"user/model-{next(_numbers)}"
