from runner.data.segmentation.layout import cut_pairs


def pairs(split: str, count: int):
    return [(f"{split}/{number}.jpg", f"{split}/{number}.png") for number in range(count)]


def test_all_is_cut_at_random():
    flat, splits = cut_pairs({"all": pairs("all", 100)}, None, None, 0)
    assert {split: len(indices) for split, indices in splits.items()} == {"train": 70, "val": 15, "test": 15}
    assert sorted(index for indices in splits.values() for index in indices.tolist()) == list(range(100))
    assert cut_pairs({"all": pairs("all", 100)}, None, None, 1)[1]["val"].tolist() != splits["val"].tolist()
    assert len(flat) == 100


def test_fractions():
    _, splits = cut_pairs({"all": pairs("all", 100)}, 0.3, 0.0, 0)
    assert {split: len(indices) for split, indices in splits.items()} == {"train": 70, "val": 30}


def test_folders_stay_as_they_are():
    given = {"test": pairs("test", 3), "train": pairs("train", 20), "val": pairs("val", 4)}
    flat, splits = cut_pairs(given, None, None, 0)
    for split, indices in splits.items():
        assert [flat[index] for index in indices.tolist()] == given[split]


def test_val_comes_from_train_and_never_from_test():
    given = {"train": pairs("train", 20), "test": pairs("test", 10)}
    flat, splits = cut_pairs(given, None, None, 0)
    assert {flat[index][0].partition("/")[0] for index in splits["val"].tolist()} == {"train"}
    assert len(splits["val"]) == 3 and len(splits["train"]) == 17 and len(splits["test"]) == 10
