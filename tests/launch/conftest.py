import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Several processes a test: minutes on two cores, so `scripts/test_slow` runs them."""
    for item in items:
        if "tests/launch" in item.path.as_posix() and item.get_closest_marker("quick") is None:
            item.add_marker(pytest.mark.slow)
