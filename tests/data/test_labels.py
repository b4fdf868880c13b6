import pytest

from runner.data.labels import case_notices, clean_label, find_label, merge_spellings, merged_spellings


def test_equal_numbers_are_one_class():
    names = merge_spellings(["0", "1.0", "1", "0.0", "1"])
    assert names == {"0": "0", "0.0": "0", "1": "1", "1.0": "1"}
    assert merged_spellings(names) == {"1": ["1.0", "1"], "0": ["0", "0.0"]}


def test_class_with_one_spelling_keeps_it():
    assert merge_spellings(["007", "1.50", "2.0"]) == {"007": "007", "1.50": "1.50", "2.0": "2.0"}


def test_numbers_beside_words_are_words():
    assert merge_spellings(["1", "1.0", "many"]) == {"1": "1", "1.0": "1.0", "many": "many"}


@pytest.mark.parametrize("label", ["nan", "inf", "1_0"])
def test_words_that_float_would_accept(label):
    assert merge_spellings(["10", "10.0", label])["10.0"] == "10.0"


def test_white_space_and_composed_letters():
    assert clean_label(" Bär\n") == "Bär"
    assert merge_spellings(["cat ", "cat"]) == {"cat ": "cat", "cat": "cat"}


def test_labels_of_another_file_are_found_by_number():
    assert find_label("1.0", ["0", "1"]) == 1
    assert find_label("1.0", ["0", "one"]) is None
    assert find_label(" one", ["0", "one"]) == 1
    assert find_label("2", ["0", "1"]) is None


def test_truth_values_are_compared_without_case():
    names = merge_spellings(["TRUE", "True", "false", "TRUE"])
    assert names == {"TRUE": "True", "True": "True", "false": "false"}
    assert find_label("FALSE", ["True", "false"]) == 1
    assert merge_spellings(["TRUE", "True", "maybe"])["TRUE"] == "TRUE", "beside other words they are words"


def test_other_words_that_differ_in_case_stay_classes_and_are_reported():
    names = ["No", "Yes", "yes"]
    assert list(merge_spellings(names).values()) == names
    assert case_notices(names) == ["'Yes' and 'yes' differ only in upper and lower case and are 2 classes"]


def test_whole_numbers_that_float64_cannot_distinguish_are_different_classes():
    ids = [str(2**53), str(2**53 + 1)]  # equal as float64
    assert list(merge_spellings(ids).values()) == ids
    assert find_label(ids[1], ids) == 1
