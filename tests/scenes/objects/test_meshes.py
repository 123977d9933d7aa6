"""What meshes of every format have to be."""

import numpy as np
import pytest

from latentfields.scenes.objects.meshes import require_corners


@pytest.mark.parametrize("corner", [-1, 3, 2**31 - 1])
def test_corners_are_vertices(corner: int) -> None:
    require_corners(np.array([[0, 1, 2]]), 3)
    with pytest.raises(ValueError, match="a face has a corner that is none of its 3 vertices"):
        require_corners(np.array([[0, 1, 2], [0, 1, corner]]), 3)
