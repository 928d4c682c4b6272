"""Log files of the supervised processes: one each, bounded, the last one kept."""

from pathlib import Path

LIMIT_BYTES = 8 * 1024 * 1024


class BoundedLog:
    """Appends to `path`; at the limit the file becomes `<name>.1` and a new one begins."""

    def __init__(self, path: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self.path = path
        self._limit_bytes = limit_bytes
        self._file = path.open("ab", buffering=0)
        self.trouble = ""
        self._last = b""
        self._awaited: bytes | None = None

    def begin_life(self, awaited: bytes | None) -> None:
        """A process starts to write here; `awaited` is what it says when it is ready."""
        self._last = b""
        self._awaited = awaited

    def has_said_awaited(self) -> bool:
        """Whether this life has said what was awaited."""
        return self._awaited is None

    def write(self, text: bytes) -> None:
        """Append `text`. What the disk does not take is lost, and `trouble` says why."""
        try:
            self._append(text)
            self.trouble = ""
        except OSError as error:
            self.trouble = (error.strerror or str(error)).lower()
        recent = self._last + text
        if self._awaited is not None and self._awaited in recent:
            self._awaited = None
        self._last = recent[-4096:]

    def _append(self, text: bytes) -> None:
        if self._file.tell() + len(text) > self._limit_bytes:
            self.path.replace(self.path.with_name(self.path.name + ".1"))
            self._file.close()
            self._file = self.path.open("ab", buffering=0)
        self._file.write(text)

    def last_line(self) -> str:
        """The last line that says something, of this process's life."""
        lines = [line.strip() for line in self._last.decode(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"

    def close(self) -> None:
        self._file.close()
