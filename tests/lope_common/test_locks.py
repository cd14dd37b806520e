"""One lock for several processes: shared or exclusive, gone with its process, and no file left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lope_common.locks import acquire

HOLD = "import sys, time; from pathlib import Path; from lope_common.locks import acquire; acquire(Path(sys.argv[1])); "


def test_an_exclusive_lock_is_held_alone(tmp_path: Path) -> None:
    path = tmp_path / "made" / "lock"
    lock = acquire(path)
    assert lock is not None
    assert acquire(path, wait=False) is None
    assert acquire(path, wait=False, shared=True) is None
    lock.give_back()
    assert not path.exists()


def test_shared_locks_are_held_together_and_the_last_takes_the_file_away(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    one, other = acquire(path, shared=True), acquire(path, shared=True)
    assert one is not None
    assert other is not None
    assert acquire(path, wait=False) is None
    one.give_back()
    assert path.exists()
    other.give_back()
    assert not path.exists()


def test_a_killed_process_gives_its_lock_back(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = HOLD + "print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert acquire(path, wait=False) is None
        process.kill()
    lock = acquire(path, wait=False)
    assert lock is not None
    lock.give_back()


def test_a_lock_that_is_let_go_leaves_its_file_for_who_has_inherited_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = acquire(path)
    assert lock is not None
    heir = os.dup(lock.handle)
    lock.let_go()
    assert acquire(path, wait=False) is None
    os.close(heir)
    lock = acquire(path, wait=False)
    assert lock is not None
    lock.give_back()


def test_a_child_that_inherits_the_handle_holds_the_lock_too(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys, subprocess; from pathlib import Path; from lope_common.locks import acquire\n"
        "lock = acquire(Path(sys.argv[1]))\n"
        "sleep = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "child = subprocess.Popen(sleep, stdout=2, pass_fds=(lock.handle,))\n"
        "print(child.pid, flush=True); import os; os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True, check=False)
    assert acquire(path, wait=False) is None
    subprocess.run(["kill", "-9", done.stdout.strip()], check=True)
    lock = acquire(path)
    assert lock is not None
    lock.give_back()
