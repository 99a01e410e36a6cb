"""The architecture, kept: imports go only downward, for Python modules and for the C parts.

Every module has its place in LAYERS, lowest first; it may import from its own layer and those below, never in a circle.
A new module that is not placed fails here: give it the lowest layer that its imports allow.
"""
import ast
import re
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "lsm"

LAYERS = [
    ["lsm.errors"],
    ["lsm.contract.*"],                         # arguments, span, batch, rows: plain forms that a core may build on
    ["lsm._core", "lsm._pycore", "lsm._pycore.*"],
    ["lsm._chosen"],
    ["lsm.options", "lsm.stats", "lsm.place", "lsm.contract", "lsm.contract.reading", "lsm.contract.moment",
     "lsm.contract.engine", "lsm.contract.simple"],
    ["lsm.bell", "lsm.background", "lsm.lifecycle", "lsm.opening"],
    ["lsm.tree", "lsm.tree.*"],
    ["lsm.engines", "lsm.engines.*"],
    ["lsm.registry"],
    ["lsm.source", "lsm.staging"],
    ["lsm.conversion", "lsm.dump", "lsm.dump.*", "lsm.salvaging", "lsm.salvaging.*"],
    ["lsm"],
    ["lsm.cli", "lsm.cli.*", "lsm.server", "lsm.server.*", "lsm.__main__"],
]


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = set(SOURCES) | {"lsm._core", "lsm._pycore"}


def layer(module):
    """The number of the module's layer. A pattern names packages below it; the most exact one counts."""
    found = [
        (pattern == module, number)
        for number, patterns in enumerate(LAYERS)
        for pattern in patterns
        if fnmatch(module, pattern)
    ]
    assert found, f"{module} has no layer: place it in LAYERS"
    return max(found)[1]


def imported(module):
    """The modules of this package that `module` imports, at its top or inside a function."""
    path = SOURCES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join(base + ([node.module] if node.module else []))
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                if inner in MODULES:
                    yield inner
                elif origin in MODULES:
                    yield origin


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_a_module_imports_only_downward(module):
    for other in imported(module):
        assert layer(other) <= layer(module), f"{module} imports {other}, which is above it"


def assert_no_circle(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail("imports go in a circle: " + " -> ".join(circle.args[1]))


def test_modules_import_in_no_circle():
    assert_no_circle({module: set(imported(module)) - {module} for module in SOURCES})


def test_every_folder_of_modules_is_a_package():
    """Else it would be missing from what is installed."""
    for path in SOURCES.values():
        assert (path.parent / "__init__.py").exists(), f"{path.parent} has no __init__.py"


def test_import_of_lsm_needs_no_extra():
    """Below the doors, nothing but the standard library and sortedcontainers; and what one engine stands on, which does
    without it until it is asked for."""
    import sys

    extras = {"lsm.engines.btree.environment": {"lmdb"}}
    for module in SOURCES:
        if layer(module) == len(LAYERS) - 1:
            continue
        for node in ast.walk(ast.parse(SOURCES[module].read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                top = name.split(".")[0]
                allowed = sys.stdlib_module_names | {"lsm", "sortedcontainers"} | extras.get(module, set())
                assert top in allowed, f"{module} imports {top}"


# The C parts: core/*.pxd know the C library and each other; binding/*.pxi know core/, and meet only in _core.pyx.

CIMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+cimport|cimport\s+([\w.]+))", re.MULTILINE)
IMPORT = re.compile(r"^(?:from\s+([\w.]+)\s+import|import\s+([\w.]+))", re.MULTILINE)
CORE = sorted((PACKAGE / "core").glob("*.pxd"))
BINDING = sorted((PACKAGE / "binding").glob("*.pxi")) + [PACKAGE / "_core.pyx"]


def named(pattern, path):
    return [first or second for first, second in pattern.findall(path.read_text())]


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_core_is_c_alone(path):
    for name in named(CIMPORT, path):
        assert re.match(r"(lsm\.core\.|libc\b|posix\b|cython$)", name), f"{path.name} cimports {name}"
    assert not named(IMPORT, path), f"{path.name} imports Python modules"
    assert not re.search(r"^\s*include\s", path.read_text(), re.MULTILINE)


def test_core_cimports_in_no_circle():
    graph = {path.stem: set() for path in CORE}
    for path in CORE:
        for name in named(CIMPORT, path):
            if name.startswith("lsm.core."):
                assert name.removeprefix("lsm.core.") in graph, f"{path.name} cimports {name}, which does not exist"
                graph[path.stem].add(name.removeprefix("lsm.core."))
    assert_no_circle(graph)


@pytest.mark.parametrize("path", BINDING, ids=lambda path: path.name)
def test_binding_stands_on_core_and_errors(path):
    for name in named(CIMPORT, path):
        assert re.match(r"(lsm\.core\.|libc\b|posix\b|cpython\b|cython$)", name), f"{path.name} cimports {name}"
    for name in named(IMPORT, path):
        assert not name.startswith("lsm") or name == "lsm.errors", f"{path.name} imports {name}"
    if path.suffix == ".pxi":
        assert not re.search(r"^include\s", path.read_text(), re.MULTILINE), "only _core.pyx includes"


def test_core_parts_are_inline_and_release_the_gil():
    """A function of core/ is `cdef inline ... noexcept nogil`: no GIL, no module of its own."""
    for path in CORE:
        for line in re.findall(r"^cdef inline .*(?:\n .*)*?:\s*$", path.read_text(), re.MULTILINE):
            assert "noexcept nogil" in line, f"{path.name}: {line}"
        assert not re.search(r"^cdef (?!inline|extern|struct|enum|union|class)[^=\n]*\)[^;\n]*:\s*$", path.read_text(),
                             re.MULTILINE), f"{path.name} has a function that is not inline"


# docs/design.md has a table of the layers: what it names is there, and what is there it names.

LAYERS_TOLD = (ROOT / "docs" / "design.md").read_text().partition("\n## Layers")[2].partition("\n## ")[0]
NAMED = set(re.findall(r"`(?:[\w/]+/)?(\w+\.(?:py|pxd|pxi|h|pyi))`", LAYERS_TOLD))
FOLDERS_TOLD = ["core", "binding", "contract", "dump", "engines", "tree"]      # the others by their folder, or on pages of their own


@pytest.mark.parametrize("folder", FOLDERS_TOLD)
def test_the_design_page_names_every_file(folder):
    files = {path.name for path in (PACKAGE / folder).rglob("*.*") if path.suffix in (".py", ".pxd", ".pxi", ".h")} - {"__init__.py"}
    assert files and not files - NAMED


def test_the_design_page_names_every_module_at_the_top():
    top = {path.name for path in PACKAGE.glob("*.py")} | {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    assert not [name for name in sorted(top) if not re.search(rf"`{name}`|`{name}\w|^### {name}", LAYERS_TOLD, re.MULTILINE)]


def test_every_file_on_the_design_page_exists():
    there = {path.name for path in PACKAGE.rglob("*.*")}
    assert NAMED and not NAMED - there
    for path in re.findall(r"`((?!src/)[\w/]+/(?:\w+\.py)?)`", LAYERS_TOLD):
        assert (PACKAGE / path).exists(), path
