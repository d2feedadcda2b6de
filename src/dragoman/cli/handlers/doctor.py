"""``dragoman doctor``."""

from __future__ import annotations

import asyncio

from dragoman import app, server_key
from dragoman.actions.directory import Directory
from dragoman.cli import render
from dragoman.cli.errors import ERROR, CliError, describe, echo
from dragoman.cli.session import database_version, has_key, with_ephemeral_key
from dragoman.jobs import doctor as checks
from dragoman.jobs.doctor import FAIL, WARN, Finding
from dragoman.rules.errors import DirectoryError, UnsupportedDatabase
from dragoman.settings import Settings, SettingsError, secret_files, with_public_url
from dragoman.store import migrate as migrations


def doctor(output_format: str) -> None:
    """Show the findings of all checks; raises CliError if one failed."""
    findings = asyncio.run(_run_checks())
    if output_format == "table":
        for finding in findings:
            render.show_check(finding.state, _sentence(finding))
    else:
        writer = render.ListWriter(output_format, (), Finding)
        writer.add(findings)
        writer.close()
    failed = sum(finding.state == FAIL for finding in findings)
    warned = sum(finding.state == WARN for finding in findings)
    if failed:
        raise CliError(ERROR, f"{failed} of {len(findings)} checks failed, {warned} warnings")
    echo([f"All {len(findings)} checks passed, {warned} with warnings"])


def _sentence(finding: Finding) -> str:
    """Return what was found, what follows from it, and what mends it."""
    consequence = f"; {finding.consequence}" if finding.consequence else ""
    advice = f" -> {finding.advice}" if finding.advice else ""
    return f"{finding.check}: {finding.found}{consequence}{advice}"


async def _run_checks() -> list[Finding]:
    try:
        settings = app.load_settings()
        app.enabled_contracts(settings)
    except SettingsError as error:
        advice = "correct this setting, see docs/settings.md"
        return [
            checks.fail("settings", line, "no command runs, and no server starts", advice)
            for line in error.lines
        ]
    findings = checks.check_settings(settings, server_key.server_key_path(settings))
    findings.append(checks.check_secret_files(secret_files()))
    key_failed = any(f.check == "secret key" and f.state == FAIL for f in findings)
    location = checks.describe_database(settings.database)
    try:
        version = await database_version(settings)
        path = settings.sqlite_path
        exists = path is None or path.exists()
        findings.append(checks.ok("database", location if exists else f"{location}, not there yet"))
        findings.append(_migration_finding(version))
        if version == migrations.HEAD_REVISION and not key_failed:
            async with app.open_directory(with_ephemeral_key(settings)) as directory:
                return findings + await _check_directory(directory, settings)
    except UnsupportedDatabase as error:
        consequence = "no server starts, and no command runs: it could damage the file"
        findings.append(checks.fail("sqlite", error.found, consequence, error.advice))
    except (DirectoryError, CliError, SettingsError) as error:
        _, lines = describe(error) or (ERROR, [])
        detail = f"{location}: {'; '.join(lines)}"
        findings.append(
            checks.fail(
                "database", detail, "every request is answered with 503", "see DRAGOMAN_DATABASE"
            )
        )
    return findings + await checks.check_servers(with_public_url(settings), None)


async def _check_directory(directory: Directory, settings: Settings) -> list[Finding]:
    """Check a migrated database, and the servers meanwhile."""
    database, servers = await asyncio.gather(
        checks.check_database(directory, key_found=has_key(settings)),
        checks.check_servers(directory.settings, directory),
    )
    return database + servers


def _migration_finding(version: str) -> Finding:
    if version == migrations.HEAD_REVISION:
        return checks.ok("migrations", version)
    return checks.fail(
        "migrations",
        f"at {version or 'none'}, this program requires {migrations.HEAD_REVISION}",
        "no command but 'migrate' and 'serve' works on it",
        "run 'dragoman migrate'",
    )
