"""Settings: every variable, from the environment, files and TOML; all errors at once."""

from __future__ import annotations

import base64
import io
import ipaddress
import itertools
import os
import re
import stat
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from rich.console import Console
from rich.pretty import Pretty

from dragoman import app, dialects, server_key
from dragoman.settings import (
    PARSERS,
    SECRETS,
    ContractSettings,
    Parser,
    Rate,
    Settings,
    SettingsError,
    all_parsers,
    load,
    parse_boolean,
    replace,
)

KEY = bytes(range(200, 232))


class EchoSettings(ContractSettings, frozen=True, kw_only=True):
    """The settings of a dialect."""

    echo_twice: bool = False
    echo_loudly: bool = True

    PARSERS: ClassVar[Mapping[str, Parser]] = {
        "echo_twice": parse_boolean,
        "echo_loudly": parse_boolean,
    }


def load_settings(**given: str) -> Settings:
    """Load settings of variables written without their prefix."""
    return load({f"DRAGOMAN_{name}": value for name, value in given.items()}, (EchoSettings,))


def setting_errors(**given: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load_settings(**given)
    return raised.value.lines


class TestDefaults:
    def test_defaults(self):
        settings = load({})
        assert settings == Settings()
        assert settings.database == "sqlite:///dragoman.db"
        assert settings.secret_key == b""
        assert (settings.admin_username, settings.admin_email) == ("admin", "admin@localhost")
        assert settings.admin_password == ""
        assert settings.tenant == "main"
        assert settings.hosts == {}
        assert settings.public_url == ""
        assert settings.smtp_url == ""
        assert settings.redis == ""
        assert settings.anonymous_rate == Rate(60, 60)
        assert settings.console is True
        assert settings.self_registration is True
        assert settings.password_policy == "documented"
        assert settings.trusted_proxies == ()
        assert settings.forwarded == "x-forwarded-for"
        assert settings.audit_days == 365

    def test_all_contracts_are_served_by_name(self):
        assert app.enabled_contracts(Settings()) == tuple(sorted(dialects.NAMES))

    def test_other_variables_are_ignored(self):
        assert load({"PATH": "/bin", "DRAGOMANX": "1", "HOME": "/x"}) == Settings()

    @pytest.mark.parametrize(
        "service", ["DRAGOMAN", "DRAGOMAN_X", "DRAGOMAN_DATABASE", "DRAGOMAN_9__Y"]
    )
    def test_variables_of_kubernetes_services_are_ignored(self, service: str):
        variables = {
            f"{service}_SERVICE_HOST": "10.0.0.11",
            f"{service}_SERVICE_PORT": "8000",
            f"{service}_SERVICE_PORT_HTTP": "8000",
            f"{service}_SERVICE_PORT_WEB_2": "9000",
            f"{service}_PORT": "tcp://10.0.0.11:8000",
        }
        for port, protocol in (("8000", "tcp"), ("53", "udp"), ("9", "sctp")):
            link = f"{service}_PORT_{port}_{protocol.upper()}"
            variables |= {
                link: f"{protocol}://10.0.0.11:{port}",
                f"{link}_PROTO": protocol,
                f"{link}_PORT": port,
                f"{link}_ADDR": "10.0.0.11",
            }
        assert load(variables) == Settings()


NETWORK = ipaddress.ip_network
GOOD: list[tuple[str, str, Any]] = [
    ("DATABASE", "sqlite:///x.db", "sqlite:///x.db"),
    ("DATABASE", "sqlite:////var/lib/x.db", "sqlite:////var/lib/x.db"),
    ("DATABASE", " postgresql://u:p@h:1/n ", "postgresql://u:p@h:1/n"),
    ("DATABASE", "postgres://h/n", "postgres://h/n"),
    (
        "DATABASE",
        "postgresql://u@a:1,b:2/n?target_session_attrs=read-write",
        "postgresql://u@a:1,b:2/n?target_session_attrs=read-write",
    ),
    ("DATABASE", "postgresql:///n", "postgresql:///n"),
    ("DATABASE", "postgresql://u@/n?host=/run/p", "postgresql://u@/n?host=/run/p"),
    ("DATABASE", "postgresql://u@[::1],[fe80::2]:5433/n", "postgresql://u@[::1],[fe80::2]:5433/n"),
    ("DATABASE", "postgresql://u:p%40:%2F@h?user=x@y&port=", "postgresql://u:p%40:%2F@h?user=x@y&port="),
    ("SECRET_KEY", KEY.hex(), KEY),
    ("SECRET_KEY", KEY.hex().upper() + "\n", KEY),
    ("SECRET_KEY", base64.b64encode(KEY).decode(), KEY),
    ("SECRET_KEY", base64.urlsafe_b64encode(KEY).decode().rstrip("="), KEY),
    ("SECRET_KEY", (KEY * 2).hex(), KEY * 2),
    ("SECRET_KEY", "", b""),
    ("ADMIN_USERNAME", "root", "root"),
    ("ADMIN_EMAIL", "root@localhost", "root@localhost"),
    ("ADMIN_PASSWORD", " with spaces ", " with spaces "),
    ("TENANT", "acme", "acme"),
    ("CONTRACTS", "wekan, wiwebb,wekan", ("wekan", "wiwebb")),
    ("HOSTS", "", {}),
    ("HOSTS", "A.example.com=wekan, b.example.com = wiwebb", {"a.example.com": "wekan", "b.example.com": "wiwebb"}),
    ("HOSTS", "a.example.com.=wekan, my_host=wekan", {"a.example.com": "wekan", "my_host": "wekan"}),
    ("HOSTS", "[::1]=wekan,xn--bcher-kva.example=wekan", {"[::1]": "wekan", "xn--bcher-kva.example": "wekan"}),
    ("HOST", "::1", "::1"),
    ("PORT", "8080", 8080),
    ("WORKERS", "4", 4),
    ("PUBLIC_URL", "https://x.example.com/base/", "https://x.example.com/base"),
    ("PUBLIC_URL", "http://[::1]:8000", "http://[::1]:8000"),
    ("CORS_ORIGINS", "", ()),
    ("CORS_ORIGINS", "https://A.example.com:443, http://localhost:5173,https://a.example.com", ("https://a.example.com", "http://localhost:5173")),
    ("CORS_ORIGINS", "http://[::1]:8080,capacitor://localhost", ("http://[::1]:8080", "capacitor://localhost")),
    ("REDIS", "", ""),
    ("REDIS", "redis://cache:6379/0", "redis://cache:6379/0"),
    ("REDIS", "rediss://user:p%40ss@[::1]:6380/15", "rediss://user:p%40ss@[::1]:6380/15"),
    ("REDIS", "valkey://:pass@cache/", "valkey://:pass@cache"),
    ("BACKUP_DAYS", "0", 0),
    ("SMTP_URL", "", ""),
    ("SMTP_URL", "smtp://user:pass@mail.example.com:25", "smtp://user:pass@mail.example.com:25"),
    ("SMTP_URL", "smtps://mail.example.com/", "smtps://mail.example.com"),
    ("MAIL_FROM", "x@example.com", "x@example.com"),
    ("ANONYMOUS_RATE", "60/minute", Rate(60, 60)),
    ("ANONYMOUS_RATE", "5 / 10 seconds", Rate(5, 10)),
    ("ANONYMOUS_RATE", "1000/Hour", Rate(1000, 3600)),
    ("ANONYMOUS_RATE", "1/day", Rate(1, 86400)),
    ("ANONYMOUS_RATE", "off", Rate(0, 1)),
    ("USER_RATE", "6000/minute", Rate(6000, 60)),
    ("INVITATION_RATE", "7/day", Rate(7, 86_400)),
    ("VERIFY_EMAIL", "Required", "required"),
    ("USER_RATE", "off", Rate(0, 1)),
    ("CONSOLE", "off", False),
    ("SELF_REGISTRATION", "off", False),
    ("SELF_REGISTRATION", "ON", True),
    ("SIGN_UP_REACH", "Everywhere", "everywhere"),
    ("SIGN_UP_REACH", "open", "open"),
    ("PASSWORD_POLICY", "Hardened", "hardened"),
    ("PASSWORD_POLICY", "standard", "standard"),
    ("AUDIT_DAYS", "0", 0),
    ("AUDIT_DAYS", "30", 30),
    ("INVITATION_DAYS", "0", 0),
    ("IMPORTED_HASHES_DAYS", "90", 90),
    ("ERASURES", "/var/lib/dragoman/erasures", "/var/lib/dragoman/erasures"),
    ("FORWARDED", "forwarded", "forwarded"),
    ("FORWARDED", "X-Forwarded-For", "x-forwarded-for"),
    ("TRUSTED_PROXIES", "", ()),
    ("TRUSTED_PROXIES", "10.0.0.1, fd00::/8", (NETWORK("10.0.0.1"), NETWORK("fd00::/8"))),
    ("TRUSTED_PROXIES", "10.0.0.9/8", (NETWORK("10.0.0.0/8"),)),
    ("CONNECTIONS_PER_ADDRESS", "0", 0),
    ("KEEP_ALIVE", "3600", 3600),
    ("TOKEN_IDLE_DAYS", "1", 1),
    ("TOKEN_MAX_DAYS", "3650", 3650),
    ("RESET_HOURS", "168", 168),
    ("REFRESH_GRACE", "0", 0),
    ("JWT_ALGORITHM", "es256", "ES256"),
    ("JWT_ALGORITHM", "EdDSA", "EdDSA"),
    ("HASH_THREADS", "0", 0),
    ("LOG_LEVEL", "WARNING", "warning"),
    ("LOG_FORMAT", "Text", "text"),
    ("ACCESS_LOG", "yes", True),
]  # fmt: skip

BAD: list[tuple[str, str]] = [
    ("DATABASE", ""),
    ("DATABASE", "sqlite:///"),
    ("DATABASE", "x.db"),
    ("DATABASE", "mysql://h/n"),
    ("DATABASE", "postgresql://a,b,/n"),
    ("DATABASE", "postgresql://u:p@,a/n"),
    ("DATABASE", "postgresql://u@a:1,:2/n"),
    ("DATABASE", "postgresql://u@:5432/n"),
    ("DATABASE", "postgresql://a:port/n"),
    ("DATABASE", "postgresql://a:99999/n"),
    ("DATABASE", "postgresql://a:1,b:99999/n"),
    ("DATABASE", "postgresql://a, b/n"),
    ("DATABASE", "postgresql://h/n?novalue"),
    ("SECRET_KEY", "short"),
    ("SECRET_KEY", KEY[:31].hex()),
    ("SECRET_KEY", KEY[:24].hex()),  # 48 hex digits are not read as 36 bytes of base64
    ("SECRET_KEY", base64.b64encode(KEY[:31]).decode()),
    ("SECRET_KEY", "x" * 43 + "!"),
    ("SECRET_KEY", "0" * 64),
    ("ADMIN_USERNAME", " "),
    ("ADMIN_EMAIL", ""),
    ("TENANT", ""),
    ("CONTRACTS", ""),
    ("CONTRACTS", ","),
    ("HOSTS", "wekan.example.com"),
    ("HOSTS", "=wekan"),
    ("HOSTS", "x.example.com="),
    ("HOSTS", "wekan.example.com:8080=wekan"),
    ("HOSTS", "[::1]:8080=wekan"),
    ("HOSTS", "::1=wekan"),
    ("HOSTS", "https://wekan.example.com=wekan"),
    ("HOSTS", "wekan.example.com/=wekan"),
    ("HOSTS", "*.example.com=wekan"),
    ("HOSTS", "a..example.com=wekan"),
    ("HOSTS", ".=wekan"),
    ("HOSTS", "bücher.example=wekan"),
    ("HOSTS", "\u212aiosk.example=wekan"),  # a Kelvin sign, whose lower case is ASCII
    ("PUBLIC_URL", ""),
    ("PUBLIC_URL", "users.example.com"),
    ("PUBLIC_URL", "ftp://users.example.com"),
    ("PUBLIC_URL", "https://x.example.com/?a=1"),
    ("PUBLIC_URL", "https://x.example.com/a b"),
    ("PUBLIC_URL", "https://user:pass@x.example.com"),
    ("CORS_ORIGINS", "*"),
    ("CORS_ORIGINS", "https://*.example.com"),
    ("CORS_ORIGINS", "null"),
    ("CORS_ORIGINS", "app.example.com"),
    ("CORS_ORIGINS", "https://app.example.com/"),
    ("CORS_ORIGINS", "https://app.example.com/x"),
    ("CORS_ORIGINS", "https://user@app.example.com"),
    ("CORS_ORIGINS", "https://bücher.example"),
    ("REDIS", "cache:6379"),
    ("REDIS", "http://cache"),
    ("REDIS", "redis://cache:99999/0"),
    ("REDIS", "redis://cache/zero"),
    ("REDIS", "redis://a@b@cache"),
    ("REDIS", "rediss://cache/0?ssl_cert_reqs=none"),
    ("BACKUP_DAYS", "-1"),
    ("SMTP_URL", "mail.example.com"),
    ("SMTP_URL", "http://mail.example.com"),
    ("SMTP_URL", "smtp://a@b@c"),
    ("SMTP_URL", "smtp://mail.example.com:99999"),
    ("ANONYMOUS_RATE", ""),
    ("ANONYMOUS_RATE", "60"),
    ("ANONYMOUS_RATE", "0/minute"),
    ("ANONYMOUS_RATE", "60/fortnight"),
    ("ANONYMOUS_RATE", "5/0 seconds"),
    ("ANONYMOUS_RATE", "-5/minute"),
    ("SELF_REGISTRATION", "maybe"),
    ("SELF_REGISTRATION", ""),
    ("SIGN_UP_REACH", "closed"),
    ("USER_RATE", "60/fortnight"),
    ("PASSWORD_POLICY", "strict"),
    ("AUDIT_DAYS", "-1"),
    ("INVITATION_DAYS", "many"),
    ("IMPORTED_HASHES_DAYS", "-1"),
    ("FORWARDED", "x-real-ip"),
    ("TRUSTED_PROXIES", "proxy.example.com"),
    ("TRUSTED_PROXIES", "10.0.0.0/33"),
    ("TOKEN_IDLE_DAYS", "0"),
    ("TOKEN_IDLE_DAYS", "1.5"),
    ("TOKEN_MAX_DAYS", "many"),
    ("RESET_HOURS", "169"),
    ("CONNECTIONS_PER_ADDRESS", "-1"),
    ("KEEP_ALIVE", "0"),
    ("KEEP_ALIVE", "3601"),
    ("REFRESH_GRACE", "301"),
    ("JWT_ALGORITHM", "HS256"),
    ("JWT_ALGORITHM", "none"),
    ("HASH_THREADS", "-1"),
    ("DATABASE", "postgresql:///users?host=one,two"),
    ("LOG_LEVEL", "loud"),
    ("LOG_FORMAT", "xml"),
    ("ACCESS_LOG", "perhaps"),
    ("HOST", ""),
    ("PORT", "0"),
    ("PORT", "65536"),
    ("PORT", "http"),
    ("WORKERS", "0"),
    ("WORKERS", "257"),
]


class TestVariables:
    @pytest.mark.parametrize(("name", "text", "value"), GOOD, ids=itertools.count())
    def test_valid_values(self, name: str, text: str, value: Any):
        assert getattr(load_settings(**{name: text}), name.lower()) == value

    @pytest.mark.parametrize(("name", "text"), BAD, ids=itertools.count())
    def test_invalid_values(self, name: str, text: str):
        (line,) = setting_errors(**{name: text})
        assert line.startswith(f"DRAGOMAN_{name}: ")

    def test_every_setting_is_covered_here(self):
        assert {name.lower() for name, *_ in GOOD} == set(PARSERS)
        fields = {field.name for field in msgspec.structs.fields(Settings)}
        assert set(PARSERS) == fields - {"contract_settings"}

    def test_a_password_may_be_empty_or_white_space(self):
        assert load_settings(ADMIN_PASSWORD="").admin_password == ""
        assert load_settings(ADMIN_PASSWORD="\t").admin_password == "\t"


class TestPublicUrl:
    @pytest.mark.parametrize(
        ("url", "hosts"),
        [
            ("https://Users.Example.com:8443/dir", "users.example.com=wiwebb"),
            ("https://users.example.com.", "a.example.com=wekan,users.example.com=wiwebb"),
            ("http://[::1]:8000", "[::1]=wekan"),
        ],
    )
    def test_its_host_must_not_serve_a_single_contract(self, url: str, hosts: str):
        (line,) = setting_errors(PUBLIC_URL=url, HOSTS=hosts)
        assert line.startswith("DRAGOMAN_PUBLIC_URL: ")
        assert "DRAGOMAN_HOSTS" in line

    def test_any_other_host_may_be_in_it(self):
        hosts = "users.example.com=wiwebb"
        settings = load_settings(PUBLIC_URL="https://example.com", HOSTS=hosts)
        assert settings.public_url == "https://example.com"


class TestContractSettings:
    def test_a_dialect_gets_its_own_settings(self):
        settings = load_settings(ECHO_TWICE="yes", TENANT="acme")
        assert settings.for_contract(EchoSettings) == EchoSettings(echo_twice=True)
        assert settings.tenant == "acme"

    def test_by_default(self):
        assert load_settings() == Settings()
        assert Settings().for_contract(EchoSettings) == EchoSettings()

    def test_errors_are_listed_with_the_others(self):
        lines = setting_errors(ECHO_TWICE="sometimes", LOG_LEVEL="loud")
        assert lines[0].startswith("DRAGOMAN_LOG_LEVEL: ")
        assert lines[1:] == ["DRAGOMAN_ECHO_TWICE: must be on or off"]

    def test_without_its_dialect_a_setting_is_unknown(self):
        with pytest.raises(SettingsError, match="DRAGOMAN_ECHO_TWICE: unknown setting"):
            load({"DRAGOMAN_ECHO_TWICE": "on"})

    def test_other_values(self):
        first = replace(Settings(), {"echo_twice": True, "tenant": "x"}, (EchoSettings,))
        second = replace(first, {"echo_loudly": False}, (EchoSettings,))
        assert second.for_contract(EchoSettings) == EchoSettings(echo_twice=True, echo_loudly=False)
        assert second.tenant == "x"
        with pytest.raises(TypeError):
            replace(first, {"echo_softly": True}, (EchoSettings,))

    def test_no_two_declare_the_same_name(self):
        declared = dialects.declared_settings()
        names = [*PARSERS, *(name for each in declared for name in each.PARSERS)]
        assert len(names) == len(set(names)) == len(all_parsers(declared))
        for each in declared:
            assert set(each.PARSERS) == set(each.__struct_fields__)

    def test_all_dialects_are_asked(self):
        for settings_class in dialects.declared_settings():
            for name in settings_class.PARSERS:
                with pytest.raises(SettingsError) as raised:
                    app.load_settings({f"DRAGOMAN_{name.upper()}": ""})
                assert "unknown" not in str(raised.value)


class TestErrors:
    def test_all_errors_are_listed_at_once(self, tmp_path: Path):
        lines = setting_errors(
            DATABASE="mysql://x",
            ANONYMOUS_RATE="often",
            LOG_LEVEL="loud",
            PUBLC_URL="http://typo.example.com",
            SECRET_KEY_FILE=str(tmp_path / "nowhere"),
            ADMIN_USERNAME_FILE="/dev/null",
            CONFIG=str(tmp_path / "nothing.toml"),
        )
        named = {line.partition(":")[0] for line in lines}
        assert named == {
            "DRAGOMAN_DATABASE",
            "DRAGOMAN_ANONYMOUS_RATE",
            "DRAGOMAN_LOG_LEVEL",
            "DRAGOMAN_PUBLC_URL",
            "DRAGOMAN_SECRET_KEY_FILE",
            "DRAGOMAN_ADMIN_USERNAME_FILE",
            "DRAGOMAN_CONFIG",
        }

    def test_errors_quote_no_secret(self):
        secret = "hunter2-hunter2"
        lines = setting_errors(
            DATABASE=f"mysql://u:{secret}@h/n",
            SECRET_KEY=secret,
            SMTP_URL=f"mail://u:{secret}@h",
            REDIS=f"http://u:{secret}@h",
            PUBLIC_URL=f"ftp://u:{secret}@h",
            HOSTS=secret,
        )
        assert len(lines) == 6
        assert not any(secret in line for line in lines)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("DATABASE", "postgresql://u:geheim\uff1fx@h/n"),
            ("DATABASE", "postgresql://u:[geheim]@h/n"),
            ("DATABASE", "postgresql://u:[geheim@h/n"),
            ("DATABASE", "postgresql://u:ge/heim@h/n"),
            ("DATABASE", "postgresql://u:1/geheim@h/n"),
            ("DATABASE", "postgresql://u:1?geheim@h/n"),
            ("DATABASE", "postgresql://u:1#geheim@h/n"),
            ("DATABASE", "postgresql://u:p@a:geheim@h/n"),
            ("DATABASE", "postgresql://u:p@geheim@h,h2/n"),
            ("SMTP_URL", "smtp://u:geheim\uff1fx@h"),
            ("SMTP_URL", "smtp://u:[geheim]@h"),
            ("SMTP_URL", "smtp://u:[geheim@h"),
            ("SMTP_URL", "smtp://u:ge?heim@h"),
            ("SMTP_URL", "smtp://u:1#geheim@h"),
            ("PUBLIC_URL", "https://u:geheim\uff20h"),
            ("PUBLIC_URL", "https://[geheim]"),
            ("SECRET_KEY", "geheim\uff1f" * 9),
        ],
        ids=itertools.count(),
    )
    def test_a_secret_with_special_characters_is_rejected_and_not_quoted(
        self, tmp_path: Path, name: str, text: str
    ):
        """Libraries quote a URL that they cannot parse, at the start or when a mail is due."""
        config = tmp_path / "dragoman.toml"
        config.write_text(f"{name.lower()} = '{text}'", encoding="utf-8")
        for given in ({name: text}, {"CONFIG": str(config)}):
            with pytest.raises(SettingsError) as raised:
                load_settings(**given)
            (line,) = raised.value.lines
            assert line.startswith(f"DRAGOMAN_{name}: ")
            assert "heim" not in "".join(traceback.format_exception(raised.value))

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("X_PORT", "8000"),
            ("PORT_8000", "tcp://10.0.0.11:8000"),
            ("PORT_8000_TCP_HOST", "10.0.0.11"),
            ("PORT_HTTP_TCP", "tcp://10.0.0.11:8000"),
            ("SERVICE", "10.0.0.11"),
            ("X_HOST", "10.0.0.11"),
        ],
    )
    def test_variables_that_resemble_those_of_kubernetes_services(self, variable: str, value: str):
        (line,) = setting_errors(**{variable: value})
        assert line.startswith(f"DRAGOMAN_{variable}: unknown setting")

    def test_the_port_of_a_service_is_not_the_one_to_listen_on(self, tmp_path: Path):
        (config := tmp_path / "dragoman.toml").write_text("port = 9000")
        settings = load_settings(PORT="tcp://10.0.0.11:8000", CONFIG=str(config))
        assert settings.port == 9000
        assert setting_errors(PORT="http://x:80") == ["DRAGOMAN_PORT: must be an integer"]

    def test_messages_for_hosts(self):
        (line,) = setting_errors(HOSTS="wekan.example.com:8080=wekan")
        assert "wekan.example.com:8080" in line
        assert "without port" in line
        (line,) = setting_errors(HOSTS="bücher.example=wekan")
        assert "punycode" in line
        (line,) = setting_errors(DATABASE="postgresql://a,b,/n")
        assert "a host name is missing" in line

    def test_unknown_contracts(self):
        with pytest.raises(SettingsError) as raised:
            app.enabled_contracts(Settings(contracts=("wiwebb", "nope"), hosts={"x.test": "never"}))
        assert "nope" in str(raised.value)
        assert "never" in str(raised.value)
        assert "wiwebb" in str(raised.value)

    def test_a_host_of_a_contract_that_is_not_served(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(dialects, "NAMES", ("other", "wiwebb"))
        with pytest.raises(SettingsError) as raised:
            app.enabled_contracts(Settings(contracts=("other",), hosts={"x.test": "wiwebb"}))
        assert "wiwebb" in str(raised.value)


class TestFiles:
    def test_secrets_from_files(self, tmp_path: Path):
        texts = {
            "secret_key": KEY.hex() + "\n",
            "admin_password": " violet Kettle \r\n",
            "smtp_url": "smtp://u:p@mail.example.com\n",
            "database": "postgresql://u:p@h/n\n",
            "redis": "rediss://:p@h:6380/1\n",
        }
        assert set(texts) == set(SECRETS)
        given: dict[str, str] = {}
        for name, text in texts.items():
            path = tmp_path / name
            path.write_bytes(text.encode())
            given[f"{name.upper()}_FILE"] = str(path)
        settings = load_settings(**given)
        assert settings.secret_key == KEY
        assert settings.admin_password == " violet Kettle "
        assert settings.smtp_url == "smtp://u:p@mail.example.com"
        assert settings.database == "postgresql://u:p@h/n"
        assert settings.redis == "rediss://:p@h:6380/1"

    def test_the_environment_overrides_a_file(self, tmp_path: Path):
        path = tmp_path / "password"
        path.write_text("from the file")
        given = {"ADMIN_PASSWORD_FILE": str(path), "ADMIN_PASSWORD": "from the environment"}
        assert load_settings(**given).admin_password == "from the environment"

    @pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.write_bytes(b"\xff")])
    def test_an_unreadable_file(self, tmp_path: Path, make: Callable[[Path], Any]):
        path = tmp_path / "key"
        make(path)
        (line,) = setting_errors(SECRET_KEY_FILE=str(path))
        assert line.startswith("DRAGOMAN_SECRET_KEY_FILE: ")


class TestToml:
    def toml(self, tmp_path: Path, text: str) -> str:
        path = tmp_path / "dragoman.toml"
        path.write_text(text)
        return str(path)

    def test_toml_types_and_strings(self, tmp_path: Path):
        text = """
            database = "sqlite:///x.db"
            secret_key = "%s"
            contracts = ["wekan", "wiwebb"]
            self_registration = false
            echo_twice = "on"
            hash_threads = 2
            token_idle_days = "7"
            trusted_proxies = ["10.0.0.1"]
            DRAGOMAN_TENANT = "acme"
            anonymous_rate = "5/minute"
            [hosts]
            "Wekan.example.com" = "wekan"
        """
        settings = load_settings(CONFIG=self.toml(tmp_path, text % KEY.hex()))
        assert settings == Settings(
            database="sqlite:///x.db",
            secret_key=KEY,
            contracts=("wekan", "wiwebb"),
            self_registration=False,
            contract_settings=(EchoSettings(echo_twice=True),),
            hash_threads=2,
            token_idle_days=7,
            trusted_proxies=(NETWORK("10.0.0.1"),),
            tenant="acme",
            anonymous_rate=Rate(5, 60),
            hosts={"wekan.example.com": "wekan"},
        )

    def test_environment_and_secret_files_override_toml(self, tmp_path: Path):
        path = tmp_path / "password"
        path.write_text("from the file")
        config = self.toml(tmp_path, 'tenant = "toml"\nadmin_password = "toml"')
        settings = load_settings(CONFIG=config, TENANT="environment", ADMIN_PASSWORD_FILE=str(path))
        assert (settings.tenant, settings.admin_password) == ("environment", "from the file")

    @pytest.mark.parametrize(
        "text",
        [
            "hash_threads = 1.5",
            "hash_threads = true",
            "tenant = 5",
            "self_registration = 1",
            "contracts = [1]",
            "hosts = [1]",
            "hosts = 5",
            'hosts = {"x.test" = 5}',
            "database = false",
            "admin_password = 5",
            "trusted_proxies = 5",
            "anonymous_rate = 60",
            "secret_key = 5",
        ],
    )
    def test_values_of_a_wrong_type(self, tmp_path: Path, text: str):
        (line,) = setting_errors(CONFIG=self.toml(tmp_path, text))
        assert line.startswith(f"DRAGOMAN_{text.split(maxsplit=1)[0].upper()}: ")

    def test_unknown_keys(self, tmp_path: Path):
        lines = setting_errors(CONFIG=self.toml(tmp_path, 'tennant = "x"\nother = 1'))
        assert len(lines) == 2
        assert "'tennant'" in lines[0]

    def test_a_guess_at_what_was_meant(self, tmp_path: Path):
        config = self.toml(tmp_path, 'dragoman_tennant = "x"\nsmtp_ulr = ""\nfavourite = 1')
        lines = setting_errors(
            CONFIG=config,
            SMTP_ULR="x",
            PROT="80",
            DATABSE_FILE="x",
            ECHO_TWIC="1",
            WORKERS="x",
            NIX="1",
        )
        assert lines == [
            f"{config}: unknown setting 'dragoman_tennant' (did you mean tenant?)",
            f"{config}: unknown setting 'smtp_ulr' (did you mean smtp_url?)",
            f"{config}: unknown setting 'favourite'",
            "DRAGOMAN_DATABSE_FILE: unknown setting (did you mean DRAGOMAN_DATABASE_FILE?)",
            "DRAGOMAN_ECHO_TWIC: unknown setting (did you mean DRAGOMAN_ECHO_TWICE?)",
            "DRAGOMAN_NIX: unknown setting",
            "DRAGOMAN_PROT: unknown setting (did you mean DRAGOMAN_PORT?)",
            "DRAGOMAN_SMTP_ULR: unknown setting (did you mean DRAGOMAN_SMTP_URL?)",
            "DRAGOMAN_WORKERS: must be an integer",
        ]

    def test_invalid_toml(self, tmp_path: Path):
        (line,) = setting_errors(CONFIG=self.toml(tmp_path, "= nonsense"))
        assert line.startswith("DRAGOMAN_CONFIG: ")


class TestSecrets:
    SETTINGS = Settings(
        database="postgresql://u:hunter2@h/n",
        secret_key=b"hunter2" * 5,
        admin_password="hunter2",
        smtp_url="smtp://u:hunter2@h",
        redis="redis://:hunter2@h",
    )

    def test_no_representation_shows_secrets(self):
        shown = [repr(self.SETTINGS), str(self.SETTINGS), f"{self.SETTINGS}"]
        console = Console(file=io.StringIO(), width=200)
        console.print(Pretty(self.SETTINGS), self.SETTINGS, {"settings": self.SETTINGS})
        shown.append(console.file.getvalue())  # type: ignore[attr-defined]
        for text in shown:
            assert "hunter2" not in text
            assert "tenant" in text

    def test_rich_shows_no_more_than_repr(self):
        shown = list(self.SETTINGS.__rich_repr__())
        assert "hunter2" not in str(shown)

    def test_an_unlimited_rate(self):
        assert re.search(r"count=0", repr(load_settings(ANONYMOUS_RATE="off")))


class TestKeyFile:
    def settings(self, tmp_path: Path) -> Settings:
        return Settings(database=f"sqlite:///{tmp_path}/dragoman.db")

    def test_the_file_is_created_once_and_private(self, tmp_path: Path):
        first = server_key.with_server_key(self.settings(tmp_path)).secret_key
        path = tmp_path / "dragoman.key"
        assert len(first) == 32
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert server_key.with_server_key(self.settings(tmp_path)).secret_key == first

    def test_a_setting_needs_no_file(self, tmp_path: Path):
        given = msgspec.structs.replace(self.settings(tmp_path), secret_key=KEY)
        assert server_key.with_server_key(given).secret_key == KEY
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("text", ["", "00ff", "no hex at all", KEY[:31].hex()])
    def test_an_invalid_key_file(self, tmp_path: Path, text: str):
        (tmp_path / "dragoman.key").write_text(text)
        with pytest.raises(SettingsError):
            server_key.with_server_key(self.settings(tmp_path))

    def test_processes_that_start_together_share_the_key(self, tmp_path: Path):
        """A process that finds the file finds a complete key in it."""
        keys_by_run: list[set[object]] = []
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            for n in range(30):
                (folder := tmp_path / str(n)).mkdir()
                keys_by_run.append(self._keys_of_six(self.settings(folder)))
        finally:
            sys.setswitchinterval(interval)
        assert [len(keys) for keys in keys_by_run] == [1] * 30

    def _keys_of_six(self, settings: Settings) -> set[object]:
        together = threading.Barrier(6)

        def start(_: int) -> object:
            together.wait()
            try:
                return server_key.with_server_key(settings).secret_key
            except SettingsError as error:
                return str(error)

        with ThreadPoolExecutor(6) as pool:
            return set(pool.map(start, range(6)))

    def test_with_postgresql_it_is_in_the_current_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.chdir(tmp_path)
        server_key.with_server_key(Settings(database="postgresql://h/n"))
        assert os.listdir(tmp_path) == ["dragoman.key"]
