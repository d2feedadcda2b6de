"""Documentation: serves a contract's OpenAPI document as JSON and as an HTML page."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from base64 import b64encode
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, cast
from urllib.parse import quote, urlsplit

import msgspec
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

TEMPLATE = Path(__file__).with_name("docs.html")
METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")
MAX_DEPTH = 16
"""Maximum number of references to follow; a longer chain is a circle."""

Node = dict[str, Any]
Field = tuple[str, Node, bool]
"""Name, schema, and whether the field is required."""

_HEADERS = {
    "Cache-Control": "no-cache",  # revalidate always: the ETag makes that cheap
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_MAX_CACHED = 8
"""Maximum number of cached renditions, one for each prefix and format."""


def routes(document: Path, title: str, *, base_url: str = "http://127.0.0.1:8000") -> list[Route]:
    """Return the routes ``/openapi.json``, ``/docs``, and ``/``, which redirects to ``/docs``.

    The routes may be mounted anywhere: URLs contain the path of ``base_url`` and the prefix
    (``root_path``) of the request, and never its Host header.

    Args:
        document: the OpenAPI 3 document, in YAML; it is read once, on the first request.
        title: the title of the page.
        base_url: the server's public URL.
    """
    base_path = _base_path(base_url)
    respond = _DocumentCache(document, title, base_url).respond
    return [
        Route("/openapi.json", partial(respond, output_format="json")),
        Route("/docs", partial(respond, output_format="page")),
        Route("/", lambda r: RedirectResponse(f"{base_path}{r.scope.get('root_path', '')}/docs")),
    ]


def _base_path(base_url: str) -> str:
    """Return the path of the public URL, which a proxy in front removes from requests."""
    return urlsplit(base_url).path.rstrip("/")


class _Rendition(NamedTuple):
    body: bytes
    media_type: str
    headers: dict[str, str]


class _DocumentCache:
    """One document, and its renditions by prefix and format."""

    def __init__(self, document: Path, title: str, base_url: str) -> None:
        self._path = document
        self._title = title
        self._base_url = base_url
        self._lock = Lock()
        self._document: Node | None = None
        self._renditions: dict[tuple[str, str], _Rendition] = {}

    def respond(self, request: Request, output_format: str) -> Response:
        """Answer with the document. Not a coroutine, so that Starlette runs it in a thread."""
        root = cast("str", request.scope.get("root_path", "")).strip("/")
        prefix = f"/{root}" if root else ""
        with self._lock:
            rendition = self._renditions.get((prefix, output_format)) or self._render(
                prefix, output_format
            )
        etags = request.headers.get("if-none-match", "").replace("W/", "").split(",")
        if any(etag.strip() in {rendition.headers["ETag"], "*"} for etag in etags):
            return Response(status_code=304, headers=rendition.headers)
        return Response(rendition.body, headers=rendition.headers, media_type=rendition.media_type)

    def _render(self, prefix: str, output_format: str) -> _Rendition:
        if self._document is None:
            self._document = _load(self._path)
        server: Node = next(iter(self._document.get("servers") or []), {})
        url = _base_path(self._base_url) + quote(prefix) or "/"
        document = {**self._document, "servers": [{**server, "url": url}]}
        if output_format == "json":
            body, media_type = msgspec.json.encode(document), "application/json"
            headers = dict(_HEADERS)
        else:
            page = render(document, self._title, prefix=prefix, base_url=self._base_url)
            body, media_type = page.encode(), "text/html"
            headers = {**_HEADERS, "Content-Security-Policy": _content_security_policy(page)}
        headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        if len(self._renditions) >= _MAX_CACHED:
            self._renditions.clear()
        rendition = self._renditions[prefix, output_format] = _Rendition(body, media_type, headers)
        return rendition


def _content_security_policy(page: str) -> str:
    """Return the policy that allows only the page's own style sheet, by digest."""
    style = page.partition("<style>")[2].partition("</style>")[0]
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _load(path: Path) -> Node:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, if available
    document = yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 - both are safe ones
    # YAML has dates, and keys that are not strings.
    return msgspec.to_builtins(document, str_keys=True)


# --------------------------------------------------------------------------- the page


def render(document: Node, title: str, *, prefix: str, base_url: str) -> str:
    """Return the HTML page of an OpenAPI document, whose texts are escaped.

    Args:
        document: the OpenAPI document.
        title: the title of the page.
        prefix: the path prefix of the contract.
        base_url: the server's URL in the examples.
    """
    from jinja2 import Environment, StrictUndefined
    from markdown_it import MarkdownIt

    # Raw HTML is escaped; images are disabled because they would be loaded from elsewhere.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters = cast("dict[str, Any]", environment.filters)
    filters |= {
        "prose": lambda text: Markup(markdown.render(text)),  # noqa: S704 - escaped by it
        "inline": lambda text: Markup(markdown.renderInline(text.strip())),  # noqa: S704
        "anchor": anchor, "compact": compact_json, "fitted": format_json, "paint": highlight_json,
        "expandable": re.compile(r"[\w :.-]*(\$TOKEN)?").fullmatch,
        "shell": shlex.quote, "percent": lambda value: quote(str(value), safe=""),
    }  # fmt: skip
    reader, base = DocumentReader(document), base_url.rstrip("/") + prefix
    return environment.from_string(TEMPLATE.read_text("utf-8")).render(
        document=document, reader=reader, tags=reader.tags(), title=title, base=base,
        base_path=_base_path(base_url) + quote(prefix),
    )  # fmt: skip


class Operation(NamedTuple):
    """An operation with its parameters, body and responses, references resolved."""

    anchor: str
    method: str
    path: str
    node: Node
    parameters: list[Node]
    body: Node
    answers: list[tuple[str, Node]]
    schemes: list[tuple[str, Node]]


class DocumentReader:
    """Resolves a document's references and collects what the page shows."""

    def __init__(self, document: Node) -> None:
        self._document = document
        self._linked_schemas: list[str] = []

    def follow(self, node: Node) -> Node:
        """Return a node with its reference resolved; keys beside the reference take precedence."""
        for _ in range(MAX_DEPTH):
            if "$ref" not in node:
                return node
            target: Any = self._document if node["$ref"].startswith("#/") else {}
            for key in node["$ref"].split("/")[1:]:
                step = key.replace("~1", "/").replace("~0", "~")
                target = target.get(step, {}) if isinstance(target, dict) else {}
            siblings = {key: value for key, value in node.items() if key != "$ref"}
            node = {**(cast("Node", target) if isinstance(target, dict) else {}), **siblings}
        return {}

    def components(self, component_type: str) -> Node:
        """Return the document's components of a type, by name."""
        return self._document.get("components", {}).get(component_type, {})

    def name(self, node: Node) -> str:
        """Return the name of the component that a node references, or ""."""
        return str(node.get("$ref", "")).rpartition("/")[2]

    def mention(self, name: str) -> str:
        """Record that the page links to a schema, and return its anchor."""
        if name not in self._linked_schemas:
            self._linked_schemas.append(name)
        return f"schema-{anchor(name)}"

    def mentions(self) -> Iterator[tuple[str, Node]]:
        """Yield the schemas that the page links to, including those that are recorded meanwhile."""
        for name in self._linked_schemas:  # the loop also visits names appended meanwhile
            yield name, self.follow(self.components("schemas").get(name, {}))

    def is_object(self, node: Node, depth: int = 0) -> bool:
        """Return whether a schema describes an object, or has an alternative that does."""
        node = self.follow(node)
        parts = [*node.get("allOf", []), *node.get("anyOf", []), *node.get("oneOf", [])]
        nested = depth < MAX_DEPTH and any(self.is_object(part, depth + 1) for part in parts)
        return node.get("type") == "object" or "properties" in node or nested

    def shapes(self, node: Node) -> list[list[Field]]:
        """Return the fields of an object: one list for each alternative."""
        node = self.follow(node)
        branches = [*node.get("anyOf", []), *node.get("oneOf", [])]
        alternatives = [branch for branch in branches if self._merge_all_of(branch)[0]]
        schemas = [{"allOf": [node, branch]} for branch in alternatives] or [node]
        return [fields for schema in schemas if (fields := list(self._fields(schema)))]

    def _fields(self, node: Node, path: str = "") -> Iterator[Field]:
        properties, required = self._merge_all_of(node)
        for key, schema in properties.items():
            yield f"{path}{key}", schema, key in required
            if "$ref" not in schema and path.count(".") < MAX_DEPTH:
                yield from self._fields(schema, f"{path}{key}.")

    def _merge_all_of(self, node: Node, depth: int = 0) -> tuple[Node, set[str]]:
        node = self.follow(node)
        properties, required = Node(), set[str]()
        for part in node.get("allOf", []) if depth < MAX_DEPTH else []:
            part_properties, part_required = self._merge_all_of(part, depth + 1)
            properties |= part_properties
            required |= part_required
        return properties | node.get("properties", {}), required | set(node.get("required", []))

    def examples(self, media: Node) -> list[tuple[str, Any]]:
        """Return the examples of a media type, with their names."""
        if "example" in media:
            return [("", media["example"])]
        by_name = {name: self.follow(each) for name, each in media.get("examples", {}).items()}
        return [(name, each["value"]) for name, each in by_name.items() if "value" in each]

    def tags(self) -> list[tuple[Node, list[Operation]]]:
        """Return the operations by their first tag, in the order of the document's tags."""
        tags: dict[str, Node] = {tag["name"]: tag for tag in self._document.get("tags", [])}
        grouped: dict[str, list[Operation]] = {name: [] for name in tags}
        for path, item in self._document.get("paths", {}).items():
            for method in (method for method in METHODS if method in item):
                operation = self._operation(path, method, item)
                first = next(iter(operation.node.get("tags") or ["Other"]))
                grouped.setdefault(first, []).append(operation)
        return [
            (tags.get(name, {"name": name}), operations)
            for name, operations in grouped.items()
            if operations
        ]

    def _operation(self, path: str, method: str, item: Node) -> Operation:
        node: Node = item[method]
        declared = [*item.get("parameters", []), *node.get("parameters", [])]
        parameters = {(each["name"], each["in"]): each for each in map(self.follow, declared)}
        security: list[Node] = node.get("security", self._document.get("security", []))
        schemes = self.components("securitySchemes")
        return Operation(
            anchor=anchor(str(node.get("operationId", f"{method} {path}"))),
            method=method.upper(),
            path=path,
            node=node,
            parameters=list(parameters.values()),
            body=self.follow(node.get("requestBody", {})),
            answers=[(code, self.follow(each)) for code, each in node["responses"].items()],
            schemes=[(name, self.follow(schemes.get(name, {}))) for name in (*security, {})[0]],
        )


# --------------------------------------------------------------------------- formatting


def anchor(text: str) -> str:
    """Return a text as an element id."""
    return re.sub(r"\W+", "-", text).strip("-")


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
