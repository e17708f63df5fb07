"""Socket calls that return at once, made without letting go of the interpreter.

Python gives the interpreter to another thread around every call of a socket, and gets it back only when that thread has had
its turn. While the threads of the store are busy, a refusal of four such calls would wait four turns, and ten times our
load would be nothing but waiting. These calls never wait themselves: no socket here blocks. Linux only; where `is_known` is
false Python's own calls are used.
"""

import ctypes
import errno
import os
import socket
import sys

SIZE = 16 * 1024
_FLAGS = getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0)
_SENDING = getattr(socket, "MSG_DONTWAIT", 0) | getattr(socket, "MSG_NOSIGNAL", 0)
_MORE = getattr(socket, "MSG_MORE", 0)
_READING = getattr(socket, "MSG_DONTWAIT", 0)
_LIBC = ctypes.PyDLL(None, use_errno=True) if sys.platform == "linux" else None
is_known = _LIBC is not None and hasattr(_LIBC, "accept4")

if _LIBC is not None and is_known:
    _accept, _recv, _send, _close = _LIBC.accept4, _LIBC.recv, _LIBC.send, _LIBC.close
    _accept.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
    _recv.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    _send.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
    _recv.restype = _send.restype = ctypes.c_ssize_t
    _close.argtypes = (ctypes.c_int,)
    _BUFFER = ctypes.create_string_buffer(SIZE)
    _VIEW = memoryview(_BUFFER)


def accept(listening: int) -> int:
    """The next connection's descriptor, which does not block. Raises OSError, of which BlockingIOError says that there is none."""
    taken: int = _accept(listening, None, None, _FLAGS)
    if taken < 0:
        raise _error()
    return taken


def receive(descriptor: int) -> bytes:
    """What it has said so far, up to SIZE bytes; nothing when it has left. Raises OSError."""
    size = _recv(descriptor, _BUFFER, SIZE, _READING)
    if size < 0:
        raise _error()
    return _VIEW[:size].tobytes()


def send(descriptor: int, data: bytes, is_last: bool = False) -> int:
    """How much of it the system took. Raises OSError. `is_last`: it is closed next, and what was said leaves together with that."""
    size: int = _send(descriptor, data, len(data), _SENDING | _MORE if is_last else _SENDING)
    if size < 0:
        raise _error()
    return size


def close(descriptor: int) -> None:
    """Let go of it."""
    _close(descriptor)


def _error() -> OSError:
    number = ctypes.get_errno() or errno.EIO
    return OSError(number, os.strerror(number))
