import pytest

from .libraries import Device, registered


@pytest.fixture(scope="module")
def stand_in():
    with registered() as device:
        yield device


@pytest.fixture(scope="module")
def device(request):
    """The library that the test is for."""
    if request.param == "stand_in":
        return request.getfixturevalue("stand_in")
    return Device(request.param)
