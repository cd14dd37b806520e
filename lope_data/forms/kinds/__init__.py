"""The forms: a module each, found by lying here, whose `FORM` says all about it.

Help lists them, so none imports Arrow. A form is added by its file and its test in `tests/lope_data/forms`.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from lope_data.forms.form import Form

__all__ = ["FORMS"]

_FOUND: list[Form] = [import_module(f"{__name__}.{module.name}").FORM for module in iter_modules(__path__)]
FORMS: dict[str, Form] = {form.name: form for form in sorted(_FOUND, key=lambda form: (not form.is_source, form.name))}
"""By name, the source's own form first."""
