"""`make demo`: everything on this machine, until Ctrl-C. EDGE=traefik|caddy|nginx|haproxy|envoy chooses the edge.

Without EDGE it is Traefik where one is at hand (on PATH, or built by an earlier run) or a recent Go is, which
then builds it; else Caddy.
"""
import os
import select
import signal
import socket
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

import cache  # noqa: E402
import edge as edges  # noqa: E402
from stack import App, Stack, binaries  # noqa: E402

PORT = 8080


def port():
    """8080, or a free one where that is taken."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", PORT))
        except OSError:
            return None
    return PORT


def default_edge():
    if cache.traefik_at_hand():
        return "traefik"
    try:
        cache.go()
    except cache.Missing as why:
        print("Caddy is the edge: %s" % why, flush=True)
        return "caddy"
    print("Traefik is the edge, and must be built first. `make demo EDGE=caddy` starts at once.", flush=True)
    why = edges.missing("traefik")
    if not why:
        return "traefik"
    print("%s\nTraefik cannot be built here, so Caddy is the edge." % why, flush=True)
    return "caddy"


def choose_edge():
    wanted = os.environ.get("EDGE") or ""
    if not wanted:
        return default_edge()
    if wanted not in edges.KINDS:
        sys.exit("EDGE is one of %s" % ", ".join(edges.KINDS))
    why = edges.missing(wanted)
    if why:
        sys.exit("EDGE=%s: %s" % (wanted, why))
    return wanted


def tell(stack, kind, began):
    print("""
    %s

    Log in as alice or bob. Up after %.0f s, behind %s. Stop with Ctrl-C.

    sessions    psql '%s' -c 'select * from bff.sessions'
    end one     psql '%s' -c "select * from bff.revoke_subject('alice', 'trying it out')"
    files       %s  (bff.conf, logs)
""" % (stack.url("/"), time.monotonic() - began, kind, stack.pg.conninfo(user="postgres"),
       stack.pg.conninfo(user="postgres"), stack.directory), flush=True)


def wait_for_the_end(stack):
    """Until a signal, or until a part ends by itself."""
    ended = [os.pidfd_open(p.pid) for p in (stack.bffd, stack.broker, stack.edge.process, stack.idp.process)]
    select.select(ended, [], [])
    print("a part ended by itself; the logs end:\n" + stack.tails(), file=sys.stderr)
    return 1


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    began = time.monotonic()
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGINT, interrupted)
    status, stack = 0, None
    try:
        kind = choose_edge()
        stack = Stack(edge=kind, apps=[App("demo", ["app.localhost"])], port=port(), workers=2,
                      page=os.path.join(HERE, "page"), say=lambda what: print("  " + what, flush=True))
        print("bff from %s" % binaries(), flush=True)
        stack.start()
        tell(stack, kind, began)
        status = wait_for_the_end(stack)
    except KeyboardInterrupt:
        print("\nstopping", flush=True)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # nothing interrupts the clean end
        if stack is not None:
            try:
                stack.stop()
            finally:
                stack.remove()
    return status


if __name__ == "__main__":
    sys.exit(main())
