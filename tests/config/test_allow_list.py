"""What a config cannot name, however it tries."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.config.allow_list import resolve_target
from runner.config.build import build
from runner.errors import ConfigError

pytestmark = pytest.mark.attack("constructors")

FOREIGN = [
    "torch.load",
    "torch.save",
    "torch.hub.load",
    "torch.jit.load",
    "torch.utils.cpp_extension.load_inline",
    "torch.distributed.run.main",
    "numpy.load",
    "pickle.loads",
    "os.system",
    "os.makedirs",
    "posix.system",
    "shutil.rmtree",
    "subprocess.Popen",
    "builtins.eval",
    "builtins.exec",
    "builtins.open",
    "builtins.getattr",
    "builtins.__import__",
    "importlib.import_module",
    "functools.partial",
    "functools.reduce",
    "operator.attrgetter",
    "operator.methodcaller",
    "runpy.run_path",
    "pandas.read_pickle",
    "pandas.eval",
    "joblib.load",
    "yaml.unsafe_load",
    "antigravity.geohash",
    "hydra.utils.get_class",
    "hydra.utils.instantiate",
    "omegaconf.OmegaConf.create",
    "mlflow.pytorch.load_model",
    "runner.run.files.write_text",
    "runner.training.worker.execute",
    "runner.cli.main",
    "runner.config.build.build",
    "runner.__main__.main",
    "pytorch_lightning.LightningModule.load_from_checkpoint",
    "pytorch_lightning.core.saving.load_hparams_from_yaml",
    "pytorch_lightning.loggers.CSVLogger",
    "pytorch_lightning.cli.LightningCLI",
    "pytorch_lightning.strategies.DDPStrategy",
]
"""Outside the packages."""

WITHIN = [
    "torch.nn.modules.module.torch.load",
    "torch.nn.modules.module.warnings.warn",
    "torch.nn.functional.importlib.import_module",
    "torch.nn.Module.load_state_dict",
    "torch.nn.Module.register_module",
    "torch.nn.attention._fa4.register_flash_attention_fa4",
    "torch.nn.attention.register_flash_attention_impl",
    "torch.nn.attention.activate_flash_attention_impl",
    "torch.nn.init.kaiming_normal_",
    "torch.nn.functional.handle_torch_function",
    "torch.nn.parallel.parallel_apply.parallel_apply",
    "torch.nn.Linear.__init__",
    "torch.nn.Linear.__class__",
    "torch.optim.optimizer.functools.partial",
    "torch.optim.Optimizer.load_state_dict",
    "torchvision.models.get_weight",
    "torchvision.models.get_model_weights",
    "torchvision.models.list_models",
    "torchvision.models.ResNet18_Weights.verify",
    "torchvision.models._api.register_model",
    "torchvision.models.feature_extraction.create_feature_extractor",
    "torchvision.models.resnet.partial",
    "torchvision.transforms.functional.Image.open",
    "torchvision.datasets.ImageFolder",
    "torchvision.io.read_file",
    "timm.models.load_checkpoint",
    "timm.models.load_state_dict",
    "timm.models.load_pretrained",
    "timm.models.push_to_hf_hub",
    "timm.models.save_for_hf",
    "timm.models.load_model_config_from_path",
    "timm.models._helpers.torch.load",
    "timm.models.build_model_with_cfg",
    "timm.models.vision_transformer.load_pretrained",
    "timm.models.VisionTransformer.load_pretrained",
    "timm.optim.create_optimizer_v2",
    "timm.optim._optim_factory._import_class",
    "timm.layers.create_conv2d",
    "timm.data.create_dataset",
    "torchmetrics.image.fid.FrechetInceptionDistance",
    "torchmetrics.text.bert.BERTScore",
    "torchmetrics.multimodal.CLIPScore",
    "torchmetrics.utilities.checks.check_forward_full_state_property",
    "torchmetrics.functional.accuracy",
    "pytorch_lightning.callbacks.callback.Callback.load_state_dict",
    "pytorch_lightning.callbacks.model_checkpoint.get_filesystem",
    "pytorch_lightning.trainer.trainer.os.system",
    "pytorch_lightning.seed_everything",
    "segmentation_models_pytorch.Unet.from_pretrained",
    "segmentation_models_pytorch.from_pretrained",
    "segmentation_models_pytorch.losses.functional",
    "runner.data.archive.extract",
    "runner.data.download.download",
    "runner.models.weights.read_weights",
    "runner.models.weights.load_weights",
    "runner.models.weights.torch.load",
    "runner.callbacks.checkpoint.write_index",
    "runner.callbacks.checkpoint.Path",
    "runner.optim.groups.set_lr_factor",
    "runner.tasks.base.Task.load_from_checkpoint",
    "runner.tasks.base.Task.adapt",
    "runner.data.base.DataModule.from_datasets",
]
"""Reachable through the packages, and no part of a model or of its training."""

ALLOWED = [
    "torch.nn.Linear",
    "torch.nn.CrossEntropyLoss",
    "torch.optim.AdamW",
    "torchvision.models.resnet18",
    "torchvision.models.ResNet",
    "torchvision.models.detection.fasterrcnn_resnet50_fpn",
    "torchvision.ops.FrozenBatchNorm2d",
    "torchvision.transforms.v2.Compose",
    "torchvision.transforms.Compose",
    "torchvision.transforms.InterpolationMode",
    "torchmetrics.classification.MulticlassAccuracy",
    "torchmetrics.MetricCollection",
    "timm.create_model",
    "timm.models.resnet26d",
    "timm.layers.DropPath",
    "timm.loss.LabelSmoothingCrossEntropy",
    "timm.optim.Lion",
    "segmentation_models_pytorch.Unet",
    "segmentation_models_pytorch.losses.DiceLoss",
    "pytorch_lightning.Trainer",
    "pytorch_lightning.callbacks.LearningRateMonitor",
    "pytorch_lightning.profilers.SimpleProfiler",
    "runner.models.mlp.MLP",
    "runner.models.pretrained.resnet",
    "runner.optim.decay.cosine",
    "runner.tasks.classification.ClassificationTask",
    "runner.callbacks.transfer.FineTune",
]


@pytest.mark.parametrize("target", [*FOREIGN, *WITHIN])
def test_rejected_targets(target: str, here: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        resolve_target(target)
    assert repr(target) in str(refusal.value)


@pytest.mark.parametrize("target", FOREIGN)
def test_foreign_modules_are_not_imported(target: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def imported(name: str, *_: object) -> None:
        raise AssertionError(f"{name} was imported")

    monkeypatch.setattr("runner.config.allow_list.importlib.import_module", imported)
    if target.count(".") > 1 or target.partition(".")[0] not in ("torch", "pytorch_lightning"):
        with pytest.raises(ConfigError, match="is not allowed"):
            resolve_target(target)


@pytest.mark.parametrize("target", ALLOWED)
def test_allowed_targets(target: str, here: Path) -> None:
    assert callable(resolve_target(target))


@pytest.mark.parametrize(
    ("place", "wrap"),
    [
        (
            "data.transform.steps[1].inner",
            lambda node: {"data": {"transform": {"steps": [1, {"inner": node}]}}},
        ),
        ("a list in a list", lambda node: [[node]]),
        ("positional", lambda node: {"_target_": "torch.nn.Sequential", "_args_": [node]}),
        ("unbuilt", lambda node: {"_target_": "torch.nn.Sequential", "_recursive_": False, "_args_": [node]}),
        ("partial", lambda node: {"_target_": "torch.nn.Sequential", "_partial_": True, "_args_": [node]}),
    ],
)
def test_rejected_at_any_depth_before_anything_is_built(place: str, wrap, here: Path) -> None:
    evil = {"_target_": "os.makedirs", "name": "made"}
    first = {"_target_": "mine.Mark"}
    (here / "mine.py").write_text(
        "class Mark:\n    def __init__(self):\n        open('marked', 'w').close()\n"
    )
    with pytest.raises(ConfigError, match=r"os\.makedirs"):
        build({"first": first, "second": wrap(evil)})
    assert not Path("made").exists() and not Path("marked").exists()


@pytest.mark.parametrize(
    "line",
    [
        "inner: \"${oc.create:'{_target_: os.makedirs, name: made}'}\"",
        "inner: \"${oc.decode:'{_target_: os.makedirs, name: made}'}\"",
        "inner: ${oc.dict.values:'.evil'}\nevil: {a: {_target_: os.makedirs, name: made}}",
        "inner: ${oc.select:model.evil}\nevil: {_target_: os.makedirs, name: made}",
        "inner: {_target_: '${oc.decode:os.makedirs}', name: made}",
        "inner: {_target_: 'os.${run.name}', name: made}",
        "inner: {'${oc.decode:_target_}': os.makedirs, _target_: os.makedirs, name: made}",
    ],
)
def test_rejected_when_produced_by_an_interpolation(line: str, find, write, here: Path) -> None:
    write(
        "mine.py",
        "from torch import nn\ndef net(inner=None, evil=None) -> nn.Module:\n    return nn.Linear(1, 1)\n",
    )
    write("conf/model/mine.yaml", f"_target_: mine.net\n{line}\n")
    problems = find("model=mine", "run.name=makedirs")
    refused = [problem for problem in problems if problem.kind == "not_allowed"]
    assert any("_target_ 'os.makedirs' is not allowed" in problem.message for problem in refused), problems
    assert not Path("made").exists()


def test_escaped_interpolation_stays_text(find, write, here: Path) -> None:
    write("mine.py", "class Keep:\n    def __init__(self, text):\n        self.text = text\n")
    text = "${oc.create:'{_target_: os.makedirs, name: made}'}"
    write("conf/callbacks/mine.yaml", f'keep:\n  _target_: mine.Keep\n  text: "\\\\{text}"\n')
    (problem,) = find("callbacks=mine")
    assert (problem.key, problem.kind) == ("callbacks.keep", "wrong_type")
    assert str(problem) == "callbacks.keep: mine.Keep returns a Keep, expected a Callback."
    assert build({"_target_": "mine.Keep", "text": text}).text == text
    assert not Path("made").exists()


def test_target_from_the_environment(find, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHAT", "os.system")
    (problem,) = find("model._target_=${oc.env:WHAT}")
    assert (problem.key, problem.kind) == ("model._target_", "not_allowed")
    assert "'os.system' is not allowed" in problem.message


def test_code_in_the_working_directory_is_user_code(here: Path) -> None:
    (here / "mine.py").write_text(
        "import os, json, torch\nfrom torch import load\nclass Net: pass\ndef make(): pass\n"
    )
    assert resolve_target("mine.Net").__name__ == "Net"
    assert resolve_target("mine.make").__name__ == "make"
    assert resolve_target("mine.torch.nn.Linear").__name__ == "Linear"
    for foreign in ("mine.os.system", "mine.json.loads", "mine.load", "mine.torch.load", "mine.Net.__init__"):
        with pytest.raises(ConfigError):
            resolve_target(foreign)


def test_package_in_the_working_directory_is_user_code(here: Path) -> None:
    (here / "project" / "parts").mkdir(parents=True)
    for folder in (here / "project", here / "project" / "parts"):
        (folder / "__init__.py").touch()
    (here / "project" / "parts" / "nets.py").write_text("class Net: pass\n")
    assert resolve_target("project.parts.nets.Net").__name__ == "Net"


MARKER = "from pathlib import Path\nPath('marker').touch()\nclass Net: pass\n"


@pytest.mark.parametrize(
    ("folder", "packages"),
    [
        ("photos/evil", []),
        ("photos/evil", ["photos/evil"]),
        ("project/photos", ["project"]),
        ("runs/received", ["runs", "runs/received"]),
        ("data/photos", ["data", "data/photos"]),
        ("conf", ["conf"]),
    ],
)
def test_folders_of_data_and_runs_hold_no_user_code(here: Path, folder: str, packages: list[str]) -> None:
    (here / folder).mkdir(parents=True)
    (here / folder / "nets.py").write_text(MARKER)
    for package in packages:
        (here / package / "__init__.py").write_text(MARKER)
    with pytest.raises(ConfigError, match="is not allowed"):
        resolve_target(f"{folder.replace('/', '.')}.nets.Net")
    assert not (here / "marker").exists()


@pytest.mark.parametrize("name", ["json", "pickle", "numpy", "torch", "runner", "yaml"])
def test_file_that_shadows_a_module_is_not_user_code(name: str, here: Path) -> None:
    (here / f"{name}.py").write_text("def evil(): raise AssertionError('called')\n")
    with pytest.raises(ConfigError):
        resolve_target(f"{name}.evil")


def test_folder_that_extends_a_namespace_is_not_user_code(here: Path, tmp_path_factory, monkeypatch) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "space" / "foreign").mkdir(parents=True)
    (elsewhere / "space" / "foreign" / "__init__.py").write_text("def evil(): pass\n")
    (here / "space").mkdir()
    monkeypatch.syspath_prepend(str(elsewhere))
    with pytest.raises(ConfigError, match="is not allowed"):
        resolve_target("space.foreign.evil")


def test_other_packages_require_the_flag(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="--allow-package NAME"):
        resolve_target("decimal.Decimal")
    monkeypatch.setenv("RUNNER_ALLOW_PACKAGES", "fractions, decimal")
    assert resolve_target("decimal.Decimal").__name__ == "Decimal"
    with pytest.raises(ConfigError):
        resolve_target("os.system")
    with pytest.raises(ConfigError):
        resolve_target("decimal.Decimal.from_float")


def test_config_cannot_set_the_flag(find, here: Path) -> None:
    find("+allow_packages=[os]", "+run.allow_package=os", "model._target_=os.system")
    assert "RUNNER_ALLOW_PACKAGES" not in os.environ


@pytest.mark.parametrize(
    "text",
    [
        "callbacks: {evil: {_target_: os.makedirs, name: made}}",
        "callbacks: {evil: {_target_: torch.load, f: evil.pt}}",
        "launcher: {_target_: mine.Launcher}",
        "hydra_logging: {handlers: {evil: {'()': os.makedirs, name: made}}}",
        "job_logging: {handlers: {evil: {class: mine.Handler}}}",
    ],
)
def test_hydra_node_builds_nothing_foreign(text: str, find, write) -> None:
    write("conf/data/evil.yaml", f"# @package _global_\ndefaults: [digits@data]\nhydra:\n  {text}\n")
    problems = find("data=evil")
    refused = [problem for problem in problems if problem.kind == "not_allowed"]
    assert any("hydra" in problem.key and "is not allowed" in problem.message for problem in refused), (
        problems
    )
    assert not Path("made").exists()
