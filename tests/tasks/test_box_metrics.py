"""Average precision: pycocotools' own numbers, and some that can be worked out by hand."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from runner.tasks.box_metrics import STATISTICS, BoxAveragePrecision


def random_scenes(seed: int, num_images: int = 25, num_classes: int = 5):
    """Truth of all sizes, some of it crowds, and predictions around it, some far off; some images have
    neither.
    """
    draw = torch.Generator().manual_seed(seed)
    preds, targets = [], []
    for number in range(num_images):
        count = int(torch.randint(0, 9, (), generator=draw)) if number % 5 else 0
        corner = torch.rand(count, 2, generator=draw) * 400
        boxes = torch.cat([corner, corner + torch.rand(count, 2, generator=draw) ** 3 * 300 + 4], 1)
        labels = torch.randint(0, num_classes - 1, (count,), generator=draw)
        crowd = torch.rand(count, generator=draw) < 0.1
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1) * torch.where(
            torch.rand(count, generator=draw) < 0.5, 0.6, 1.0
        )
        targets.append({"boxes": boxes, "labels": labels, "area": area, "iscrowd": crowd})
        copies = boxes.repeat(3, 1) + torch.randn(3 * count, 4, generator=draw) * 6
        found = torch.cat([copies, torch.tensor([[5.0, 5, 90, 60]]).repeat(number % 3, 1)])
        found = torch.cat([found[:, :2], torch.maximum(found[:, 2:], found[:, :2] + 1)], 1)
        guess = torch.cat([labels.repeat(3), torch.zeros(number % 3, dtype=torch.long)])
        wrong = torch.rand(len(guess), generator=draw) < 0.2
        guess = torch.where(wrong, (guess + 1) % num_classes, guess)
        preds.append({"boxes": found, "labels": guess, "scores": torch.rand(len(found), generator=draw)})
    return preds, targets


def reference(preds, targets, num_classes, folder):
    """pycocotools as its demo uses it: files in, summary out. Also the AP of each class, one evaluation a
    class.
    """
    annotations, results = [], []
    for image, (pred, target) in enumerate(zip(preds, targets, strict=True)):
        for place in range(len(target["boxes"])):
            x1, y1, x2, y2 = target["boxes"][place].tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "category_id": int(target["labels"][place]),
                    "area": float(target["area"][place]),
                    "iscrowd": int(target["iscrowd"][place]),
                }
            )
        for place in range(len(pred["boxes"])):
            x1, y1, x2, y2 = pred["boxes"][place].tolist()
            results.append(
                {
                    "image_id": image,
                    "category_id": int(pred["labels"][place]),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": float(pred["scores"][place]),
                }
            )
    file = folder / "truth.json"
    content = {"images": [{"id": i} for i in range(len(targets))], "annotations": annotations,
               "categories": [{"id": i, "name": str(i)} for i in range(num_classes)], "info": {}}  # fmt: skip
    file.write_text(json.dumps(content))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(file))
        found = truth.loadRes(results)
        stats = []
        for categories in (None, *([k] for k in range(num_classes))):
            evaluation = COCOeval(truth, found, "bbox")
            if categories is not None:
                evaluation.params.catIds = categories
            evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
            stats.append(evaluation.stats)
    return stats[0], [of_class[0] for of_class in stats[1:]], [of_class[1] for of_class in stats[1:]]


@pytest.mark.parametrize("seed", range(3))
def test_all_statistics_match_pycocotools(seed, tmp_path):
    preds, targets = random_scenes(seed)
    stats, class_map, class_map_50 = reference(preds, targets, 5, tmp_path)
    metric = BoxAveragePrecision(5)
    for first in range(0, 25, 4):  # in batches, the last one smaller
        part = slice(first, first + 4)
        metric.update(torch.arange(25)[part], preds[part], targets[part])
    scores = metric.compute()
    assert len(scores.statistics) == 12 and 0.05 < scores.statistics["map"] < 0.9
    for name, expected in zip(STATISTICS, stats, strict=True):
        assert scores.statistics[name] == pytest.approx(expected, abs=1e-6), name
    for found, expected in ((scores.class_map, class_map), (scores.class_map_50, class_map_50)):
        assert np.isnan(found[4]) and expected[4] == -1, "there is nothing of the last class"
        assert found[:4] == pytest.approx(expected[:4], abs=1e-6)
    assert scores.statistics["map"] == pytest.approx(np.nanmean(scores.class_map), abs=1e-6)


def target(boxes, labels, crowd=None):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    crowd = torch.zeros(len(boxes), dtype=torch.bool) if crowd is None else torch.tensor(crowd)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return {"boxes": boxes, "labels": torch.tensor(labels, dtype=torch.long), "area": area, "iscrowd": crowd}


def pred(boxes, labels, scores):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return {"boxes": boxes, "labels": torch.tensor(labels, dtype=torch.long), "scores": torch.tensor(scores)}


def scores_of(preds, targets, num_classes=2):
    metric = BoxAveragePrecision(num_classes)
    metric.update(torch.arange(len(preds)), preds, targets)
    return metric.compute()


def test_perfect_detections_score_one_and_none_score_zero():
    truth = [target([[0, 0, 50, 50], [60, 60, 90, 90]], [0, 1])]
    assert scores_of([pred(truth[0]["boxes"].tolist(), [0, 1], [0.9, 0.8])], truth).statistics[
        "map"
    ] == pytest.approx(1)
    assert scores_of([pred([], [], [])], truth).statistics["map"] == 0


def test_box_with_three_quarters_overlap():
    """IoU 0.75 counts as found at 0.50, 0.55 … 0.75: 6 of 10 thresholds."""
    scores = scores_of([pred([[0, 0, 75, 100]], [0], [0.9])], [target([[0, 0, 100, 100]], [0])])
    assert [scores.statistics[name] for name in ("map_50", "map_75")] == pytest.approx([1, 1])
    assert scores.statistics["map"] == pytest.approx(0.6)
    assert np.isnan(scores.class_map[1])


def test_wrong_box_ranked_before_the_correct_one():
    """Precision is 1/2 at every recall."""
    found = pred([[200, 200, 220, 220], [0, 0, 100, 100]], [0, 0], [0.9, 0.8])
    scores = scores_of([found], [target([[0, 0, 100, 100]], [0])])
    assert scores.statistics["map_50"] == pytest.approx(0.5) and scores.statistics["mar_100"] == 1
    assert scores.precision.shape == (10, 101, 2) and scores.precision[0, :, 0] == pytest.approx(0.5)


def test_crowd_matches_are_ignored():
    truth = [target([[0, 0, 100, 100], [200, 0, 400, 200]], [0, 0], [False, True])]
    found = [pred([[210, 10, 250, 50], [0, 0, 100, 100]], [0, 0], [0.9, 0.8])]
    assert scores_of(found, truth).statistics["map"] == pytest.approx(1)


def test_size_ranges_without_objects_have_no_value():
    scores = scores_of([pred([[0, 0, 10, 10]], [0], [0.9])], [target([[0, 0, 10, 10]], [0])])
    assert scores.statistics["map_small"] == pytest.approx(1)
    assert "map_medium" not in scores.statistics and "mar_large" not in scores.statistics


def test_no_ground_truth_gives_no_value():
    scores = scores_of([pred([[0, 0, 10, 10]], [0], [0.9])], [target([], [])])
    assert scores.statistics == {} and np.isnan(scores.class_map).all()


def test_no_images():
    assert BoxAveragePrecision(2).compute().statistics == {}


def test_epoch_resets_the_metrics():
    metric = BoxAveragePrecision(1)
    metric.update(torch.tensor([0]), [pred([[0, 0, 9, 9]], [0], [0.9])], [target([[50, 50, 90, 90]], [0])])
    assert metric.compute().statistics["map"] == 0
    metric.reset()
    metric.update(torch.tensor([0]), [pred([[0, 0, 9, 9]], [0], [0.9])], [target([[0, 0, 9, 9]], [0])])
    assert metric.compute().statistics["map"] == pytest.approx(1)


def test_boxes_of_very_large_images_are_compared_in_double_precision(tmp_path):
    """Boxes a quarter of a pixel wide at 100 000 pixels, where single precision has steps of 0.0078, and
    beyond 2**24, where it has steps of 2. The prediction is shifted by 0.02 of 0.25 pixels: IoU 0.23 / 0.27 =
    0.852, found at 8 of 10 thresholds (0.50 to 0.85). In single precision both boxes beyond 2**24 would be
    empty."""
    corners = torch.tensor(
        [[99_999.001, 5, 99_999.251, 5.25], [2**24 + 0.25, 1, 2**24 + 0.5, 1.25]], dtype=torch.float64
    )
    area = (corners[:, 2:] - corners[:, :2]).prod(1)
    truth = {
        "boxes": corners,
        "labels": torch.tensor([0, 1]),
        "area": area,
        "iscrowd": torch.zeros(2, dtype=torch.bool),
    }
    shift = torch.tensor([0.02, 0, 0.02, 0], dtype=torch.float64)
    found = {"boxes": corners + shift, "labels": torch.tensor([0, 1]), "scores": torch.tensor([0.9, 0.8])}
    stats, class_map, _ = reference([found], [truth], 2, tmp_path)
    scores = scores_of([found], [truth])
    assert scores.statistics["map"] == pytest.approx(stats[0], abs=1e-9) and stats[0] == pytest.approx(0.8)
    assert scores.class_map.tolist() == pytest.approx(class_map) and class_map == pytest.approx([0.8, 0.8])


def test_class_without_boxes_is_excluded_from_means(tmp_path):
    """The class 1 is predicted but absent: precision and recall are those of class 0 alone, as in
    pycocotools.
    """
    truth = [target([[0, 0, 50, 50], [100, 100, 150, 150]], [0, 0])]
    found = [pred([[0, 0, 50, 50], [60, 60, 90, 90]], [0, 1], [0.9, 0.95])]
    scores = scores_of(found, truth)
    stats, _, _ = reference(found, truth, 2, tmp_path)
    assert scores.statistics["mar_100"] == pytest.approx(stats[8]) and stats[8] == pytest.approx(0.5)
    # precision is 1 at the 51 recall points up to 0.5, of 101
    assert scores.statistics["map"] == pytest.approx(stats[0]) and stats[0] == pytest.approx(51 / 101)
    assert (
        np.isnan(scores.class_map[1])
        and np.isnan(scores.class_map_50[1])
        and np.isnan(scores.precision[:, :, 1]).all()
    )
