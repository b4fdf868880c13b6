import pytest
from omegaconf import OmegaConf

from runner.data.facts import Facts
from runner.data.images.folder import ImageFolderDataModule
from runner.errors import DataError, UserError
from runner.inference.evaluate import compare_facts, reject_new_cut


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["cat", "owl"], r"missing \['dog'\], unknown \['owl'\]"),
        (["dog", "cat"], r"the run's classes in another order: \['dog', 'cat'\], and not \['cat', 'dog'\]"),
    ],
)
def test_data_of_other_classes_are_rejected(names, said):
    trained_on = {"class_names": ["cat", "dog"]}
    with pytest.raises(DataError, match=said):
        compare_facts(Facts("classification", (4,), 2, class_names=names), trained_on)
    compare_facts(Facts("classification", (4,), 2, class_names=["cat", "dog"]), trained_on)


@pytest.mark.parametrize(
    ("overrides", "refused"),
    [
        ({"data.split_seed": 7}, True),
        ({"folds.index": 1}, True),
        ({"data.root": "photos", "data.split_seed": 7}, True),
        ({"data.root": "other", "data.split_seed": 7}, False),
        ({"data.root": "other"}, False),
        ({"data.split_seed": 0}, False),  # as it is by default
        ({"data.val_fraction": 0.3}, False),  # as it was
        ({"data.eval_batch_size": 7}, False),
    ],
)
def test_new_split_of_the_same_data_is_rejected(overrides, refused):
    config = OmegaConf.create({"data": {"root": "photos", "val_fraction": 0.3}, "folds": {"index": 0}})
    if refused:
        with pytest.raises(UserError, match="would change the splits of first"):
            reject_new_cut("first", config, overrides, ImageFolderDataModule)
    else:
        reject_new_cut("first", config, overrides, ImageFolderDataModule)
