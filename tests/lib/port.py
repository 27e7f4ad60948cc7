"""Ports of 127.0.0.1 for tests: free, and given to nobody else.

Between the gift and its use another's listener could come first, and answer in our place; so runs on one machine
share the numbers out in blocks, each claimed by the name of an abstract socket that lives as long as its process.
All are below the range that the system hands to outgoing connections.
"""
import random
import socket

_FIRST, _END, _BLOCK = 20000, 32000, 100
_claims = []
_left = []


def _claim():
    for start in random.sample(range(_FIRST, _END, _BLOCK), (_END - _FIRST) // _BLOCK):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind("\0bff-test-ports-%d" % start)
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        _left.extend(range(start, start + _BLOCK))
        return
    raise RuntimeError("every block of test ports is taken by another run")


def free_port():
    """A port not given before. Bound for a moment to see that it is free of strangers."""
    while True:
        if not _left:
            _claim()
        port = _left.pop()
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
