"""Who may import whom: every module has a floor and imports its own or lower ones."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PRODUCT = ("celery_app.py", "manage.py", "jyotiflow", "credits", "sessions_app", "followups")
# Lowest first; a name stands for a module and all below it.
FLOORS = (
    ("celery_app",),
    ("jyotiflow",),
    ("credits",),
    ("sessions_app",),
    tuple(f"followups.{name}" for name in ("choices", "exceptions", "conf")),
    tuple(f"followups.{name}" for name in ("models", "migrations")),
    tuple(
        f"followups.{name}"
        for name in ("rendering", "linting", "segments", "timing", "retries", "status", "doubts", "gate")
        + ("links", "layouts", "composing", "channels", "addresses", "keywords", "differences")
    ),
    ("followups.selectors", "followups.services"),
    tuple(
        f"followups.{name}"
        for name in ("tasks", "receivers", "receipts", "api", "admin", "web", "templatetags", "management")
        + ("health", "urls")
    ),
    ("followups.apps", "followups.checks"),
)
WIRING = ("manage", "jyotiflow.settings", "jyotiflow.urls")  # they and what is below may name anything
READS_ENVIRONMENT = ("celery_app", "manage", "jyotiflow.settings", "jyotiflow.wsgi", "jyotiflow.local")
DEMO = ("followups.management.commands.load_demo", "DEMO_PASSWORD")  # this variable in this module, too
VAGUE_NAMES = {"utils", "helpers", "common"}
MAX_LINES = 350


def faults_of(root: Path) -> list[str]:
    """Every broken rule in a source tree, one sentence each."""
    top = [root / name for name in PRODUCT]
    files = [path for start in top for path in (start, *sorted(start.rglob("*.py"))) if path.is_file()]
    sources = {_name(path.relative_to(root)): path.read_text(encoding="utf-8") for path in files}
    trees = {name: ast.parse(source) for name, source in sources.items()}
    imports = {name: set(_imports(tree, sources)) & sources.keys() - {name} for name, tree in trees.items()}
    faults = []
    for name, tree in trees.items():
        lines = sources[name].splitlines()
        floor = _floor(name)
        if floor is None:
            faults.append(f"{name} belongs to no floor")
        for other in sorted(imports[name]):
            if floor is not None and floor < (_floor(other) or 0):
                faults.append(f"{name} imports {other} from a higher floor")
        faults += [f"{name}:{number} {what}" for number, what in sorted(_bad_lines(name, tree, lines))]
        if len(lines) > MAX_LINES and ".migrations." not in name:
            faults.append(f"{name} is longer than {MAX_LINES} lines")
        if VAGUE_NAMES & set(name.split(".")):
            faults.append(f"{name} has a name that says nothing")
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        faults.append(f"a cycle: {' -> '.join(error.args[1])}")
    return faults


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _within(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def _floor(name: str) -> int | None:
    if _within(name, WIRING):
        return len(FLOORS)
    if name == "followups":  # the package itself: empty
        return 0
    return next((number for number, floor in enumerate(FLOORS) if _within(name, floor)), None)


def _imports(tree: ast.AST, known: dict[str, str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import module` means the module, `from module import thing` the module it is in.
            parts = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (part if part in known else node.module for part in parts)


def _bad_lines(name: str, tree: ast.AST, lines: list[str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "imports relatively"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = [part for part in ast.walk(node) if isinstance(part, ast.Import | ast.ImportFrom)]
            yield from ((part.lineno, "imports inside a function") for part in inner)
        if isinstance(node, ast.expr | ast.stmt) and _touches_environment(node):
            is_demo = name == DEMO[0] and DEMO[1] in lines[node.lineno - 1]
            if not is_demo and not _within(name, READS_ENVIRONMENT):
                yield node.lineno, "reads the environment"


def _touches_environment(node: ast.expr | ast.stmt) -> bool:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.value.id == "os" and node.attr in ("environ", "environb", "getenv", "getenvb")
    if isinstance(node, ast.ImportFrom):
        return node.module == "environ" or (
            node.module == "os" and any("env" in alias.name for alias in node.names)
        )
    return isinstance(node, ast.Import) and any(alias.name == "environ" for alias in node.names)


def test_every_module_keeps_to_its_floor() -> None:
    root = Path(__file__).parents[1]
    assert len(list((root / "followups").rglob("*.py"))) > 50  # the tree is there to be read
    assert faults_of(root) == []


CLEAN = {
    "celery_app.py": "import os\nos.environ.setdefault('A', 'b')\n",
    "jyotiflow/settings.py": "import os\nfrom followups.conf import SETTINGS\nDEBUG = os.environ['DEBUG']\n",
    "credits/services.py": "from jyotiflow.api import answer\n",
    "jyotiflow/api.py": "from collections import abc\nanswer = abc\n",
    "followups/__init__.py": "",
    "followups/conf.py": "SETTINGS = {}\n",
    "followups/models/__init__.py": "from followups.models.schedules import Row\n",
    "followups/models/schedules.py": "from followups.conf import SETTINGS\nRow = SETTINGS\n",
    "followups/channels/email.py": "from followups.models import Row\n",
    "followups/selectors/reads.py": "from followups.channels import email\n",
    "followups/services/writes.py": "from followups.selectors import reads\n",
    "followups/management/commands/load_demo.py": "import os\nprint(os.environ.get('DEMO_PASSWORD'))\n",
    "followups/migrations/0001_all.py": "x = 1\n" * 500,
    "followups/checks.py": "from followups.services.writes import reads\n",
}
PLANTED = {
    "an upward import": ("credits/services.py", "from followups.conf import SETTINGS\n", "a higher floor"),
    "a module from a higher floor": (
        "followups/timing.py",
        "from followups import services\nimport followups.services.writes\n",
        "followups.timing imports followups.services.writes from a higher floor",
    ),
    "a plain package import": ("followups/conf.py", "import followups.models\n", "a higher floor"),
    "a model that calls a service": (
        "followups/models/schedules.py",
        "from followups.services import writes\n",
        "followups.models.schedules imports followups.services.writes from a higher floor",
    ),
    "an import for the type checker only": (
        "jyotiflow/api.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import followups.tasks\n",
        "imports followups.tasks from a higher floor",
    ),
    "a relative import": ("followups/services/writes.py", "from .reads import x\n", ":1 imports relatively"),
    "a hidden import": ("credits/services.py", "def f():\n    import json\n", ":2 imports inside a function"),
    "a method's import": (
        "credits/services.py",
        "class A:\n    async def f(self):\n        from json import loads\n",
        ":3 imports inside a function",
    ),
    "a cycle": ("followups/selectors/reads.py", "from followups.services.writes import reads\n", "a cycle: "),
    "a vague name": ("followups/services/utils.py", "", "followups.services.utils has a name"),
    "a vague package": ("jyotiflow/common/x.py", "", "jyotiflow.common.x has a name"),
    "a long module": ("credits/services.py", "x = 1\n" * 351, "is longer than 350 lines"),
    "a module without a floor": ("followups/misc.py", "", "followups.misc belongs to no floor"),
    "the environment": ("credits/services.py", "import os\nx = os.getenv('X')\n", ":2 reads the environment"),
    "the environment by name": ("credits/api.py", "from os import environ\n", ":1 reads the environment"),
    "the environment by library": ("followups/conf.py", "import environ\n", ":1 reads the environment"),
    "another variable in the demo": (
        "followups/management/commands/load_demo.py",
        "import os\nx = os.environ['HOME']\n",
        ":2 reads the environment",
    ),
}


def plant(root: Path, files: dict[str, str]) -> None:
    for name, source in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")


def test_a_clean_tree_has_no_faults(tmp_path: Path) -> None:
    plant(tmp_path, {**CLEAN, "followups/services/__init__.py": ""})
    assert faults_of(tmp_path) == []


@pytest.mark.parametrize(("file", "source", "fault"), PLANTED.values(), ids=list(PLANTED))
def test_a_planted_fault_is_found(tmp_path: Path, file: str, source: str, fault: str) -> None:
    plant(tmp_path, {**CLEAN, "followups/tasks.py": "", "followups/services/__init__.py": "", file: source})
    assert any(fault in sentence for sentence in faults_of(tmp_path)), faults_of(tmp_path)
