import pytest
import timm
import torch

from runner.errors import UserError, WeightsError
from runner.models.timm import timm_model


def test_builds_a_convolutional_backbone_for_any_channels():
    model = timm_model("resnet10t", num_classes=4, in_channels=1, dropout=0.2, image_size=32).eval()
    assert model(torch.randn(2, 1, 32, 32)).shape == (2, 4)
    assert model.drop_rate == 0.2


def test_builds_a_transformer_for_the_image_size():
    model = timm_model("vit_tiny_patch16_224", num_classes=3, image_size=32).eval()
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize("name", ["resnet_26d", "rsnet26d", "local-dir:resnet26d"])
def test_unknown_name_is_rejected(name):
    with pytest.raises(UserError, match="timm has no backbone"):
        timm_model(name, 2)


def test_nearest_name_is_suggested():
    with pytest.raises(UserError, match="resnet26d"):
        timm_model("resnet_26d", 2)


def test_unknown_weights_tag_is_rejected_with_the_available_ones():
    with pytest.raises(UserError, match="a1_in1k"):
        timm_model("resnet18.a9_in1k", 2)


def test_no_published_weights():
    with pytest.raises(WeightsError, match="publishes no weights"):
        timm_model("vit_base_patch32_plus_256", 2, pretrained=True)


@pytest.fixture
def fail_in_timm(monkeypatch):
    """``fail_in_timm(error)``: timm raises this error for every model."""

    def fail(error):
        def create_model(*args, **kwargs):
            raise error

        monkeypatch.setattr(timm, "create_model", create_model)

    return fail


def test_failed_download_is_a_user_error(fail_in_timm):
    fail_in_timm(FileNotFoundError("cannot find the requested files; please check your connection"))
    with pytest.raises(WeightsError, match="weights=FILE"):
        timm_model("resnet18", 2, pretrained=True)


def test_timm_errors_are_reported_with_the_settings(fail_in_timm):
    fail_in_timm(AssertionError("img_size 30 must be divisible by 16"))
    with pytest.raises(UserError, match="image_size=30: img_size 30 must be divisible"):
        timm_model("vit_tiny_patch16_224", 2, image_size=30)
