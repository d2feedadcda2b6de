"""Commands and shells on a pseudo-terminal, as a person at a keyboard has them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path

WAIT_S = 60
"""How long to wait for what must appear, in seconds."""


CONTROLLING = ("setsid", "--ctty")
"""Words before a shell's, which wants its terminal to send it signals."""


class PseudoTerminal:
    """A process whose input, output and errors are one terminal.

    Args:
        words: the command.
        env: its environment.
        folder: its working directory.
        columns: the width of the terminal.
    """

    def __init__(
        self, words: Sequence[str], env: dict[str, str], folder: Path, *, columns: int = 80
    ) -> None:
        self._parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self.process = subprocess.Popen(
            words,
            stdin=child,
            stdout=child,
            stderr=child,
            env=env,
            cwd=folder,
            start_new_session=words[0] != CONTROLLING[0],
        )
        os.close(child)
        self.shown = ""

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._parent, text.encode())

    def wait_for(self, text: str) -> str:
        """Read until this text appears; return what was shown since the last call, up to it."""
        deadline = time.monotonic() + WAIT_S
        while text not in self.shown:
            assert time.monotonic() < deadline, f"no {text!r} in {self.shown!r}"
            assert self._read(), f"ended without {text!r}: {self.shown!r}"
        before, _, self.shown = self.shown.partition(text)
        return before

    def finish(self) -> str:
        """Wait for the end of the process; return what was shown since the last call."""
        while self._read():
            pass
        self.process.wait(WAIT_S)
        return self.shown.replace("\r\n", "\n")

    def _read(self) -> bool:
        ready, _, _ = select.select([self._parent], [], [], WAIT_S)
        data = b""
        with contextlib.suppress(OSError):  # on Linux, after the process has closed the terminal
            data = os.read(self._parent, 65536) if ready else b""
        self.shown += data.decode(errors="replace")
        return bool(data)

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait(WAIT_S)
        os.close(self._parent)


def output_of(words: Sequence[str], env: dict[str, str], folder: Path, *, columns: int = 80) -> str:
    """Run a command on a terminal of this width; return all that it shows."""
    terminal = PseudoTerminal(words, env, folder, columns=columns)
    try:
        return terminal.finish()
    finally:
        terminal.close()
