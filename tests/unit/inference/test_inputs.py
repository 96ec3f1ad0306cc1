import re

import numpy as np
import pytest
from fakes import signature, spec

from unstuck.core.dtypes import FLOAT
from unstuck.errors import WrongShape
from unstuck.inference.inputs import check_shapes

AS_DECLARED, WARNED = "", "warned"


@pytest.mark.parametrize(
    ("declared", "sent", "outcome"),
    [
        # as declared
        *((None, (), AS_DECLARED), (None, (3, 4), AS_DECLARED), ((), (), AS_DECLARED), ((3,), (3,), AS_DECLARED)),
        *(((None,), (5,), AS_DECLARED), ((None,), (0,), AS_DECLARED), ((None, 3), (2, 3), AS_DECLARED)),
        *(((None, None), (2, 9), AS_DECLARED), ((None, 28, 28, 1), (1, 28, 28, 1), AS_DECLARED)),
        # the same contents per row: passed on, and said
        *(((None, 1), (3,), WARNED), ((1,), (3,), WARNED), ((), (3,), WARNED)),
        *(((None, 28, 28, 1), (2, 28, 28), WARNED), ((4, 3), (2, 3), WARNED)),
        *(((3,), (2, 3), WARNED), ((28, 28), (5, 28, 28), WARNED), ((None,), (), WARNED)),
        # other contents per row: refused
        *(((None, 3), (2, 4), "Dimension 1 must be 3, not 4."), ((None, 3), (3,), "one row without its batch")),
        *(((None, 28, 28, 1), (28, 28, 1), "one row without its batch"), ((None, 3), (), "It has 0 dimensions, not 2")),
        *(((None, 2), (2, 2, 2), "It has 3 dimensions, not 2"), ((None,), (2, 2), "It has 2 dimensions, not 1")),
        *(((None, 224, 224, 3), (1, 3, 224, 224), "Dimension 1 must be 224, not 3."),),
        # a size of 1 too many: an op may abort the whole process when it meets it
        *(((), (3, 1), "It has 2 dimensions, not 0"), ((None,), (3, 1), "It has 2 dimensions, not 1")),
        *(((), (2, 2), "It has 2 dimensions, not 0"), ((None, 0), (2, 1), "Dimension 1 must be 0, not 1.")),
    ],
)
def test_shapes(declared, sent, outcome):
    sig = signature(spec("x", FLOAT, declared))
    inputs = {"x": np.zeros(sent, np.float32)}
    shown = "[" + ",".join(map(str, sent)) + "]"
    if outcome in (AS_DECLARED, WARNED):
        warnings = check_shapes(sig, inputs)
        assert len(warnings) == (outcome == WARNED)
        assert all(f"'x' was sent with shape {shown}, declared " in warning for warning in warnings)
    else:
        with pytest.raises(WrongShape, match=re.escape(outcome)) as caught:
            check_shapes(sig, inputs)
        assert f"Input 'x' expects shape {str(sig.inputs['x']).split()[1]}" in str(caught.value)
        assert f"got {shown}" in str(caught.value)


def test_every_input_is_checked():
    sig = signature(spec("a", FLOAT, (None,)), spec("b", FLOAT, (None, 3)))
    with pytest.raises(WrongShape, match="'b'"):
        check_shapes(sig, {"a": np.zeros(1), "b": np.zeros((1, 2))})
