import torch

from runner.models.ngrams import NgramClassifier


def test_untrained_bag_gives_the_bias() -> None:
    model = NgramClassifier(3, 20)
    assert torch.equal(model(torch.randint(1, 20, (4, 6))), torch.zeros(4, 3))


def test_padding_does_not_change_the_logits() -> None:
    torch.manual_seed(0)
    for hidden_size in (0, 8):
        model = NgramClassifier(3, 20, hidden_size=hidden_size).eval()
        for table in (model.tokens, *model.ngrams):
            torch.nn.init.normal_(table.weight[1:])
        ids = torch.tensor([[5, 6, 7]])
        padded = torch.tensor([[5, 6, 7, 0, 0], [8, 9, 3, 4, 2]])
        assert torch.allclose(model(ids)[0], model(padded)[0], atol=1e-6)


def test_ngrams_depend_on_the_order() -> None:
    model = NgramClassifier(2, 50, max_n=3)
    one, two = torch.tensor([[3, 4, 5]]), torch.tensor([[5, 4, 3]])
    for n in (2, 3):
        assert not torch.equal(model.buckets(one, n), model.buckets(two, n))
        assert model.buckets(one, n).shape == (1, 4 - n)
    assert model.buckets(torch.tensor([[3]]), 2).shape == (1, 0)
    assert model.buckets(torch.tensor([[3, 0]]), 2).tolist() == [[0]]


def test_token_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    model = NgramClassifier(2, 50, token_dropout=0.5)
    torch.nn.init.normal_(model.tokens.weight)
    ids = torch.randint(2, 50, (3, 30))
    assert not torch.equal(model(ids), model(ids))
    model.eval()
    assert torch.equal(model(ids), model(ids))


def test_lstm_adds_to_the_bag() -> None:
    torch.manual_seed(0)
    model = NgramClassifier(2, 50, hidden_size=8).eval()
    assert model(torch.randint(1, 50, (3, 5))).abs().sum() > 0
    assert model.layers.out_features == 16
