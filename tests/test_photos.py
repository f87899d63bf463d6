"""Reading, storing and writing pictures."""

import io
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attn_ref import photos
from attn_ref._files import write_bytes
from attn_ref.photos import EXAMPLE, Photo, check_target, encode, read_photo

rng = np.random.default_rng


def saved(tmp_path, image, name="photo.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


def array(shape, dtype=np.uint8, seed=0):
    return rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def test_the_example_is_small_and_upright():
    photo = read_photo(EXAMPLE)
    assert (photo.size, photo.kind) == ((213, 320), "RGB")
    assert len(EXAMPLE.read_bytes()) < 100_000
    assert "CC0" in (EXAMPLE.parent / "PROVENANCE.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("pixels", "kind"),
    [
        (array((5, 7)), "L"),
        (array((5, 7, 2)), "LA"),
        (array((5, 7, 3)), "RGB"),
        (array((5, 7, 4)), "RGBA"),
        (array((5, 7), np.uint16), "I;16"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_stored_pixels_come_back(pixels, kind, tmp_path):
    photo = read_photo(saved(tmp_path, Image.fromarray(pixels)))
    assert photo.kind == kind
    assert photo.values.dtype == np.float64
    expected = pixels.copy()
    if kind.endswith("A"):
        expected[pixels[..., -1] == 0] = 0
    np.testing.assert_array_equal(photo.stored(), expected)
    again = tmp_path / "again.png"
    again.write_bytes(encode(photo, again))
    np.testing.assert_array_equal(np.asarray(Image.open(again)), expected)


def test_every_colour_survives_every_alpha():
    colour, alpha = (a.astype(float) for a in np.meshgrid(np.arange(256), np.arange(1, 256)))
    values = np.stack([colour * alpha / 255, alpha], axis=-1)
    np.testing.assert_array_equal(Photo(values, "LA").stored()[..., 0], colour)


def test_averages_weigh_colours_by_alpha(tmp_path):
    pixels = np.array([[[200, 100, 0, 255], [0, 255, 0, 0]]], np.uint8)  # opaque, and transparent with a colour to hide
    photo = read_photo(saved(tmp_path, Image.fromarray(pixels)))
    between = photo.replace(photo.values.mean(axis=1, keepdims=True)).stored()
    np.testing.assert_array_equal(between, [[[200, 100, 0, 128]]])


def test_overshoot_is_clipped_and_values_rounded():
    photo = Photo(np.array([[[-3.0], [0.5], [1.5], [254.6], [300.0]]]), "L")
    np.testing.assert_array_equal(photo.stored(), [[0, 0, 2, 255, 255]])
    over = Photo(np.array([[[260.0, 130.0, 10.0, 270.0], [5.0, 5.0, 5.0, -2.0]]]), "RGBA")
    np.testing.assert_array_equal(over.stored(), [[[246, 123, 9, 255], [0, 0, 0, 0]]])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation, tmp_path):
    pixels = array((4, 6, 3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = read_photo(saved(tmp_path, Image.fromarray(pixels), exif=exif))
    turn = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: np.rot90,
    }[orientation]
    np.testing.assert_array_equal(photo.stored(), turn(pixels))


def palette_image():
    image = Image.new("P", (3, 2))
    image.putpalette([10, 20, 30, 200, 100, 50, 0, 0, 255])
    image.putdata([0, 1, 2, 2, 1, 0])
    return image


def test_a_palette_becomes_colours(tmp_path):
    photo = read_photo(saved(tmp_path, palette_image()))
    assert photo.kind == "RGB"
    np.testing.assert_array_equal(photo.stored()[0], [[10, 20, 30], [200, 100, 50], [0, 0, 255]])


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 128])])
def test_a_palette_with_transparency_gets_alpha(transparency, tmp_path):
    photo = read_photo(saved(tmp_path, palette_image(), transparency=transparency))
    assert photo.kind == "RGBA"
    alpha = [255, 0, 255] if transparency == 1 else [255, 0, 128]
    np.testing.assert_array_equal(photo.stored()[0, :, 3], alpha)
    np.testing.assert_array_equal(photo.stored()[0, 0, :3], [10, 20, 30])


def test_a_transparent_gray_gets_alpha(tmp_path):
    pixels = np.array([[7, 9]], np.uint8)
    photo = read_photo(saved(tmp_path, Image.fromarray(pixels), transparency=9))
    assert photo.kind == "LA"
    np.testing.assert_array_equal(photo.stored(), [[[7, 255], [0, 0]]])


def test_bilevel_and_cmyk_are_converted(tmp_path):
    bilevel = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    photo = read_photo(saved(tmp_path, bilevel))
    assert photo.kind == "L"
    np.testing.assert_array_equal(photo.stored(), [[0, 255]])
    assert read_photo(saved(tmp_path, Image.new("CMYK", (4, 3)), "photo.tif")).kind == "RGB"


def test_only_the_first_frame_is_read(tmp_path):
    frames = [Image.new("L", (4, 3), value) for value in (10, 200)]
    path = saved(tmp_path, frames[0], "photo.gif", save_all=True, append_images=frames[1:], duration=50)
    assert set(read_photo(path).stored().ravel().tolist()) == {10}


def test_big_endian_and_32_bit_integers_and_floats(tmp_path):
    small = array((3, 4), np.uint16)
    assert read_photo(saved(tmp_path, Image.fromarray(small.astype(np.int32)), "a.tif")).kind == "I;16"
    for pixels, kind in [
        (array((3, 4), np.int32) - 5, "I"),
        (rng(1).normal(size=(3, 4)).astype(np.float32), "F"),
    ]:
        photo = read_photo(saved(tmp_path, Image.fromarray(pixels), "b.tif"))
        assert (photo.kind, photo.lossless_suffix) == (kind, ".tif")
        np.testing.assert_array_equal(photo.stored(), pixels)
        back = tmp_path / "c.tif"
        back.write_bytes(encode(photo, back))
        np.testing.assert_array_equal(np.asarray(Image.open(back)), pixels)
        with pytest.raises(ValueError, match=r"write a \.tif"):
            encode(photo, tmp_path / "d.png")
        shown = photo.shown()
        assert (shown.shape, shown.min(), shown.max()) == ((3, 4, 3), 0, 1)


def test_shown_colours_are_fractions():
    assert Photo(np.full((1, 1, 1), 65535.0), "I;16").shown().tolist() == [[[1, 1, 1]]]
    assert Photo(np.full((1, 1, 2), 255.0), "LA").shown().tolist() == [[[1, 1, 1, 1]]]
    assert Photo(np.full((1, 1, 1), np.nan), "F").shown().tolist() == [[[0, 0, 0]]]


def test_the_colour_profile_is_kept(tmp_path):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = read_photo(saved(tmp_path, Image.new("RGB", (3, 2)), icc_profile=profile))
    for suffix in (".png", ".jpg", ".tif"):
        assert Image.open(io.BytesIO(encode(photo, Path("x" + suffix)))).info["icc_profile"] == profile


def test_broken_files_are_named_in_one_line(tmp_path):
    whole = saved(tmp_path, Image.fromarray(array((40, 50, 3)))).read_bytes()
    jpeg = io.BytesIO()
    Image.fromarray(array((40, 50, 3))).save(jpeg, "JPEG")
    for name, content, message in [
        ("empty.png", b"", "not a picture of a format that Pillow reads"),
        ("text.png", b"hello", "not a picture"),
        ("cut.png", whole[: len(whole) // 2], "broken or cut short"),
        ("cut.jpg", jpeg.getvalue()[: len(jpeg.getvalue()) // 2], "broken or cut short"),
        ("header.png", whole[:20], "not a picture|broken"),
        ("spoilt.png", whole[:60] + bytes(60) + whole[120:], "broken"),
    ]:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message) as caught:
            read_photo(path)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_folders_and_absent_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        read_photo(tmp_path)
    with pytest.raises(ValueError, match="does not exist"):
        read_photo(tmp_path / "absent.png")


def png_claiming(width, height):
    def chunk(kind, data):
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    header = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(9000, 8000), (10_000, 10_000), (60_000, 60_000)])
def test_an_absurd_size_is_refused_before_decoding(width, height, tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_claiming(width, height))
    with pytest.raises(ValueError, match=r"bomb\.png (has|is too large)"):
        read_photo(path)


def test_output_sizes_are_checked():
    photos.check_output_size(1, 1)
    with pytest.raises(ValueError, match="at least one pixel each way, got 0 × 5"):
        photos.check_output_size(0, 5)
    with pytest.raises(ValueError, match="would have 100000 × 100000 pixels, 10000 million: the limit is 67 million"):
        photos.check_output_size(100_000, 100_000)


def test_targets_are_checked(tmp_path):
    check_target(tmp_path / "a.PNG")
    for name, message in [
        ("a.pgn", r"did you mean '\.png'"),
        ("a.xyzzy", r"use one of \.png, \.jpg"),
        ("a", "has no suffix"),
        ("missing/a.png", "the folder .* does not exist"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_target(tmp_path / name)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ValueError, match="is not a file"):
        check_target(tmp_path / "folder.png")


@pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".gif", ".webp", ".tif", ".ppm"])
def test_common_formats_are_written(suffix):
    content = encode(read_photo(EXAMPLE), Path("x" + suffix))
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (320, 213)


def test_a_format_that_cannot_hold_the_picture_says_so():
    for kind, channels in [("RGBA", 4), ("I;16", 1)]:
        with pytest.raises(ValueError, match=r"x\.jpg cannot be written: .*; write a \.png"):
            encode(Photo(np.zeros((2, 3, channels)), kind), Path("x.jpg"))


def test_writing_replaces_whole_files(tmp_path):
    path = tmp_path / "a.png"
    for content in (b"one", b"two"):
        write_bytes(path, content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("step", ["open", "replace"])
def test_nothing_half_written_is_left(step, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"before")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(*((Path, "open") if step == "open" else (os, "replace")), refuse)
    with pytest.raises(ValueError, match=r"a\.png cannot be written: Permission denied"):
        write_bytes(path, b"after")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["a.png"]
    assert path.read_bytes() == b"before"


def test_a_link_is_written_through(tmp_path):
    target, link = tmp_path / "target.png", tmp_path / "link.png"
    target.write_bytes(b"before")
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("links are not allowed here")
    write_bytes(link, b"after")
    assert link.is_symlink()
    assert target.read_bytes() == b"after"
