"""The child's side of the sandbox: shuts itself in for good, then runs the code and the tests it is sent.

Run as a script by `laneway.evidence.sandbox`, with nothing but the standard library. Arguments: the pipe to
read from, the pipe to answer on, CPU seconds, bytes of memory. What comes in: one JSON line with the code; after
"loaded", one with the tests and a word. Only that word says that every test ran and passed: it is sent after
the code has been loaded, so that code which ends the process early, or prints, has passed nothing.

Three walls, none of which can be taken down from inside or needs privileges: limits of resources, Landlock
(files: the standard library to read, the working folder to write), and a seccomp filter (no process, no socket, no
signal to others, no change of rights). Exits with 70 before running anything where one of them is missing.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import struct
import sys
import sysconfig
from pathlib import Path
from typing import Any

__all__ = ["NO_WALL", "main"]

NO_WALL = 70
"""The exit status of a child that could not be shut in."""

_MOST_FILE = 4 << 20
_MOST_OPEN = 32

_SYSCALLS: dict[str, tuple[int, int]] = {
    "fork": (57, -1), "vfork": (58, -1), "clone": (56, 220), "clone3": (435, 435), "execve": (59, 221),
    "execveat": (322, 281), "setsid": (112, 157), "setpgid": (109, 154), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "kill": (62, 129),
    "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "accept": (43, 202),
    "accept4": (288, 242), "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264), "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53),
    "fchmodat2": (452, 452), "chown": (92, -1), "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54),
    "utime": (132, -1), "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "mknod": (133, -1), "mknodat": (259, 33),
    "prlimit64": (302, 261), "setrlimit": (160, 164), "setpriority": (141, 140), "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
    "ioprio_set": (251, 30), "migrate_pages": (256, 238), "move_pages": (279, 239), "reboot": (169, 142),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "sethostname": (170, 161),
    "truncate": (76, 45), "prctl": (157, 167),
    "setdomainname": (171, 162), "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "syslog": (103, 116), "quotactl": (179, 60), "fcntl": (72, 25),
    "fanotify_init": (300, 262), "lookup_dcookie": (212, 18), "personality": (135, 92), "ioctl": (16, 29),
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143),
    "setresuid": (117, 147), "setresgid": (119, 149), "setgroups": (116, 159), "setfsuid": (122, 151),
    "setfsgid": (123, 152), "capset": (126, 91), "seccomp": (317, 277), "sync": (162, 81), "syncfs": (306, 267),
}  # fmt: skip
"""What the code may not ask the kernel for, by name: the numbers on x86_64 and on aarch64."""

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_EPERM, _ENOTTY, _ENOSYS = 1, 25, 38
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_CLONE_THREAD = 0x10000
_FIRST = 16
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX = 8, 10, 15
_FIONREAD, _TCGETS, _FIOCLEX, _FIONBIO = 0x541B, 0x5401, 0x5451, 0x5421
_PR_SET_PDEATHSIG = 1


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)


_NO, _YES = _step(_RETURN, _ERRNO | _EPERM), _step(_RETURN, _ALLOW)


def _filter(which: int, architecture: int) -> bytes:
    """The program that the kernel asks before every call."""
    program = [_step(_LOAD, 4), _step(_EQUAL, architecture, 1, 0), _step(_RETURN, _KILL), _step(_LOAD, 0)]
    program += [_step(_AT_LEAST, 0x40000000, 0, 1), _step(_RETURN, _KILL)]
    for name, numbers in _SYSCALLS.items():
        if numbers[which] >= 0:
            inner = _ruling(name)
            program += [_step(_EQUAL, numbers[which], 0, len(inner)), *inner]
    return b"".join([*program, _YES])


def _ruling(name: str) -> list[bytes]:
    """What is answered to one of the calls: mostly no, some by their arguments."""
    me = os.getpid()
    match name:
        case "clone":  # a thread is of this process and within its limits
            return [_step(_LOAD, _FIRST), _step(_AND, _CLONE_THREAD), _step(_EQUAL, 0, 0, 1), _NO, _YES]
        case "clone3":  # its flags are out of a filter's sight; the C library then uses clone
            return [_step(_RETURN, _ERRNO | _ENOSYS)]
        case "kill" | "tgkill":
            return _one_of(0, (me,), _YES, _NO)
        case "prlimit64":  # of this process, and only to read: the third argument would be the new limit
            return [*_null(2), *_one_of(0, (me, 0), _YES, _NO)]
        case "sendto":  # along a pair of this process, to no address
            return [*_null(4), _YES]
        case "fcntl":  # no signals to others through the back door
            return _one_of(1, (_F_SETOWN, _F_SETSIG, _F_SETOWN_EX), _NO, _YES)
        case "prctl":
            return _one_of(0, (_PR_SET_PDEATHSIG,), _NO, _YES)
        case "ioctl":
            return _one_of(1, (_FIONREAD, _TCGETS, _FIOCLEX, _FIONBIO), _YES, _step(_RETURN, _ERRNO | _ENOTTY))
        case _:
            return [_NO]


def _null(argument: int) -> list[bytes]:
    """No, unless the argument is 0 in both its halves."""
    at = _FIRST + 8 * argument
    return [_step(_LOAD, at), _step(_EQUAL, 0, 0, 2), _step(_LOAD, at + 4), _step(_EQUAL, 0, 1, 0), _NO]


def _one_of(argument: int, values: tuple[int, ...], then: bytes, other: bytes) -> list[bytes]:
    """`then` where an argument's low half, which is all that the kernel reads of it, is one of `values`."""
    tests = [_step(_EQUAL, value, len(values) - i, 0) for i, value in enumerate(values)]
    return [_step(_LOAD, _FIRST + 8 * argument), *tests, other, then]


class _Kernel:
    """The few calls that Python does not know, each of which must succeed."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.syscall.restype = ctypes.c_long

    def prctl(self, what: str, option: int, *arguments: Any) -> None:
        self._must(what, self._libc.prctl(option, *(arguments or (0, 0, 0, 0))))

    def call(self, what: str, number: int, *arguments: Any) -> int:
        return self._must(what, self._libc.syscall(ctypes.c_long(number), *arguments))

    def _must(self, what: str, result: int) -> int:
        if result < 0:
            raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
        return int(result)


def _shut_files(kernel: _Kernel) -> None:
    """Landlock: read the standard library and a few harmless files, write the working folder, nothing else."""
    create, add, restrict = 444, 445, 446
    version = kernel.call("Landlock", create, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    files = (1 << (13 + (version >= 2) + (version >= 3) + (version >= 5))) - 1
    rules = struct.pack("QQQ", files, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = kernel.call("Landlock", create, rules, ctypes.c_size_t(size), ctypes.c_uint(0))
    read = {*_libraries(), "/etc/localtime", "/usr/share/zoneinfo", "/dev/urandom", "/etc/ld.so.cache"}
    grants = [(path, 0b1101) for path in sorted(read)] + [("/dev/null", 0b110), (str(Path.cwd()), files & ~0b1)]
    for path, rights in grants:
        if Path(path).exists():
            handle = os.open(path, os.O_PATH)
            allowed = rights if Path(path).is_dir() else rights & 0b111
            rule = struct.pack("=Qi", allowed & files, handle)
            kernel.call("Landlock", add, ctypes.c_int(ruleset), ctypes.c_int(1), rule, ctypes.c_uint(0))
            os.close(handle)
    kernel.call("Landlock", restrict, ctypes.c_int(ruleset), ctypes.c_uint(0))
    os.close(ruleset)


def _libraries() -> set[str]:
    """Where the standard library and what it is linked to live."""
    python = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")} | {str(Path(sys.executable).resolve())}
    system = {f"{root}/{lib}" for root in ("", "/usr", sys.base_prefix) for lib in ("lib64", "lib")}
    named = {str(Path(path).resolve()) for path in python | system if path}
    return {path for path in named if Path(path).parts[1:2] not in (("home",), ("root",)) or path in python}


def _shut_in(seconds: int, memory: int) -> None:
    """All three walls, or an OSError that names the one that is missing."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _ARCHITECTURES:
        raise OSError(f"no sandbox for {sys.platform} on {machine}; it needs Linux on x86_64 or aarch64")
    which, architecture = _ARCHITECTURES[machine]
    kernel = _Kernel()
    kernel.prctl("dying with the parent", 1, 9, 0, 0, 0)
    for what, most in (
        (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, _MOST_FILE),
        (resource.RLIMIT_NOFILE, _MOST_OPEN), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_MSGQUEUE, 0),
    ):  # fmt: skip
        resource.setrlimit(what, (most, most))
    kernel.prctl("no new privileges", 38, 1, 0, 0, 0)
    kernel.prctl("no dumps", 4, 0, 0, 0, 0)
    _shut_files(kernel)
    header, nothing = struct.pack("Ii", 0x20080522, 0), bytes(24)
    kernel.call("dropping capabilities", _SYSCALLS["capset"][which], header, nothing)
    code = _filter(which, architecture)
    program = ctypes.create_string_buffer(code, len(code))
    address = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(program))
    kernel.prctl("seccomp", 22, 2, address, 0, 0)


def _failure(error: BaseException, file: str) -> dict[str, object]:
    """The kind of error and where in `file` it arose; never its message, which may hold text of the answer."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return {"error": type(error).__name__, "line": error.lineno}
    line, at = None, error.__traceback__
    while at is not None:
        line = at.tb_lineno if at.tb_frame.f_code.co_filename == file else line
        at = at.tb_next
    return {"error": type(error).__name__, "line": line}


def main(source: int, answers: int, seconds: int, memory: int) -> int:
    """Shut this process in, run what comes, say how it went. Returns the exit status."""
    say = os.fdopen(answers, "wb", buffering=0)
    lines = os.fdopen(source, "rb", buffering=0)
    os.environ.clear()
    try:
        _shut_in(seconds, memory)
    except OSError as error:
        say.write(json.dumps({"wall": error.strerror or str(error)}).encode() + b"\n")
        return NO_WALL
    say.write(b'{"shut": true}\n')
    space: dict[str, object] = {"__name__": "answer", "__builtins__": __builtins__}
    file = "<answer>"
    try:
        exec(compile(json.loads(lines.readline())["code"], file, "exec"), space)  # noqa: S102  # the point of it
        say.write(b'{"loaded": true}\n')
        told = json.loads(lines.readline())
        file = "<tests>"
        exec(compile(told["tests"], file, "exec"), space)  # noqa: S102
    except BaseException as error:  # noqa: BLE001  # whatever the code raises, also to end itself, is its result
        say.write(json.dumps(_failure(error, file)).encode() + b"\n")
        return 1
    say.write(json.dumps({"passed": told["word"]}).encode() + b"\n")
    return 0


if __name__ == "__main__":
    os._exit(main(*(int(argument) for argument in sys.argv[1:])))
