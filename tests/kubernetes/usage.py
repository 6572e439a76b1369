"""How much CPU time and memory the pods of a Deployment use, by their control groups."""

import json
from dataclasses import dataclass

from tests.kubernetes import cluster

# Run in a pod. Files that were read and can be dropped do not count, as for the kubelet.
PROGRAM = """
import json, pathlib
root = pathlib.Path("/sys/fs/cgroup")
def table(path):
    return dict(line.split() for line in path.read_text().splitlines())
if (root / "cpu.stat").exists():
    cpu_s = int(table(root / "cpu.stat")["usage_usec"]) / 1e6
    used = int((root / "memory.current").read_text()) - int(table(root / "memory.stat")["inactive_file"])
else:
    cpu_s = int((root / "cpuacct/cpuacct.usage").read_text()) / 1e9
    folder = root / "memory"
    used = int((folder / "memory.usage_in_bytes").read_text())
    used -= int(table(folder / "memory.stat")["total_inactive_file"])
print(json.dumps([cpu_s, used]))
"""


@dataclass(frozen=True)
class Usage:
    """CPU time of all pods of a Deployment since their start in seconds, and the memory of the largest in bytes."""

    cpu_s: float
    memory: int


def read_usage(deployment: str) -> Usage:
    """Read what the pods of a Deployment use now."""
    pods = [cluster.name_of(each) for each in cluster.pods(deployment)]
    read = [json.loads(cluster.run_python(pod, PROGRAM)) for pod in pods]
    return Usage(sum(cpu_s for cpu_s, _ in read), max(memory for _, memory in read))
