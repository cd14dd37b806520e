"""`source`: the source's own columns, names, order and types."""

from __future__ import annotations

from lope_data.forms.form import Form

FORM = Form("source", "the columns of the source: names, order, types and shape")
