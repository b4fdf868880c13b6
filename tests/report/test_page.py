import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from runner.report.page import write_report
from runner.run.directory import RunDir

VOID = {"meta", "img", "br"}
OWN_SCRIPTS = [{"type": "application/json", "id": "curves"}, {}]
"""The scripts of a page with curves: their data, and the code that draws them."""


class Page(HTMLParser):
    """Text, tags and the addresses a page refers to; tags that do not match are an error."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.texts, self.addresses, self.scripts = [], [], [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append(dict(attrs))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def page_of(run):
    path = write_report(run)
    assert path == run.report_path
    return Page(path.read_text(encoding="utf-8"))


def test_report_of_a_finished_run_is_complete(make_run):
    page = page_of(make_run())
    for text in (
        "MLP on Digits",
        "finished",
        "test accuracy 0.9712",
        "val accuracy 0.9812",
        "best epoch 2",
        "21.3 M",
        "1 min 23 s",
        "On the test split",
        "35 train, 5 val, 7 test",
        "1 × 8 × 8",
        "scikit-learn",
        "all = 21,289,802 · trainable = 1,026",
        "lr = 0.001",
        "runner train model=mlp 'run.tags=[a b]'",
        "config.yaml",
        "hidden_sizes: [64]",
        "0123456789abcdef, with uncommitted changes in git.diff",
        "A <fast> processor",
        "2.15.0",
        "runner predict",
    ):
        assert text in page.text, text
    assert page.tags.count("img") == 3  # curves, learning rate, confusion matrix


def test_names_from_the_data_are_escaped(make_run):
    page = page_of(make_run(name="a<b>&'\"", reason="<img src=x onerror=alert(1)>"))
    assert "<script>alert('two')</script>" in page.text
    assert "<img src=x onerror=alert(1)>" in page.text
    assert page.scripts == OWN_SCRIPTS and page.tags.count("b") == 0


def test_page_is_self_contained(make_run):
    run = make_run()
    page = page_of(run)
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    html = run.report_path.read_text()
    assert not re.search(r"https?://|@import|url\(", html)
    assert "default-src 'none'" in html
    assert "prefers-color-scheme: dark" in html and "width=device-width" in html


def test_failed_run_shows_the_reason_and_the_end_of_its_log(make_run):
    run = make_run(state="failed", reason="NonFiniteLossError: the loss became nan at step 31")
    (run.checkpoints / "step-00000020.ckpt").touch()
    (run.logs / "rank0.log").write_text("\n".join(f"line {i}" for i in range(200)) + "\nTraceback: <end>\n")
    page = page_of(run)
    assert "NonFiniteLossError: the loss became nan at step 31" in page.text
    assert "Traceback: <end>" in page.text and "line 10 " not in page.text
    assert "runner resume" in page.text and "Results" not in page.text
    assert page.tags.count("img") == 2  # its curves, drawn from the journal


@pytest.mark.parametrize(
    "name", ["config.yaml", "provenance.json", "status.json", "results.json", "facts.json", "metrics.jsonl"]
)
@pytest.mark.parametrize("content", [None, b"{\n"])
def test_every_file_may_be_missing_or_truncated(make_run, name, content):
    if name == "status.json" and content:
        content = b"{}"
    run = make_run()
    (run.path / name).unlink()
    if content is not None:
        (run.path / name).write_bytes(content)
    page_of(run)


def test_empty_folder_has_a_page(tmp_path):
    assert "created" in page_of(RunDir(tmp_path)).text


def test_curves_are_redrawn_only_when_the_journal_has_grown(make_run):
    run = make_run()
    write_report(run)
    drawn = run.plots / "curves.png"
    before = drawn.stat().st_mtime_ns
    write_report(run)
    assert drawn.stat().st_mtime_ns == before
    later = before / 1e9 + 5
    os.utime(run.metrics_path, (later, later))
    write_report(run)
    assert drawn.stat().st_mtime_ns != before


def test_page_does_not_import_torch(make_run):
    code = (
        "import sys; from runner.run.directory import RunDir; from runner.report.page import write_report\n"
        "write_report(RunDir(sys.argv[1])); print('torch' in sys.modules)"
    )
    made = subprocess.run(
        [sys.executable, "-c", code, make_run().path], capture_output=True, text=True, check=True
    )
    assert made.stdout == "False\n"
