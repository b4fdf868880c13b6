"""Which rank a process is."""

from runner.ranks.place import Place


def test_without_an_agent_there_is_one_rank() -> None:
    assert Place.here({}) == Place() and Place().is_first
    assert Place.here({"RANK": "3", "WORLD_SIZE": "8"}) == Place(), "left behind by something else"


def test_what_the_elastic_agent_says() -> None:
    environment = {
        "TORCHELASTIC_RUN_ID": "x", "RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
        "TORCHELASTIC_RESTART_COUNT": "2",
    }  # fmt: skip
    place = Place.here(environment)
    assert place == Place(3, 8, 1, 2, 2, True) and not place.is_first
