import pytest

from runner.data.facts import Facts
from runner.errors import DataError
from runner.inference.evaluate import compare_facts


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["cat", "owl"], r"missing \['dog'\], unknown \['owl'\]"),
        (["dog", "cat"], r"the run's classes in another order: \['dog', 'cat'\], and not \['cat', 'dog'\]"),
    ],
)
def test_data_of_other_classes_are_refused(names, said):
    trained_on = {"class_names": ["cat", "dog"]}
    with pytest.raises(DataError, match=said):
        compare_facts(Facts("classification", (4,), 2, class_names=names), trained_on)
    compare_facts(Facts("classification", (4,), 2, class_names=["cat", "dog"]), trained_on)
