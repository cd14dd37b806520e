"""Files by their URLs, through fsspec: which are read, and what goes wrong in one line without what may be secret."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lope_common.errors import suggest
from lope_common.extras import check_installed
from lope_data.errors import SourceError
from lope_data.sources.text import first_line

_NEEDS = {
    "abfs": "adlfs",
    "az": "adlfs",
    "ftp": "ftplib",
    "gcs": "gcsfs",
    "gs": "gcsfs",
    "http": "aiohttp",
    "https": "aiohttp",
    "memory": "fsspec",
    "oss": "ossfs",
    "s3": "s3fs",
    "sftp": "paramiko",
    "webdav": "webdav4",
}
"""The schemes that are read, and the module that fsspec needs for each."""
_WEB = ("http", "https")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(?:://|::)")
_ADDRESS = re.compile(r"\[[0-9A-Fa-f:.]*\]")  # of IPv6, in a host
_SILENT = 60.0  # seconds without a byte from a server, after which it is given up


@dataclass(frozen=True)
class Address:
    """A URL that can be read.

    Attributes:
        url: as it was given.
        shown: without user, password, query and fragment.
        path: names the file; without them too, its escapes read.
    """

    url: str
    shown: str
    path: Path

    @classmethod
    def of(cls, url: str) -> Address:
        """The address. Raises SourceError: it is not of one file, of another scheme, or its library is missing."""
        try:
            parts = urlsplit(url)
            host = parts.netloc.rpartition("@")[2]
        except ValueError as error:
            raise SourceError(f"{url.partition('?')[0][:80]}: not a URL ({error})") from error
        shown = f"{parts.scheme}://{host}{parts.path}"
        if "::" in _ADDRESS.sub("", url.partition("?")[0]):
            raise SourceError(
                f"{url.partition('?')[0][:80]}: a chain of URLs is not read; unpack it, and name the file"
            )
        scheme = parts.scheme.lower()
        if scheme not in _NEEDS:
            raise SourceError(f"{shown}: {scheme}:// is not read{suggest(scheme, [*_NEEDS, 'file', 'hf'])}")
        place = unquote(parts.path) if scheme in _WEB else f"/{host}{parts.path}"
        if has_magic(parts.path):
            raise SourceError(f"{shown}: patterns are for folders and hf://; name one file of this URL")
        if place.endswith("/") or place.count("/") < 1:
            raise SourceError(f"{shown}: names no file")
        check_installed(f"reading {scheme}:// needs", [_NEEDS[scheme]], SourceError)
        return cls(url, shown, Path(place))


def is_url(source: str) -> bool:
    """Whether a source has a scheme, or several in a chain."""
    return _URL.match(source) is not None


def local_file(url: str) -> str:
    """The path that a `file://` URL means. Raises SourceError: it is of another machine."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise SourceError(f"{url}: names the machine {parts.netloc!r}; a path of this one is file:///PATH")
    return unquote(parts.path)


def download(address: Address, to: Path, progress: Callable[[int, int], None]) -> None:
    """Copies the file.

    Args:
        progress: called with how many of how many bytes are there.

    Raises:
        SourceError: it cannot be downloaded whole; says why.
    """
    import fsspec

    class Told(fsspec.Callback):  # type: ignore[misc]
        def call(self, *_: object, **__: object) -> None:
            progress(self.value, self.size or 0)

    try:
        system, path = fsspec.core.url_to_fs(address.url, **_options(address))
        system.get_file(path, str(to), callback=Told())
    except Exception as error:  # of whatever library serves the scheme
        raise SourceError(f"{address.shown}: cannot be downloaded ({_reason(error, address)})") from error
    if not to.is_file():
        raise SourceError(f"{address.shown}: is a folder; name one file of it")


def _options(address: Address) -> dict[str, Any]:
    if urlsplit(address.url).scheme.lower() not in _WEB:
        return {}
    from aiohttp import ClientTimeout

    return {
        "headers": {"Accept-Encoding": "identity"},  # the bytes as they are kept there, whose suffix we go by
        "client_kwargs": {
            "timeout": ClientTimeout(total=None, sock_connect=_SILENT, sock_read=_SILENT),
            "trust_env": True,
        },
        "skip_instance_cache": True,
    }


def _reason(error: Exception, address: Address) -> str:
    """In a few words; what a library says may hold the URL, and so only where it has nothing secret."""
    from aiohttp import ClientPayloadError, ClientResponseError

    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, ClientResponseError):
        return f"{error.status} {error.message}"
    if isinstance(error, ClientPayloadError):
        return "it broke off before its end"
    if isinstance(error, TimeoutError):
        return f"no answer for {_SILENT:.0f} seconds"
    if isinstance(cause, OSError) and cause.errno is not None:
        return os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)  # below 0: of names of hosts
    kind = type(error).__name__
    return f"{kind}: {first_line(error)}" if "@" not in address.url and "?" not in address.url else kind
