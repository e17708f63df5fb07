"""`docker/build-console` builds the page once, fails aloud, and lets a machine without npm go on."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build_console(folder: Path, npm: str | None) -> subprocess.CompletedProcess[str]:
    """Runs the build script in a copy of what it reads, with `npm` as the text of a stand-in, or without any."""
    commands = folder / "bin"
    shutil.copytree(
        ROOT / "console", folder / "console", ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True
    )
    for target in (folder / "docker", commands):
        target.mkdir(exist_ok=True)
    shutil.copy(ROOT / "docker/build-console", folder / "docker")
    for command in ("sh", "dirname", "cat", "cksum", "rm", "mkdir"):
        (commands / command).unlink(missing_ok=True)
        (commands / command).symlink_to(str(shutil.which(command)))
    if npm is not None:
        (commands / "npm").write_text(f"#!/bin/sh\n{npm}\n")
        (commands / "npm").chmod(0o755)
    script = [str(commands / "sh"), str(folder / "docker/build-console")]
    return subprocess.run(script, env={"PATH": str(commands)}, capture_output=True, text=True)


def test_the_build_without_npm_says_in_one_line_how_to_get_it(tmp_path: Path) -> None:
    done = build_console(tmp_path, npm=None)
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 1, "")
    assert "install Node.js" in done.stdout


def test_the_build_fails_with_npm_and_is_not_taken_for_done(tmp_path: Path) -> None:
    assert build_console(tmp_path, npm="exit 3").returncode == 3
    assert build_console(tmp_path, npm="exit 4").returncode == 4


def test_the_build_is_repeated_only_when_what_it_is_made_of_has_changed(tmp_path: Path) -> None:
    npm = "echo $1 >>../calls; mkdir -p ../gateway/console/static"
    assert [build_console(tmp_path, npm).returncode for _ in range(3)] == [0, 0, 0]
    assert (tmp_path / "calls").read_text().split() == ["ci", "run"]
    (tmp_path / "console/src/another.js").write_text("// new")
    build_console(tmp_path, npm)
    assert (tmp_path / "calls").read_text().split() == ["ci", "run", "ci", "run"]
