"""The units, users and directories that a package would install, judged by systemd's own tools."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "etc/systemd"
SERVICES = ["bff.service", "bff-broker.service"]
SOCKETS = ["bff.socket", "bff-broker.socket"]
# systemd-analyze security: at most this, of 10.0
EXPOSURE = {"bff.service": 1.0, "bff-broker.service": 1.2, "bff.service+local-sockets": 0.3,
            "bff.service+unix-verify": 1.2}


def copy_units(directory, substitute=True, example=None):
    """The units in a directory of their own; our programs are not installed here. example: a drop-in, or all of a
    unit's."""
    directory.mkdir()
    for name in SERVICES + SOCKETS:
        text = (UNITS / name).read_text()
        if substitute:
            text = re.sub(r"/usr/sbin/bff[a-z-]*", "/bin/true", text)
        (directory / name).write_text(text)
    if example:
        (directory / example).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (UNITS / "examples" / example).is_dir() else shutil.copy
        copy(UNITS / "examples" / example, directory / example)
    return directory


def settings(name):
    """[(key, value)] in order."""
    lines = (UNITS / name).read_text().splitlines()
    return [tuple(line.split("=", 1)) for line in lines
            if "=" in line and not line.startswith("#")]


def values(name, key):
    return [v for k, v in settings(name) if k == key]


@pytest.mark.parametrize("example", [None, "bff.service.d", "bff-broker.service.d", "bff.socket.d"])
def test_units_verify_without_a_word(tmp_path, example):
    directory = copy_units(tmp_path / "units", example=example)
    got = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *[directory / n for n in SERVICES + SOCKETS]],
        capture_output=True, text=True)
    assert got.stdout + got.stderr == ""
    assert got.returncode == 0


@pytest.mark.parametrize("name", EXPOSURE)
def test_exposure(tmp_path, capsys, name):
    unit, _, example = name.partition("+")
    directory = copy_units(tmp_path / "units", example=f"{unit}.d/{example}.conf" if example else None)
    got = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager",
         f"--threshold={round(EXPOSURE[name] * 10)}", directory / unit],
        capture_output=True, text=True)
    level = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", got.stdout)
    assert level, got.stdout + got.stderr
    with capsys.disabled():  # a figure for whoever reads the run
        print(f"\n{name}: exposure {level.group(1)} (at most {EXPOSURE[name]})")
    assert float(level.group(1)) <= EXPOSURE[name]
    assert got.returncode == 0


def sample_config():
    """etc/bff.conf without comments."""
    return re.sub(r"#[^\n\"]*$", "", (ROOT / "etc/bff.conf").read_text(), flags=re.M)


def test_sockets_are_the_sample_configurations_listeners():
    want = re.findall(r'^listen .*?address *= *"([^"]+)"', sample_config(), flags=re.M)
    assert want
    assert values("bff.socket", "ListenStream") == want


def test_the_example_of_a_unix_socket_is_the_sample_with_one_address_changed():
    text = (UNITS / "examples/bff.socket.d/unix-verify.conf").read_text()
    want = values("bff.socket", "ListenStream")
    (path,) = re.findall(r'address = "unix:([^"]+)"', text)
    assert re.findall(r"^ListenStream=(.*)$", text, flags=re.M) == ["", want[0], path, want[2]]


def test_the_brokers_socket_is_the_sample_configurations():
    want = re.search(r'^ *socket *= *"([^"]+)"', sample_config(), flags=re.M).group(1)
    assert values("bff-broker.socket", "ListenSequentialPacket") == [want]


def test_every_secret_of_the_sample_configuration_is_loaded_where_it_belongs():
    named = {v: k for k, v in re.findall(r'(\w+) *= *"credential:([^"]+)"', sample_config())}
    web = {"cookie_keys", "web_password_file"}
    example = (UNITS / "examples/bff-broker.service.d/providers.conf").read_text()

    def loaded(lines):
        return {v.split(":", 1)[0] for v in lines}

    want_web = {name for name, option in named.items() if option in web}
    assert loaded(values("bff.service", "LoadCredential")) == want_web
    got_broker = loaded(values("bff-broker.service", "LoadCredential"))
    got_example = loaded(re.findall(r"^LoadCredential=(.*)$", example, flags=re.M))
    assert got_broker | got_example == set(named) - want_web


def test_no_unit_has_root_or_a_capability():
    for name in SERVICES:
        assert values(name, "User") == [name.removesuffix(".service")]
        assert values(name, "CapabilityBoundingSet") == [""]
        assert values(name, "AmbientCapabilities") == [""]
        assert values(name, "NoNewPrivileges") == ["yes"]


def test_the_broker_sees_its_peers_uids():
    assert values("bff-broker.service", "PrivateUsers") == []


def test_the_managers_deadlines_are_outside_the_masters():
    text = (ROOT / "common/contract.h").read_text()

    def contract(name):
        return int(re.search(rf"#define {name}\s+(\d+)", text).group(1)) / 1000

    assert float(values("bff.service", "TimeoutStopSec")[0]) > contract("CONTRACT_DRAIN_HARD_MS")
    assert float(values("bff.service", "TimeoutStartSec")[0]) > contract("CONTRACT_FIRST_STATUS_MS")
    assert float(values("bff.service", "WatchdogSec")[0]) > contract("CONTRACT_LOST_MS")


def test_a_watchdog_is_asked_of_those_alone_who_feed_it():
    for name, directory in (("bff.service", "master"), ("bff-broker.service", "broker")):
        feeds = any("WATCHDOG=1" in p.read_text() for p in (ROOT / directory).glob("*.c"))
        assert feeds == bool(values(name, "WatchdogSec")), name


def test_a_reload_checks_the_file_first():
    check, signal = values("bff.service", "ExecReload")
    (start,) = values("bff.service", "ExecStart")
    assert check == start.replace("/usr/sbin/bffd", "/usr/sbin/bffd -t")
    assert signal == "/bin/kill -HUP $MAINPID"


def test_users(tmp_path):
    (tmp_path / "etc").mkdir()
    got = subprocess.run(["systemd-sysusers", "--dry-run", f"--root={tmp_path}",
                          ROOT / "etc/sysusers.d/bff.conf"], capture_output=True, text=True)
    assert got.returncode == 0, got.stderr
    created = re.findall(r"^Creating user '([^']+)'", got.stdout + got.stderr, flags=re.M)
    assert sorted(created) == ["bff", "bff-broker"]


def test_directories(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("giving files to root takes root")
    got = subprocess.run(["systemd-tmpfiles", "--create", f"--root={tmp_path}",
                          ROOT / "etc/tmpfiles.d/bff.conf"], capture_output=True, text=True)
    assert (got.returncode, got.stderr) == (0, "")
    modes = {str(p.relative_to(tmp_path)): (p.stat().st_uid, p.stat().st_mode & 0o777)
             for p in tmp_path.rglob("*")}
    assert modes["run/bff"] == (0, 0o755)
    assert modes["etc/bff/credentials"] == (0, 0o700)
