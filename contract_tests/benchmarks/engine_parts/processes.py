"""Processes of the benchmark: on which core they run, what processor time they took, and their end."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, 1
"""The server under test has a core of its own; the generator of load and nginx share the other."""
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
QUIET = 0.15
"""Seconds in which a process at rest takes at most one tick of processor time."""
LOOKS = 5
STOPPING = 15.0


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """The command, kept on one core where there are at least two."""
    taskset = shutil.which("taskset")
    cores = sorted(os.sched_getaffinity(0))
    if taskset is None or len(cores) < 2:
        return list(command)
    return [taskset, "-c", str(cores[core]), *command]


def pin(pid: int, core: int) -> None:
    """Keep a process that is running already on one core, all its threads, where there are at least two."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) >= 2:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # the thread has ended
                os.sched_setaffinity(int(thread.name), {cores[core]})


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """Processor time the process has taken, all its threads, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(pid: int) -> float:
    """Megabytes of the process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 2**20


def wait_until_quiet(pid: int, most: float) -> bool:
    """Wait until the process does nothing any more, at most so many seconds; whether it came to rest."""
    until = time.monotonic() + most
    while time.monotonic() < until:
        before, is_waiting = cpu_seconds(pid), False
        for _ in range(LOOKS):
            time.sleep(QUIET / LOOKS)
            is_waiting |= _wants_to_run(pid)
        if not is_waiting and cpu_seconds(pid) - before < 1.5 / TICKS:
            return True
    return False


def _wants_to_run(pid: int) -> bool:
    """Whether a thread of the process runs, or would if others left it the core."""
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):  # the thread has ended
            if stat.read_text().rpartition(")")[2].split()[0] in ("R", "D"):
                return True
    return False


@contextlib.contextmanager
def held(pid: int) -> Iterator[None]:
    """While inside, the process does not run at all, whatever it still has to do."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def threads(*pids: int) -> list[tuple[int, bool]]:
    """The threads of these processes and of their children, and whether it is the one that its process began with."""
    found: list[tuple[int, bool]] = []
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended
            for thread in Path(f"/proc/{pid}/task").iterdir():
                found.append((int(thread.name), int(thread.name) == pid))
                found += threads(*map(int, (thread / "children").read_text().split()))
    return found


@contextlib.contextmanager
def going_first(*pids: int) -> Iterator[bool]:
    """While inside, they have their core before whatever else runs on this machine; whether we may say so. A process of others that
    wants to run takes a core for a whole tick of the clock, 4 ms, however little its share. The thread that a process began with
    goes before its others: so it does by the usual rules when it wakes, and threads of one rank would not give way to it at all."""
    is_first = _schedule(pids, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, 1)
    try:
        yield is_first
    finally:
        _schedule(pids, os.SCHED_OTHER, 0)


@contextlib.contextmanager
def awake() -> Iterator[bool]:
    """While inside, a processor with nothing to do waits for work and is not halted; whether we may ask for that. A virtual one that
    halts is given to somebody else by its host, and is late, or slower for a while, when it is wanted again."""
    try:
        handle = os.open("/dev/cpu_dma_latency", os.O_WRONLY)
    except OSError:
        yield False
        return
    try:
        os.write(handle, bytes(4))
        yield True
    finally:
        os.close(handle)


def _schedule(pids: Sequence[int], policy: int, priority: int) -> bool:
    try:
        for thread, is_first in threads(*pids):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(thread, policy, os.sched_param(priority + is_first if priority else 0))
    except PermissionError:
        return False
    return True


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process that we started, by force when it does not end by itself."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
