"""``docs/other-databases.md`` lists which features of PostgreSQL our SQL uses: all, and no others."""

from __future__ import annotations

import gc
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

from dragoman import store
from dragoman.store.drivers import pool, postgres
from dragoman.store.query import Query
from tests.support.databases import query

PAGE = Path(__file__).parents[2] / "docs" / "other-databases.md"
USED = {
    "`pg_advisory_xact_lock`": r"pg_advisory_xact_lock\(",
    "`gin_trgm_ops`": r"gin_trgm_ops",
    "`CREATE UNIQUE INDEX … WHERE`": r"CREATE UNIQUE INDEX .* WHERE ",
    "`PRIMARY KEY` of generated ids": r"PRIMARY KEY \(id\)",
    "`FOREIGN KEY`": r"FOREIGN KEY",
    "`nextval`, `setval`": r"\bnextval\(.*\bsetval\(|\bsetval\(.*\bnextval\(",
    "`FOR UPDATE`, `FOR NO KEY UPDATE`, `FOR SHARE`": r"FOR NO KEY UPDATE",
    "`SKIP LOCKED`": r"SKIP LOCKED",
    "transactions that are never repeated": r"\"BEGIN\"",
    "`REPEATABLE READ READ ONLY`": r"REPEATABLE READ READ ONLY",
    "several changes in one `WITH`": r"WITH w0 AS \((?:INSERT|UPDATE|DELETE)",
    "`INSERT … ON CONFLICT`": r"ON CONFLICT",
    "`RETURNING`": r"RETURNING",
    "`unnest … WITH ORDINALITY`": r"unnest\(.*WITH ORDINALITY",
    "`COPY … FROM STDIN`, binary": r"copy_records_to_table",
    "`SET LOCAL`": r"SET LOCAL",
    '`COLLATE "C"`': r'COLLATE "C"',
    "`fillfactor`": r"fillfactor",
    "`pg_class`, `pg_extension`": r"pg_class.*pg_extension|pg_extension.*pg_class",
    "migrations in one transaction": r"engine\.begin\(\)",
}
UNUSED = {
    "`LISTEN`": r"\bLISTEN\b|\bNOTIFY\b|add_listener",
    "`DEFERRABLE`": r"\bDEFERRABLE\b",
    "`GENERATED … AS`": r"\bGENERATED\b",
    "`CREATE TRIGGER`": r"CREATE (?:CONSTRAINT )?TRIGGER",
    "`CREATE FUNCTION`": r"CREATE (?:OR REPLACE )?FUNCTION",
    "`LOCK TABLE`": r"LOCK TABLE",
    "`CREATE TEMP TABLE`": r"\bTEMP(?:ORARY)? TABLE\b",
    "`pg_advisory_lock`": r"pg_(?:try_)?advisory_(?:lock|unlock)",
    "`SAVEPOINT`": r"\bSAVEPOINT\b",
    "`PREPARE TRANSACTION`": r"PREPARE TRANSACTION",
    "`jsonb`": r"\bjsonb",
    "`LATERAL`": r"\bLATERAL\b",
    "`EXCLUDE`": r"\bEXCLUDE\b",
    "`PARTITION BY`": r"PARTITION BY",
    "`TABLESAMPLE`": r"\bTABLESAMPLE\b",
    "`RECURSIVE`": r"\bRECURSIVE\b",
}
SCHEMA = """
SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
 WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint
 WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'CREATE FUNCTION ' || proname FROM pg_proc
 WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS (
  SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
UNION ALL SELECT array_to_string(reloptions, ' ') FROM pg_class WHERE relname = 'users'
UNION ALL SELECT format('%s %s %s', attname, pg_get_expr(adbin, adrelid),
  CASE attgenerated WHEN '' THEN '' ELSE 'GENERATED' END)
 FROM pg_attribute JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
UNION ALL SELECT format('%s COLLATE "%s"', attname, collname) FROM pg_attribute
 JOIN pg_class ON pg_class.oid = attrelid JOIN pg_collation ON pg_collation.oid = attcollation
 WHERE relnamespace = 'public'::regnamespace
"""
"""What the migrations have made of an empty database."""


def queries() -> list[Query[object]]:
    """Return all statements that exist when every module of the store is imported."""
    for module in pkgutil.walk_packages(store.__path__, f"{store.__name__}."):
        if ".versions" not in module.name and not module.name.endswith("migrations.env"):
            importlib.import_module(module.name)
    return [found for found in gc.get_objects() if isinstance(found, Query)]


@pytest.mark.anyio
@pytest.mark.postgresql
@pytest.mark.parametrize("backend", ["postgresql"])
async def test_the_table_names_what_our_sql_uses(database: str) -> None:
    statements = queries()
    changes = [q for q in statements if q.postgres.sql.startswith(("INSERT", "UPDATE", "DELETE"))]
    migrations = Path(next(iter(store.__path__))) / "migrations"
    sources = [Path(str(m.__file__)) for m in (pool, postgres)] + [migrations / "env.py"]
    corpus = "\n".join(
        [
            *(" ".join(q.postgres.sql.split()) for q in statements),
            postgres._merge_statements((changes[0], changes[1])),
            *(row[0] for row in await query(database, SCHEMA) if row[0]),
            *(source.read_text(encoding="utf-8") for source in sources),
        ]
    )
    found = {
        name for name, pattern in (USED | UNUSED).items() if re.search(pattern, corpus, re.DOTALL)
    }
    assert found == USED.keys()


def test_the_page_lists_them_all() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \|", text, re.MULTILINE)
    assert rows == ["what Dragoman's SQL uses", *USED]
    [unused] = re.findall(r"^Not used, and so no obstacle: (.*)\.$", text, re.MULTILINE)
    assert unused.split(", ") == list(UNUSED)


def test_every_claim_has_a_source() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for row in re.findall(r"^\| .*\|$", text, re.MULTILINE)[2:]:
        for cell in row.strip("|").split(" | ")[1:]:
            assert cell.strip() == "–" or "[[" in cell, cell
    cited = set(re.findall(r"\[\[(\d+)\]\]", text))
    assert cited == set(re.findall(r"^\[(\d+)\]: https://", text, re.MULTILINE))
