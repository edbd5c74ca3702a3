"""Fixtures of the predictions; what they need is imported only when one of them is asked for."""

import pytest


@pytest.fixture(scope="module")
def quick():
    """Few and small trees: enough to see that everything holds together."""
    from shared.predicted_shop import make_trees_small

    with pytest.MonkeyPatch.context() as patch:
        make_trees_small(patch)
        yield


@pytest.fixture(scope="module")
def shop(quick, predicted, tmp_path_factory):
    """A copy of the small made-up shop for the tests of a module."""
    return predicted.copy(tmp_path_factory.mktemp("shop"))
