import pytest

from runner.errors import UserError
from runner.optim.decay import plateau


def rates_over(optimizer, schedule, metrics):
    rates = []
    for metric in metrics:
        schedule.scheduler.step(metric)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def test_learning_rate_drops_when_the_loss_plateaus(optimizer):
    made = optimizer()
    schedule = plateau(made, 100, 10, patience=1, factor=0.5)
    assert rates_over(made, schedule, [3.0, 2.0, 2.0, 2.0, 1.0, 1.0]) == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5]
    assert schedule.monitor == "val/loss"


def test_plateau_with_a_metric_to_maximise(optimizer):
    made = optimizer()
    schedule = plateau(made, 100, 10, monitor="val/accuracy", mode="max", patience=0, min_lr=0.05)
    assert rates_over(made, schedule, [0.5, 0.6, 0.6, 0.6]) == pytest.approx([1.0, 1.0, 0.1, 0.05])


def test_state_round_trip(optimizer, through_a_file):
    made = optimizer()
    schedule = plateau(made, 100, 10, patience=2)
    rates_over(made, schedule, [1.0, 1.0])
    other = optimizer()
    resumed = plateau(other, 100, 10, patience=2)
    other.load_state_dict(through_a_file(made.state_dict()))
    resumed.scheduler.load_state_dict(through_a_file(schedule.scheduler.state_dict()))
    assert rates_over(other, resumed, [1.0, 1.0, 1.0]) == rates_over(made, schedule, [1.0, 1.0, 1.0])
    assert resumed.scheduler.num_bad_epochs == schedule.scheduler.num_bad_epochs


@pytest.mark.parametrize(
    "settings, said", [({"factor": 1.0}, "factor=1.0"), ({"patience": -1}, "patience=-1")]
)
def test_invalid_values_are_user_errors(settings, said, optimizer):
    with pytest.raises(UserError, match=said):
        plateau(optimizer(), total_steps=20, steps_per_epoch=5, **settings)
