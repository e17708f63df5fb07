"""The packages that tests need beside the gateway's own, installed once for each lock file and kept in `build/`."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
CLIENTS = ROOT / "contract_tests" / "clients"
KEPT = ROOT / "build" / "clients"
QUIET_NPM = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def typescript_packages() -> Path:
    """A folder with the `node_modules` of the TypeScript client's lock file."""
    return node_packages(CLIENTS / "typescript", KEPT)


def node_packages(source: Path, kept: Path) -> Path:
    """A folder below `kept` with the `node_modules` of the lock file in `source`."""
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("no npm found: install Node.js >= 20 (Debian: apt-get install npm)")
    names = ("package.json", "package-lock.json", ".npmrc")
    with _kept(kept, source, *names) as folder:
        if not (folder / "done").exists():
            for name in names:
                shutil.copy(source / name, folder)
            _run([npm, "ci", *QUIET_NPM], folder)
            (folder / "done").touch()
    return folder


def python_environment() -> Path:
    """A virtual environment with the Python client's requirements, which pin another graphql-core than the gateway's."""
    with _kept(KEPT, CLIENTS / "python", "requirements.txt") as folder:
        if not (folder / "done").exists():
            _run([sys.executable, "-m", "venv", "--clear", str(folder)], ROOT)
            install = ("-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check", "--require-hashes")
            _run([str(folder / "bin/python"), *install, "-r", str(CLIENTS / "python" / "requirements.txt")], ROOT)
            (folder / "done").touch()
    return folder


def client_folder(language: str, folder: Path) -> Path:
    """A copy in `folder` of the client's own files with the committed schema and the example queries beside them."""
    shutil.copytree(CLIENTS / language, folder, dirs_exist_ok=True)
    shutil.copy(ROOT / "schema" / "schema.graphql", folder)
    shutil.copytree(ROOT / "schema" / "examples", folder / "queries")
    return folder


@contextmanager
def _kept(kept: Path, source: Path, *made_of: str) -> Iterator[Path]:
    """The folder that is kept for these files of `source` and this Python; nobody else fills it meanwhile."""
    content = sys.version.encode() + b"".join((source / name).read_bytes() for name in made_of)
    folder = kept / f"{source.name}-{hashlib.sha256(content).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:4])} failed:\n{done.stdout}{done.stderr}")
