"""Recipes by name: those that come with LoPE, in the folder `pipelines` beside this package, and files of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lope_common.errors import suggest
from lope_common.places import typed_path

# Not what `import pipelines` finds: from the current folder that may be a folder of the user's.
_HOME = Path(__file__).parents[1] / "pipelines"


@dataclass(frozen=True)
class Recipes:
    """The recipes of one program.

    Attributes:
        folder: where they are, in `home`; `ablations/x` is ablations/x.toml there.
        patterns: which files of the folder they are, as globs.
        besides: names that fit the patterns and are not recipes.
        kind: what messages call one.
    """

    folder: str
    patterns: tuple[str, ...]
    besides: frozenset[str] = frozenset()
    kind: str = "recipe"
    home: Path = _HOME

    def packaged(self) -> dict[str, Path]:
        """Those that come with LoPE, by name."""
        root = self.home / self.folder
        files = sorted({file for pattern in self.patterns for file in root.glob(pattern)})
        named = {file.relative_to(root).with_suffix("").as_posix(): file for file in files}
        return {name: file for name, file in named.items() if name not in self.besides}

    @contextmanager
    def file(self, text: str, error: type[Exception]) -> Iterator[Path]:
        """The file of the recipe that was typed, a name or a path, for a context that reads it.

        What ends with `.toml` is a path. All else is a packaged name or, where there is such a file, a path.

        Raises:
            error: there is no such recipe, or a name and a file. An `error` of the context names a packaged recipe as
                it was typed.
        """
        packaged = {} if text.endswith(".toml") else self.packaged()
        path = self._find(text, packaged, error)
        try:
            yield path
        except error as wrong:
            if text not in packaged:
                raise
            raise error(str(wrong).replace(str(path), text)) from wrong

    def _find(self, text: str, packaged: dict[str, Path], error: type[Exception]) -> Path:
        path = typed_path(text)
        if text in packaged:
            if _is_file(path):
                raise error(
                    f"{text!r} is a {self.kind} that comes with LoPE, and a file here: write ./{text} for the file, "
                    "or rename it"
                )
            return packaged[text]
        if text.endswith(".toml") or _is_file(path):
            return path
        said = str(path)
        raise error(f"no {self.kind} {said!r}, by name or as a file (NAME.toml){suggest(said, packaged)}")


def _is_file(path: Path) -> bool:
    """Whether the path can be read; a pipe can, too."""
    try:
        return path.exists() and not path.is_dir()
    except OSError:  # a name that is too long, a folder that is closed to us
        return False
