"""etc/edge/dev.Caddyfile as it stands: bff beside a bundler's dev server, on http://localhost."""
import contextlib
import socket

import pytest

import browser
import websocket
from edge import DEV
from stack import IDENTITY, App, Stack

TIMEOUT_S = 30
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.fixture(scope="module", name="stack")
def fixture_stack():
    with Stack(edge=DEV, apps=[App("dev", ["localhost"])]) as s:
        yield s


def test_login_on_localhost_and_a_call_of_the_service(stack):
    b = stack.login("alice")
    got = b.fetch(stack.url("/api/crm/list"), headers={name: "mallory" for name in IDENTITY})
    assert got.status == 200, got
    seen = stack.services["crm"].last()
    assert seen.one("X-User-ID") == "alice" and seen.token["sub"] == "alice"
    assert not [v for _, v in seen.headers if "mallory" in v] and "bff_session" not in seen.one("Cookie")
    assert b.fetch(stack.url("/api/crm/new"), method="POST").status == 403
    assert b.fetch(stack.url("/api/crm/new"), method="POST", csrf=True).status == 200


def test_what_has_no_session_is_refused_by_bff(stack):
    stack.services["crm"].forget()
    assert browser.Browser().fetch(stack.url("/api/crm/list")).status == 401
    assert browser.Browser().fetch(stack.url("/api/auth/session")).status == 401
    assert not stack.services["crm"].requests


def test_all_else_is_the_dev_servers_unasked(stack):
    stack.services["page"].forget()
    for path in ("/", "/@vite/client", "/src/main.ts?t=1", "/authors"):
        got = browser.Browser().get(stack.url(path))
        assert got.status == 200 and got.json()["service"] == "page"
        assert stack.services["page"].last().path == path


def test_hot_reloads_socket_passes(stack):
    host = stack.url().split("/")[2]
    head = ["GET /socket HTTP/1.1", "Host: " + host, "Connection: Upgrade", "Upgrade: websocket",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: vite-hmr", "Sec-WebSocket-Key: " + KEY,
            "Origin: http://" + host, "", ""]
    plain = socket.create_connection(("127.0.0.1", stack.port), TIMEOUT_S)
    with contextlib.closing(plain) as s, s.makefile("rwb") as f:
        s.sendall("\r\n".join(head).encode())
        assert f.readline().split()[1] == b"101"
        while f.readline() != b"\r\n":
            pass
        websocket.write_frame(f, websocket.TEXT, b"reload", masked=True)
        assert websocket.read_frame(f) == (websocket.TEXT, b"reload")
        websocket.write_frame(f, websocket.CLOSE, b"", masked=True)
