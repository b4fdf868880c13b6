"""Sounds: files, spectrograms, frames, folders."""

from __future__ import annotations

import numpy as np
import pytest
import torch

soundfile = pytest.importorskip("soundfile", reason="needs the extra: pip install 'runner[audio]'")
librosa = pytest.importorskip("librosa", reason="needs the extra: pip install 'runner[audio]'")

from runner.data.audio.folder import AudioFolderDataModule  # noqa: E402
from runner.data.audio.source import SILENCE, Frames  # noqa: E402
from runner.data.audio.spectrogram import FLOOR, LogMel, read_sound  # noqa: E402
from runner.errors import BrokenSampleError, DataError  # noqa: E402

RATE = 8000


def tone(path, hertz=440.0, seconds=0.3, rate=RATE, seed=0):
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(0, 0.01, len(time))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * hertz * time) + noise, rate)
    return path


@pytest.fixture
def folder(tmp_path):
    for number in range(10):
        tone(tmp_path / "high" / f"{number}.wav", 1000 + 20 * number, 0.2 + 0.02 * number, seed=number)
        tone(tmp_path / "low" / f"{number}.wav", 200 + 5 * number, 0.2 + 0.02 * number, seed=number + 50)
    return tmp_path


def test_spectrogram_matches_its_definition(tmp_path):
    samples = read_sound(str(tone(tmp_path / "a.wav")), RATE)
    ours = LogMel(RATE, num_mels=30)(samples)
    window = np.pad(np.hanning(201)[:-1], 28)  # 25 ms in the middle of 256 samples
    padded = np.pad(samples.numpy().astype(float), 128)
    frames = np.stack([padded[start : start + 256] * window for start in range(0, len(samples) + 1, 80)])
    power = np.abs(np.fft.rfft(frames)) ** 2
    mel = librosa.filters.mel(sr=RATE, n_fft=256, n_mels=30)
    assert ours.shape == (30, len(frames))
    assert np.allclose(ours.exp().numpy(), mel @ power.T + FLOOR, rtol=1e-3, atol=1e-6)


def test_other_rates_and_channels(tmp_path):
    path = tone(tmp_path / "a.wav", rate=16000)
    stereo, _ = soundfile.read(path)
    soundfile.write(tmp_path / "b.flac", np.stack([stereo, stereo], 1), 16000)
    assert len(read_sound(str(path), RATE)) == len(read_sound(str(tmp_path / "b.flac"), RATE)) == 2400


def test_frames_of_every_length():
    short, long = torch.ones(4, 3), torch.arange(40.0).repeat(4, 1)
    image, _ = Frames(9, as_sequence=False)(short)
    assert image.shape == (1, 4, 9) and image[0, 0].tolist() == pytest.approx(
        [SILENCE] * 3 + [1] * 3 + [SILENCE] * 3
    )
    assert Frames(9, as_sequence=False)(long)[0][0, 0].tolist() == list(range(16, 25))
    steps, _ = Frames(9, as_sequence=True)(short)
    assert steps.shape == (9, 4) and steps[:3].eq(1).all() and steps[3:].isnan().all()
    assert Frames(9, as_sequence=True)(long)[0][:, 0].tolist() == list(range(9))


def test_training_frames_are_shifted_and_masked():
    spectrogram = torch.arange(16.0)[:, None] + torch.arange(32.0)
    torch.manual_seed(0)
    seen = {tuple(Frames(32, False, shift=0.2)(spectrogram)[0][0, 0].tolist()) for _ in range(10)}
    assert len(seen) > 3
    masked = Frames(32, False, num_masks=2).masked(spectrogram)
    assert not torch.equal(masked, spectrogram) and torch.equal(spectrogram[0], torch.arange(32.0))


@pytest.mark.parametrize("layout", ["image", "sequence"])
def test_folder_becomes_splits(folder, layout):
    data = AudioFolderDataModule(
        str(folder), layout=layout, sample_rate=RATE, seconds=0.5, val_fraction=0.2, test_fraction=0.2
    )
    assert data.check() == []
    data.setup("fit")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 12, "val": 4, "test": 4}
    assert data.facts.class_names == ["high", "low"] and data.facts.class_counts == [6, 6]
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert (
        tuple(batch["inputs"].shape[1:])
        == data.facts.input_shape
        == ((1, 40, 51) if layout == "image" else (51, 40))
    )
    values = batch["inputs"][~batch["inputs"].isnan()]
    assert abs(float(values.mean())) < 0.3 and 0.7 < float(values.std()) < 1.3
    again = AudioFolderDataModule(str(folder), layout=layout, sample_rate=RATE, seconds=0.5)
    again.load_state_dict(data.state_dict())
    ((name, inputs),) = again.read_inputs([str(folder / "low" / "3.wav")])
    assert name.endswith("3.wav") and tuple(inputs.shape) == data.facts.input_shape


def test_augmentation_depends_on_seed_epoch_and_index_only(folder):
    def first(epoch):
        data = AudioFolderDataModule(str(folder), sample_rate=RATE, seconds=0.5)
        data.setup("fit")
        return data.splits["train"].sample(epoch, 3)[0]

    assert torch.equal(first(0), first(0)) and not torch.equal(first(0), first(1))


def test_names_tell_class_and_split(tmp_path):
    for digit in (3, 7):
        for take in range(8):
            tone(tmp_path / f"{digit}_ann_{take}.wav", 100.0 * digit)
    options = {"file_pattern": r"^(?P<label>\d)_", "test_pattern": r"_[0-1]\.wav$", "sample_rate": RATE}
    data = AudioFolderDataModule(str(tmp_path), val_fraction=0.2, **options)
    data.setup("fit")
    names = [data.sample_name("test", int(index)) for index in data.splits["test"].indices]
    assert names == ["3_ann_0.wav", "3_ann_1.wav", "7_ann_0.wav", "7_ann_1.wav"]
    assert len(data.splits["train"]) == 10 and len(data.splits["val"]) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"root": None}, "data.root is not set"),
        ({"root": "nowhere"}, "there is no file or folder nowhere"),
        ({"file_pattern": r"^(?P<label>x)"}, "the name does not fit"),
    ],
)
def test_problems_are_reported_before_work(folder, options, said):
    (problem,) = AudioFolderDataModule(**{"root": str(folder)} | options).check()
    assert said in problem


def test_split_that_lacks_a_class_is_rejected(tmp_path):
    for split, names in {"train": ["a", "b"], "val": ["a"]}.items():
        for name in names:
            tone(tmp_path / split / name / "0.wav")
    assert "val has no sound of b" in AudioFolderDataModule(str(tmp_path)).check()[0]


@pytest.mark.parametrize("pattern", ["(", r"^\d"])
def test_patterns_are_checked(pattern):
    with pytest.raises(DataError, match="file_pattern"):
        AudioFolderDataModule("x", file_pattern=pattern)


def test_broken_file_is_named(folder):
    data = AudioFolderDataModule(str(folder), sample_rate=RATE)
    data.setup("fit")
    (folder / "low" / "3.wav").write_bytes(b"RIFF no sound")
    with pytest.raises((DataError, BrokenSampleError), match=r"3\.wav"):
        [data.splits[split].sample(0, i) for split in data.splits for i in range(len(data.splits[split]))]


def split_tree(root, names=("training", "Validation", "testing"), classes=("high", "low"), count=24):
    for number, split in enumerate(names):
        for take in range(count):
            label = classes[take % 2]
            tone(
                root / split / label / f"{take}.wav", 1000 if take % 2 else 200, 0.1, seed=100 * number + take
            )
    return root


@pytest.mark.parametrize(
    "names",
    [
        ("training", "Validation", "testing"),
        ("Train", "valid", "TEST"),
        ("train_set", "dev", "test-set"),
        ("train", "eval", "test"),
    ],
)
def test_split_folders_have_the_same_names_as_for_images(tmp_path, names):
    data = AudioFolderDataModule(str(split_tree(tmp_path, names)), sample_rate=RATE)
    data.setup("fit")
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 24, "val": 24, "test": 24}
    assert data.facts.class_names == ["high", "low"] and data.facts.class_counts == [12, 12]
    assert data.dropped.messages() == []


def test_two_folders_of_the_same_split_are_rejected(tmp_path):
    split_tree(tmp_path, ("train", "dev", "valid"), count=4)
    assert "holds both dev and valid" in AudioFolderDataModule(str(tmp_path)).check()[0]


def test_training_folder_with_an_unknown_name_is_rejected(tmp_path):
    split_tree(tmp_path, ("part_a", "val"), count=4)
    (problem,) = AudioFolderDataModule(str(tmp_path)).check()
    assert (
        "part_a holds the same class folders as val (high, low)" in problem
        and "Rename it to train" in problem
    )


def test_classes_called_train_and_test_are_classes_where_they_hold_sounds(tmp_path):
    for name in ("train", "bus", "test"):
        for take in range(10):
            tone(tmp_path / name / f"{take}.wav", seed=take)
    data = AudioFolderDataModule(str(tmp_path), sample_rate=RATE)
    data.setup("fit")
    assert data.facts.class_names == ["bus", "test", "train"] and data.facts.class_counts == [8, 8, 8]


def test_spellings_of_a_class_are_merged(tmp_path, caplog):
    for name in ("1", "1.0", "2"):
        for take in range(10):
            tone(tmp_path / name / f"{take}.wav", seed=take)
    data = AudioFolderDataModule(str(tmp_path), sample_rate=RATE)
    data.setup("fit")
    assert data.facts.class_names == ["1", "2"] and data.facts.class_counts == [16, 8]
    assert "the labels '1', '1.0' are one class, '1'" in caplog.text


def test_files_that_are_not_used_are_counted(tmp_path):
    split_tree(tmp_path)
    tone(tmp_path / "training" / "loose.wav")
    tone(tmp_path / "extra" / "high" / "a.wav")
    tone(tmp_path / "training" / ".trash" / "a.wav")
    (tmp_path / "training" / "low" / "a.m4a").write_bytes(b"x")
    (tmp_path / "README.md").write_text("about")
    data = AudioFolderDataModule(str(tmp_path), sample_rate=RATE)
    data.setup("fit")
    reasons = {(entry.what, entry.count, entry.reason.split(",")[0]) for entry in data.dropped.entries}
    assert reasons == {
        ("sounds", 1, "in hidden folders"),
        ("files", 1, "not sounds"),
        ("sounds", 1, "in no class folder"),
        ("sounds", 1, "not in a split folder"),
    }
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 24, "val": 24, "test": 24}


def test_names_and_split_folders_together(tmp_path):
    for split in ("Training", "dev"):
        for take in range(6):
            tone(tmp_path / split / f"{take % 2}_{take}.wav", 0.1, seed=take)
    data = AudioFolderDataModule(
        str(tmp_path), file_pattern=r"^(?P<label>\d)_", sample_rate=RATE, test_fraction=0.0
    )
    data.setup("fit")
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 6, "val": 6}


@pytest.mark.parametrize("damage", ["unreadable", "empty", "truncated"])
def test_damaged_files_are_rejected_before_training(folder, damage):
    file = folder / "low" / "3.wav"
    content = file.read_bytes()
    file.write_bytes(
        {"unreadable": b"RIFF no sound", "empty": content[:40] + bytes(4), "truncated": content[:-500]}[
            damage
        ]
    )
    with pytest.raises(DataError, match=r"1 of 20 sounds cannot be used: low/3\.wav"):
        AudioFolderDataModule(str(folder), sample_rate=RATE).setup("fit")


def test_samples_that_are_not_finite_are_rejected(folder):
    soundfile.write(folder / "low" / "3.wav", np.full(800, np.nan), RATE, subtype="FLOAT")
    with pytest.raises(DataError, match="not finite"):
        read_sound(str(folder / "low" / "3.wav"), RATE)


def test_too_few_sounds_for_a_validation_split_are_rejected(tmp_path):
    for name in ("a", "b"):
        tone(tmp_path / name / "0.wav")
    with pytest.raises(DataError, match="none is left for val"):
        AudioFolderDataModule(str(tmp_path), sample_rate=RATE).setup("fit")


def test_offset_does_not_change_the_spectrogram(tmp_path):
    """Of the sound in NumPy's float64: 1e6 + sin, in a file of 64-bit floats."""
    samples = 1e6 + np.sin(2 * np.pi * 1000 * np.arange(1600) / RATE)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="DOUBLE")
    ours = LogMel(RATE, num_mels=30)(read_sound(str(tmp_path / "a.wav"), RATE))
    window = np.pad(np.hanning(201)[:-1], 28)
    padded = np.pad(samples, 128)
    frames = np.stack([padded[start : start + 256] * window for start in range(0, 1601, 80)])
    power = np.abs(np.fft.rfft(frames)) ** 2
    mel = librosa.filters.mel(sr=RATE, n_fft=256, n_mels=30).astype(np.float64)
    assert np.allclose(ours.numpy(), np.log(mel @ power.T + FLOOR), atol=1e-3)


def test_a_32_bit_sound_keeps_its_low_bits(tmp_path):
    samples = (2**30 + 20 * np.sin(np.arange(800) / 3)).round().astype(np.int32)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="PCM_32")
    assert (read_sound(str(tmp_path / "a.wav"), RATE).numpy() * 2**31 == samples).all()
