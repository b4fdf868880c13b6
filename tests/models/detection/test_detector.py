"""Published weights, without the network: torchvision's models stand in for what is downloaded."""

import pytest
import torch
import torchvision

from runner.errors import WeightsError
from runner.models.detection.detector import load_coco_weights
from runner.models.detection.faster_rcnn import FasterRCNNDetector
from runner.models.detection.fcos import FCOSDetector
from runner.models.detection.retinanet import RetinaNetDetector
from runner.models.detection.ssdlite import SSDLiteDetector

PUBLISHED = {
    "fasterrcnn_resnet50_fpn": (FasterRCNNDetector, {}),
    "fasterrcnn_mobilenet_v3_large_fpn": (
        FasterRCNNDetector,
        {"backbone": "mobilenet_v3_large", "levels": [4, 5], "anchor_sizes": [[32, 64, 128, 256, 512]] * 3},
    ),
    "retinanet_resnet50_fpn": (RetinaNetDetector, {}),
    "fcos_resnet50_fpn": (FCOSDetector, {}),
    "ssdlite320_mobilenet_v3_large": (SSDLiteDetector, {}),
}


@pytest.fixture
def offline(monkeypatch):
    """``get_model(name, weights="DEFAULT")`` without the download: random weights, and still norms."""
    get_model = torchvision.models.get_model

    def make(name, weights=None, **options):
        torch.manual_seed(7)
        model = (
            get_model(name, weights=None, weights_backbone=None) if weights else get_model(name, **options)
        )
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.1, 0.1)
        return model

    monkeypatch.setattr(torchvision.models, "get_model", make)
    return get_model


@pytest.mark.parametrize("name", PUBLISHED)
def test_same_classes_give_the_same_detections(name, offline):
    """The architecture here is torchvision's to the last tensor: 90 classes (91 with the background) fit
    whole.
    """
    builder, options = PUBLISHED[name]
    num_classes = 91 if name.startswith(("retinanet", "fcos")) else 90
    size = {} if builder is SSDLiteDetector else {"min_size": 96, "max_size": 96}
    model = builder(num_classes, pretrained=True, score_thresh=0.0, **size, **options).eval()
    torch.manual_seed(7)
    reference = torchvision.models.get_model(name, weights="DEFAULT").eval()
    state = model.state_dict()
    assert {key for key in state if "num_batches" not in key} == {
        key for key in reference.state_dict() if "num_batches" not in key
    }
    assert all(torch.equal(state[key], value) for key, value in reference.state_dict().items())
    image = [torch.rand(3, 96, 96)]
    if builder is not SSDLiteDetector:
        reference.transform.min_size, reference.transform.max_size = (96,), 96
    with torch.no_grad():
        features = model.backbone(model.transform(image)[0].tensors)
        expected = reference.backbone(reference.transform(image)[0].tensors)
    assert all(torch.allclose(features[key], expected[key], atol=1e-4) for key in expected)


def test_other_classes_get_a_new_head(offline):
    model = SSDLiteDetector(3, pretrained=True)
    reference = torchvision.models.get_model("ssdlite320_mobilenet_v3_large", weights="DEFAULT")
    assert torch.equal(model.backbone.state_dict()["features.0.0.0.weight"],
                       reference.backbone.state_dict()["features.0.0.0.weight"])  # fmt: skip
    assert model.head.classification_head.num_columns == 4


def test_failed_download_is_reported(monkeypatch):
    def refuse(*args, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.models, "get_model", refuse)
    with pytest.raises(WeightsError, match="cannot be downloaded .*no route to host.* weights=FILE"):
        load_coco_weights(torch.nn.Linear(1, 1), "fcos_resnet50_fpn", "")
