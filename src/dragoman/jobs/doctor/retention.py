"""Check of what is deleted by age: the oldest row of each kind, and its limit."""

from __future__ import annotations

from dragoman.jobs.background import FORMER_RETENTION, MAIL_RETENTION
from dragoman.jobs.doctor.finding import Finding, ok, warn
from dragoman.rules.model import DAY
from dragoman.settings import Settings
from dragoman.store import retention
from dragoman.store.transaction import Read

TOLERANCE_DAYS = 2
"""How many days beyond its limit a row may stay before it is reported: nothing may have run."""


async def check(read: Read, settings: Settings) -> Finding:
    """Tell the age of the oldest row of each kind; warn of one far beyond its limit."""
    oldest = await retention.oldest(read)
    kinds = (
        ("history", oldest.history, settings.audit_days),
        ("ended invitations", oldest.invitation, settings.invitation_days),
        ("credentials", oldest.credential, settings.token_max_days),
        ("mails", oldest.mail, MAIL_RETENTION // DAY),
        ("former values of imports", oldest.former_values, FORMER_RETENTION // DAY),
    )
    found: list[str] = []
    overdue: list[str] = []
    for name, since, limit_days in kinds:
        age_days = max(0, read.now - since) // DAY if since else None
        age = "none" if age_days is None else f"oldest {age_days} days"
        found.append(f"{name}: {age} (limit {limit_days or 'none'})")
        if age_days is not None and limit_days and age_days > limit_days + TOLERANCE_DAYS:
            overdue.append(name)
    if overdue:
        return warn(
            "retention",
            f"{'; '.join(found)}; overdue: {', '.join(overdue)}",
            "data about people is kept for longer than the settings say",
            "check that 'dragoman serve' runs: it deletes what is too old once an hour",
        )
    return ok("retention", "; ".join(found))
