"""Declares ``dragoman import``."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import Any

import rich_click as click
from click.shell_completion import CompletionItem

from dragoman.cli import completion, options

_INTRODUCTION = """\
Import users from FILE, or from standard input for -: CSV, TSV, NDJSON, JSON
with a list of users inside, LDIF. The whole file is checked first, and nothing
is imported if a row is bad. A killed import goes on with the same command."""

_EXAMPLES = """\
dragoman import people.csv --tenant acme --dry-run
dragoman import realm.json --from keycloak --keep-going
dragoman import users.ndjson --from auth0 --passwords hashes.ndjson
dragoman import old.csv --encoding cp1252 --map "Login name=username"
mongoexport -d wekan -c users | dragoman import - --from wekan"""

_COLUMNS = """\
Columns and fields of ours: username, email, first_name, last_name,
display_name, phone, bio, url, company, location, role, tenant, active,
approved, verified, created_at, last_login_at, password_hash, id, public_id.
Times: 2026-11-30T21:00:00Z, 2026-11-30 21:00:00+00, or seconds since 1970."""

_GROUPS = {
    "The file": (
        *("recipe", "format", "columns", "map", "encoding", "delimiter"),
        *("passwords", "hash_config", "ignore_unknown"),
    ),
    "The people": (
        *("tenant", "create_tenants", "map_role", "allow_platform_roles", "verified"),
        *("match", "on_conflict", "replace_passwords"),
        *("bad_hashes", "hash_plain", "wrap_weak", "invite"),
    ),
    "The run": (
        *("dry_run", "keep_going", "rejects", "stop_after", "output_format", "help"),
    ),
}  # fmt: skip
"""The parameters of ``dragoman import``, in the order of its help."""


_CHOICES = re.compile(r"\[[a-z|]+\]")
_NOTES = re.compile(r"  \[[^]]*\]$")
"""What click appends to the text of an option."""


def _products() -> str:
    from dragoman.actions.transfer import recipes

    return f"Products: {', '.join(recipes.names())}."


class ImportCommand(click.RichCommand):
    """A command with so many options that its help has one line for each: it fits two screens."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, without boxes."""
        lines = [f"Usage: {ctx.command_path} [OPTIONS] FILE|-", "", _INTRODUCTION, ""]
        lines += [f"  {line}" for line in _EXAMPLES.splitlines()]
        records = {each.name: self._help_record(each, ctx) for each in self.get_params(ctx)}
        width = max(len(options) for options, _ in records.values())
        for group, names in _GROUPS.items():
            lines += ["", f"{group}:"]
            lines += [f"  {records[name][0]:<{width}}  {records[name][1]}" for name in names]
        lines += ["", *textwrap.wrap(_products(), 79), "", _COLUMNS]
        click.echo("\n".join(lines), color=ctx.color)

    def paragraphs(self) -> list[str]:
        """Return the help without the options, for the reference (``cli.reference``)."""
        summary = (self.help or "").strip()
        return [summary, _INTRODUCTION, f"\b\n{_EXAMPLES}", _products(), _COLUMNS]

    def _help_record(self, parameter: click.Parameter, ctx: click.Context) -> tuple[str, str]:
        record = parameter.get_help_record(ctx)
        if record is None:
            return "", ""
        names, text = record
        return _CHOICES.sub("FORMAT", names), _NOTES.sub("", text)


def _complete_recipes(_: Any, __: Any, incomplete: str) -> list[CompletionItem]:
    from dragoman.actions.transfer import recipes

    return [CompletionItem(name) for name in recipes.names() if name.startswith(incomplete)]


def _pairs(_: Any, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Return ``THEIRS=OURS`` as a mapping; what is theirs may hold ``=`` itself."""
    pairs: dict[str, str] = {}
    for value in values:
        theirs, sign, ours = value.rpartition("=")
        if not sign or not theirs:
            raise click.BadParameter(f"{value!r} is not {parameter.metavar}")
        if theirs in pairs:
            raise click.BadParameter(f"{theirs!r} is there twice")
        pairs[theirs] = ours
    return pairs


def _columns(_: Any, __: Any, value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",")) if value else ()


def _delimiter(_: Any, __: Any, value: str) -> str:
    value = {"tab": "\t", "\\t": "\t"}.get(value, value)
    if len(value) > 1:
        raise click.BadParameter("one character, or tab")
    return value


@click.command(name="import", cls=ImportCommand)
@click.argument("file", metavar="FILE|-")
@click.option(
    "--from",
    "recipe",
    default="",
    metavar="PRODUCT",
    shell_complete=_complete_recipes,
    help="Product that wrote it; see below. Default: detected.",
)
@click.option(
    "--format",
    "format",
    type=click.Choice(("csv", "tsv", "ndjson", "json", "ldif")),
    metavar="FORMAT",
    help="csv, tsv, ndjson, json, ldif. Default: detected.",
)
@click.option(
    "--columns",
    default="",
    metavar="A,B,C",
    callback=_columns,
    help="Names of the columns of a file without header.",
)
@click.option(
    "--map",
    "map",
    multiple=True,
    metavar="THEIRS=OURS",
    callback=_pairs,
    help="Their column is our field; an empty OURS drops it.",
)
@click.option(
    "--encoding",
    default="",
    metavar="NAME",
    help="If neither UTF-8 nor UTF-16 with its mark: cp1252, …",
)
@click.option(
    "--delimiter",
    default="",
    metavar="C",
    callback=_delimiter,
    help="Between columns. Default: as the header shows.",
)
@click.option(
    "--passwords", default="", metavar="FILE", help="Second file, which holds the hashes (auth0)."
)
@click.option(
    "--hash-config",
    default="",
    metavar="FILE",
    help="File with the parameters of the hashes (firebase).",
)
@click.option("--ignore-unknown", is_flag=True, help="Pass over unknown fields of our own NDJSON.")
@click.option(
    "--tenant",
    default="",
    metavar="SLUG",
    shell_complete=completion.tenants,
    help="Tenant of rows without one [DRAGOMAN_TENANT].",
)
@click.option("--create-tenants", is_flag=True, help="Create tenants that do not exist.")
@click.option(
    "--map-role",
    "map_role",
    multiple=True,
    metavar="WORD=ROLE",
    callback=_pairs,
    help="Their word means owner, member or viewer.",
)
@click.option("--allow-platform-roles", is_flag=True, help="Take the roles superadmin and admin.")
@click.option(
    "--verified",
    default="from-file",
    type=click.Choice(("from-file", "never", "always")),
    metavar="WHEN",
    help="Addresses are proven: [from-file], never, always.",
)
@click.option(
    "--match",
    type=click.Choice(("username", "email", "id", "public_id")),
    metavar="FIELD",
    help="Known people by username, email, id or public_id.",
)
@click.option(
    "--on-conflict",
    default="skip",
    type=click.Choice(("skip", "update", "fail")),
    metavar="WHAT",
    help="Of people who are here: [skip], update or fail.",
)
@click.option(
    "--replace-passwords", is_flag=True, help="Update passwords also after the first sign-in."
)
@click.option(
    "--bad-hashes",
    default="error",
    type=click.Choice(("error", "drop")),
    metavar="WHAT",
    help="[error], or drop: import without a password.",
)
@click.option(
    "--hash-plain", is_flag=True, help="Take passwords in clear and hash them (28 ms each)."
)
@click.option(
    "--wrap-weak", is_flag=True, help="Wrap weak hashes in argon2id at once (28 ms each)."
)
@click.option("--invite", is_flag=True, help="Mail people without a password a link to set one.")
@click.option("--dry-run", is_flag=True, help="Check only, and change nothing.")
@click.option(
    "--keep-going", is_flag=True, help="Import the good rows although there are bad ones."
)
@click.option(
    "--rejects",
    default="",
    metavar="FILE",
    help="Write bad rows here, and FILE.reasons.ndjson beside.",
)
@click.option(
    "--stop-after",
    type=click.IntRange(min=1),
    metavar="N",
    help="Import only the first N records.",
)
@options.output_option
def import_users(*, file: str, output_format: str, **chosen: Any) -> None:
    """Import users from a file of this or of another product."""
    from dragoman.actions.transfer.records import FileOptions, ImportOptions
    from dragoman.cli.handlers import import_users as handler

    handler.import_users(
        file,
        _pick(FileOptions, chosen),
        _pick(ImportOptions, chosen),
        _pick(handler.Mode, chosen),
        output_format,
    )


def _pick(struct: Any, chosen: Mapping[str, Any]) -> Any:
    """Return the options that belong to a class: its fields are named as the parameters are."""
    names = struct.__struct_fields__
    return struct(**{name: chosen[name] for name in names if chosen[name] is not None})
