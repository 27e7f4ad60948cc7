"""As much of HTTP/2 as opening a WebSocket takes (RFC 8441), which browsers do where the edge offers it.

    open_websocket(port, authority, path, headers) -> status

Headers go out as literals that nobody indexes (RFC 7541 6.2.2); of those that come the status alone is read, which
stands first.
"""
import contextlib
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, SETTINGS, GOAWAY = 1, 4, 7
ACK, END_HEADERS = 1, 4
ENABLE_CONNECT_PROTOCOL = 8
_STATUSES = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}  # RFC 7541 appendix A
TIMEOUT_S = 30


def _frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _text(value):
    """RFC 7541 5.1 and 5.2."""
    raw, n = value.encode(), len(value.encode())
    if n < 127:
        return bytes([n]) + raw
    length, n = b"\x7f", n - 127
    while n >= 128:
        length, n = length + bytes([n % 128 + 128]), n // 128
    return length + bytes([n]) + raw


def _read_frame(stream):
    head = stream.read(9)
    if len(head) < 9:
        raise EOFError("the other side went away")
    return head[3], head[4], stream.read(int.from_bytes(head[:3], "big"))


def _status(block):
    if block[0] & 0x80:
        return _STATUSES[block[0] & 0x7f]
    assert block[0] in (0x08, 0x18, 0x48) and block[1] == 3, block  # :status by its place, and three plain digits
    return int(block[2:5])


def open_websocket(port, authority, path, headers):
    fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", path),
              (":authority", authority), ("sec-websocket-version", "13")]
    fields += [(name.lower(), value) for name, value in headers]
    block = b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), TIMEOUT_S)) as s, s.makefile("rb") as stream:
        s.sendall(PREFACE + _frame(SETTINGS, 0, 0, b""))
        kind, flags, payload = _read_frame(stream)
        assert kind == SETTINGS and not flags & ACK
        settings = dict(struct.unpack(">HI", payload[i:i + 6]) for i in range(0, len(payload), 6))
        assert settings.get(ENABLE_CONNECT_PROTOCOL) == 1, "no WebSocket over HTTP/2 is to be had here"
        s.sendall(_frame(SETTINGS, ACK, 0, b"") + _frame(HEADERS, END_HEADERS, 1, block))
        while kind != HEADERS:
            kind, flags, payload = _read_frame(stream)
            assert kind != GOAWAY
        return _status(payload)
