"""Health checks of settings, database and outbox for ``dragoman doctor``."""

from dragoman.jobs.doctor.database import check_database
from dragoman.jobs.doctor.finding import FAIL, OK, WARN, Finding, fail, ok
from dragoman.jobs.doctor.servers import check_servers
from dragoman.jobs.doctor.settings import check_secret_files, check_settings, describe_database

__all__ = (
    "FAIL",
    "OK",
    "WARN",
    "Finding",
    "check_database",
    "check_secret_files",
    "check_servers",
    "check_settings",
    "describe_database",
    "fail",
    "ok",
)
