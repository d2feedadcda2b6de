"""``dragoman users erase``."""

from __future__ import annotations

import msgspec

from dragoman.actions import erasure
from dragoman.actions.directory import Directory
from dragoman.cli import render
from dragoman.cli.batch import change_each
from dragoman.cli.errors import NOT_FOUND, CliError, echo
from dragoman.cli.lookup import MAX_ID, get_user
from dragoman.cli.session import command_line_actor, run
from dragoman.store import erasures
from dragoman.store.transaction import Read

COLUMNS = ("user_id", "public_id", "erased_at", "deleted_at", "already_erased", "ledger")


class ReceiptOut(msgspec.Struct, frozen=True):
    """The receipt of an erasure; ``ledger`` is the file that holds its line."""

    user_id: int
    public_id: str
    erased_at: str | None
    deleted_at: str | None
    already_erased: bool
    ledger: str


def erase(user_refs: tuple[str, ...], output_format: str, *, is_id: bool) -> None:
    """Erase people and show the receipts; each is a separate change.

    Args:
        user_refs: usernames, e-mail addresses, ids or public ids; of deleted users, ids or
            public ids.
        output_format: one of ``options.OUTPUT_FORMATS``.
        is_id: whether ``user_refs`` are ids, even if they are also usernames.
    """

    async def work(directory: Directory) -> None:
        ledger = str(directory.settings.erasures_path)

        async def erase_one(user_ref: str) -> ReceiptOut:
            read = directory.read(command_line_actor())
            user_id = await _find_user_id(read, user_ref, is_id=is_id)
            async with directory.begin(command_line_actor()) as tx:
                receipt = await erasure.erase(tx, user_id)
            echo([f"Erased user {receipt.user_id}"])
            return ReceiptOut(
                user_id=receipt.user_id,
                public_id=receipt.public_id,
                erased_at=render.timestamp(receipt.erased_at),
                deleted_at=render.timestamp(receipt.deleted_at),
                already_erased=receipt.already_erased,
                ledger=ledger,
            )

        receipts, error = await change_each(user_refs, erase_one)
        if receipts and len(user_refs) == 1:
            render.show_record(receipts[0], output_format)
        elif receipts:
            writer = render.ListWriter(output_format, COLUMNS, ReceiptOut)
            writer.add(receipts)
            writer.close()
        if error is not None:
            raise error

    run(work)


async def _find_user_id(read: Read, user_ref: str, *, is_id: bool) -> int:
    """Return the id of a user, who may be deleted; raises CliError if there is none."""
    try:
        return (await get_user(read, user_ref, is_id=is_id)).id
    except CliError as error:
        if error.exit_code != NOT_FOUND:
            raise
        found = None if is_id else await erasures.find_any_by_public_id(read, user_ref)
        if found is None and user_ref.isascii() and user_ref.isdigit() and int(user_ref) <= MAX_ID:
            found = await erasures.find_any(read, int(user_ref))
        if found is None:
            raise
        return found.user.id
