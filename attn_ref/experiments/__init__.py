"""The papers' experiments at laptop size, on real data: ``attn-ref experiment NAME``.

=====================  ==============================================================================================
name                   asks
=====================  ==============================================================================================
``distorted-digits``   does a spatial transformer help to read distorted digits?
``upright``            does it find the pose that a digit was drawn in, though it is told only which digit it is?
``channel-gates``      do the gates of squeeze-and-excitation open for the channels that matter?
=====================  ==============================================================================================

Everything that is trained here runs on the hand-derived backward passes of this package. :mod:`.trainer` holds the
loop, :mod:`.checkpoints` what it can go on from, :mod:`.workers` runs many trainings at once, and :mod:`.page` writes
the results down.
"""
