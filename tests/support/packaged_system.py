"""The MAP's image without a container engine: its Dockerfile's last stage, carried out in a mount namespace.

Debian's minbase with Python stands for the base image and the tests' own packages for those that the image's first
stage would download; the COPY and RUN lines and the project's wheel are the real ones. Nothing stays mounted.
"""

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
MINBASE = ROOT / "build/minbase"

_SYSTEM = """
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs {scratch}
mkdir {scratch}/upper {scratch}/work {scratch}/packages-upper {scratch}/packages-work {scratch}/root
root={scratch}/root
mount -t overlay overlay -o lowerdir={minbase},upperdir={scratch}/upper,workdir={scratch}/work $root
mount --rbind /dev $root/dev
mount -t proc proc $root/proc
chroot $root python3 -m venv --without-pip /opt/curia
packages=$root/opt/curia/lib/python3.11/site-packages
mount -t overlay overlay \
    -o lowerdir={packages},upperdir={scratch}/packages-upper,workdir={scratch}/packages-work $packages
mkdir $root/tmp/wheels
cp {context}/wheels/* $root/tmp/wheels
chroot $root sh -c '/opt/curia/bin/python3 -m pip install --quiet --no-index --no-deps --force-reinstall \
    --no-cache-dir --disable-pip-version-check --root-user-action ignore /tmp/wheels/curia_pacs-*.whl'
{steps}
mount -t tmpfs tmpfs $root/tmp
{mounts}
mount -o remount,ro $root
exec chroot --userspec={user}:{user} $root env --chdir={workdir} -i PATH=/usr/bin:/bin {environment} {command}
"""


class PackagedSystem:
    """context : of docker/map/map_context.py
    scratch : empty folder, a mount point for the run's own files
    """

    USER = 1000

    def __init__(self, context: Path, scratch: Path) -> None:
        self.context, self.scratch = context, scratch

    def output_folder(self, path: Path) -> Path:
        """A new folder that the package's user may write to, below folders that he may enter."""
        path.mkdir()
        path.chmod(0o777)
        return path

    def run(
        self,
        arguments: Sequence[str],
        *,
        entry: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        mounts: Mapping[str, Path] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Start the image once: no network, a read-only root, the image's user.

        entry : instead of the image's own
        mounts : folders by their place in the image
        """
        final = _last_stage(self.context / "Dockerfile")
        binds = [
            # Through the image's own links: /var/run is one.
            f"place=$(chroot $root realpath --canonicalize-missing {place})\n"
            f"mkdir -p $root$place\nmount --bind {shlex.quote(str(folder))} $root$place"
            for place, folder in (mounts or {}).items()
        ]
        script = _SYSTEM.format(
            scratch=shlex.quote(str(self.scratch)),
            minbase=MINBASE.resolve(),
            packages=(ROOT / ".venv").resolve() / "lib/python3.11/site-packages",
            context=shlex.quote(str(self.context)),
            steps="\n".join(self._steps(final)),
            mounts="\n".join(binds),
            user=self.USER,
            workdir=_value(final, "WORKDIR"),
            environment=" ".join(
                [_value(final, "ENV"), *(f"{key}={value}" for key, value in (environment or {}).items())]
            ),
            command=shlex.join([*(entry or _words(_value(final, "ENTRYPOINT"))), *arguments]),
        )
        command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", script]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    def _steps(self, lines: Sequence[str]) -> list[str]:
        steps = []
        for line in lines:
            step, _, rest = line.partition(" ")
            if step == "COPY" and "--from" not in rest:
                source, target = rest.split()
                steps.append(f"mkdir -p $(dirname $root{target}) && cp -rT {self.context}/{source} $root{target}")
            elif step == "RUN":
                steps.append(f"chroot $root sh -c {shlex.quote(rest)}")
        return steps


def _last_stage(dockerfile: Path) -> list[str]:
    text = dockerfile.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    last = max(number for number, line in enumerate(lines) if line.startswith("FROM "))
    return lines[last + 1 :]


def _value(lines: Sequence[str], step: str) -> str:
    return next(line.partition(" ")[2] for line in lines if line.startswith(f"{step} "))


def _words(array: str) -> list[str]:
    return [word.strip(' "') for word in array.strip("[]").split(",")]
