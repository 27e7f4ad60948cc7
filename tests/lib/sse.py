"""A stream of session events, read as a browser's EventSource reads it.

    s = Stream(port, "app.localhost:8080", "bff_session=...")
    s.status, s.header("Content-Type")
    s.next()              # Event("live", {"expires_at": ...}), or None: the stream has ended
    s.comments, s.retry   # what came besides
    s.ended_well          # HTTP/1.1: the last chunk came before the end
"""
import json
import re
import socket
import time
from collections import namedtuple

DEADLINE_S = 30
PATH = "/auth/session/events"
Event = namedtuple("Event", "name data")


class Stream:
    def __init__(self, port, host, cookie=None, path=PATH, method="GET", version="1.1", headers=()):
        self.raw, self.text = b"", ""
        self.comments, self.retry, self.ended_well, self.over = 0, None, False, False
        self.s = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
        fields = ["Host: " + host, "X-Forwarded-Proto: http", "X-Forwarded-For: 203.0.113.9"]
        fields += ["Accept: text/event-stream"] + (["Cookie: " + cookie] if cookie else [])
        self.s.sendall("\r\n".join(["%s %s HTTP/%s" % (method, path, version), *fields, *headers, "", ""]).encode())
        while b"\r\n\r\n" not in self.raw:
            got = self.s.recv(65536)
            assert got, "no answer: %r" % self.raw
            self.raw += got
        top, self.raw = self.raw.split(b"\r\n\r\n", 1)
        lines = top.decode().split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.fields = [tuple(line.split(": ", 1)) for line in lines[1:]]
        self.chunked = self.header("Transfer-Encoding") == "chunked"

    def header(self, name):
        found = [v for k, v in self.fields if k.lower() == name.lower()]
        assert len(found) <= 1, found
        return found[0] if found else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.s.close()

    def _more(self, deadline):
        self.s.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            got = self.s.recv(65536)
        except ConnectionResetError:
            got = b""
        self.over = got == b""
        self.raw += got

    def _unframe(self):
        if not self.chunked:
            self.text, self.raw = self.text + self.raw.decode(), b""
            return
        while True:
            head = re.match(rb"([0-9a-f]+)\r\n", self.raw)
            n = int(head.group(1), 16) if head else None
            if head is None or len(self.raw) < head.end() + n + 2:
                return
            chunk, end = self.raw[head.end():head.end() + n], self.raw[head.end() + n:head.end() + n + 2]
            assert end == b"\r\n", self.raw
            self.raw = self.raw[head.end() + n + 2:]
            self.text += chunk.decode()
            self.ended_well = self.ended_well or n == 0

    def next(self, timeout_s=DEADLINE_S):
        """The next event; None at the end. TimeoutError when none comes."""
        deadline = time.monotonic() + timeout_s
        while True:
            self._unframe()
            while "\n\n" in self.text:
                block, self.text = self.text.split("\n\n", 1)
                event = self._event(block)
                if event:
                    return event
            if self.over or self.ended_well:
                return None
            if time.monotonic() >= deadline:
                raise TimeoutError("no event within %s s" % timeout_s)
            self._more(deadline)

    def _event(self, block):
        name, data = None, None
        for line in block.split("\n"):
            field, _, value = line.partition(": ")
            if line.startswith(":"):
                self.comments += 1
            elif field == "retry":
                self.retry = int(value)
            elif field == "event":
                name = value
            elif field == "data":
                data = json.loads(value)
            else:
                assert not line, "what is %r?" % line
        return Event(name, data) if name else None

    def live(self):
        """Itself, after the event that every stream begins with."""
        assert self.status == 200, (self.status, self.fields, self.raw)
        event = self.next()
        assert event and event.name == "live", event
        return self

    def ends(self, timeout_s=DEADLINE_S):
        """The event `ended`, and nothing after it; returns when it came."""
        event = self.next(timeout_s)
        at = time.monotonic()
        assert event == Event("ended", {}), event
        assert self.next() is None
        assert self.ended_well or not self.chunked
        return at
