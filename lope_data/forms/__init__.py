"""Forms in which rows leave a version: that of their source, and those that trainers and other tools take.

Each form is a module in `kinds`, found by lying there. Nothing is written here: files are in `lope_data.transfer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_data.forms.form import Form
    from lope_data.forms.known import FORMS, form_named
    from lope_data.forms.shaping import Part, Shaping, layout_of, shaped

__all__ = ["FORMS", "Form", "Part", "Shaping", "form_named", "layout_of", "shaped"]

__getattr__ = lazy(
    __name__,
    {
        "FORMS": "known",
        "Form": "form",
        "Part": "shaping",
        "Shaping": "shaping",
        "form_named": "known",
        "layout_of": "shaping",
        "shaped": "shaping",
    },
)
