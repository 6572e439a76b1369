"""deploy/eks/push.sh, with programs in place of `aws` and `docker` that record what they are asked."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.deploy.overlays import IGNORED, of_kind, render

AWS = """#!/bin/sh
echo "aws $*" >> "$LOG"
case "$*" in
    "sts get-caller-identity"*) echo 123456789012 ;;
    "ecr get-login-password") echo secret ;;
    "ecr describe-repositories"*) test -e "$REGISTRY/$4" ;;
    "ecr create-repository"*) touch "$REGISTRY/$4" ;;
    "ecr describe-images"*) test -e "$REGISTRY/$4:${6#imageTag=}" ;;
esac
"""
DOCKER = """#!/bin/sh
echo "docker $*" >> "$LOG"
case "$1" in
    login) cat > /dev/null ;;
    push) touch "$REGISTRY/${2##*/}" ;;
esac
"""
REGISTRY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit that has deploy/."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "deploy", folder / "deploy", ignore=shutil.ignore_patterns(*IGNORED))
    shutil.copy(ROOT / ".gitignore", folder)
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "First"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *command], cwd=folder, check=True)
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "models.config").write_text("model_config_list {}")
    return folder


def push(checkout: Path, *arguments: str, **variables: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run the script; return its result and the commands that it ran."""
    programs, registry, log = (checkout.parent / name for name in ("programs", "registry", "log"))
    programs.mkdir(exist_ok=True)
    registry.mkdir(exist_ok=True)
    for name, code in (("aws", AWS), ("docker", DOCKER)):
        (programs / name).write_text(code)
        (programs / name).chmod(0o755)
    log.write_text("")
    environment = {
        **os.environ,
        **variables,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "LOG": str(log),
        "REGISTRY": str(registry),
        "AWS_REGION": "eu-west-1",
    }
    command = [str(checkout / "deploy" / "eks" / "push.sh"), *arguments]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return result, log.read_text().splitlines()


def test_images_are_pushed_once_with_the_commit_as_their_tag(checkout: Path) -> None:
    result, commands = push(checkout)
    assert result.returncode == 0, result.stderr
    commit = subprocess.check_output(["git", "rev-parse", "--short=12", "HEAD"], cwd=checkout, text=True).strip()
    pushed = [each.removeprefix("docker push ") for each in commands if each.startswith("docker push ")]
    assert pushed == [f"{REGISTRY}/traffic-sign-{name}:{commit}" for name in ("service", "ui")]
    created = [each for each in commands if "create-repository" in each]
    assert len(created) == 2
    assert all("--image-tag-mutability IMMUTABLE" in each and "scanOnPush=true" in each for each in created)
    assert "make deploy OVERLAY=eks-pushed" in result.stdout

    result, commands = push(checkout)
    assert result.returncode == 0, result.stderr
    assert not [each for each in commands if "create-repository" in each or each.startswith(("docker b", "docker p"))]


def test_overlay_has_the_pushed_images_and_leaves_git_clean(checkout: Path, models: Path) -> None:
    overlay = checkout / "deploy" / "kubernetes" / "overlays" / "eks-pushed"
    for arguments, names in (((), {"service", "ui"}), ((str(models),), {"service", "ui", "tf-serving"})):
        result, commands = push(checkout, *arguments, PUBLIC_URL="http://signs.example.org:9696")
        assert result.returncode == 0, result.stderr
        assert subprocess.check_output(["git", "status", "--porcelain"], cwd=checkout, text=True) == ""
        images = yaml.safe_load((overlay / "kustomization.yaml").read_text())["images"]
        assert {each["newName"] for each in images} == {f"{REGISTRY}/traffic-sign-{name}" for name in names}
        render.cache_clear()
        manifests = render(overlay)
        used = [
            container["image"]
            for each in of_kind("Deployment", manifests).values()
            for container in each["spec"]["template"]["spec"]["containers"]
        ]
        assert sorted(used) == sorted(f"{each['newName']}:{each['newTag']}" for each in images)
        maps = of_kind("ConfigMap", manifests).values()
        assert "http://signs.example.org:9696" in [each["data"].get("UI_PUBLIC_URL") for each in maps]
    assert any(f"deploy/tf-serving/Dockerfile {models}" in each for each in commands)


def test_other_models_get_another_tag(checkout: Path, models: Path) -> None:
    """Exported models are not in git, so the commit alone does not tell them apart."""
    tags = set()
    for content in ("one", "two"):
        (models / "weights").write_text(content)
        result, commands = push(checkout, str(models))
        assert result.returncode == 0, result.stderr
        tags |= {each for each in commands if each.startswith("docker push") and "tf-serving" in each}
    assert len(tags) == 2


def test_mistakes_are_refused_before_anything_is_pushed(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result, commands = push(checkout, str(tmp_path / "empty"))
    assert (result.returncode, commands) == (1, [])
    assert "no models.config" in result.stderr
    (checkout / "new.py").write_text("")
    result, commands = push(checkout)
    assert (result.returncode, commands) == (1, [])
    assert "uncommitted files" in result.stderr
