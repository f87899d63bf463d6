"""What can be known of a GPU without one: a strict stand-in for CuPy, its names, and the text of the kernels."""
