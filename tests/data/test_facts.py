"""Fingerprints depend on content, not on files or memory layouts."""

from __future__ import annotations

import torch

from runner.data.facts import digest_files, digest_tensors


def test_equal_tensors_have_equal_digests():
    tensor = torch.arange(6)
    assert digest_tensors(tensor) == digest_tensors(tensor.clone())
    assert digest_tensors(tensor.view(2, 3).T) == digest_tensors(tensor.view(2, 3).T.contiguous())


def test_values_shapes_and_types_count():
    tensor = torch.arange(6)
    variants = [tensor, tensor + 1, tensor.view(2, 3), tensor.int(), tensor[:5]]
    assert len({digest_tensors(variant) for variant in variants}) == len(variants)
    assert digest_tensors(tensor, tensor) != digest_tensors(tensor)


def test_files_count_by_content_and_order(tmp_path):
    for name, content in (("a", b"1"), ("b", b"2"), ("same", b"1")):
        (tmp_path / name).write_bytes(content)
    assert digest_files(tmp_path / "a") == digest_files(str(tmp_path / "same"))
    assert digest_files(tmp_path / "a", tmp_path / "b") != digest_files(tmp_path / "b", tmp_path / "a")
