"""Stops one thread of a process, as a deadlock or a driver would, for a while.

    with StoppedThread(find_thread(daemon.pid, "batcher")):
        ... its process goes on without it ...

With ptrace, since signals stop processes as a whole. The thread that enters the
block has to leave it. Skips the test where ptrace is forbidden.
"""

import ctypes
import errno
import os
import pathlib
import re
import subprocess
import sys
import time

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000
_SKIPPED = 77
# Asleep for so long a thread is waiting for work, not for a lock.
_NAP_SECONDS = 0.02
_IDLE_SECONDS = 60

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                         ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request, thread):
    if _libc.ptrace(request, thread, None, None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def skip_where_forbidden():
    """Ends the script as skipped."""
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            with StoppedThread(child.pid):
                pass
        except PermissionError:
            print("ptrace is forbidden here")
            sys.exit(_SKIPPED)
        finally:
            child.kill()


def find_thread(pid, name):
    return next(
        int(task.name) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
        if (task / "comm").read_text() == name + "\n")


class StoppedThread:

    def __init__(self, thread):
        self._thread = thread
        self._is_there = True

    def __enter__(self):
        """Stops it in its sleep: awake it might hold locks that all need."""
        deadline = time.monotonic() + _IDLE_SECONDS
        while True:
            num_sleeps, _ = self._sleeps()
            time.sleep(_NAP_SECONDS)
            _, is_asleep = self._sleeps()
            _ptrace(_SEIZE, self._thread)
            _ptrace(_INTERRUPT, self._thread)
            os.waitpid(self._thread, _WALL)
            # To be stopped counts as one.
            if is_asleep and self._sleeps()[0] == num_sleeps + 1:
                return self
            _ptrace(_DETACH, self._thread)
            assert time.monotonic() < deadline, "the thread never sleeps"

    def _sleeps(self):
        """How often it has gone to sleep, and whether it is asleep."""
        status = pathlib.Path(f"/proc/{self._thread}/status").read_text()
        count = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.M)
        return int(count[1]), "State:\tS" in status

    def wait_for_end(self, seconds):
        """Returns when its process has ended, which waits for us to know it."""
        deadline = time.monotonic() + seconds
        while self._is_there:
            thread, status = os.waitpid(self._thread, _WALL | os.WNOHANG)
            if thread != 0 and not os.WIFSTOPPED(status):
                self._is_there = False
            assert time.monotonic() < deadline, "the process did not end"
            time.sleep(0.01)

    def __exit__(self, *exception):
        if not self._is_there:
            return
        try:
            _ptrace(_DETACH, self._thread)
        except OSError as error:
            if error.errno != errno.ESRCH:
                raise
            os.waitpid(self._thread, _WALL)
