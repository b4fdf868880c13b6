"""Every architecture, built small, on images of an odd size."""

import inspect

import pytest
import torch

from runner.errors import UserError
from runner.models.head import find_head, split_parameters
from runner.models.segmentation import deeplab, pyramid, torchvision, transformer, unet

SMALL = {
    unet.UnetSegmenter: {"decoder_channels": [8] * 5},
    unet.UnetPlusPlusSegmenter: {"encoder_depth": 4, "decoder_channels": [8] * 4},
    unet.LinknetSegmenter: {},
    unet.MAnetSegmenter: {"decoder_channels": [8] * 5, "decoder_pab_channels": 8},
    pyramid.FPNSegmenter: {
        "decoder_pyramid_channels": 32,
        "decoder_segmentation_channels": 64,
        "dropout": 0.1,
    },
    pyramid.PSPNetSegmenter: {"psp_out_channels": 16},
    pyramid.PANSegmenter: {"decoder_channels": 8},
    pyramid.UPerNetSegmenter: {"decoder_channels": 8},
    deeplab.DeepLabV3Segmenter: {"decoder_channels": 8, "encoder_output_stride": 16},
    deeplab.DeepLabV3PlusSegmenter: {"decoder_channels": 8, "decoder_atrous_rates": [2, 4, 6]},
    transformer.SegformerSegmenter: {"decoder_segmentation_channels": 8},
    transformer.DPTSegmenter: {"decoder_intermediate_channels": [8] * 4, "decoder_fusion_channels": 8},
    torchvision.deeplab_v3: {},
    torchvision.lraspp: {},
}


@pytest.mark.parametrize(
    "build", SMALL, ids=lambda build: f"{build.__module__.rpartition('.')[2]}.{build.__name__}"
)
def test_logits_have_the_size_of_the_image(build):
    model = build(5, **SMALL[build])
    with torch.no_grad():
        logits = model.eval()(torch.randn(2, 3, 45, 70))
        alone = model(torch.randn(1, 3, 32, 32))
    assert logits.shape == (2, 5, 45, 70) and logits.isfinite().all() and alone.shape == (1, 5, 32, 32)
    backbone, head = split_parameters(model)
    assert backbone and head
    assert find_head(model) in (("decoder", "segmentation_head"), ("classifier",))


def test_fcn():
    model = torchvision.fcn(3).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 33, 40)).shape == (1, 3, 33, 40)


@pytest.mark.parametrize(
    "build", [build for build in SMALL if "encoder_name" in inspect.signature(build).parameters]
)
def test_unknown_encoders_are_rejected_with_suggestions(build):
    with pytest.raises(UserError, match="resnet19|no such encoder"):
        build(5, encoder_name="tu-resnet19" if build is transformer.DPTSegmenter else "resnet19")


def test_shallow_encoders_use_the_last_widths():
    model = unet.UnetSegmenter(3, encoder_depth=3)
    assert model.encoder.output_stride == 8
    assert [block.conv1[0].out_channels for block in model.decoder.blocks] == [64, 32, 16]


@pytest.mark.parametrize(
    ("build", "values", "message"),
    [
        (unet.UnetSegmenter, {"decoder_channels": [8, 8]}, r"decoder_channels=\[8, 8\]: expected 5 numbers"),
        (
            unet.UnetSegmenter,
            {"encoder_name": "tu-vit_tiny_patch16_224"},
            "Unet cannot be built on the encoder 'tu-vit_tiny",
        ),
        (
            pyramid.FPNSegmenter,
            {"decoder_segmentation_channels": 8},
            "FPN cannot be built .* with .*segmentation_channels=8",
        ),
        (transformer.DPTSegmenter, {"encoder_name": "resnet18"}, "DPT requires a vision transformer"),
        (transformer.DPTSegmenter, {"encoder_depth": 3}, "expected 3 numbers"),
    ],
)
def test_incompatible_settings(build, values, message):
    with pytest.raises(UserError, match=message):
        build(5, **values)
