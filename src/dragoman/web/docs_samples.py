"""What the documentation page shows as code: example requests, and values as JSON."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any, NamedTuple
from urllib.parse import quote

from markupsafe import Markup, escape

from dragoman.web.docs_reader import DocumentReader, Node, Operation

JSON = "application/json"
TOKEN = "$TOKEN"
_EXPANDABLE = re.compile(r"[\w :.-]*(\$TOKEN)?")
"""Headers that mean the same within the double quotes of a shell and of Python."""
_REQUESTS_FUNCTIONS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}


class _Request(NamedTuple):
    method: str
    url: str
    headers: list[tuple[str, str]]
    media_type: str
    body: Any
    """The first example; None if there is none that could be sent."""


def samples(reader: DocumentReader, operation: Operation, base_url: str) -> dict[str, str]:
    """Return an operation's example request by language; each can be copied and run as it is."""
    request = _request(reader, operation, base_url)
    return {"curl": _curl(request), "Python": _python(request)}


def _request(reader: DocumentReader, operation: Operation, base_url: str) -> _Request:
    path, query = operation.path, list[str]()
    for parameter in operation.parameters:
        value = quote(str(parameter.get("example", parameter["name"])), safe="")
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", value)
        elif parameter["in"] == "query" and parameter.get("required"):
            query.append(f"{quote(parameter['name'], safe='')}={value}")
    content: Node = operation.body.get("content", {})
    media_type = JSON if JSON in content else next(iter(content), "")
    body = next((value for _, value in reader.examples(content.get(media_type, {}))), None)
    return _Request(
        method=operation.method,
        url=base_url + path + ("?" if query else "") + "&".join(query),
        headers=[header for _, each in operation.schemes if (header := _credential_header(each))],
        media_type=media_type,
        body=body if media_type == JSON or isinstance(body, dict) else None,
    )


def _credential_header(scheme: Node) -> tuple[str, str] | None:
    """Return the header of a security scheme, or None if it is none, or unsafe to quote."""
    if scheme.get("type") == "http":
        name, value = "Authorization", f"{scheme.get('scheme', '').capitalize()} {TOKEN}"
    else:
        name, value = scheme.get("name", "Authorization"), scheme.get("x-value", TOKEN)
    is_safe = _EXPANDABLE.fullmatch(name) and _EXPANDABLE.fullmatch(value)
    return (name, value) if is_safe and scheme.get("in", "header") == "header" else None


def _curl(request: _Request) -> str:
    """Return a command for a shell, which expands only $TOKEN: everything else is quoted."""
    method = "" if request.method == "GET" else f"-X {request.method} "
    parts = [f"curl {method}{shlex.quote(request.url)}"]
    parts += [f'-H "{name}: {value}"' for name, value in request.headers]
    if request.media_type == JSON and request.body is not None:
        parts.append("-H 'Content-Type: application/json'")
        parts.append("-d " + shlex.quote(format_json(request.body).replace("\n", "\n  ")))
    elif request.body is not None:
        option = "-F" if "multipart" in request.media_type else "--data-urlencode"
        parts += [
            f"{option} {shlex.quote(f'{key}={value}')}" for key, value in request.body.items()
        ]
    return " \\\n  ".join(parts)


def _python(request: _Request) -> str:
    """Return a program that needs only the library ``requests``."""
    is_known = request.method in _REQUESTS_FUNCTIONS
    function = request.method.lower() if is_known else "request"
    arguments = [] if is_known else [_python_literal(request.method)]
    arguments.append(_python_literal(request.url))
    if request.headers:
        fields = [f"{_python_literal(name)}: {_python_value(v)}" for name, v in request.headers]
        arguments.append(f"headers={{{', '.join(fields)}}}")
    if request.body is not None:
        body = request.body
        name = "json" if request.media_type == JSON else "data"
        if "multipart" in request.media_type:
            name, body = "files", {key: [None, str(value)] for key, value in body.items()}
        arguments.append(f"{name}={_python_literal(body, indent=4)}")
    needs_token = any(TOKEN in value for _, value in request.headers)
    lines = [*(["import os", ""] if needs_token else []), "import requests", ""]
    lines += [f"response = requests.{function}("]
    lines += [f"    {argument}," for argument in arguments]
    return "\n".join([*lines, ")", "print(response.status_code, response.text)"])


def _python_value(header: str) -> str:
    """Return the value of a header as an expression."""
    before, token, _ = header.partition(TOKEN)
    if not token:
        return _python_literal(header)
    variable = "os.environ['TOKEN']"
    return f'f"{before}{{{variable}}}"' if before else variable


def _python_literal(value: Any, indent: int = 0, width: int = 60) -> str:
    """Return a JSON value as a Python literal, on one line if it fits into ``width`` characters."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if not isinstance(value, dict | list):
        return compact_json(value)  # Python reads the strings and numbers of JSON in the same way

    def items(indent: int) -> list[str]:
        if isinstance(value, dict):
            pairs = value.items()
            return [f"{compact_json(key)}: {_python_literal(each, indent)}" for key, each in pairs]
        return [_python_literal(each, indent) for each in value]

    opening, closing = "{}" if isinstance(value, dict) else "[]"
    line = ", ".join(items(0))
    if len(line) <= width and "\n" not in line:
        return opening + line + closing
    margin = " " * indent
    lines = "".join(f"{margin}    {item},\n" for item in items(indent + 4))
    return f"{opening}\n{lines}{margin}{closing}"


def compact_json(value: Any) -> str:
    """Return a value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False)


def format_json(value: Any, width: int = 48) -> str:
    """Return a value as JSON, on one line if it fits into ``width`` characters."""
    line = compact_json(value)
    return line if len(line) <= width else json.dumps(value, ensure_ascii=False, indent=2)


_JSON_TOKEN = re.compile(
    r'(?P<k>"(?:[^"\\]|\\.)*"(?=\s*:))|(?P<s>"(?:[^"\\]|\\.)*")'
    r"|(?P<n>-?\d[\d.eE+-]*)|(?P<l>true|false|null)|(?P<other>.)",
    re.DOTALL,
)


def highlight_json(value: Any, width: int = 72) -> Markup:
    """Return a value as highlighted JSON, on one line if it fits into ``width`` characters."""
    highlighted = Markup()
    for token in _JSON_TOKEN.finditer(format_json(value, width)):
        escaped, token_type = escape(token.group()), token.lastgroup
        highlighted += (
            escaped
            if token_type == "other"
            else Markup('<b class="{}">{}</b>').format(token_type, escaped)
        )
    return highlighted
