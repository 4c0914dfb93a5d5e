"""Git refs, in real repositories: what moved is told, and nothing else happens."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from amxwatch.core.errors import SignalError
from amxwatch.watchers.git import MAX_FILES, GitRepository

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
]

MAIN = "refs/heads/main"


class Repo:
    """A repository that tests write to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *words: str) -> str:
        settings = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "gc.auto=0")
        clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        done = subprocess.run(
            ["git", *settings, "-C", str(self.folder), *words],
            env={**clean, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, **files: str | None) -> str:
        """Write files, by path with __ for /, or remove them; return the commit."""
        for name, text in files.items():
            path = self.folder / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if text is None else path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "change")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


async def test_the_files_under_the_globs_are_told_with_what_became_of_them(repo: Repo) -> None:
    before = repo.commit(models__a="1", models__b="1", readme="1")
    after = repo.commit(models__a="2", models__b=None, models__deep__c="1", readme="2")
    git = GitRepository(repo.folder)
    assert await git.commit(MAIN) == after
    touched = await git.touched(before, after, ("models/**",))
    assert touched.files == ("M models/a", "D models/b", "A models/deep/c")
    assert (touched.total, touched.lost) == (3, False)
    assert (await git.touched(before, after, ("models/*",))).total == 2
    assert (await git.touched(before, after, ("other/**",))).total == 0
    assert (await git.touched(before, before, ("**",))).total == 0


async def test_tags_and_bare_repositories_are_read_too(repo: Repo, tmp_path: Path) -> None:
    commit = repo.commit(a="1")
    repo.git("tag", "--annotate", "v1", "-m", "v1")
    repo.git("clone", "--quiet", "--bare", str(repo.folder), str(tmp_path / "bare.git"))
    assert await GitRepository(tmp_path / "bare.git").commit("refs/tags/v1") == commit


async def test_a_rewritten_history_is_compared_while_the_old_commit_is_there(repo: Repo) -> None:
    repo.commit(a="1")
    before = repo.commit(a="2", b="1")
    repo.git("reset", "--quiet", "--hard", "HEAD~1")
    after = repo.commit(a="3")
    git = GitRepository(repo.folder)
    assert (await git.touched(before, after, ("**",))).files == ("M a", "D b")
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "--quiet", "--prune=now")
    assert (await git.touched(before, after, ("**",))).lost


async def test_a_flood_of_files_is_counted_and_cut(repo: Repo) -> None:
    before = repo.commit(a="1")
    after = repo.commit(**{f"f{n}": "1" for n in range(MAX_FILES + 5)})
    touched = await GitRepository(repo.folder).touched(before, after, ("**",))
    assert (len(touched.files), touched.total) == (MAX_FILES, MAX_FILES + 5)


async def test_names_that_git_would_quote_are_told_as_they_are(repo: Repo) -> None:
    before = repo.commit(a="1")
    (repo.folder / 'Größe\n\t"x".sql').write_text("1")
    after = repo.commit()
    touched = await GitRepository(repo.folder).touched(before, after, ("**",))
    assert touched.files == ('A Größe\n\t"x".sql',)


@pytest.mark.parametrize("kind", ["missing", "plain", "no ref"])
async def test_what_cannot_be_read_is_said_in_one_line(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "repo"
    if kind == "plain":
        folder.mkdir()
    if kind == "no ref":
        Repo(folder).commit(a="1")
    ref = "refs/heads/nowhere" if kind == "no ref" else MAIN
    with pytest.raises(SignalError, match=str(folder)) as caught:
        await GitRepository(folder).commit(ref)
    assert "\n" not in str(caught.value)


async def test_no_program_of_the_repository_runs_and_no_variable_leads_elsewhere(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = repo.commit(a="1")
    trap, sprung = tmp_path / "trap.sh", tmp_path / "sprung"
    trap.write_text(f"#!/bin/sh\ntouch '{sprung}'\n")
    trap.chmod(0o755)
    (repo.folder / ".gitattributes").write_text("* diff=evil filter=evil\n")
    after = repo.commit(a="2")
    for key in (
        "core.fsmonitor", "diff.external", "diff.evil.textconv", "diff.evil.command",
        "filter.evil.clean", "core.pager", "core.sshCommand", "core.gitProxy",
        "credential.helper", "uploadpack.packObjectsHook",
    ):  # fmt: skip
        repo.git("config", key, str(trap))
    for hook in ("post-checkout", "pre-auto-gc", "reference-transaction", "post-index-change"):
        (repo.folder / ".git" / "hooks").mkdir(exist_ok=True)
        shutil.copy(trap, repo.folder / ".git" / "hooks" / hook)
    other = Repo(tmp_path / "other")
    other.commit(b="1")
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(trap))
    git = GitRepository(repo.folder)
    assert await git.commit(MAIN) == after
    touched = await git.touched(before, after, ("**",))
    assert touched.files == ("A .gitattributes", "M a")
    assert not sprung.exists()
