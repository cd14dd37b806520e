"""The forms that there are, by name."""

from __future__ import annotations

from lope_common.errors import shown, suggest
from lope_data.errors import StoreError
from lope_data.forms.form import Form
from lope_data.forms.kinds import FORMS

__all__ = ["FORMS", "form_named", "forms_of"]


def forms_of(shape: str) -> str:
    """The forms that rows of a shape can have, as a sentence has them."""
    *names, last = [name for name, form in FORMS.items() if form.is_source or shape in (form.takes or ())]
    return f"{', '.join(names)} or {last}" if names else last


def form_named(name: str) -> Form:
    """The form of that name. Raises StoreError: there is no such form; names the nearest."""
    if not isinstance(name, str) or name not in FORMS:
        raise StoreError(f"there is no form {shown(name)}{suggest(name if isinstance(name, str) else '', FORMS)}")
    return FORMS[name]
