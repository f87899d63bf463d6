"""The command line, inside this process and as a real one."""

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import attn_ref
from attn_ref.cli import app
from attn_ref.environment import describe
from attn_ref.photos import EXAMPLE, read_photo

RUNNER = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return RUNNER.invoke(app, [str(argument) for argument in arguments], prog_name="attn-ref")


def good(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def bad(*arguments):
    """The one line on stderr of a command that fails, and leaves the folder as it was."""
    before = sorted(os.listdir())
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("attn-ref")
    assert "Traceback" not in result.stderr
    assert sorted(os.listdir()) == before
    return result.stderr


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image)


def photo_file(shape, name="photo.png", dtype=np.uint8, seed=0):
    pixels = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    Image.fromarray(pixels).save(name)
    return pixels


# ---------------------------------------------------------------------------------------------------------------------
# help, version, info


def test_help_names_the_commands_and_gives_an_example():
    text = " ".join(good("--help").split())
    for words in ("reference implementation", "affine_grid", "warp", "info", "attn-ref warp --rotate 30"):
        assert words in text
    assert run().stdout == good("--help")


@pytest.mark.parametrize("command", ["warp", "info"])
def test_each_command_has_help_with_an_example(command):
    text = " ".join(good(command, "--help").split())
    assert "Example" in text
    assert f"attn-ref {command} " in text


def test_the_help_of_warp_says_what_the_options_mean():
    text = " ".join(good("warp", "--help").replace("│", " ").split())
    for words in (
        "counter-clockwise",
        "enlarges the content",
        "tops to the right",
        "fractions of the output's width",
        "bilinear, nearest or bicubic",
        "zeros (black, or transparent), border or reflection",
        "--no-align-corners",
        "--force",
    ):
        assert words in text


def test_version():
    assert good("--version") == f"attn-ref {attn_ref.__version__}\n"


def test_info_lists_versions_backends_and_threads(monkeypatch):
    monkeypatch.setenv("ATTN_REF_NUM_THREADS", "3")
    text = good("info")
    for words in (attn_ref.__version__, f"numpy       {np.__version__}", "backends", "usable", "ATTN_REF_NUM_THREADS"):
        assert words in text
    found = json.loads(good("info", "--json"))
    assert found == describe()
    assert found["versions"]["typer"] == metadata.version("typer")
    assert found["backends"]["numpy"] == "usable"
    assert found["backends"]["cupy"]
    assert found["threads"] == {"allowed": 3, "set by": "ATTN_REF_NUM_THREADS", "used": 3}


def test_info_says_what_is_not_installed(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    assert "not installed" in good("info")
    assert json.loads(good("info", "--json"))["versions"]["torch"] is None


@pytest.mark.parametrize("value", ["0", "-2", "many", "2.5"])
def test_a_number_of_threads_that_is_none_is_ignored_aloud(value, monkeypatch):
    monkeypatch.setenv("ATTN_REF_NUM_THREADS", value)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    threads = describe()["threads"]
    assert threads["allowed"] == (os.cpu_count() or 1)
    assert f"ATTN_REF_NUM_THREADS='{value}' is not a number above 0" in threads["set by"]


# ---------------------------------------------------------------------------------------------------------------------
# warp


@pytest.mark.parametrize("aligned", ["--align-corners", "--no-align-corners"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("shape", [(7, 10), (7, 10, 3)])
def test_no_motion_reproduces_the_photo(shape, mode, aligned):
    pixels = photo_file(shape)
    assert good("warp", "photo.png", "--mode", mode, aligned) == "wrote photo-warped.png\n"
    np.testing.assert_array_equal(pixels_of("photo-warped.png"), pixels)


def test_no_motion_reproduces_the_example():
    assert good("warp") == "wrote chelsea-warped.png\n"
    np.testing.assert_array_equal(pixels_of("chelsea-warped.png"), read_photo(EXAMPLE).stored())
    assert os.listdir() == ["chelsea-warped.png"]


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("aligned", ["--align-corners", "--no-align-corners"])
def test_a_quarter_turn_of_a_square_is_that_of_numpy(aligned, padding):
    pixels = photo_file((8, 8, 3))
    good("warp", "photo.png", "--rotate", 90, "-o", "out.png", aligned, "--padding", padding)
    np.testing.assert_array_equal(pixels_of("out.png"), np.rot90(pixels))


def test_a_quarter_turn_of_an_oblong_needs_a_turned_frame():
    pixels = photo_file((6, 10, 3))
    good("warp", "photo.png", "--rotate", 90, "--size", 10, 6, "-o", "whole.png")
    np.testing.assert_array_equal(pixels_of("whole.png"), np.rot90(pixels))
    good("warp", "photo.png", "--rotate", 90, "-o", "same.png")
    same = pixels_of("same.png")
    np.testing.assert_array_equal(same[:, 2:8], np.rot90(pixels)[2:8])
    assert not same[:, [0, 1, 8, 9]].any()


def test_scale_2_enlarges():
    pixels = photo_file((6, 10))
    good("warp", "photo.png", "--scale", 2, "--size", 12, 20, "--mode", "nearest", "-o", "out.png")
    np.testing.assert_array_equal(pixels_of("out.png"), pixels.repeat(2, 0).repeat(2, 1))


def test_translate_moves_right_and_down_and_may_be_negative():
    pixels = photo_file((8, 10))
    good("warp", "photo.png", "--translate", 0.2, 0.25, "-o", "out.png")
    np.testing.assert_array_equal(pixels_of("out.png")[2:, 2:], pixels[:-2, :-2])
    good("warp", "photo.png", "--translate", -0.2, -0.25, "-o", "out.png")
    np.testing.assert_array_equal(pixels_of("out.png")[:-2, :-2], pixels[2:, 2:])


def test_shear_leans_the_top_to_the_right():
    Image.fromarray(np.tile(np.uint8([0, 0, 0, 0, 255, 0, 0, 0, 0]), (5, 1))).save("photo.png")
    good("warp", "photo.png", "--shear", 45, "-o", "out.png")
    np.testing.assert_array_equal(pixels_of("out.png").argmax(axis=1), [6, 5, 4, 3, 2])


def test_bicubic_overshoot_is_clipped():
    Image.fromarray(np.tile(np.uint8([0, 0, 255, 255]), (4, 1))).save("photo.png")
    good("warp", "photo.png", "--scale", 3, "--mode", "bicubic", "--padding", "border", "--size", 4, 12, "-o", "o.png")
    row = pixels_of("o.png")[2].astype(int)
    assert (np.diff(row) >= 0).all()  # an overshoot that wrapped would fall back
    assert (row[0], row[-1]) == (0, 255)


def test_16_bits_stay_16_bits():
    pixels = photo_file((5, 5), dtype=np.uint16)
    good("warp", "photo.png", "--rotate", 180, "-o", "out.png")
    turned = pixels_of("out.png")
    assert turned.dtype == np.uint16
    np.testing.assert_array_equal(turned, np.rot90(pixels, 2))


def test_a_transparent_neighbour_does_not_bleed():
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[:, :3], pixels[:, 3:] = [250, 10, 20, 255], [0, 255, 0, 0]
    Image.fromarray(pixels).save("photo.png")
    good("warp", "photo.png", "--rotate", 20, "-o", "out.png")
    out = pixels_of("out.png")
    seen = out[out[..., 3] > 0]
    assert (seen[:, :3] == [250, 10, 20]).all()
    assert (seen[:, 3] < 255).any()


def test_a_turned_photo_is_turned_upright_first():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.fromarray(pixels).save("photo.png", exif=exif)
    good("warp", "photo.png", "-o", "out.png")
    np.testing.assert_array_equal(pixels_of("out.png"), np.rot90(pixels))
    assert 0x0112 not in Image.open("out.png").getexif()


def test_a_palette_becomes_colours():
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    image.save("photo.gif")
    assert good("warp", "photo.gif") == "wrote photo-warped.png\n"
    np.testing.assert_array_equal(pixels_of("photo-warped.png"), [[[10, 20, 30], [200, 100, 50], [10, 20, 30]]])


def test_floats_are_written_as_tiff():
    pixels = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    Image.fromarray(pixels).save("photo.tif")
    assert good("warp", "photo.tif", "--rotate", -90) == "wrote photo-warped.tif\n"
    np.testing.assert_array_equal(pixels_of("photo-warped.tif"), np.rot90(pixels, -1))


def test_a_figure_is_drawn_beside():
    out = good("warp", "--rotate", 30, "--scale", 0.8, "-o", "out.jpg", "--figure", "figure.png")
    assert out == "wrote out.jpg\nwrote figure.png\n"
    with Image.open("figure.png") as figure:
        assert figure.width > figure.height > 200
    assert sorted(os.listdir()) == ["figure.png", "out.jpg"]


@pytest.mark.parametrize(("shape", "dtype"), [((5, 6), np.uint8), ((5, 6, 2), np.uint8), ((5, 6), np.uint16)])
def test_every_kind_of_photo_has_a_figure(shape, dtype):
    photo_file(shape, dtype=dtype)
    good("warp", "photo.png", "-o", "out.png", "--figure", "figure.svg")


def test_the_photo_is_replaced_only_by_force():
    pixels = photo_file((4, 4))
    assert "is the photo itself: give another name, or --force" in bad("warp", "photo.png", "-o", "photo.png")
    assert "is the photo itself" in bad("warp", "photo.png", "-o", Path("photo.png").resolve())
    assert "is the photo itself" in bad("warp", "photo.png", "--figure", "photo.png", "--force")
    good("warp", "photo.png", "--rotate", 90, "-o", "photo.png", "--force")
    np.testing.assert_array_equal(pixels_of("photo.png"), np.rot90(pixels))


def test_the_photo_behind_a_link_is_not_replaced():
    photo_file((4, 4))
    try:
        os.link("photo.png", "link.png")
    except OSError:
        pytest.skip("links are not allowed here")
    assert "is the photo itself" in bad("warp", "photo.png", "-o", "link.png")


# ---------------------------------------------------------------------------------------------------------------------
# errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.png"], "absent.png does not exist"),
        (["."], "is a folder"),
        (["--rotate", "nan"], "rotate must be finite, got nan"),
        (["--scale", "inf"], "scale must be finite, got inf"),
        (["--translate", "0", "nan"], "translate must be finite"),
        (["--scale", "0"], "scale must not be 0"),
        (["--shear", "90"], "shear must lie strictly between -90 and 90"),
        (["--scale", "1e-300"], "beyond what float64 can hold"),
        (["--mode", "bilinar"], "--mode='bilinar' is unknown: expected one of"),
        (["--mode", "bilinar"], "did you mean 'bilinear'?"),
        (["--padding", "zeroes"], "did you mean 'zeros'?"),
        (["--size", "0", "5"], "at least one pixel each way"),
        (["--size", "1000000", "1000000"], "the limit is 67 million"),
        (["--size", "5"], "requires 2 arguments"),
        (["-o", "out.pgn"], "did you mean '.png'?"),
        (["-o", "out"], "has no suffix"),
        (["-o", "absent/out.png"], "the folder absent does not exist"),
        (["--figure", "figure.xyz"], "use one of .png"),
        (["--figure", "absent/figure.png"], "the folder absent does not exist"),
        (["-o", "same.png", "--figure", "same.png"], "would both be written to same.png"),
        (["--rotate", "abc"], "--rotate"),
        (["--rotat", "3"], "No such option"),
        (["a.png", "b.png"], "unexpected extra argument"),
    ],
)
def test_mistakes_are_one_line(arguments, message):
    assert message in bad("warp", *arguments)


def test_an_unknown_command_is_one_line():
    assert "No such command 'wrap'" in bad("wrap")


def test_broken_pictures_are_one_line():
    photo_file((30, 40, 3), "whole.png")
    whole = Path("whole.png").read_bytes()
    for name, content, message in [
        ("text.png", b"no picture", "is not a picture"),
        ("empty.png", b"", "is not a picture"),
        ("cut.png", whole[: len(whole) // 2], "broken or cut short"),
    ]:
        Path(name).write_bytes(content)
        assert message in bad("warp", name)


def test_a_format_that_cannot_hold_the_result_is_one_line():
    photo_file((3, 4, 4))
    assert "write a .png" in bad("warp", "photo.png", "-o", "out.jpg", "--figure", "figure.png")


def test_a_folder_that_refuses_is_one_line(monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    assert "out.png cannot be written: Permission denied" in bad("warp", "-o", "out.png")


def test_too_little_memory_is_one_line(monkeypatch):
    def refuse(*_, **__):
        raise MemoryError("no room")

    monkeypatch.setattr("attn_ref.warping.sample_in_bands", refuse)
    assert bad("warp") == "attn-ref warp: out of memory: no room\n"


@pytest.mark.parametrize(("module", "package"), [("PIL", "pillow"), ("matplotlib", "matplotlib")])
def test_without_the_packages_for_pictures_a_line_names_the_extra(module, package, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    line = bad("warp", "--figure", "figure.png")
    assert line == f"attn-ref warp: the package {package} is missing: pip install 'attn_ref[plot]'\n"


# ---------------------------------------------------------------------------------------------------------------------
# as a process of its own


def process(*arguments, code=None):
    start = [sys.executable, "-c", code] if code else [sys.executable, "-m", "attn_ref"]
    root = str(Path(attn_ref.__file__).parent.parent)
    environment = os.environ | {"PYTHONPATH": root, "PYTHONWARNINGS": "error", "COLUMNS": "100"}
    return subprocess.run([*start, *arguments], capture_output=True, text=True, env=environment, encoding="utf-8")


def test_the_module_runs():
    done = process("warp", "--rotate", "30", "-o", "out.png")
    assert (done.returncode, done.stdout, done.stderr) == (0, "wrote out.png\n", "")
    failed = process("warp", "absent.png")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr == "attn-ref warp: absent.png does not exist\n"


SCRIPT = shutil.which("attn-ref", path=str(Path(sys.executable).parent))


@pytest.mark.skipif(SCRIPT is None, reason="the package is not installed")
def test_the_script_runs():
    done = subprocess.run([SCRIPT, "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"attn-ref {attn_ref.__version__}\n")


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_a_bare_install_says_what_is_missing(package):
    code = f"import sys; sys.modules['{package}'] = None; from attn_ref.__main__ import main; main()"
    done = process("--help", code=code)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"attn-ref: the package {package} is missing: pip install 'attn_ref[check]'\n"


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from attn_ref.__main__ import main\n"
        "try: main()\n"
        "finally: print(sorted({'PIL', 'matplotlib', 'torch', 'hypothesis', 'cupy'} & set(sys.modules)))"
    )
    done = process("warp", "--help", code=code)
    assert done.returncode == 0
    assert done.stdout.endswith("[]\n")


def test_a_name_that_the_terminal_cannot_show_is_no_error(tmp_path):
    photo_file((3, 4), "猫.png")
    environment = os.environ | {
        "PYTHONPATH": str(Path(attn_ref.__file__).parent.parent),
        "PYTHONIOENCODING": "cp1252",
    }
    command = [sys.executable, "-m", "attn_ref", "warp", "猫.png"]
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()) == (0, [b"wrote \\u732b-warped.png"])
