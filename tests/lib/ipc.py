"""A worker's side of the broker's socket, for tests.

    with Worker(path, digest) as w:                      # connects and says hello
        w.ask("token_get", session=secret, app="demo", service="crm")   # -> Answer or Failure

Messages, fields, maximums and errors are read from common/ipc.def and common/ipc.h, so that the
codec here cannot drift from the one in C; the fingerprint is computed the same way.
"""
import os
import re
import socket
import struct
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_TYPES = {"str": 1, "secret": 2, "u32": 3, "u64": 4}
_DIRECTIONS = {"TO_BROKER": 1, "TO_WORKER": 2}
_PHASES = {"PHASE_HELLO": 1, "PHASE_OPEN": 2}
HEAD = struct.Struct("<HHI")
LENGTH = struct.Struct("<I")
NUMBERS = {"u32": struct.Struct("<I"), "u64": struct.Struct("<Q")}
PACKET_MAX = 65536
ANSWER_TIMEOUT_S = 60


def _read(name):
    with open(os.path.join(ROOT, "common", name), encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    return text.replace("\\\n", " ")


def _tables():
    header = _read("ipc.h")
    constants = {n: int(v) for n, v in re.findall(r"#define (IPC_\w+) (\d+)\s*$", header, flags=re.M)}
    fields = {}
    for name, rows in re.findall(r"#define IPC_FIELDS_(\w+)\(F\)(.*)$", header, flags=re.M):
        fields[name] = [(kind, field, constants.get(top, int(top) if top.isdigit() else 0))
                        for kind, field, top in re.findall(r"F\((\w+), (\w+), (\w+)\)", rows)]
    errors = re.findall(r'E\((\w+), "(\w+)"\)', re.search(r"#define IPC_ERRORS\(E\)(.*)$", header, re.M)[1])
    messages = [(name, int(number), direction, phase, fields[name]) for name, number, direction, phase in
                re.findall(r"^IPC_MESSAGE\((\w+), \w+, (\d+), (\w+), (\w+)\)", _read("ipc.def"), flags=re.M)]
    return messages, errors


MESSAGES, ERRORS = _tables()
BY_NAME = {m[0]: m for m in MESSAGES}
BY_NUMBER = {m[1]: m for m in MESSAGES}


def _fingerprint():
    h = 0xCBF29CE484222325

    def mix(row_name, *numbers):
        nonlocal h
        for byte in row_name.encode() + b"\0" + struct.pack("<QQQ", *numbers):
            h = (h ^ byte) * 0x100000001B3 % 2 ** 64

    for name, number, direction, phase, fields in MESSAGES:
        mix(name, number, _DIRECTIONS[direction], _PHASES[phase])
        for i, (kind, field, top) in enumerate(fields):
            mix(field, _TYPES[kind], top, i)
    for i, (_, word) in enumerate(ERRORS):
        mix(word, i + 1, 0, 0)
    return h


FINGERPRINT = _fingerprint()


def packet_of(number, ident, values):
    """values in the fields' order; those that are missing at the end are 0 or empty."""
    fields = BY_NUMBER[number][4]
    if len(values) > len(fields):
        raise ValueError("more values than fields")
    out = [HEAD.pack(number, 0, ident)]
    for i, (kind, _, _) in enumerate(fields):
        if kind in NUMBERS:
            out.append(NUMBERS[kind].pack(values[i] if i < len(values) else 0))
            continue
        value = values[i] if i < len(values) else b""
        value = value.encode() if isinstance(value, str) else value
        out.append(LENGTH.pack(len(value)) + value)
    return b"".join(out)


def fields_of(packet):
    """(number, id, values in the fields' order: numbers and bytes)."""
    number, zero, ident = HEAD.unpack_from(packet)
    at, values = HEAD.size, []
    for kind, _, _ in BY_NUMBER[number][4]:
        if kind in NUMBERS:
            values.append(NUMBERS[kind].unpack_from(packet, at)[0])
            at += NUMBERS[kind].size
            continue
        (n,) = LENGTH.unpack_from(packet, at)
        at += LENGTH.size + n
        values.append(packet[at - n:at])
    if zero != 0 or at != len(packet):
        raise ValueError("not one whole message")
    return number, ident, values


def encode(name, ident, values):
    _, number, _, _, fields = BY_NAME[name]
    unknown = set(values) - {f[1] for f in fields}
    if unknown:
        raise KeyError("no such field: %s" % unknown)
    return packet_of(number, ident, [values.get(field, 0 if kind in NUMBERS else b"") for kind, field, _ in fields])


class Message(dict):
    """Fields by name, also as attributes; .name is the message's."""

    def __init__(self, name, values):
        super().__init__(values)
        self.name = name

    def __getattr__(self, field):
        return self[field]


def decode(packet):
    number, ident, raw = fields_of(packet)
    name, _, _, _, fields = BY_NUMBER[number]
    values = {field: value.decode() if kind == "str" and field != "digest" else value
              for (kind, field, _), value in zip(fields, raw)}
    if name == "failure":
        values["word"] = ERRORS[values["code"] - 1][1]
    return ident, Message(name, values)


class Gone(Exception):
    """The broker closed the connection."""


class Worker:
    """One connection. ask() may be called from several threads; a reader thread gives each its answer."""

    def __init__(self, path, digest, fingerprint=FINGERPRINT, hello=True):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(ANSWER_TIMEOUT_S)
        self.socket.connect(path)
        self._lock = threading.Condition()
        self._next = 1
        self._answers = {}
        self._gone = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if hello:
            self.welcome = self.ask("hello", fingerprint=fingerprint, build="test", digest=digest)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._reader.join()
        self.socket.close()

    def _read(self):
        while True:
            try:
                packet = self.socket.recv(PACKET_MAX)
            except TimeoutError:
                continue
            except OSError:
                packet = b""
            with self._lock:
                if packet:
                    ident, message = decode(packet)
                    self._answers[ident] = message
                else:
                    self._gone = True
                self._lock.notify_all()
                if not packet:
                    return

    def send(self, name, **values):
        with self._lock:
            ident = self._next
            self._next += 1
        self.send_packet(encode(name, ident, values))
        return ident

    def send_packet(self, packet):
        try:
            self.socket.send(packet)
        except BrokenPipeError:
            raise Gone() from None

    def answer(self, ident, timeout_s=ANSWER_TIMEOUT_S):
        with self._lock:
            if not self._lock.wait_for(lambda: ident in self._answers or self._gone, timeout_s):
                raise TimeoutError("no answer")
            if ident not in self._answers:
                raise Gone()
            return self._answers.pop(ident)

    def ask(self, name, **values):
        return self.answer(self.send(name, **values))

    def wait_gone(self, timeout_s=ANSWER_TIMEOUT_S):
        with self._lock:
            return self._lock.wait_for(lambda: self._gone, timeout_s)
