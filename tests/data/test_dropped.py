from runner.data.dropped import DroppedSamples


def test_message_gives_counts_reason_and_examples():
    dropped = DroppedSamples()
    dropped.add(
        "rows",
        4,
        "no value in column 'y'",
        total=10,
        where="d.csv",
        examples=["row 3", "row 5", "row 7", "row 9"],
    )
    assert dropped.messages() == [
        "d.csv: 4 of 10 rows left out: no value in column 'y' (for example row 3, row 5, row 7)."
    ]
    assert dropped.as_list()[0]["count"] == 4


def test_nothing_is_reported_for_zero_and_a_repeated_report_counts_once():
    dropped = DroppedSamples()
    dropped.add("boxes", 0, "empty")
    for _ in range(2):
        dropped.add("boxes", 2, "empty")
    assert dropped.messages() == ["2 boxes left out: empty."]
