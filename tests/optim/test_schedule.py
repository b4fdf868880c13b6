"""What holds for every schedule."""

import pytest
import torch

from runner.errors import UserError
from runner.optim import cycle, decay
from runner.optim.schedule import Schedule, epochs_to_steps

CURVES = {
    "step": decay.step,
    "multistep": decay.multistep,
    "exponential": decay.exponential,
    "polynomial": decay.polynomial,
    "cosine": decay.cosine,
    "one_cycle": cycle.one_cycle,
    "cyclic": cycle.cyclic,
    "restarts": cycle.restarts,
}
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "fused": True}),
    "plain_sgd": (torch.optim.SGD, {}),
    "adamw": (torch.optim.AdamW, {"fused": True}),
    "adadelta": (torch.optim.Adadelta, {}),
    "rmsprop": (torch.optim.RMSprop, {}),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("name", CURVES)
def test_resumed_schedule_continues_as_if_never_stopped(name, kind, optimizer, curve, through_a_file):
    factory, (cls, settings) = CURVES[name], OPTIMIZERS[kind]

    def start():
        made = optimizer(cls, lrs=(0.1, 0.01), **settings)
        return made, factory(made, total_steps=40, steps_per_epoch=4)

    whole, schedule = start()
    curve(whole, schedule, 17)
    saved = through_a_file({"optimizer": whole.state_dict(), "scheduler": schedule.scheduler.state_dict()})
    rest = curve(whole, schedule, 23)
    resumed, second = start()
    resumed.load_state_dict(saved["optimizer"])
    second.scheduler.load_state_dict(saved["scheduler"])
    assert curve(resumed, second, 23) == rest
    keys = set(whole.param_groups[0]) - {"params"}
    for group, source in zip(resumed.param_groups, whole.param_groups, strict=True):
        assert {key: group[key] for key in keys} == {key: source[key] for key in keys}


@pytest.mark.parametrize("name", CURVES)
def test_parameter_groups_keep_their_lr_ratio(name, optimizer):
    made = optimizer(lrs=(1.0, 0.1))
    schedule = CURVES[name](made, total_steps=30, steps_per_epoch=3)
    for _ in range(30):
        head, backbone = (group["lr"] for group in made.param_groups)
        assert backbone == pytest.approx(head / 10)
        made.step()
        schedule.scheduler.step()


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("total_steps", [1, 2, 3, 4, 10])
def test_short_trainings_run_and_never_exceed_the_peak(name, total_steps, optimizer, curve):
    made = optimizer(momentum=0.9)
    schedule = CURVES[name](made, total_steps=total_steps, steps_per_epoch=total_steps)
    rates = curve(made, schedule, total_steps + 3)  # three more than planned
    assert all(0 <= rate <= 1 + 1e-9 for rate in rates), rates
    assert schedule.interval == "step" and not schedule.needs_metric


@pytest.mark.parametrize("name", CURVES)
def test_unknown_length_is_rejected(name, optimizer):
    with pytest.raises(UserError, match=f"scheduler={name} needs to know how long"):
        CURVES[name](optimizer(), total_steps=-1, steps_per_epoch=10)


def test_only_plateau_needs_a_metric(optimizer):
    schedule = decay.plateau(optimizer(), total_steps=10, steps_per_epoch=5)
    assert isinstance(schedule, Schedule) and schedule.needs_metric and schedule.interval == "epoch"


def test_epochs_to_steps():
    assert [epochs_to_steps(epochs, 10) for epochs in (0.01, 0.5, 2)] == [1, 5, 20]
