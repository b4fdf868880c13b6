"""A plain ``torch.utils.data.Dataset`` as ``data._target_`` becomes the training data of a data module."""

from __future__ import annotations

import inspect
import sys
from typing import Any

from omegaconf import DictConfig, OmegaConf

from runner.config.allow_list import resolve_target
from runner.config.composition import Composition
from runner.config.groups import package_conf
from runner.config.introspect import annotations_of, parameters_of
from runner.config.replaced import accepted_names, target_of
from runner.errors import ConfigError

__all__ = ["wrap_dataset"]

WRAPPER = "runner.data.dataset.DatasetDataModule"
SPLITS = ("train", "val", "test")


def wrap_dataset(composition: Composition) -> None:
    """Rewrite ``data._target_=my.Photos`` to ``data.train._target_=my.Photos`` of ``data=dataset``.

    Arguments that the dataset accepts become those of ``data.train``; the others (``data.batch_size``,
    ``data.val_fraction``) stay arguments of the data module. Values of the option that the dataset replaces
    are not used. Datasets are built by the data module, not by the check of the config: their constructors
    may read files.
    """
    node = composition.config.get("data")
    if not isinstance(node, DictConfig):
        return
    target = target_of(node)
    if isinstance(target, str) and not target.startswith("runner.") and returns_dataset(target):
        composition.config.data = wrapped(composition, node, target)
        if "data._target_" in composition.explicit:
            composition.choices["data"] = target.rpartition(".")[2]
    node = composition.config.data
    if target_of(node) == WRAPPER:
        for split in SPLITS:
            part = node._get_node(split) if split in node else None
            if isinstance(part, DictConfig) and "_target_" in part and "_partial_" not in part:
                part["_partial_"] = True


def wrapped(composition: Composition, node: DictConfig, target: str) -> DictConfig:
    keys = [str(key) for key in node if key != "_target_"]
    if "data._target_" in composition.explicit:
        keys = [key for key in keys if any(f"{k}.".startswith(f"data.{key}.") for k in composition.explicit)]
    module = OmegaConf.load(package_conf() / "data/dataset.yaml")
    assert isinstance(module, DictConfig)
    accepted = accepted_names(target)
    own = set(parameters_of(resolve_target(WRAPPER)) or ())
    train: dict[str, Any] = {"_target_": target}
    for key in keys:
        if key in own and (accepted is None or key not in accepted):
            module[key] = node._get_node(key)
        else:
            train[key] = node._get_node(key)
            composition.explicit |= {f"data.train.{key}"} if f"data.{key}" in composition.explicit else set()
    module["train"] = train
    return module


def returns_dataset(target: str) -> bool:
    """Return whether a constructor is a ``Dataset``, or a function annotated to return one."""
    try:
        constructor = resolve_target(target)
    except ConfigError:  # reported by the check of the node
        return False
    kind = constructor if inspect.isclass(constructor) else annotations_of(constructor).get("return")
    torch_data = sys.modules.get("torch.utils.data")  # loaded if the target's module defines a dataset
    return torch_data is not None and inspect.isclass(kind) and issubclass(kind, torch_data.Dataset)
