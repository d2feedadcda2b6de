"""Look the packages of lock files up in a database of vulnerabilities, with pip-audit.

    audit.py [OPTION OF PIP-AUDIT…] LOCK…

Ends with status 1 if a package has a known vulnerability. If no database can be reached, it says
so in one line and ends with status 0, so that `make lint` works without network access.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PIN = re.compile(r"^[A-Za-z0-9][\w.-]*==[^\s;\\]+", re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Audit the lock files; return the exit status."""
    locks = [Path(each) for each in arguments if each.endswith(".lock")]
    options = [each for each in arguments if not each.endswith(".lock")]
    try:
        # pip-audit takes a package that the service does not know for one without findings, and
        # a mirror without the service knows none. Ask for one package before asking for all.
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as probe:
            probe.write(next(PIN.finditer(locks[0].read_text(encoding="utf-8"))).group())
            probe.flush()
            _audit(Path(probe.name), ["--no-deps", *options])
        findings = [finding for lock in locks for finding in _audit(lock, options)]
    except _UnavailableError as error:
        print(
            f"make lint: pip-audit skipped, as its database cannot be had: {error}", file=sys.stderr
        )
        return 0
    for finding in sorted(set(findings)):
        print(finding, file=sys.stderr)
    return 1 if findings else 0


class _UnavailableError(Exception):
    """There is no database to ask."""


def _audit(requirements: Path, options: list[str]) -> list[str]:
    """Return a line for each known vulnerability. Raises _UnavailableError."""
    command = [
        sys.executable, "-m", "pip_audit", "--requirement", str(requirements), "--disable-pip",
        "--progress-spinner", "off", "--format", "json", "--desc", "off", "--timeout", "10",
    ]  # fmt: skip
    done = subprocess.run(
        [*command, *options], check=False, capture_output=True, text=True, timeout=600
    )
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        lines = done.stderr.strip().splitlines() or ["no answer"]
        if "ServiceError" in done.stderr or "ConnectionError" in done.stderr:
            raise _UnavailableError(lines[-1]) from None
        raise SystemExit(f"pip-audit failed for {requirements}:\n{done.stderr}") from None
    unknown = [each["name"] for each in packages if "skip_reason" in each]
    if len(unknown) == len(packages):
        raise _UnavailableError("it knows none of the packages")
    if unknown:
        print(f"pip-audit: not in the database: {', '.join(unknown)}", file=sys.stderr)
    return [
        f"{each['name']} {each['version']}: {finding['id']}, fixed in "
        f"{', '.join(finding['fix_versions']) or 'no version yet'}"
        for each in packages
        for finding in each.get("vulns", [])
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
