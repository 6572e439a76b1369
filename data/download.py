"""Download a task's data set from its publisher."""

from pathlib import Path, PurePosixPath

from data.errors import SourceError
from data.task import Task


def download(task: Task, store: Path, *, progress: bool = True) -> list[Path]:
    """Download the task's archives into the store and verify the known MD5 checksums; existing archives are kept.

    Args:
        task: lists the archives of its data set and its scenes.
        store: folder to download to.
        progress: whether to show a progress bar.

    Returns:
        Paths of the archives.

    Raises:
        SourceError: a download failed, or a checksum does not match.
    """
    archives = (*task.data.archives, *(task.scenes.archives if task.scenes else ()))
    if not archives:
        where = f": get {task.data.name} from {task.data.page} and" if task.data.page else ";"
        raise SourceError(
            f"the task {task.name} has no file that can be downloaded without an account{where} use --data PATH"
        )
    import pooch  # imported here because serving must not depend on it
    import requests

    store.mkdir(parents=True, exist_ok=True)
    names = {archive: PurePosixPath(archive.url).name for archive in archives}
    fetcher = pooch.create(
        path=store,
        base_url="",
        registry={name: f"md5:{archive.md5}" if archive.md5 else None for archive, name in names.items()},
        urls={name: archive.url for archive, name in names.items()},
        retry_if_failed=2,
    )
    paths = []
    for archive, name in names.items():
        try:
            paths.append(Path(fetcher.fetch(name, progressbar=progress)))
        except (requests.RequestException, ValueError) as error:
            raise SourceError(f"{archive.url}: download failed: {error}") from error
    return paths
