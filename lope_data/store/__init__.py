"""Versions on disk, as FORMAT.md beside this file has them: the store, manifests, drafts, locks, checks, garbage.

It holds what is made elsewhere: making is in `lope_data.builds`, showing in `lope_data.report`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_data.store.digest import content_digest
    from lope_data.store.draft import Draft
    from lope_data.store.manifest import NAME, read_manifest, seal, version_id
    from lope_data.store.manifest_model import Manifest, Step, as_manifest
    from lope_data.store.store import Store
    from lope_data.store.verify import Finding, expected_id, verify_version
    from lope_data.store.version import Version

__all__ = [
    "NAME",
    "Draft",
    "Finding",
    "Manifest",
    "Step",
    "Store",
    "Version",
    "as_manifest",
    "content_digest",
    "expected_id",
    "read_manifest",
    "seal",
    "verify_version",
    "version_id",
]

__getattr__ = lazy(
    __name__,
    {
        "Draft": "draft",
        "Finding": "verify",
        "Manifest": "manifest_model",
        "NAME": "manifest",
        "Step": "manifest_model",
        "Store": "store",
        "Version": "version",
        "as_manifest": "manifest_model",
        "content_digest": "digest",
        "expected_id": "verify",
        "read_manifest": "manifest",
        "seal": "manifest",
        "verify_version": "verify",
        "version_id": "manifest",
    },
)
