import pytest
import torch
from PIL import Image

from runner import train
from runner.errors import UserError
from runner.inference.load import load_trained
from runner.inference.predict import PictureFolder, predict


def test_files_are_named_after_input_and_plot(tmp_path):
    folder, picture = PictureFolder(tmp_path / "out"), Image.new("L", (2, 2))
    written = folder.write("photos/cat.jpg", {"mask": picture, "overlay": picture})
    assert written == {name: str(tmp_path / "out" / f"cat_{name}.png") for name in ("mask", "overlay")}
    assert folder.write("more/cat.png", {"mask": picture})["mask"].endswith("cat-2_mask.png")
    again = PictureFolder(tmp_path / "out").write("photos/cat.jpg", {"mask": Image.new("L", (5, 5))})
    assert Image.open(again["mask"]).size == (5, 5)
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_inputs_with_equal_names_do_not_overwrite_each_other(tmp_path):
    folder, picture = PictureFolder(tmp_path), Image.new("L", (2, 2))
    written = [
        folder.write(name, {"mask": picture})["mask"]
        for name in ("a/cat.jpg", "b/cat.jpg", "cat-2.jpg", "c/cat.jpg")
    ]
    assert len(set(written)) == 4


def test_invalid_input(tmp_path):
    with pytest.raises(UserError, match="this run's task draws none"):
        PictureFolder(tmp_path).write("a.jpg", {})
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        PictureFolder(tmp_path / "file").write("a.jpg", {"mask": Image.new("L", (2, 2))})


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_predictions_have_the_precision_of_the_run(tmp_path, monkeypatch, precision):
    """Metrics of the predictions equal those of ``evaluate``, which computes in the run's precision."""
    monkeypatch.chdir(tmp_path)
    lines = [f"{a},{(a * 7) % 13},{a + 0.3 * ((a * 5) % 11)}" for a in range(120)]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,target", *lines]) + "\n")
    words = ("data=csv", "data.path=table.csv", "data.target=target", "task=regression", "auto=false")
    quiet = ("tracking=none", "plots=false", "report=false", "baselines=false", "hardware=cpu")
    run = train(*words, *quiet, "model=mlp", "trainer.max_epochs=2", f"hardware.precision={precision}")
    rows = predict(run.directory, ["table.csv"])
    trained = load_trained(run.directory, "best")
    inputs = torch.stack([value for _, value in trained.data.read_inputs(["table.csv"])])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        expected = trained.task.predict_outputs(trained.data.normalize(inputs))["preds"]
    with torch.inference_mode():
        full = trained.task.predict_outputs(trained.data.normalize(inputs))["preds"]
    predicted = torch.tensor([row["target"] for row in rows])
    assert torch.allclose(predicted, expected.flatten().float(), rtol=1e-5)
    assert torch.allclose(predicted, full.flatten().float(), rtol=1e-5) == (precision == "32")
