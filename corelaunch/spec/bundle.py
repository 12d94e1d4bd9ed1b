"""A bundle: a directory with config.json and, usually, the root filesystem (runtime-spec, bundle.md)."""

from __future__ import annotations

import errno
import os
import stat

from .. import jsontext
from ..errors import ConfigError, KernelError
from ..records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

CONFIG = "config.json"


class Bundle(Record):
    """A bundle whose config.json has been read, not yet checked."""

    #: Absolute path, links resolved.
    path: str
    #: The object in config.json.
    config: Mapping[str, Any]
    #: Its text, if it was given as an object and has yet to be written; "" if it was read.
    unwritten: str = ""

    def root(self) -> str:
        """Absolute path of the root filesystem as the config names it: relative to the bundle.

        Raises:
            KeyError: the config names none (a checked one does).
        """
        return os.path.join(self.path, self.config["root"]["path"])


def load(bundle_path: str) -> Bundle:
    """Read config.json of a bundle.

    Raises:
        ConfigError: there is no such bundle, or no config.json in it, or it is not a JSON object.
        KernelError: it cannot be read.
    """
    if "\0" in (bundle_path or ""):
        raise ConfigError("invalid bundle", where=repr(bundle_path), why="a path has no NUL character")
    path = os.path.realpath(bundle_path or ".")
    try:
        path.encode()
    except UnicodeEncodeError:
        # The path is part of the OCI state, which is JSON.
        raise ConfigError("invalid bundle", where=repr(path), why="its path is not UTF-8") from None
    try:
        directory = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _not_opened("invalid bundle", bundle_path, error, "give the bundle with --bundle") from error
    try:
        config = read_object(CONFIG, CONFIG, directory)
    except FileNotFoundError:
        raise ConfigError(
            f"JSON specification file {CONFIG} not found", where=path, hint="corelaunch spec writes one"
        ) from None
    finally:
        os.close(directory)
    return Bundle(path, config)


def from_config(config: Mapping[str, Any], directory: str) -> Bundle:
    """The bundle of a config that is in no file: a copy, so that what its owner does with it later changes nothing.

    Args:
        directory: where its config.json will be.

    Raises:
        ConfigError: it is not what JSON can hold, or its root filesystem is relative, to a bundle that there is not.
    """
    try:
        text = jsontext.dumps(config)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError("invalid config", why=str(error), hint="write it with what JSON has") from None
    copy = parse_object(text.encode("utf-8", "surrogatepass"), "config")
    root = copy.get("root")
    path = root.get("path") if isinstance(root, dict) else None
    if isinstance(path, str) and not os.path.isabs(path):
        why = f"{path!r} is relative, and there is no bundle to start from"
        raise ConfigError(CONFIG, where="root.path", why=why, hint="write it absolute")
    return Bundle(directory, copy, text)


def read_object(path: str, name: str, directory: int | None = None) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: the file, relative to ``directory`` if that is given.
        name: what errors call it.
        directory: descriptor of a directory.

    Raises:
        FileNotFoundError: there is none.
        ConfigError: it is not a regular file, too large, or not a JSON object; JSON errors have ``name:line:column``.
        KernelError: it cannot be read.
    """
    try:
        # O_NONBLOCK: a FIFO of that name must not stop us here.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=directory)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KernelError.of("cannot open", error, where=name) from error
    try:
        data = _read(fd, name)
    except OSError as error:
        raise KernelError.of("cannot read", error, where=name) from error
    finally:
        os.close(fd)
    return parse_object(data, name)


def parse_object(data: bytes, name: str) -> dict[str, Any]:
    """The JSON object in these bytes.

    Raises:
        ConfigError: it is none; JSON errors have ``name:line:column``.
    """
    value: Any = jsontext.loads(data, name)
    if type(value) is not dict:
        raise ConfigError("invalid JSON", where=name, why="the file must hold an object")
    return value


def _read(fd: int, name: str) -> bytes:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError("cannot read", where=name, why="not a regular file")
    limit = jsontext.SIZE_LIMIT + 1  # one more than is allowed, so that loads() sees that it is too large
    data = os.read(fd, min(status.st_size + 1, limit))
    while len(data) < limit:
        more = os.read(fd, limit - len(data))
        if not more:
            break
        data += more
    return data


def _not_opened(what: str, path: str, error: OSError, hint: str) -> ConfigError | KernelError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return ConfigError(what, where=path, why=os.strerror(error.errno).lower(), hint=hint, errno=error.errno)
    return KernelError.of(what, error, where=path)
