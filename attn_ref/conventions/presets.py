"""The conventions of other systems, by name.

Each was read in the source it names. What a system does beyond its convention (fixed-point weights, a kernel that reads
the wrong buffer, ties of the nearest pixel) is not reproduced here; the remarks name it where it is known.
"""

from __future__ import annotations

from typing import Any

from attn_ref import validation
from attn_ref.conventions.convention import Convention

__all__ = ["CONVENTIONS", "convention", "stn"]

_BILINEAR = {"bilinear": "bilinear"}
_ZEROS: dict[str, tuple[str, bool | None]] = {"zeros": ("zeros", None)}
_THREE: dict[str, tuple[str, bool | None]] = {
    "zeros": ("zeros", None),
    "border": ("border", None),
    "reflection": ("reflection", None),
}
_BOTH = {False: ("AC0", "centres"), True: ("AC1", "corners")}
_ZEROS_ONLY: dict[str, Any] = {"modes": _BILINEAR, "paddings": _ZEROS, "alignments": {}}

_PRESETS = [
    Convention(
        "stn_pytorch_bhwd",
        "fxia22/stn.pytorch, STN('BHWD')",
        "NHWC",
        "NHW2",
        "y first",
        "AC1",
        "half-open",
        source="fxia22/stn.pytorch, script/src/my_lib.c and script/functions/gridgen.py",
        remarks="The base grid never reaches 1 while the pixel map expects it, so the identity moves the image by up "
        "to (S−1)/S pixel. Its `arange` gives one point too many for some sizes, 49 for one, and then fails.",
        **_ZEROS_ONLY,
    ),
    Convention(
        "stn_pytorch_bchw",
        "fxia22/stn.pytorch, STN('BCHW')",
        "NCHW",
        "N2HW",
        "y first",
        "AC1",
        "half-open",
        source="fxia22/stn.pytorch, script/functions/stn.py, STNFunctionBCHW",
        remarks="As its CPU code samples. Its CUDA backward hands untransposed inputs to the channels-last kernel. Its "
        "grid generator makes (N, H, W, 2): `affine_grid` here makes what the sampler takes.",
        **_ZEROS_ONLY,
    ),
    Convention(
        "stnbhwd",
        "qassemoquab/stnbhwd (Torch 7)",
        "NHWC",
        "NHW2",
        "y first",
        "AC1",
        "corners",
        source="qassemoquab/stnbhwd, README.md; fxia22/stn.pytorch, script/src/my_lib.c, is a port of its sampler",
        remarks='In its matrix generator "translationX" is in the first row, which is y.',
        **_ZEROS_ONLY,
    ),
    Convention(
        "rmpe",
        "RMPE's Caffe, STLayer",
        "NCHW",
        "NHW2",
        "y first",
        "HALF",
        "half-open",
        source="RMPE's Caffe, src/caffe/layers/st_layer.cpp",
        remarks="Theta only: its grids are internal. Base grid and pixel map are each other's inverse, but the centre, "
        "g = 0, is pixel S/2, so a half turn takes pixel i to S − i, and pixel 0 out of the image. At whole pixels "
        "the derivative of its CPU code takes the one tap there alone; here it is the right-hand one.",
        **_ZEROS_ONLY,
    ),
    Convention(
        "pytorch",
        "PyTorch, grid_sample and affine_grid",
        "NCHW",
        "NHW2",
        "x first",
        "AC0",
        "centres",
        {"bilinear": "bilinear", "nearest": "nearest", "bicubic": "bicubic"},
        _THREE,
        "pytorch/pytorch, torch/nn/functional.py",
        _BOTH,
        axes=(2, 3),
        remarks="No tricubic there.",
    ),
    Convention(
        "onnx",
        "ONNX, GridSample (opset 20, 22) and AffineGrid (20)",
        "NCHW",
        "NHW2",
        "x first",
        "AC0",
        "centres",
        {"linear": "bilinear", "nearest": "nearest", "cubic": "bicubic"},
        _THREE,
        "onnx/onnx, docs/Operators.md",
        _BOTH,
        axes=(2, 3),
        remarks="Opset 16 has bilinear and bicubic for linear and cubic, and 2-D only.",
    ),
    Convention(
        "chainer",
        "Chainer, spatial_transformer_sampler and spatial_transformer_grid",
        "NCHW",
        "N2HW",
        "x first",
        "AC1",
        "corners",
        source="chainer/chainer, chainer/functions/array/spatial_transformer_sampler.py",
        **_ZEROS_ONLY,
    ),
    Convention(
        "mxnet",
        "MXNet, BilinearSampler and GridGenerator('affine')",
        "NCHW",
        "N2HW",
        "x first",
        "AC1",
        "corners",
        source="apache/mxnet, src/operator/bilinear_sampler.cc and grid_generator-inl.h",
        **_ZEROS_ONLY,
    ),
    Convention(
        "mxnet_warp",
        "MXNet, GridGenerator('warp') and BilinearSampler",
        "NCHW",
        "N2HW",
        "x first",
        "flow added",
        None,
        source="apache/mxnet, src/operator/grid_generator-inl.h",
        remarks="The grid is the flow, in pixels.",
        **_ZEROS_ONLY,
    ),
    Convention(
        "cudnn",
        "cuDNN, spatial transformer",
        "NCHW",
        "NHW2",
        "x first",
        "AC1",
        "corners",
        source="chainer/chainer, which calls cudnnSpatialTfSamplerForward in its spatial_transformer_sampler.py",
        **_ZEROS_ONLY,
    ),
    Convention(
        "kevinzakka",
        "kevinzakka/spatial-transformer-network",
        "NHWC",
        "N2HW",
        "x first",
        "S-2",
        "corners",
        gate="point",
        source="kevinzakka/spatial-transformer-network, stn/transformer.py",
        remarks="Corners are clipped into the image before the weights are formed, so that the weights of a point "
        "outside [0, S − 1) cancel: 0 at once, and no gradient. With S − 2 the last pixel is never reached by [−1, 1].",
        **_ZEROS_ONLY,
    ),
    Convention(
        "tfa_resampler",
        "TensorFlow Addons, resampler",
        "NHWC",
        "NHW2",
        "x first",
        "pixels",
        None,
        source="tensorflow/addons, tensorflow_addons/image/resampler_ops.py",
        **_ZEROS_ONLY,
    ),
    Convention(
        "tfa_dense_image_warp",
        "TensorFlow Addons, dense_image_warp",
        "NHWC",
        "NHW2",
        "y first",
        "flow subtracted",
        None,
        _BILINEAR,
        {"replicate": ("border", None)},
        "tensorflow/addons, tensorflow_addons/image/dense_image_warp.py",
        {},
        remarks="The grid is the flow, in pixels.",
    ),
    Convention(
        "paddle",
        "Paddle, grid_sample and affine_grid",
        "NCHW",
        "NHW2",
        "x first",
        "AC1",
        "corners",
        {"bilinear": "bilinear", "nearest": "nearest"},
        _THREE,
        "PaddlePaddle/Paddle, python/paddle/nn/functional/vision.py",
        _BOTH,
        axes=(2, 3),
    ),
    Convention(
        "scipy",
        "SciPy, CuPy, JAX: ndimage.map_coordinates",
        "HW",
        "2HW",
        "y first",
        "pixels",
        "pixels",
        {"order 1": "bilinear", "order 0": "nearest"},
        {
            "grid-constant": ("zeros", None),
            "nearest": ("border", None),
            "mirror": ("reflection", True),
            "reflect": ("reflection", False),
        },
        "SciPy's documentation, scipy.ndimage.map_coordinates and affine_transform",
        {},
        axes=(2, 3),
        remarks="Index order. Its default mode, `constant`, is not zeros: it is 0 at once outside [0, S − 1]. Its "
        "order 3, the default, is a B-spline, not Keys' kernel. Order 0 breaks ties otherwise.",
    ),
    Convention(
        "opencv",
        "OpenCV, remap and warpAffine",
        "HWC",
        "HW2",
        "x first",
        "pixels",
        "pixels",
        {"linear": "bilinear", "nearest": "nearest", "cubic": "bicubic"},
        {
            "constant": ("zeros", None),
            "replicate": ("border", None),
            "reflect_101": ("reflection", True),
            "reflect": ("reflection", False),
        },
        "opencv/opencv, modules/imgproc/src/imgwarp.cpp, 4.x",
        {},
        forward=True,
        remarks="M maps the source to the destination and is inverted, but with WARP_INVERSE_MAP: then pass its "
        "`affine_inverse`. Points are rounded to 1/32 pixel there (INTER_BITS = 5), and exact here.",
    ),
    Convention(
        "kornia",
        "kornia, warp_affine",
        "NCHW",
        "NHW2",
        "x first",
        "pixels",
        "pixels",
        {"bilinear": "bilinear", "nearest": "nearest", "bicubic": "bicubic"},
        {"zeros": ("zeros", None), "border": ("border", None), "reflection": ("reflection", True)},
        "kornia/kornia, kornia/geometry/transform/imgwarp.py",
        {},
        forward=True,
        remarks="With its default, align_corners=True: it normalises by S − 1 on both sides, which cancels there, and "
        "would not with False. Its grids are internal; the padding `fill` is left out.",
    ),
]

CONVENTIONS: dict[str, Convention] = {preset.name: preset for preset in _PRESETS}
"""The conventions by name."""

_LAYOUTS = {"BHWD": "stn_pytorch_bhwd", "BCHW": "stn_pytorch_bchw"}


def convention(name: str, *, align_corners: bool | None = None) -> Convention:
    """Look up the convention of another system.

    Parameters
    ----------
    name : str
        A name of :data:`CONVENTIONS`.
    align_corners : bool, optional
        The alignment, where the system offers a choice; its default by default.

    Returns
    -------
    Convention
        The convention, whose methods take and return that system's arrays.

    Raises
    ------
    TypeError
        If the name is not a string, or align_corners not a bool.
    ValueError
        If there is no such convention (the message lists all) or no such alignment in it.

    Examples
    --------
    The identity of stn.pytorch shifts a row of four pixels by 0, ¼, ½ and ¾ pixel:

    >>> import numpy as np
    >>> theta = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> row = np.array([10.0, 20.0, 30.0, 40.0]).reshape(1, 1, 4, 1)
    >>> convention("stn_pytorch_bhwd").transform(row, theta)[0, 0, :, 0]
    array([10. , 17.5, 25. , 32.5])
    """
    return CONVENTIONS[validation.choice("name", name, CONVENTIONS)].aligned(align_corners)


def stn(layout: str = "BHWD") -> Convention:
    """Look up the convention of fxia22/stn.pytorch as its own constructor names it, ``STN(layout)``.

    Parameters
    ----------
    layout : {"BHWD", "BCHW"}
        Images (N, H, W, C) with grids (N, H, W, 2), or images (N, C, H, W) with grids (N, 2, H, W); y first in both.

    Returns
    -------
    Convention
        ``stn_pytorch_bhwd`` or ``stn_pytorch_bchw``.

    Raises
    ------
    TypeError
        If the layout is not a string.
    ValueError
        If it is another. (There, any other word means BCHW.)

    Examples
    --------
    >>> stn("BCHW").grid_layout
    'N2HW'
    """
    return CONVENTIONS[_LAYOUTS[validation.choice("layout", layout, _LAYOUTS)]]
