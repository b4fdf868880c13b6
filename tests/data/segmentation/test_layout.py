import pytest

from runner.data.segmentation.layout import scan_masks

NOTHING = {"images": None, "masks": None, "image_suffix": "", "mask_suffix": ""}


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def scan(root, **given):
    return scan_masks(root, **NOTHING | given)


def test_two_folders(tmp_path):
    tree = scan(touch(tmp_path, "images/b.jpg", "images/a.jpg", "masks/a.png", "masks/b.png", "notes.txt"))
    assert tree.pairs == {"all": [("images/a.jpg", "masks/a.png"), ("images/b.jpg", "masks/b.png")]}
    assert not tree.problems and not tree.dropped.entries and tree.unmasked == {"all": []}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{}/images/a.jpg", "{}/masks/a.png"),
        ("images/{}/a.jpg", "masks/{}/a.png"),
        ("{}/a.png", "{}annot/a.png"),
        ("JPEGImages/{}2017/a.jpg", "annotations/{}2017/a.png"),
        ("images/{}/city/a.jpg", "labels/{}/city/a.png"),
    ],
)
def test_layouts_with_splits(tmp_path, image, mask):
    files = [form.format(split) for split in ("train", "val", "test") for form in (image, mask)]
    tree = scan(touch(tmp_path, *files))
    expected = {split: [(image.format(split), mask.format(split))] for split in ("train", "val", "test")}
    assert tree.pairs == expected and not tree.problems


def test_suffixes_and_other_folders(tmp_path):
    touch(tmp_path, "left/train/x/1_left.png", "fine/train/x/1_ids.png", "fine/train/x/1_color.png")
    tree = scan(tmp_path, images="left", masks="fine", image_suffix="_left", mask_suffix="_ids")
    assert tree.pairs == {"train": [("left/train/x/1_left.png", "fine/train/x/1_ids.png")]}


def test_masks_beside_their_images(tmp_path):
    touch(tmp_path, "all/1.png", "all/1_mask.png", "all/2.png", "all/2_mask.png")
    tree = scan(tmp_path, images="all", masks="all", mask_suffix="_mask")
    assert tree.pairs["all"] == [("all/1.png", "all/1_mask.png"), ("all/2.png", "all/2_mask.png")]


def test_unpaired_files(tmp_path):
    tree = scan(touch(tmp_path, "images/a.jpg", "images/b.jpg", "masks/a.png", "masks/c.png", "masks/d.png"))
    assert tree.unmasked == {"all": ["images/b.jpg"]} and len(tree.pairs["all"]) == 1
    expected = (
        f"{tmp_path / 'masks'}: 2 of 3 masks left out: no image has their name (for example c.png, d.png)."
    )
    assert tree.dropped.messages() == [expected]


def test_everything_left_out_is_counted(tmp_path):
    touch(tmp_path, "images/train/a.jpg", "masks/train/a.png", "images/train/a.heic", "masks/train/b.jpg")
    touch(
        tmp_path,
        "images/test/t.jpg",
        "images/test/u.jpg",
        "depth/d.png",
        "images/train/.hidden.jpg",
        "notes.txt",
    )
    tree = scan(tmp_path)
    assert not tree.problems
    counted = {
        (entry.what, entry.where.removeprefix(str(tmp_path))): entry.count for entry in tree.dropped.entries
    }
    assert counted == {
        ("files", "/images/train"): 1,
        ("files", "/masks/train"): 1,
        ("images", "/images/test"): 2,
        ("images", "/depth"): 1,
        ("images", ""): 1,
    }


def test_images_without_the_suffix_are_counted(tmp_path):
    touch(tmp_path, "images/a_rgb.jpg", "images/b.jpg", "masks/a.png")
    (message,) = scan(tmp_path, image_suffix="_rgb").dropped.messages()
    assert (
        "1 of 2 images left out: their names do not end in data.image_suffix=_rgb (for example b.jpg)"
        in message
    )


def test_two_images_of_one_name(tmp_path):
    tree = scan(touch(tmp_path, "images/a.jpg", "images/a.png", "masks/a.png"))
    assert len(tree.problems) == 1 and "have the same name" in tree.problems[0]


@pytest.mark.parametrize(
    ("files", "given", "message"),
    [
        (["pictures/a.jpg"], {}, "holds pictures. Expected ROOT/images and ROOT/masks"),
        (["images/a.jpg", "masks/a_mask.png"], {}, "Give data.mask_suffix=_mask."),
        (["images/a_rgb.jpg", "masks/a.png"], {}, "Give data.image_suffix=_rgb."),
        (["images/a.jpg", "masks/b.png"], {}, "with data.image_suffix and data.mask_suffix"),
        (["images/a.jpg", "masks/a.jpg"], {}, "holds no masks (bmp, gif, png, tif, tiff)"),
        (["images/a.txt", "masks/a.png"], {}, "holds no images"),
        (["images/a.jpg", "masks/a.png"], {"images": "images"}, "belong together"),
        (["images/a.jpg", "masks/a.png"], {"images": "image", "masks": "masks"}, "Did you mean 'images'?"),
    ],
)
def test_problems(tmp_path, files, given, message):
    tree = scan(touch(tmp_path, *files), **given)
    assert len(tree.problems) == 1 and message in tree.problems[0]
