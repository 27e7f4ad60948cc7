"""As much of RFC 6455 as an echo takes: the handshake, and text frames of up to 125 bytes.

    accept_key(key)                  what the server answers
    write_frame(stream, TEXT, b"x", masked=True)
    kind, text = read_frame(stream)
"""
import base64
import hashlib
import os

TEXT, CLOSE = 1, 8
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_FIN, _MASK = 0x80, 0x80
_SHORT_MAX = 125


def accept_key(key):
    return base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()


def _mask(key, data):
    return bytes(b ^ key[i % 4] for i, b in enumerate(data))


def write_frame(stream, kind, data, masked):
    """Clients mask, servers do not (RFC 6455 5.1)."""
    assert len(data) <= _SHORT_MAX
    key = os.urandom(4) if masked else b""
    stream.write(bytes([_FIN | kind, len(data) | (_MASK if masked else 0)]) + key
                 + (_mask(key, data) if masked else data))
    stream.flush()


def _exactly(stream, n):
    data = stream.read(n)
    if len(data) < n:
        raise EOFError("the other side went away")
    return data


def read_frame(stream):
    first, length = _exactly(stream, 2)
    key = _exactly(stream, 4) if length & _MASK else None
    data = _exactly(stream, length & ~_MASK)
    return first & 0x0f, _mask(key, data) if key else data
