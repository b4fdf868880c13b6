import base64
import io

from PIL import Image

from runner.report.picture import load_pictures


def test_order_and_size_of_pictures(make_run):
    run = make_run()
    png = (run.plots / "test_confusion.png").read_bytes()
    (run.plots / "learning_rate.png").unlink()
    for name in ("val_confusion", "test_calibration", "test_class_scores", "samples"):
        (run.plots / f"{name}.png").write_bytes(png)
    pictures = load_pictures(run)
    assert [picture.name for picture in pictures] == [
        "test_confusion",
        "test_class_scores",
        "test_calibration",
        "val_confusion",
        "curves",
        "samples",
    ]
    first = pictures[0]
    assert (first.split, first.kind, first.alt) == ("test", "confusion", "test confusion")
    assert first.width_px == round(Image.open(io.BytesIO(png)).width * 96 / 130)
    assert base64.b64decode(first.source.partition(",")[2]) == png


def test_broken_files_are_skipped(make_run):
    run = make_run(plots=False)
    (run.plots / "a.png").write_bytes(b"")
    (run.plots / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (run.plots / "c.png").mkdir()
    assert load_pictures(run) == []
