"""Sample services: each answers every request with what it got, as JSON.

    with Service("crm") as crm:
        crm.port
        crm.requests        # what came: .method .path .headers [(name, value)] .body .token

`token` is the payload of the bearer token, if it is a JWT; nothing is verified here. A real service
must check signature, issuer and audience. With `page` a folder of files is served as well, for
the demo's single-page app.
"""
import base64
import json
import mimetypes
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY_MAX = 1 << 20


class Seen:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.token = claims_of(self.one("Authorization"))

    def all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def one(self, name):
        """The header's only value; empty when there is none."""
        values = self.all(name)
        if len(values) > 1:
            raise AssertionError("%s came %d times" % (name, len(values)))
        return values[0] if values else ""

    def names(self):
        return {k.lower() for k, _ in self.headers}


def claims_of(authorization):
    """The payload of a bearer token that is a JWT, else None."""
    scheme, _, token = authorization.partition(" ")
    parts = token.split(".")
    if scheme.lower() != "bearer" or len(parts) != 3:
        return None
    try:
        return json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def _any(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(min(length, BODY_MAX))
        seen = Seen(self.command, self.path, list(self.headers.items()), body)
        service = self.server.service
        with service.lock:
            service.requests.append(seen)
        if service.page is not None and self._file(service.page):
            return
        answer = {"service": service.name, "method": seen.method, "path": seen.path,
                  "headers": seen.headers, "token": seen.token, "body_bytes": len(body)}
        self._send(200, "application/json", json.dumps(answer, indent=2).encode())

    def _file(self, folder):
        path = self.path.split("?")[0]
        name = "index.html" if path == "/" else path.lstrip("/")
        full = os.path.realpath(os.path.join(folder, name))
        if not full.startswith(os.path.realpath(folder) + os.sep) or not os.path.isfile(full):
            self._send(404, "text/plain", b"not found\n")
            return True
        with open(full, "rb") as f:
            self._send(200, mimetypes.guess_type(full)[0] or "text/plain", f.read())
        return True

    def _send(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self._any
        raise AttributeError(name)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        pass  # a client that went away


class Service:
    def __init__(self, name, page=None, port=0):
        self.name, self.page = name, page
        self.requests = []
        self.lock = threading.Lock()
        self.server = _Server(("127.0.0.1", port), _Handler)
        self.server.service = self
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def forget(self):
        with self.lock:
            self.requests.clear()

    def last(self):
        return self.requests[-1]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
