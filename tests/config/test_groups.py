from __future__ import annotations

from pathlib import Path

from runner.config.groups import find_groups, package_conf, search_folders


def test_options_and_their_metadata(write) -> None:
    write(
        "conf/model/mine.yaml",
        "# @package _global_\n# tasks: classification, regression\n# My model. It is small.\n# inputs: "
        "image features\n"
        "# More about it.\nmodel: {}\n# not this\n",
    )
    option = find_groups()["model"]["mine"]
    assert option.summary == "My model."
    assert option.tasks == ("classification", "regression")
    assert option.inputs == ("image", "features")


def test_option_without_comment(write) -> None:
    write("conf/extra/quiet.yaml", "a: 1\n# late\n")
    option = find_groups()["extra"]["quiet"]
    assert (option.summary, option.tasks, option.inputs) == ("", (), ())


def test_working_directory_precedes_config_dirs(write, here: Path) -> None:
    own = package_conf()
    assert search_folders() == [own]
    write("conf/model/mlp.yaml", "# here\n")
    write("more/model/mlp.yaml", "# more\n")
    write("more/model/extra.yaml", "# more\n")
    assert search_folders(["more"]) == [here / "conf", own, here / "more"]
    groups = find_groups(["more"])
    assert groups["model"]["mlp"].summary == "here"
    assert groups["model"]["extra"].summary == "more"


def test_in_the_checkout_conf_is_not_searched_twice(monkeypatch) -> None:
    monkeypatch.chdir(package_conf().parent)
    assert search_folders() == [package_conf()]


def test_binary_files_are_ignored(here: Path) -> None:
    (here / "conf" / "model").mkdir(parents=True)
    (here / "conf" / "model" / "bytes.yaml").write_bytes(b"# \xff\xfe words\n")
    assert "words" in find_groups()["model"]["bytes"].summary
