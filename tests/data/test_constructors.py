from __future__ import annotations

import importlib
import inspect
import pkgutil
import typing

import pytest

import runner.data
from runner.config.describe import describe
from runner.config.introspect import annotations_of, forwarded_options, parameters_of
from runner.data.base import DataModule, LoaderOptions
from runner.data.detection.coco import CocoDataModule
from runner.data.detection.folder import AnnotatedImagesDataModule
from runner.data.text.brackets import BracketsDataModule


def data_modules() -> list[type[DataModule]]:
    names = [module.name for module in pkgutil.walk_packages(runner.data.__path__, "runner.data.")]
    members = [member for name in names for member in vars(importlib.import_module(name)).values()]
    classes = {m for m in members if inspect.isclass(m) and issubclass(m, DataModule)}
    return sorted(classes - {DataModule}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", data_modules(), ids=lambda kind: kind.__name__)
def test_arguments_are_passed_by_name(kind: type[DataModule]):
    positional = [
        name
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    assert positional in ([], ["path"], ["root"])


@pytest.mark.parametrize("kind", data_modules(), ids=lambda kind: kind.__name__)
def test_loader_arguments_are_keys_of_every_data_set(kind: type[DataModule]):
    keys = {key.name: key for key in describe(kind)}
    base = {key.name: key for key in describe(DataModule)}
    assert {name: keys[name] for name in LoaderOptions.__annotations__} == {
        name: base[name] for name in LoaderOptions.__annotations__
    }
    assert keys["batch_size"].type == base["batch_size"].type
    assert "options" not in keys


@pytest.mark.parametrize("kind", data_modules(), ids=lambda kind: kind.__name__)
def test_forwarded_options_are_parameters_of_the_base_class(kind: type[DataModule]):
    variable, names, base = forwarded_options(kind)
    options = typing.get_type_hints(kind.__init__)[variable]
    types = typing.get_type_hints(typing.get_args(options)[0])
    assert types == {name: hint for name, hint in plain_types(base).items() if name in names}


def plain_types(kind: type) -> dict[str, typing.Any]:
    def holder() -> None: ...

    holder.__annotations__ = {name: hint for name, hint in annotations_of(kind).items() if name != "return"}
    return typing.get_type_hints(holder)


def test_forwarded_options_keep_the_bounds_and_defaults_of_the_base_class():
    keys = {key.name: key for key in describe(CocoDataModule)}
    assert [*parameters_of(CocoDataModule)][:6] == ["root", "train", "val", "test", "images", "bad_boxes"]
    assert keys["num_images"].type == "int, > 0 | null"
    assert keys["val_fraction"].default == "0.15"
    assert keys["max_value"] == next(
        key for key in describe(AnnotatedImagesDataModule) if key.name == "max_value"
    )
    with pytest.raises(TypeError, match="positional"):
        CocoDataModule("root", "train.json")


def test_defaults_of_forwarded_options_are_those_of_the_base_class():
    assert CocoDataModule.default_of("val_fraction") == 0.15
    assert CocoDataModule.default_of("batch_size") == 4
    assert CocoDataModule.default_of("num_workers") == 0
    assert CocoDataModule.default_of("root") is None
    assert BracketsDataModule.default_of("longest") == 24
    assert BracketsDataModule.default_of("missing") is None
