"""Sample services: each answers every request with what it got, as JSON.

    with Service("crm") as crm:
        crm.port
        crm.requests        # what came: .method .path .headers [(name, value)] .body .body_bytes .token

A path that ends in /socket takes a WebSocket and echoes; one that ends in /events answers a stream of two
events, the second after `crm.go_on.set()`.

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

import websocket

BODY_MAX = 1 << 20  # kept of one
HOLD_S = 30


class Seen:
    def __init__(self, method, path, headers, body, body_bytes):
        self.method, self.path, self.headers = method, path, headers
        self.body, self.body_bytes = body, body_bytes
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
        seen = Seen(self.command, self.path, list(self.headers.items()), *self._body())
        service = self.server.service
        with service.lock:
            service.requests.append(seen)
        if service.page is not None and self._file(service.page):
            return
        if self.path.endswith("/socket") and seen.one("Upgrade").lower() == "websocket":
            return self._socket(seen)
        if self.path.endswith("/events"):
            return self._events(service)
        answer = {"service": service.name, "method": seen.method, "path": seen.path,
                  "headers": seen.headers, "token": seen.token, "body_bytes": seen.body_bytes}
        self._send(200, "application/json", json.dumps(answer, indent=2).encode())

    def _part(self, left, kept):
        """Reads `left` bytes, adds what there is room for to `kept`; how many came."""
        came = 0
        while came < left:
            part = self.rfile.read(min(left - came, 65536))
            if not part:
                break
            came += len(part)
            kept += part[:max(0, BODY_MAX - len(kept))]
        return came

    def _body(self):
        """The first BODY_MAX bytes, and how many came; an edge may send it in chunks."""
        kept = bytearray()
        if (self.headers.get("Transfer-Encoding") or "").lower() != "chunked":
            came = self._part(int(self.headers.get("Content-Length") or 0), kept)
            return bytes(kept), came
        came = 0
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            came += self._part(size, kept)
            self.rfile.readline()
            if size == 0:
                return bytes(kept), came

    def _socket(self, seen):
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", websocket.accept_key(seen.one("Sec-WebSocket-Key")))
        self.end_headers()
        self.close_connection = True
        while True:
            kind, data = websocket.read_frame(self.rfile)
            websocket.write_frame(self.wfile, kind, data, masked=False)
            if kind == websocket.CLOSE:
                return

    def _events(self, service):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"data: first\n\n")
        service.go_on.wait(HOLD_S)
        self.wfile.write(b"data: second\n\n")

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
        self.go_on = threading.Event()
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
