"""What an adapter holds: how many parameters, where they are, and how far they moved in training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_train.inspection.maps import Matrix, ParameterMaps, parameter_maps
    from lope_train.inspection.moves import movement
    from lope_train.inspection.parameters import count

__all__ = ["Matrix", "ParameterMaps", "count", "movement", "parameter_maps"]

__getattr__ = lazy(
    __name__,
    {
        "Matrix": "maps",
        "ParameterMaps": "maps",
        "count": "parameters",
        "movement": "moves",
        "parameter_maps": "maps",
    },
)
