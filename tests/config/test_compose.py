from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from runner.config.checks.check import check_config
from runner.config.compose import compose
from runner.config.facts import facts_known
from runner.config.plain import to_plain, to_yaml
from runner.data.facts import Facts
from runner.errors import ConfigError


def plain_of(*overrides: str, experiment: str | Path | None = None) -> dict:
    composition = compose(overrides, experiment)
    assert check_config(composition) == []
    return to_plain(composition.config, [])


def test_defaults(here: Path) -> None:
    composition = compose()
    assert composition.choices["data"] == "digits" and composition.choices["task"] == "classification"
    assert "hydra" not in composition.config and "experiment" not in composition.config
    assert not composition.explicit and not composition.problems and not composition.resolved
    assert list(here.iterdir()) == []


def test_data_set_selects_the_task(here: Path) -> None:
    assert compose(["data=diabetes"]).choices["task"] == "regression"
    assert plain_of("data=diabetes", "model=mlp")["task"]["_target_"].endswith("RegressionTask")
    assert compose(["task=binary", "data=pass_fail"]).choices["task"] == "binary"


@pytest.mark.parametrize(
    ("given", "place", "value"),
    [
        ("optimizer.amsgrad=true", "optimizer.amsgrad", True),
        ("+optimizer.amsgrad=true", "optimizer.amsgrad", True),
        ("++optimizer.amsgrad=true", "optimizer.amsgrad", True),
        ("++optimizer.lr=0.5", "optimizer.lr", 0.5),
        ("optimizer={lr:0.5}", "optimizer.lr", 0.5),
        ("optimizer={lr:0.5}", "optimizer.weight_decay", 1e-4),
        ("trainer.gradient_clip_val=1.0", "trainer.gradient_clip_val", 1.0),
        ("model.hidden_sizes=[]", "model.hidden_sizes", []),
        ("regularization.early_stopping.patience=3", "regularization.early_stopping", {"patience": 3}),
        ("data.num_workers=2", "data.num_workers", 2),
        ("run.name='a name'", "run.name", "a name"),
        ("hardware.precision=32", "hardware.precision", 32),
        ("model.dropout=${regularization.weight_decay}", "model.dropout", 1e-4),
        ("regularization.dropout=0.25", "model.dropout", 0.25),
        ("optimizer.betas=[0.8,0.9]", "optimizer.betas", [0.8, 0.9]),
        ("optimizer.lr=1", "optimizer.lr", 1),
    ],
)
def test_values(given: str, place: str, value: object, here: Path) -> None:
    node = plain_of(given)
    for key in place.split("."):
        node = node[key]
    assert node == value


@pytest.mark.parametrize("given", ["~optimizer.fused", "~optimizer.fused=true", "~scheduler", "~callbacks"])
def test_deleting_keys(given: str, here: Path) -> None:
    place = given[1:].partition("=")[0].split(".")
    node = plain_of(given)
    for key in place[:-1]:
        node = node[key]
    assert place[-1] not in node


def test_null_option(here: Path) -> None:
    assert plain_of("scheduler=none")["scheduler"] is None
    assert plain_of("scheduler=none", "transfer=scratch")["transfer"] is None


def test_user_overrides_are_recorded(here: Path) -> None:
    composition = compose(["optimizer={lr:1,betas:[0.9,0.9]}", "++seed=3", "model=mlp", "~data.augment"])
    assert composition.explicit == {"optimizer", "optimizer.lr", "optimizer.betas", "seed", "data.augment"}


CALLBACKS = """\
lr:
  _target_: pytorch_lightning.callbacks.LearningRateMonitor
  logging_interval: step
timer:
  _target_: pytorch_lightning.callbacks.Timer
  duration: "00:01:00:00"
"""


def test_callbacks_by_name_and_several_options(write) -> None:
    write("conf/callbacks/mine.yaml", CALLBACKS)
    write(
        "conf/callbacks/stop.yaml",
        "stop: {_target_: pytorch_lightning.callbacks.StochasticWeightAveraging, swa_lrs: 0.1}",
    )
    assert list(plain_of("callbacks=mine")["callbacks"]) == ["lr", "timer"]
    assert set(plain_of("callbacks=[mine,stop]", "~callbacks.lr")["callbacks"]) == {"timer", "stop"}


def test_user_model_requires_no_change_of_runner(write) -> None:
    write(
        "my_models.py",
        "from torch import nn\n"
        "class Wide(nn.Module):\n"
        "    def __init__(self, in_features: int, num_classes: int, width: int = 8):\n"
        "        super().__init__()\n",
    )
    write(
        "conf/model/wide.yaml",
        "# tasks: classification\n# mine\n_target_: my_models.Wide\nin_features: ${facts:in_features}\n"
        "num_classes: ${facts:num_outputs}\n",
    )
    assert plain_of("model=wide", "model.width=16")["model"]["width"] == 16
    problems = check_config(compose(["model=wide", "model.widht=16", "model.width=x"]))
    assert [(problem.key, problem.kind, str(problem)) for problem in problems] == [
        (
            "model.widht",
            "unknown_key",
            "model.widht: Wide has no parameter 'widht'. Did you mean 'width'?",
        ),
        ("model.width", "wrong_type", 'model.width="x": expected a whole number.'),
    ]


def test_user_folder_shadows_a_built_in_option(write) -> None:
    write("conf/optimizer/sgd.yaml", "_target_: torch.optim.SGD\n_partial_: true\nlr: 7.0\n")
    assert plain_of("optimizer=sgd")["optimizer"]["lr"] == 7.0


def test_config_dir_adds_options_and_shadows_none(write, here: Path) -> None:
    write("more/optimizer/sgd.yaml", "_target_: torch.optim.SGD\n_partial_: true\nlr: 7.0\n")
    write("more/optimizer/mine.yaml", "_target_: torch.optim.SGD\n_partial_: true\nlr: 8.0\n")
    composition = compose(["optimizer=mine"], config_dirs=["more"])
    assert composition.config.optimizer.lr == 8.0 and not check_config(composition)
    assert compose(["optimizer=sgd"], config_dirs=[str(here / "more")]).config.optimizer.lr == 0.05
    assert "mine" not in compose().groups["optimizer"]
    with pytest.raises(ConfigError, match="is not a folder"):
        compose(config_dirs=["nowhere", "neither"])


def test_options_in_folders(write) -> None:
    write("conf/model/vision/tiny.yaml", "# inputs: image\n_target_: torch.nn.Flatten\n")
    composition = compose(["model=vision/tiny"])
    assert composition.config.model._target_ == "torch.nn.Flatten"
    assert composition.option("model").inputs == ("image",)


def test_order_of_precedence(write) -> None:
    """The data set's own values beat the groups', an experiment's beat the data set's, the command line's
    all.
    """
    write(
        "conf/data/slow.yaml",
        "# @package _global_\ndefaults: [digits@data]\n"
        "optimizer: {lr: 0.2}\ntrainer: {max_epochs: 20, log_every_n_steps: 20}\nseed: 2\n",
    )
    file = write("experiment.yaml", "defaults: [override /data: slow]\ntrainer: {max_epochs: 30}\nseed: 3\n")
    plain = plain_of("seed=4", experiment=file)
    assert plain["optimizer"]["lr"] == 0.2
    assert plain["trainer"] == {
        "_target_": "pytorch_lightning.Trainer",
        "max_epochs": 30,
        "log_every_n_steps": 20,
    }
    assert plain["seed"] == 4
    assert plain["data"]["_target_"].endswith("DigitsDataModule") and plain["data"]["seed"] == 4


@pytest.mark.parametrize("preset", ["one_batch", "overfit", "profile"])
def test_debug_preset_overrides_the_experiment(preset: str, write) -> None:
    file = write(
        "experiment.yaml", "trainer: {max_epochs: 30, limit_val_batches: 9}\nregularization: {dropout: 0.5}\n"
    )
    plain = plain_of(f"debug={preset}", experiment=file)
    assert plain["debug"] == {"kind": preset}
    trainer = plain["trainer"]
    if preset == "one_batch":
        assert trainer["max_epochs"] == trainer["limit_train_batches"] == trainer["limit_val_batches"] == 1
    elif preset == "overfit":
        assert trainer["max_epochs"] == 100 and trainer["limit_train_batches"] == 1
        assert plain["model"]["dropout"] == 0.0
    else:
        assert trainer["profiler"] == "simple"
    assert plain_of(f"debug={preset}", "trainer.max_epochs=7", experiment=file)["trainer"]["max_epochs"] == 7


FACTS = Facts("classification", (1, 8, 8), 10, class_names=["zero", "${oc.env:HOME}", "a\\${b}"])


def test_config_of_a_run_composes_to_itself(here: Path, write) -> None:
    composition = compose(["model=small_cnn", "regularization=strong", "optimizer.amsgrad=true", "seed=3"])
    with facts_known(FACTS):
        plain = to_plain(composition.config, problems := [])
    assert not problems
    file = write("config.yaml", to_yaml(plain))
    again = compose(experiment=file)
    assert again.resolved and check_config(again) == []
    assert to_plain(again.config, []) == plain
    assert to_yaml(to_plain(again.config, [])) == file.read_text()
    assert plain["task"]["class_names"] == ["zero", "${oc.env:HOME}", "a\\${b}"]


def test_unresolved_config_requests_its_facts_again(here: Path, write) -> None:
    file = write("config.yaml", to_yaml(to_plain(compose(["model=mlp"]).config, [])))
    assert yaml.safe_load(file.read_text())["model"]["num_classes"] == "${facts:num_outputs}"
    again = compose(experiment=file)
    with facts_known(FACTS):
        assert to_plain(again.config, [])["model"]["num_classes"] == 10


def test_values_of_a_run_can_be_changed_and_its_options_cannot(here: Path, write) -> None:
    file = write("config.yaml", to_yaml(to_plain(compose(["model=mlp"]).config, [])))
    assert plain_of("seed=9", "optimizer.amsgrad=true", experiment=file)["optimizer"]["amsgrad"] is True
    problems = check_config(compose(["model=logistic", "hydra/launcher=joblib"], file, multirun=True))
    assert len(problems) == 1
    assert (problems[0].key, problems[0].kind) == ("model", "incompatible")
    assert "model=logistic: the config of a run is already composed" in problems[0].message
    (problem,) = check_config(compose(["regularization.dropout=0.4"], file))
    assert (problem.key, problem.kind) == ("regularization.dropout", "no_effect")
    assert "its value has already been passed on" in problem.message
    (problem,) = check_config(compose(["pretrained=true"], file))
    assert (problem.key, problem.kind) == ("pretrained", "no_effect") and "passed on" in problem.message


def test_experiment_with_every_node_is_not_a_run(write) -> None:
    file = write(
        "experiment.yaml",
        "task: {loss: {label_smoothing: 0.2}}\nmodel: {hidden_sizes: [8]}\ntrainer: {max_epochs: 2}\n",
    )
    composition = compose(experiment=file)
    assert not composition.resolved and not check_config(composition)
    assert composition.config.model.hidden_sizes == [8]


def test_experiment_selects_options_and_sets_values(write) -> None:
    file = write(
        "experiment.yaml",
        "# @package _global_\n"
        "defaults:\n"
        "  - override /model: logistic\n"
        "  - override /data: diabetes\n"
        "  - override /scheduler: null\n"
        "  - override /callbacks: [none]\n"
        "  - _self_\n"
        "optimizer: {lr: 0.3}\n",
    )
    composition = compose(experiment=file)
    assert not check_config(composition)
    assert composition.choices["task"] == "regression"
    assert composition.config.optimizer.lr == 0.3 and composition.config.get("scheduler") is None
    assert composition.explicit == {"optimizer", "optimizer.lr"}
    assert compose(["model=mlp", "data=digits"], file).choices["task"] == "classification"


def test_empty_experiment(write) -> None:
    assert OmegaConf.to_container(compose(experiment=write("e.yaml", "")).config) == OmegaConf.to_container(
        compose().config
    )


def test_experiments_are_independent(write) -> None:
    first = compose(experiment=write("a.yaml", "seed: 5\noptimizer: {amsgrad: true}\n"))
    second = compose(experiment=write("b.yaml", "seed: 6\n"))
    assert first.config.seed == 5 and second.config.seed == 6
    assert "amsgrad" not in second.config.optimizer
    assert compose().config.seed == 0


def test_within_another_hydra_application(here: Path) -> None:
    with initialize_config_dir(str(here), version_base="1.3"):
        outer = GlobalHydra.instance().hydra
        assert compose(["model=logistic"]).choices["model"] == "logistic"
        assert GlobalHydra.instance().hydra is outer
        with pytest.raises(ConfigError):
            compose(["model@x=logistic"])
        assert GlobalHydra.instance().hydra is outer
    assert not GlobalHydra.instance().is_initialized()


def test_composing_does_not_import_torch(here: Path) -> None:
    code = (
        "import sys; from runner.config.compose import compose; compose(['model=mlp']); print('torch' in "
        "sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
