"""Watches what a process asks of the system, as strace does, with nothing but Python: ptrace(2)."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import struct
import sys
import threading
from pathlib import Path

import msgspec

SEIZE, INTERRUPT, SYSCALL, LISTEN, SYSCALL_INFO = 0x4206, 0x4207, 24, 0x4208, 0x420E
OPTIONS = 0x1 | 0x8
"""System calls are told from other stops; threads that are started are watched too."""
EVENT_STOP = 128
ENTRY, EXIT = 1, 2
WAIT = 0x40000000 | 0x20000000
"""For threads of others, and on behalf of this thread alone."""

CALLS = {
    "x86_64": {
        1: "write", 20: "writev", 44: "sendto", 46: "sendmsg", 18: "pwrite", 296: "pwritev",
        74: "sync", 75: "sync",
    },
    "aarch64": {
        64: "write", 66: "writev", 206: "sendto", 211: "sendmsg", 68: "pwrite", 70: "pwritev",
        82: "sync", 83: "sync",
    },
}  # fmt: skip
"""The numbers of the calls that are told: fsync and fdatasync are ``sync``."""


class TracingForbidden(Exception):
    """This system lets nobody watch."""


class SyscallEvent(msgspec.Struct, frozen=True):
    """One call: where to, whether it is just beginning, and what came of it."""

    call: str
    target: str
    begins: bool
    result: int = 0


class SyscallTracer(threading.Thread):
    """Watches a process and all its threads until it ends.

    Events are kept in the order in which they happened: whoever is watched stands still until
    its event is written down.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.events: list[SyscallEvent] = []
        self.watching = threading.Event()
        self.error: BaseException | None = None
        self._calls = CALLS.get(platform.machine(), {})
        self._entered: dict[int, SyscallEvent | None] = {}
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.ptrace.argtypes = [
            ctypes.c_long,
            ctypes.c_long,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        self._libc.ptrace.restype = ctypes.c_long

    def begin(self) -> None:
        """Watch from here on; raises Forbidden where that cannot be."""
        if sys.platform != "linux" or not self._calls:
            raise TracingForbidden(f"{sys.platform} on {platform.machine()}")
        self.start()
        self.watching.wait(30)
        if self.error is not None:
            raise TracingForbidden(str(self.error))
        assert self.watching.is_set()

    def run(self) -> None:
        """Watch; all of it has to be done by one thread."""
        try:
            self._seize()
            self.watching.set()
            while True:
                pid, status = os.waitpid(-1, WAIT)
                if os.WIFSTOPPED(status):
                    self._stopped(pid, status)
        except ChildProcessError:
            pass  # all have ended
        except BaseException as error:
            self.error = error
        finally:
            self.watching.set()

    def _seize(self) -> None:
        """Take every thread; one may be started meanwhile."""
        taken: set[int] = set()
        while left := {int(task.name) for task in Path(f"/proc/{self.pid}/task").iterdir()} - taken:
            for tid in left:
                taken.add(tid)
                try:
                    self._ptrace(SEIZE, tid, 0, OPTIONS)
                    self._ptrace(INTERRUPT, tid)
                except OSError as error:
                    if error.errno == errno.ESRCH or self._is_traced(tid):
                        continue  # it has ended, or is watched since its parent is
                    raise

    def _is_traced(self, tid: int) -> bool:
        status = Path(f"/proc/{self.pid}/task/{tid}/status").read_text()
        return f"TracerPid:\t{os.getpid()}\n" in status or (
            f"TracerPid:\t{threading.get_native_id()}\n" in status
        )

    def _ptrace(self, request: int, tid: int, address: int = 0, data: int = 0) -> int:
        done: int = self._libc.ptrace(request, tid, address, data)
        if done < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return done

    def _stopped(self, tid: int, status: int) -> None:
        stop, event = os.WSTOPSIG(status), status >> 16
        request, passed_on = SYSCALL, 0
        if stop == signal.SIGTRAP | 0x80:
            self._called(tid)
        elif event == EVENT_STOP and stop != signal.SIGTRAP:
            request = LISTEN  # stopped by a signal for all of it
        elif not event:
            passed_on = stop
        try:
            self._ptrace(request, tid, 0, passed_on)
        except OSError as error:
            if error.errno != errno.ESRCH:  # killed meanwhile
                raise

    def _called(self, tid: int) -> None:
        buffer = ctypes.create_string_buffer(96)
        try:
            address = ctypes.addressof(buffer)
            self._ptrace(SYSCALL_INFO, tid, len(buffer), address)
        except OSError as error:
            if error.errno != errno.ESRCH:
                raise
            return
        if buffer.raw[0] == ENTRY:
            number, descriptor = struct.unpack_from("=QQ", buffer, 24)
            call = self._calls.get(number)
            self._entered[tid] = None
            if call is not None:
                event = SyscallEvent(call, self._file_of(descriptor), begins=True)
                self._entered[tid] = event
                self.events.append(event)
        elif buffer.raw[0] == EXIT and (entered := self._entered.pop(tid, None)) is not None:
            (result,) = struct.unpack_from("=q", buffer, 24)
            self.events.append(
                SyscallEvent(entered.call, entered.target, begins=False, result=result)
            )

    def _file_of(self, descriptor: int) -> str:
        try:
            return os.readlink(f"/proc/{self.pid}/fd/{descriptor}")
        except OSError:
            return ""


def socket_of(server_port: int, client_port: int) -> str:
    """Return the server's end of a connection on this machine, as a process's descriptors name it."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        local, remote = (int(each.rpartition(":")[2], 16) for each in columns[1:3])
        if (local, remote) == (server_port, client_port):
            return f"socket:[{columns[9]}]"
    raise LookupError("no such connection")


def durability_problems(events: list[SyscallEvent], log: str, answers: str) -> list[str]:
    """Return what is wrong with a request that changes something: its log must be on disk first.

    Args:
        events: all that happened between the request and the end of its answer.
        log: the end of the log's path.
        answers: the socket over which the answer goes.
    """
    written = pending = False
    for event in events:
        if event.target.endswith(log):
            if event.call != "sync":
                written = pending = True
            elif not event.begins and event.result == 0:
                pending = False
        elif event.target == answers and event.begins:
            if not written:
                return ["answered, and nothing was written to the log"]
            return ["answered before the log was on disk"] if pending else []
    return ["no answer was seen"]
