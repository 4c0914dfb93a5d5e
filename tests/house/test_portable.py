"""Every module can be imported where the modules and signals of POSIX are missing: on Windows."""

from __future__ import annotations

import subprocess
import sys

# What is imported by others (the standard library itself, say) is not meant, so the name of the
# importing module decides.
SCRIPT = """
import builtins, importlib, pkgutil, sys
POSIX = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
SIGNALS = {"SIGALRM", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGUSR1", "SIGUSR2"}
real = builtins.__import__

def guarded(name, globals=None, locals=None, fromlist=(), level=0):
    if (globals or {}).get("__name__", "").startswith("amxwatch"):
        if name in POSIX or (name == "signal" and SIGNALS & set(fromlist or ())):
            raise ImportError(f"{globals['__name__']} imports {name}: there is none on Windows")
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = guarded
import amxwatch
count = 0
for module in pkgutil.walk_packages(amxwatch.__path__, "amxwatch."):
    if ".migrations" not in module.name and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        count += 1
print(count)
"""


def test_no_module_needs_posix_to_be_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 100
