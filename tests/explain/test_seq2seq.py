"""Of what a model writes, each token is traced to the token of the source that it came from."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from runner.errors import UserError
from runner.explain.explain import Explained
from runner.explain.options import ExplainOptions
from runner.explain.pictures import pictures
from runner.explain.samples import Sample
from runner.explain.sanity import cascade
from runner.explain.sequence import TokenExplainer
from runner.explain.write import page_of, table_of
from runner.tasks.decoding import BEGIN, END, greedy_search, log_probs_of
from runner.tasks.seq2seq import Seq2SeqTask

METHODS = ("integrated_gradients", "occlusion")
FIRST, LETTERS = 4, 6
VOCAB = FIRST + LETTERS


class Reverser(nn.Module):
    """Writes its source from the last token to the first, then the end: token k of N comes of source token N
    - 1 - k alone.
    """

    def __init__(self, shared: bool = False):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, VOCAB)
        self.target_embedding = self.embedding if shared else nn.Embedding(VOCAB, VOCAB)
        self.head = nn.Linear(VOCAB, VOCAB)
        for layer in (self.embedding, self.target_embedding, self.head):
            nn.init.eye_(layer.weight)
        nn.init.zeros_(self.head.bias)

    def encode(self, source):
        return (self.embedding(source).flip(1),), torch.zeros(1, len(source), 1)

    def decode(self, tokens, memory, state):
        begun = int(state[0, 0, 0])
        end = torch.eye(VOCAB)[END].expand(len(tokens), 1, -1)
        steps = torch.cat([memory[0], end], 1)[:, begun : begun + tokens.shape[1]]
        unused = 0 * self.target_embedding(tokens[:, : steps.shape[1]])
        return self.head(8 * steps + unused), state + tokens.shape[1], None

    def forward(self, source, target):
        return self.decode(target, *self.encode(source))[0]


class Letters:
    """``a`` to ``f``, one token each."""

    def token(self, number: int) -> str:
        return "<end>" if number == END else chr(ord("a") + number - FIRST)

    def encode(self, text: str) -> list[int]:
        return [ord(sign) - ord("a") + FIRST if sign in "abcdef" else 1 for sign in text]

    def __len__(self) -> int:
        return VOCAB


def trained(model: nn.Module | None = None, **options):
    letters = Letters()
    data = SimpleNamespace(
        tokenizers={"source": letters, "target": letters},
        batch_inputs=torch.stack,
        on_after_batch_transfer=lambda batch, _: batch,
        decode=lambda ids: "".join(letters.token(number) for number in ids if number > END),
    )
    task = Seq2SeqTask(model or Reverser(), **options).eval()
    task.decode = data.decode
    return SimpleNamespace(task=task, data=data)


def sample(source: str, truth: str | None = None) -> Sample:
    encode = Letters().encode
    return Sample(
        source,
        torch.tensor(encode(source)),
        None if truth is None else torch.tensor([BEGIN, *encode(truth), END]),
    )


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_each_output_token_is_attributed_to_its_source(method, shared) -> None:
    whole, *steps = TokenExplainer(trained(Reverser(shared)), ExplainOptions(method)).explain(
        sample("abcde", "edcba")
    )
    assert (
        whole.target.name == whole.target.prediction == whole.target.truth == "edcba"
        and whole.parts == list("abcde")
    )
    assert [one.target.name for one in steps] == ["'e'", "'d'", "'c'", "'b'", "'a'", "'<end>'"]
    for place, one in enumerate(steps[:5]):
        others = np.delete(one.values, 4 - place)
        assert one.values[4 - place] > 1 and others == pytest.approx(0, abs=1e-5)
    assert steps[5].values == pytest.approx(0, abs=1e-5)
    assert whole.values == pytest.approx(sum(one.values for one in steps), abs=1e-3)
    assert whole.score == pytest.approx(sum(one.score for one in steps), abs=1e-4)
    if method == "integrated_gradients":
        assert all(one.attribution.error == pytest.approx(0, abs=1e-3) for one in (whole, *steps))


def test_single_step_and_alternative_token() -> None:
    steps = TokenExplainer(trained(), ExplainOptions()).explain(sample("abc"))[1:]
    (third,) = TokenExplainer(trained(), ExplainOptions(step=3)).explain(sample("abc"))
    assert (
        third.target.name == "'a'"
        and third.values == pytest.approx(steps[2].values)
        and third.target.truth == ""
    )
    (other,) = TokenExplainer(trained(), ExplainOptions(step=3, target="f")).explain(sample("abc"))
    assert other.target.name == "'f'" and other.target.prediction.startswith("'a' ") and other.values[0] < -1
    (end,) = TokenExplainer(trained(), ExplainOptions(step=1, target="<end>")).explain(sample("abc"))
    assert end.target.name == "'<end>'" and end.values[2] < -1


def test_token_truth_is_known_while_the_prefix_is_correct() -> None:
    found = TokenExplainer(trained(), ExplainOptions()).explain(sample("abcd", "dcfa"))
    assert [one.target.truth for one in found] == ["dcfa", "'d'", "'c'", "'f'", "", ""]


def test_truncated_output_has_no_end_token() -> None:
    found = TokenExplainer(trained(max_steps=2), ExplainOptions()).explain(sample("abc"))
    assert [one.target.name for one in found] == ["cb", "'c'", "'b'"]
    with pytest.raises(UserError, match="--step 3: the model writes 'cb', 2 tokens\\.$"):
        TokenExplainer(trained(max_steps=2), ExplainOptions(step=3)).explain(sample("abc"))


@pytest.mark.parametrize(
    ("wish", "complaint"),
    [
        (ExplainOptions(step=5), "--step 5: the model writes 'cba', 4 tokens with its end."),
        (ExplainOptions(target="a"), "give with --step the position it replaces"),
        (ExplainOptions(step=1, target="ab"), "--target 'ab' is 2 tokens to this run"),
        (ExplainOptions(step=1, target="Q"), "--target Q: the run writes no such token"),
    ],
)
def test_invalid_input(wish, complaint) -> None:
    with pytest.raises(UserError, match=complaint):
        TokenExplainer(trained(), wish).explain(sample("abc"))


def test_log_probabilities_match_decoding() -> None:
    model, source = Reverser(), torch.tensor([[4, 5, 6]])
    (written,) = greedy_search(model, source, 9)
    log_probs = log_probs_of(model, source, torch.tensor([[*written, END]])).detach()
    assert log_probs.argmax(-1)[0].tolist() == [*written, END]
    assert log_probs.exp().sum(-1) == pytest.approx(1, abs=1e-5) and log_probs[0, :, :END].isneginf().all()


def test_token_attributions_change_as_weights_are_randomised() -> None:
    explainer = TokenExplainer(trained(), ExplainOptions())
    found = explainer.explain(sample("abcde"))
    names = explainer.layer_names(found[0].sample)
    assert set(names) == {"embedding", "target_embedding", "head"}
    torch.manual_seed(0)
    correlations = cascade(explainer.model, names, lambda: [explainer.recompute(one) for one in found[:1]])
    assert len(correlations) == 3 and abs(correlations[-1][1]) < 0.95


def test_files_and_plots_cover_the_sequence_and_each_token() -> None:
    run = trained()
    found = [
        one for text in ("abc", "fa") for one in TokenExplainer(run, ExplainOptions()).explain(sample(text))
    ]
    explained = Explained(
        SimpleNamespace(name="r"), run, "texts", "integrated_gradients", [], "zeros", explanations=found
    )
    drawn = dict(pictures(explained))
    assert list(drawn) == ["overview", "abc", "fa"]
    rows = [tick.get_text() for tick in drawn["abc"].axes[0].get_yticklabels()]
    assert [row.split()[1] for row in rows] == ["'c'", "'b'", "'a'", "'<end>'"]
    assert drawn["abc"].axes[0].images[0].get_array().shape == (4, 3)
    table = table_of(explained)
    assert [row["step"] for row in table[:9:3]] == ["", 1, 2] and len({tuple(row) for row in table}) == 1
    assert "<h2>cba</h2>" in page_of(explained) and "step 4: " in page_of(explained)
