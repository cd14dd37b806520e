"""LOPE as a member of peft's `PeftType`, which peft's own functions look adapters up by."""

from __future__ import annotations

from peft import PeftType


def _member(name: str) -> PeftType:
    """The member of that name, made if peft does not have it: an enum cannot be extended by its public face."""
    if name not in PeftType.__members__:
        member = str.__new__(PeftType, name)
        member._name_, member._value_ = name, name
        type.__setattr__(PeftType, name, member)
        PeftType._member_names_.append(name)
        PeftType._member_map_[name] = member
        PeftType._value2member_map_[name] = member
    return PeftType(name)


LOPE = _member("LOPE")
