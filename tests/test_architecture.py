"""Which package may import which. The imports are read with ast: nothing is executed."""

from __future__ import annotations

import ast
import graphlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "runner"

MAY_IMPORT = {
    "errors": set(),
    "suggest": set(),
    "plots": set(),
    "run": {"errors"},
    "config": {"errors", "suggest", "run"},
    "losses": {"errors"},
    "models": {"errors"},
    "optim": {"errors"},
    "distributed": {"errors", "run"},
    "data": {"errors", "suggest"},
    "baselines": {"errors", "data"},
    "tasks": {"errors", "suggest", "plots", "optim", "data", "distributed"},
    "report": {"errors", "run", "plots", "distributed"},
    "callbacks": {
        "errors",
        "run",
        "report",
        "config",
        "optim",
        "models",
        "data",
        "tasks",
        "distributed",
    },
    "training": {
        "errors",
        "run",
        "config",
        "report",
        "baselines",
        "callbacks",
        "data",
        "models",
        "tasks",
        "distributed",
        "optim",
        "plots",
    },
    "inference": {
        "config",
        "errors",
        "run",
        "training",
        "callbacks",
        "data",
        "tasks",
        "plots",
        "distributed",
    },
    "landscape": {
        "errors",
        "run",
        "distributed",
        "inference",
        "callbacks",
        "data",
        "tasks",
        "plots",
        "optim",
    },
    "explain": {
        "errors",
        "run",
        "suggest",
        "distributed",
        "data",
        "tasks",
        "plots",
        "report",
        "inference",
    },
    "tracking": {"config", "errors", "run", "inference"},
    "launch": {
        "auto",
        "errors",
        "run",
        "config",
        "training",
        "tracking",
        "distributed",
        "report",
        "callbacks",
    },
    "sweep": {
        "errors",
        "run",
        "config",
        "suggest",
        "launch",
        "training",
        "distributed",
        "data",
        "report",
        "plots",
        "tracking",
    },
    "api": {
        "config",
        "data",
        "errors",
        "explain",
        "inference",
        "launch",
        "notebook",
        "report",
        "run",
        "sweep",
        "training",
    },
    "notebook": {
        "data",
        "errors",
        "explain",
        "inference",
        "plots",
        "report",
        "run",
        "sweep",
    },
    "auto": {"errors", "config", "data", "training", "distributed"},
    "cli": {
        "auto",
        "errors",
        "run",
        "config",
        "suggest",
        "training",
        "distributed",
        "launch",
        "sweep",
        "inference",
        "explain",
        "landscape",
        "report",
        "tracking",
        "plots",
        "data",
        "optim",
    },
}
"""Package → packages it may import besides itself.

A package that is not named here fails the test: place it.
"""

LIBRARIES = {
    "models": {
        "torch",
        "torchvision",
        "timm",
        "segmentation_models_pytorch",
        "safetensors",
        "annotated_types",
    },
    "losses": {"torch", "torchvision", "segmentation_models_pytorch", "annotated_types"},
    "plots": {"matplotlib", "numpy", "PIL"},
    "errors": set(),
    "run": {"psutil", "yaml", "omegaconf"},
}
"""Package → the only libraries it may import."""

FOREIGN = {
    "tasks": {"hydra", "omegaconf", "mlflow"},
    "data": {"hydra", "omegaconf", "mlflow"},
    "optim": {"hydra", "omegaconf", "mlflow", "pytorch_lightning"},
    "callbacks": {"hydra", "mlflow"},
    "report": {"hydra", "mlflow", "pytorch_lightning"},
    "config": {"mlflow", "pytorch_lightning"},
}
"""Package → libraries it must not know."""

LIGHT_PACKAGES = {"cli", "run"}
"""Packages that import nothing but the standard library before they are asked for something."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST, everywhere: bool = True) -> Iterator[tuple[str, int]]:
    """Names of imported modules with their line; only those at import time when not ``everywhere``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif not everywhere and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        elif not everywhere and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        else:
            yield from imported(node, everywhere)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(PACKAGE.parent)}:{line}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_allowed_directions(path: Path) -> None:
    package = package_of(path)
    if package in ("__init__", "__main__"):
        return
    assert package in MAY_IMPORT, f"runner/{package} is a new package: say in MAY_IMPORT what it may import"
    wrong = []
    for name, line in imported(parse(path)):
        library, _, rest = name.partition(".")
        if library == "runner":
            other = rest.partition(".")[0]
            if other not in {package, "", "__version__", "make_callable"} | MAY_IMPORT[package]:
                wrong.append(f"{where(path, line)}: {package} may not import {name}")
        elif library in sys.stdlib_module_names:
            continue
        elif library in FOREIGN.get(package, ()) or (
            package in LIBRARIES and library not in LIBRARIES[package]
        ):
            wrong.append(f"{where(path, line)}: {package} may not know {library}")
    assert not wrong, "\n".join(wrong)


def test_packages_have_no_import_cycle() -> None:
    graphlib.TopologicalSorter(MAY_IMPORT).prepare()  # raises CycleError


def test_modules_have_no_import_cycle() -> None:
    names = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in modules()}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    graph = {}
    for name, path in names.items():
        targets = [target for target, _ in imported(parse(path), everywhere=False)]
        targets = [target if target in names else target.rpartition(".")[0] for target in targets]
        graph[name] = {target for target in targets if target in names and target != "runner"}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("package", sorted(LIGHT_PACKAGES))
def test_light_packages_import_the_standard_library_only(package: str) -> None:
    light = {"runner." + name for name in (*LIGHT_PACKAGES, "errors", "suggest")}
    wrong = []
    for path in (PACKAGE / package).rglob("*.py"):
        for name, line in imported(parse(path), everywhere=False):
            if name.partition(".")[0] in sys.stdlib_module_names:
                continue
            if name != "runner.__version__" and not any(f"{name}.".startswith(f"{ok}.") for ok in light):
                wrong.append(f"{where(path, line)}: {name} is imported before it is needed")
    assert not wrong, "\n".join(wrong)


def test_only_build_instantiates() -> None:
    wrong = []
    for path in modules():
        if path == PACKAGE / "config" / "build.py":
            continue
        for node in ast.walk(parse(path)):
            name = getattr(node, "attr", getattr(node, "id", None))
            if name in ("instantiate", "get_class", "get_method", "get_object"):
                wrong.append(where(path, node.lineno))
        for name, line in imported(parse(path)):
            if name.startswith("hydra.utils"):
                wrong.append(where(path, line))
    assert not wrong, f"only config/build.py makes objects of a config: {', '.join(wrong)}"


def test_command_line_is_not_imported() -> None:
    wrong = [
        where(path, line)
        for path in modules()
        if package_of(path) not in ("cli", "__main__")
        for name, line in imported(parse(path))
        if f"{name}.".startswith("runner.cli.")
    ]
    assert not wrong, ", ".join(wrong)


def test_no_package_asks_which_task_it_holds() -> None:
    """Explanations, inference, landscapes, tracking and reports call hooks of ``Task`` only."""
    interface = ("runner.tasks.base.", "runner.tasks.explanation.")
    wrong = []
    for path in modules():
        if package_of(path) == "tasks":
            continue
        for name, line in imported(parse(path)):
            if name.startswith("runner.tasks.") and not name.startswith(interface):
                wrong.append(f"{where(path, line)}: imports {name}")
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
                named = [getattr(part, "attr", getattr(part, "id", "")) for part in ast.walk(node.args[1])]
                if any(name != "Task" and name.endswith("Task") for name in named):
                    wrong.append(f"{where(path, node.lineno)}: {ast.unparse(node)}")
            if isinstance(node, ast.Constant) and re.fullmatch(r"[A-Z]\w+Task", str(node.value)):
                wrong.append(f"{where(path, node.lineno)}: the class name {node.value!r}")
    assert not wrong, "\n".join(wrong)


def test_no_catch_all_modules() -> None:
    """A file is named for its one concept."""
    drawers = {"utils", "util", "helpers", "helper", "misc", "common", "tools"}
    assert not [str(path) for path in modules() if path.stem in drawers or path.parent.name in drawers]
