"""One writer per folder: a lock that the operating system drops when its holder dies.

The file ``LOCK`` is held by ``flock``, which ends with the process however that ends; what stands in it says who
holds it. Where ``flock`` reaches, it is the truth, and a process number that was given to another process since
deceives nobody. It does not reach from one machine to another on every network file system, and some have none of
it: there the record decides, and a writer on another machine counts as alive.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from embedders.errors import RefusedError

__all__ = ["Holder", "Lock"]

RECORD_BYTES = 65_536
"""More of a lock file is not read: a record has some two hundred bytes."""


@dataclass(frozen=True)
class Holder:
    """The process that took a lock.

    ``boot`` is the kernel's id of this start of the machine, empty where it has none; ``started`` is when the
    process began, in clock ticks after that, None where unknown; ``since`` is for people and decides nothing.
    """

    host: str
    pid: int
    boot: str
    started: int | None
    since: str

    @classmethod
    def me(cls) -> Holder:
        """This process, now."""
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return cls(socket.gethostname(), os.getpid(), _boot(), _started(os.getpid()), since)

    @classmethod
    def read(cls, path: Path) -> Holder | None:
        """Who left this lock file; None for a file that is missing or says nothing, as a power cut leaves it."""
        try:
            with path.open("rb") as file:
                values = json.loads(file.read(RECORD_BYTES))
            kinds = {"host": str, "pid": int, "boot": str, "started": int | None, "since": str}
            good = set(values) == set(kinds) and all(isinstance(values[key], kind) for key, kind in kinds.items())
            return cls(**values) if good else None
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host!r}, since {self.since}"

    @property
    def nearby(self) -> bool:
        """Whether it ran on this machine, where its ``flock`` would be seen; containers share its boot."""
        return self.host == socket.gethostname() or self.boot == _boot() != ""

    @property
    def alive(self) -> bool:
        """Whether its very process runs here now: not another one that was given its number."""
        if self.host != socket.gethostname() or self.boot != _boot():
            return False
        if self.started is not None:
            return _started(self.pid) == self.started
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # it runs, and is another user's
            return True
        return True


class Lock:
    """A held lock; :meth:`take` is the way to one."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Lock:
        """Take the lock, also from a writer that died; RefusedError, naming the holder, where one lives."""
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            lock = cls(path, os.open(path, flags, 0o600))
            try:
                reached = lock._flock()
                if not lock.standing:  # its holder let go, and removed it, between the opening and the locking
                    lock.release()
                    continue
                lock._refuse_living(reached)
                os.ftruncate(lock._descriptor, 0)
                os.pwrite(lock._descriptor, json.dumps(asdict(Holder.me())).encode(), 0)
            except BaseException:
                lock.release()
                raise
            return lock

    @property
    def standing(self) -> bool:
        """Whether the name still stands for the file that is held: not so where the folder was swapped away."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let go; the file is its holder's to remove, before."""
        os.close(self._descriptor)

    def _flock(self) -> bool:
        """Lock the open file; False where the file system has no such locks."""
        import fcntl

        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = Holder.read(self.path) or "another process"
            raise _refused(self.path, str(holder)) from error
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK):
                raise
            return False
        return True

    def _refuse_living(self, reached: bool) -> None:
        holder = Holder.read(self.path)
        if holder is None:
            return
        if not (holder.nearby if reached else holder.host == socket.gethostname()):
            raise RefusedError(
                f"{str(self.path)!r} was left by {holder}: a machine that cannot be asked from here",
                "If nothing runs there any more, remove that file and run again",
            )
        if not reached and holder.alive:
            raise _refused(self.path, str(holder))


def _refused(path: Path, holder: str) -> RefusedError:
    return RefusedError(
        f"A run is writing to {str(path.parent)!r}: {holder}", "Wait for its end, or choose another folder"
    )


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """Field 22 of proc(5): ticks between the machine's start and the process's."""
    try:
        # the name, field 2, may hold spaces and parentheses; what follows its last one does not
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
