import pytest

from runner.errors import UserError, WeightsError
from runner.models.segmentation import encoder
from runner.models.segmentation.encoder import (
    build_segmenter,
    check_encoder,
    decoder_widths,
    published_weights,
)


@pytest.mark.parametrize(
    "name", ["resnet18", "efficientnet-b0", "tu-convnext_atto", "tu-vit_tiny_patch16_224.augreg_in21k"]
)
def test_known_names(name):
    check_encoder(name)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("resnet43", "resnet34"), ("mobilenetv2", "mobilenet_v2"), ("convnext_atto", "tu-convnext_atto"),
     ("tu-convnext_ato", "tu-convnext_atto")],
)  # fmt: skip
def test_unknown_names_are_rejected_with_suggestions(name, nearest):
    with pytest.raises(UserError, match=f"encoder_name={name}.*Nearest:.*{nearest}"):
        check_encoder(name)


def test_published_weights():
    assert published_weights("resnet18", False) is None
    assert published_weights("resnet18", True) == "imagenet"
    assert published_weights("resnext101_32x16d", True) == "instagram"
    with pytest.raises(WeightsError, match="No published weights"):
        published_weights("tu-resnet18s", True)


def test_widths():
    assert decoder_widths(None, 4) == (128, 64, 32, 16) and decoder_widths([8, 4, 2], 3) == (8, 4, 2)


def test_download_failure_is_reported(monkeypatch):
    def fail(**options):
        raise OSError("no connection")

    with pytest.raises(WeightsError, match=r"cannot be downloaded \(no connection\).*weights=FILE"):
        build_segmenter(fail, "resnet18", 3, 3, True)
    assert encoder.TIMM == "tu-"
