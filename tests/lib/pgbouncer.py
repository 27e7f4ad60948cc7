"""A PgBouncer of a test's own in front of a tests/lib/postgres.py.

    with PgBouncer(pg, "transaction", program) as p:   # started; stopped and removed at the end
        p.conninfo()                                   # for a program
        p.psql("select 1", user="bff_web")             # as by the Postgres
        p.stop(), p.start()                            # as a crash
        p.reload("session")                            # another mode, under its clients' feet

Reached by a Unix socket alone; it lets in whom its list names, without passwords, as the Postgres does. It refuses to
be root, so it runs as whom the Postgres runs as. The server's connections are few, so that its clients share them.
"""
import atexit
import os
import shutil
import signal
import tempfile

from postgres import Postgres
from process import Process
from wait import eventually

PORT = 6432
SERVER_CONNECTIONS = 2  # for each user
DEBIAN = "/usr/sbin/pgbouncer"
USERS = ("bff_web", "bff_broker")
CONFIG = """\
[databases]
bff = host={sockets} port={pgport} dbname=bff

[pgbouncer]
unix_socket_dir = {directory}
listen_port = {port}
auth_type = trust
auth_file = {directory}/users
pool_mode = {mode}
default_pool_size = {size}
{more}
"""


class PgBouncer:
    def __init__(self, pg, mode, program=DEBIAN, size=SERVER_CONNECTIONS, more=""):
        self.pg, self.program, self.size, self.more = pg, program, size, more
        self.directory = tempfile.mkdtemp(prefix="bff-pgbouncer-")
        self.config, self.log = (os.path.join(self.directory, f) for f in ("ini", "log"))
        self.process = None
        atexit.register(self.remove)
        self.write(mode)

    def _put(self, name, text):
        with open(os.path.join(self.directory, name), "w", encoding="ascii") as f:
            f.write(text)

    def write(self, mode):
        self._put("users", "".join('"%s" ""\n' % u for u in USERS))
        self._put("ini", CONFIG.format(sockets=self.pg.sockets, pgport=self.pg.port, directory=self.directory,
                                       port=PORT, mode=mode, size=self.size, more=self.more))

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, *_):
        self.remove()

    def start(self):
        user, account = None, self.pg.account
        if account is not None:
            user = (account.pw_uid, account.pw_gid)
            os.chown(self.directory, *user)
        os.chmod(self.directory, 0o755)
        own = shutil.copy(self.program, self.directory)  # what is cached may be out of that user's reach
        self.process = Process("pgbouncer", [own, self.config], log=self.log, user=user)
        self.process.await_connection(os.path.join(self.directory, ".s.PGSQL.%d" % PORT))
        return self

    def stop(self):
        """SIGINT waits for clients, so: as a crash."""
        if self.process is not None:
            self.process.kill()
        self.process = None

    def reload(self, mode):
        self.write(mode)
        done = self.log_text().count("got SIGHUP") + 1
        self.process.send(signal.SIGHUP)
        eventually(lambda: self.log_text().count("got SIGHUP") == done, "the reload")

    def conninfo(self, dbname="bff", user=None):
        return "host=%s port=%d dbname=%s%s" % (self.directory, PORT, dbname, " user=" + user if user else "")

    psql_command, psql, session = Postgres.psql_command, Postgres.psql, Postgres.session

    def log_text(self):
        return self.process.log_text()

    def remove(self):
        atexit.unregister(self.remove)
        try:
            self.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)
