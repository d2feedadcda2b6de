"""Check of the mail server: connects and signs in as the server would, and sends nothing."""

from __future__ import annotations

import base64
from urllib.parse import unquote, urlsplit

from dragoman.jobs.doctor.finding import Finding, fail, ok
from dragoman.jobs.doctor.foreign_text import printable
from dragoman.jobs.mail.smtp import DEFAULT_PORTS, SmtpClient
from dragoman.settings import Settings

CHECK = "mail server"
MASK = "***"
CONSEQUENCE = "no mail is sent: mails wait in the outbox, and are given up after a day"


async def check(settings: Settings) -> Finding:
    """Speak to the mail server of the settings, and tell what it says."""
    parts = urlsplit(settings.smtp_url)
    where = f"{parts.hostname}:{parts.port or DEFAULT_PORTS[parts.scheme]}"
    client = SmtpClient(settings.smtp_url, settings.public_url)
    try:
        session = await client.probe()
    except (OSError, ValueError) as error:
        client.abort()
        sentence, advice = _describe(error, settings.smtp_url)
        return fail(CHECK, f"{where}: {sentence}", CONSEQUENCE, advice)
    await client.close()
    how = "encrypted" if session.encrypted else "not encrypted"
    if session.signed_in:
        how += ", signed in"
    return ok(CHECK, f"{where} answers as {printable(session.greeting)} ({how})")


def _describe(error: Exception, url: str) -> tuple[str, str]:
    """Return the server's sentence, or what kept it from saying one, and what mends it."""
    import smtplib
    import ssl

    if isinstance(error, smtplib.SMTPAuthenticationError):
        return _reply(error, url), "correct user and password in DRAGOMAN_SMTP_URL"
    if isinstance(error, smtplib.SMTPResponseException):
        return _reply(error, url), "ask who runs the mail server; see DRAGOMAN_SMTP_URL"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        advice = "use smtps://, or a server with STARTTLS: a password is sent over TLS only"
        return _clean(str(error), url), advice
    if isinstance(error, ssl.SSLCertVerificationError):
        found = f"its certificate is not valid: {error.verify_message}"
        return printable(found), "set DRAGOMAN_SMTP_URL to a name that the certificate is for"
    if isinstance(error, ssl.SSLError):
        advice = "use smtp:// for STARTTLS, smtps:// for a port with TLS from the start"
        return f"no TLS: {printable(error.reason or '')}", advice
    if isinstance(error, TimeoutError):
        return "no answer in time", "check host and port in DRAGOMAN_SMTP_URL, and the firewall"
    found = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return _clean(str(found), url), "check host and port in DRAGOMAN_SMTP_URL"


def _reply(error: Exception, url: str) -> str:
    code, text = getattr(error, "smtp_code", 0), getattr(error, "smtp_error", b"")
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return f"it says: {code} {_clean(said, url)}"


def _clean(text: str, url: str) -> str:
    """Return a text without the password, which a server may quote as it was sent."""
    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if password:
        sent = (f"\0{user}\0{password}", password)  # the longer one first
        encoded = [base64.b64encode(each.encode()).decode() for each in sent]
        for secret in (*encoded, password):
            text = text.replace(secret, MASK)
    return printable(text)
