"""Who may import whom, what the domain may use, and where SQL stands (DESIGN: the map in README.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("jobs", "server")

# What a part may not import of ours. The longest name that fits a module speaks for it.
_OWN_PROGRAMS = ("server", "jobs.executor", "jobs.trainer")
_TOOLS = ("jobs.cli", "jobs.dev")  # they use everything, nothing uses them
FORBIDDEN = {
    "server": (  # no request waits for the cluster
        *("jobs.cluster", "jobs.cycle", "jobs.worker", "jobs.executor", "jobs.trainer"),
        *_TOOLS,
    ),
    "jobs": (*_OWN_PROGRAMS, *_TOOLS),
    "jobs.__main__": _OWN_PROGRAMS,
    "jobs.cli": (*_OWN_PROGRAMS, "jobs.dev"),
    "jobs.domain": ("server", "jobs"),
    "jobs.database": (
        *(*_OWN_PROGRAMS, *_TOOLS),
        *("jobs.cluster", "jobs.cycle", "jobs.worker", "jobs.commands"),
    ),
    "jobs.cluster": (*_OWN_PROGRAMS, *_TOOLS, "jobs.database", "jobs.cycle", "jobs.commands"),
    "jobs.buckets": (*_OWN_PROGRAMS, *_TOOLS, "jobs.database", "jobs.cycle", "jobs.cluster"),
    "jobs.commands": (*_OWN_PROGRAMS, *_TOOLS, "jobs.cluster", "jobs.cycle", "jobs.worker"),
    "jobs.executor": ("server", "jobs"),  # it shares nothing but the wire contract
    "jobs.trainer": ("server", "jobs"),
}
ITSELF = ("jobs.domain", "jobs.executor", "jobs.trainer")  # what is closed to them does not mean themselves

PURE_MODULES = set(
    """__future__ base64 bisect collections collections.abc dataclasses datetime decimal email.utils enum
    fractions functools hashlib hmac itertools json math numbers operator re string types typing unicodedata
    uuid""".split()  # noqa: SIM905 - a list of words reads better than a list of quotes
)
CLOCKS = frozenset({"now", "utcnow", "today", "uuid1", "uuid4"})


def modules() -> list[tuple[str, Path]]:
    """Every module of ours: dotted name and file."""
    found = []
    for file in sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), file))
    return found


def imports_of(source: str, module: str, *, is_package: bool = False) -> set[str]:
    """Dotted names that `source` imports, anywhere in it; of `from a import b` both `a` and `a.b`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                up = node.level - (1 if is_package else 0)
                base = module.split(".")
                origin = ".".join([*base[: len(base) - up], *filter(None, [node.module])])
            names |= {origin, *(f"{origin}.{alias.name}" for alias in node.names)}
    return names


def below(name: str, prefixes: tuple[str, ...]) -> bool:
    """Whether `name` is one of `prefixes` or lies inside one."""
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def wrong_arrows(module: str, imports: set[str]) -> set[str]:
    """The imports that point the wrong way."""
    part = max((part for part in FORBIDDEN if below(module, (part,))), key=len)
    ours = {name for name in imports if below(name, PACKAGES)} - {"jobs", "server"}
    return {
        name
        for name in ours
        if below(name, FORBIDDEN[part]) and not (part in ITSELF and below(name, (part,)))
    }


def impurities(source: str) -> Iterator[str]:
    """What a domain module must not do: leave the standard library's pure part, wait, or read a clock."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (f"imports {alias.name}" for alias in names if alias.name not in PURE_MODULES)
            case ast.ImportFrom(module=str(origin), level=0):
                if origin not in PURE_MODULES and not below(origin, ("jobs.domain",)):
                    yield f"imports {origin}"
            case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                yield f"line {node.lineno} is asynchronous"
            case ast.Attribute(attr=attribute) if attribute in CLOCKS:
                yield f"line {node.lineno} asks for {attribute}"
            case ast.Name(id="open" | "input" | "print" as name):
                yield f"line {node.lineno} uses {name}"


MODULES = modules()
OF_THE_DOMAIN = [(name, file) for name, file in MODULES if below(name, ("jobs.domain",))]


@pytest.mark.parametrize(("module", "file"), MODULES, ids=[name for name, _ in MODULES])
def test_imports_point_the_right_way(module: str, file: Path) -> None:
    found = imports_of(file.read_text(), module, is_package=file.name == "__init__.py")
    assert wrong_arrows(module, found) == set()


@pytest.mark.parametrize(("module", "file"), OF_THE_DOMAIN, ids=[name for name, _ in OF_THE_DOMAIN])
def test_the_domain_is_pure(module: str, file: Path) -> None:
    assert list(impurities(file.read_text())) == [], module


def test_sql_stands_only_in_the_database_package() -> None:
    for library, homes in {
        ("sqlalchemy", "alembic", "asyncpg", "aiosqlite"): ("jobs.database",),
        ("sqlite3",): ("jobs.database", "jobs.executor"),  # the executor keeps its runs in a file of its own
    }.items():
        users = {
            name
            for name, file in MODULES
            if any(below(imported, library) for imported in imports_of(file.read_text(), name))
        }
        assert {name for name in users if not below(name, homes)} == set(), library


def test_a_wrong_arrow_would_be_seen() -> None:
    late = "def f():\n    from jobs import cluster\n"
    assert wrong_arrows("server.app", imports_of(late, "server.app")) == {"jobs.cluster"}
    assert wrong_arrows("jobs.domain.job", imports_of("from ..database import jobs", "jobs.domain.job"))
    assert wrong_arrows("jobs.trainer.lora", imports_of("import jobs.settings", "jobs.trainer.lora"))
    assert not wrong_arrows(
        "jobs.trainer.lora", imports_of("from jobs.trainer import data", "jobs.trainer.lora")
    )


def test_an_impure_domain_would_be_seen() -> None:
    source = "import os\nfrom datetime import datetime\nasync def f():\n    return datetime.now()\n"
    assert len(list(impurities(source))) == 3
