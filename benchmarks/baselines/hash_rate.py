"""Hash limit of the cores: processes that only verify a password, one per core.

``python -m benchmarks.baselines.hash_rate SECONDS`` verifies with Dragoman's parameters for that
time and prints the rate per second.
"""

from __future__ import annotations

import os
import subprocess
import sys
from time import perf_counter

from benchmarks.data import PASSWORD
from dragoman.rules.passwords import hash_password, verify_password


def hashes_per_second(seconds: float, processes: int = 0) -> float:
    """Return the verifications per second of all processes together; 0 for one per core."""
    command = [sys.executable, "-m", "benchmarks.baselines.hash_rate", str(seconds)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for _ in range(processes or os.cpu_count() or 1)
    ]
    try:
        return round(sum(float(process.communicate()[0]) for process in running), 2)
    finally:
        for process in running:
            process.kill()


def main() -> None:
    """Verify for the given time, print the rate."""
    seconds = float(sys.argv[1])
    encoded = hash_password(PASSWORD)
    done, began = 0, perf_counter()
    while perf_counter() - began < seconds:
        assert verify_password(PASSWORD, encoded)
        done += 1
    sys.stdout.write(str(done / (perf_counter() - began)))


if __name__ == "__main__":
    main()
