import pytest
import safetensors.torch
import torch
import torchvision
from torch import nn

from runner.errors import WeightsError
from runner.models.linear import Logistic
from runner.models.mlp import MLP
from runner.models.pretrained import mobilenet_v2, resnet
from runner.models.segmentation.torchvision import lraspp
from runner.models.segmentation.unet import UnetSegmenter
from runner.models.small_cnn import SmallCNN
from runner.models.weights import load_weights


def save(model: nn.Module, path, prefix: str = ""):
    torch.save({prefix + name: tensor for name, tensor in model.state_dict().items()}, path)
    return path


def same_state(one: nn.Module, other: nn.Module, names=None) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in names or ours)


def test_same_model_loads_whole(tmp_path):
    source, model = SmallCNN(3), SmallCNN(3)
    report = load_weights(model, save(source, tmp_path / "w.pt"))
    assert same_state(model, source)
    assert len(report.loaded) == len(source.state_dict())
    assert not (report.skipped or report.missing or report.unexpected)


def test_head_of_another_size_is_not_loaded(tmp_path):
    source, model = SmallCNN(10), SmallCNN(2)
    fresh = model.head.weight.detach().clone()
    report = load_weights(model, save(source, tmp_path / "w.pt"))
    assert torch.equal(model.head.weight, fresh)
    assert same_state(model, source, report.loaded) and len(report.loaded) == len(source.state_dict()) - 2
    assert report.skipped == [("head.weight", (10, 32), (2, 32)), ("head.bias", (10,), (2,))]
    assert "New head, not loaded: head.weight (file (10, 32), model (2, 32))" in report.summary


def test_head_with_other_features_is_not_loaded_at_all(tmp_path):
    """Its bias would fit, but belongs to the weight that does not."""
    report = load_weights(MLP(4, 2, [3]), save_mlp_with_wider_head(tmp_path))
    assert [skipped.name for skipped in report.skipped] == ["head.weight", "head.bias"]


def save_mlp_with_wider_head(tmp_path):
    source = MLP(4, 2, [3])
    source.head = nn.Linear(5, 2)
    return save(source, tmp_path / "w.pt")


@pytest.mark.parametrize("prefix", ["model.", "module.", "backbone.", "module.model.", "model._orig_mod."])
def test_wrapper_prefixes_are_removed(tmp_path, prefix):
    source, model = resnet(18, 2), resnet(18, 2)
    report = load_weights(model, save(source, tmp_path / "w.pt", prefix))
    assert same_state(model, source) and not report.missing


def test_prefix_that_belongs_to_the_model_stays(tmp_path):
    source, model = MLP(4, 2, [3]), MLP(4, 2, [3])
    assert "backbone.0.weight" in model.state_dict()
    load_weights(model, save(source, tmp_path / "plain.pt"))
    assert same_state(model, source)
    other = MLP(4, 2, [3])
    load_weights(other, save(source, tmp_path / "wrapped.pt", "model."))
    assert same_state(other, source)


def test_missing_and_unexpected_tensors_are_named(tmp_path):
    state = SmallCNN(2).state_dict()
    del state["backbone.1.running_mean"]
    torch.save(state | {"ema.decay": torch.ones(1)}, tmp_path / "w.pt")
    report = load_weights(SmallCNN(2), tmp_path / "w.pt")
    assert report.missing == ["backbone.1.running_mean"] and report.unexpected == ["ema.decay"]
    assert "backbone.1.running_mean" in report.summary and "ema.decay" in report.summary


def test_wrong_shape_outside_the_head_is_rejected_and_nothing_is_changed(tmp_path):
    model = resnet(50, 2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(
        WeightsError, match=r"layer1\.0\.conv1\.weight \(file \(64, 64, 3, 3\), model \(64, 64, 1, 1\)\)"
    ):
        load_weights(model, save(resnet(18, 2), tmp_path / "w.pt"))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_file_without_matching_tensors_is_rejected(tmp_path):
    with pytest.raises(WeightsError, match=r"Nothing in .*conv1\.weight.*backbone\.0\.weight"):
        load_weights(SmallCNN(2), save(resnet(18, 2), tmp_path / "w.pt"))


def test_file_with_only_a_different_head_is_rejected(tmp_path):
    with pytest.raises(WeightsError, match="Nothing in"):
        load_weights(Logistic(4, 2), save(Logistic(4, 3), tmp_path / "w.pt"))


def test_other_precisions_are_converted(tmp_path):
    source, model = Logistic(4, 2), Logistic(4, 2)
    load_weights(model, save(source.half(), tmp_path / "w.pt"))
    assert model.head.weight.dtype == torch.float32
    torch.testing.assert_close(model.head.weight, source.head.weight.float())


def test_gray_model_from_a_colour_file(tmp_path):
    source, model = resnet(18, 2), resnet(18, 2, in_channels=1)
    report = load_weights(model, save(source, tmp_path / "w.pt"))
    assert report.adapted == ["conv1.weight"] and "conv1.weight" in report.loaded
    gray = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(
        model.eval()(gray), source.eval()(gray.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4
    )


def test_gradients_flow(tmp_path):
    model = Logistic(4, 2)
    load_weights(model, save(Logistic(4, 2), tmp_path / "w.pt"))
    model(torch.randn(3, 4)).sum().backward()
    assert model.head.weight.requires_grad and model.head.weight.grad is not None


def test_imagenet_weights_for_two_classes(shared_data):
    """A real file: 1000 classes → 2."""
    path = shared_data.parent / "weights" / "mobilenet_v2-tfptq-f28b328c.safetensors"
    if not path.is_file():
        pytest.skip(f"needs {path}, which is absent")
    model = mobilenet_v2(2)
    report = load_weights(model, path)
    file = safetensors.torch.load_file(path)
    assert len(report.loaded) == 312 and not report.missing and not report.unexpected
    assert [(s.name, s.shape_file, s.shape_model) for s in report.skipped] == [
        ("classifier.1.weight", (1000, 1280), (2, 1280)),
        ("classifier.1.bias", (1000,), (2,)),
    ]
    own = model.state_dict()
    assert all(torch.equal(own[name], file[name]) for name in report.loaded)


def segmenter(encoder_name: str) -> nn.Module:
    return UnetSegmenter(3, encoder_name=encoder_name, encoder_depth=4, decoder_channels=[8, 8, 8, 8])


@pytest.mark.parametrize(
    ("encoder_name", "classifier"),
    [("mobilenet_v2", lambda: mobilenet_v2(10)), ("resnet18", lambda: resnet(18, 10))],
)
@pytest.mark.parametrize("prefix", ["", "model."])
def test_classifier_weights_fill_the_encoder_of_a_segmenter(tmp_path, encoder_name, classifier, prefix):
    source, model = classifier(), segmenter(encoder_name)
    decoder = {name: tensor.clone() for name, tensor in model.decoder.state_dict().items()}
    report = load_weights(model, save(source, tmp_path / "w.pt", prefix))
    expected = {
        name: tensor
        for name, tensor in source.state_dict().items()
        if name.split(".")[0] not in ("fc", "classifier")
    }
    filled = model.encoder.state_dict()
    assert all(torch.equal(filled[name], tensor) for name, tensor in expected.items())
    assert report.loaded == [f"encoder.{name}" for name in filled] and not report.skipped
    assert all(name.startswith(("decoder.", "segmentation_head.")) for name in report.missing)
    last = "classifier.1" if encoder_name == "mobilenet_v2" else "fc"
    assert report.unexpected == [f"{prefix}{last}.bias", f"{prefix}{last}.weight"]
    assert all(torch.equal(tensor, decoder[name]) for name, tensor in model.decoder.state_dict().items())


def test_mobilenet_weights_fill_the_backbone_of_torchvision_segmenters(tmp_path):
    source, model = torchvision.models.mobilenet_v3_large(weights=None), lraspp(3)
    report = load_weights(model, save(source, tmp_path / "w.pt"))
    assert report.loaded == [f"backbone.{name}" for name in source.features.state_dict()]
    assert torch.equal(model.backbone["16"][0].weight, source.features[16][0].weight)


def test_weights_of_other_classes_fill_all_but_the_last_layer(tmp_path):
    source, model = UnetSegmenter(5, encoder_depth=3), UnetSegmenter(3, encoder_depth=3)
    report = load_weights(model, save(source, tmp_path / "w.pt"))
    assert [skipped.name for skipped in report.skipped] == [
        "segmentation_head.0.weight",
        "segmentation_head.0.bias",
    ]
    assert same_state(model, source, report.loaded) and not report.missing and not report.unexpected


def test_wrong_encoder_is_rejected(tmp_path):
    with pytest.raises(WeightsError, match="outside the head differ in shape: encoder.layer1"):
        load_weights(
            segmenter("resnet18"), save(torchvision.models.resnet50(weights=None), tmp_path / "w.pt")
        )


def test_shared_weights_fill_a_segmenters_encoder(shared_data):
    file = shared_data.parent / "weights" / "mobilenet_v2-tfptq-f28b328c.safetensors"
    if not file.is_file():
        pytest.skip(f"needs {file}, which is absent")
    model = segmenter("mobilenet_v2")
    report = load_weights(model, file)
    assert report.loaded == [f"encoder.{name}" for name in model.encoder.state_dict()]
    assert report.unexpected == ["classifier.1.bias", "classifier.1.weight"]
    assert "312 tensors loaded" in report.summary and "randomly initialized" in report.summary
