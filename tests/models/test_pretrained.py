import urllib.error

import pytest
import torch
import torchvision
from torchvision.models import _api

from runner.errors import WeightsError
from runner.models.pretrained import resnet


@pytest.fixture
def published(monkeypatch):
    """A stand-in for torchvision's download: the state of a fresh ResNet-18 of 1000 classes."""
    torch.manual_seed(1)
    state = torchvision.models.resnet18().state_dict()
    asked = []

    def download(url, *args, **kwargs):
        asked.append(kwargs)
        return state

    monkeypatch.setattr(_api, "load_state_dict_from_url", download)
    return state, asked


def test_fills_all_but_the_head(published):
    state, asked = published
    model = resnet(18, num_classes=2, pretrained=True)
    own = model.state_dict()
    assert all(torch.equal(own[name], state[name]) for name in state if not name.startswith("fc."))
    assert own["fc.weight"].shape == (2, 512)
    assert asked[0]["weights_only"] is True and asked[0]["check_hash"] is True


def test_gray_stem_sums_the_colour_channels(published):
    state, _ = published
    model = resnet(18, num_classes=2, in_channels=1, pretrained=True)
    torch.testing.assert_close(model.conv1.weight, state["conv1.weight"].sum(1, keepdim=True))


def test_four_channels_have_no_pretrained_stem(published):
    with pytest.raises(WeightsError, match=r"conv1.weight \(file \(64, 3, 7, 7\), model \(64, 4, 7, 7\)\)"):
        resnet(18, num_classes=2, in_channels=4, pretrained=True)


def test_missing_network_is_reported_with_a_workaround(monkeypatch):
    def offline(*args, **kwargs):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(_api, "load_state_dict_from_url", offline)
    with pytest.raises(WeightsError, match="weights=FILE"):
        resnet(18, num_classes=2, pretrained=True)
