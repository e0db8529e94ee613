"""Carry out every step of a Dockerfile without a container engine, each stage in an overlay on Debian's minbase.

    python tests/docker/carry_out_dockerfiles.py [service] [trainer] [orthanc] [judges] [map]

Needs root, ``build/minbase`` (make test makes it) and the network, since packages are fetched as they are when an image
is built. What is left out of a real build: the base image itself (minbase stands for it), layers, labels, HEALTHCHECK,
and the copying of a folder between stages, which is mounted instead. After the steps the image's command runs as the
image's user on a read-only root without network. What each layer would weigh is printed, minbase standing for the base.
What pip is told by the environment (PIP_FIND_LINKS, PIP_CERT) holds inside, too.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
MINBASE = (ROOT / "build/minbase").resolve()
WORK = ROOT / "build/images"


@dataclass(frozen=True)
class Image:
    """context : what the builder is sent; None is the project. command : to be run at last, and what it has to say"""

    dockerfile: str
    stage: str | None
    command: str
    says: str
    context: str = "."


IMAGES = {
    "service": Image("docker/Dockerfile", "service", "curia-orthanc --help", "Run Curia beside Orthanc"),
    "trainer": Image("docker/Dockerfile", "trainer", "python3 -m trainer pretrain --help", "Train the encoder"),
    "orthanc": Image("docker/orthanc.Dockerfile", None, "/usr/sbin/Orthanc --version", "Orthanc 1."),
    "judges": Image("tests/docker/judges.Dockerfile", None, "nginx -v", "nginx version"),
    "map": Image(
        "docker/map/Dockerfile", None, "/opt/curia/bin/python3 /opt/holoscan/app show pkg", "apiVersion", "build/map"
    ),
}


@dataclass
class Stage:
    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def value(self, step: str, default: str) -> str:
        return next((rest for name, rest in reversed(self.steps) if name == step), default)


def stages_of(dockerfile: Path) -> list[Stage]:
    """FROM lines and what follows each; a name that no FROM gave is a base image."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.startswith("#")]
    stages: list[Stage] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        step, _, rest = line.strip().partition(" ")
        if step == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(name or "last", base))
        elif step and stages:
            stages[-1].steps.append((step, rest))
    return stages


def wanted_stages(stages: list[Stage], last: str) -> Iterator[Stage]:
    """Those that *last* stands on or copies from, in the file's order."""
    needed = {last}
    for stage in reversed(stages):
        if stage.name in needed:
            needed |= {stage.base, *re.findall(r"--from=(\S+)", " ".join(rest for _, rest in stage.steps))}
    return (stage for stage in stages if stage.name in needed)


def script_of(image: Image, folder: Path) -> str:
    """For sh, in a mount namespace of its own."""
    stages = stages_of(ROOT / image.dockerfile)
    last = image.stage or stages[-1].name
    lowers: dict[str, list[str]] = {}
    lines = ["set -eu", "mount --make-rprivate /", f"cd {shlex.quote(str(ROOT / image.context))}"]
    for stage in wanted_stages(stages, last):
        place = folder / stage.name
        for name in ("upper", "work", "root"):
            (place / name).mkdir(parents=True)
        lower = lowers.get(stage.base, [str(MINBASE)])
        lowers[stage.name] = [str(place / "upper"), *lower]
        lines += [
            f"echo '== {stage.name}'",
            f"root={place}/root",
            f"mount -t overlay overlay -o lowerdir={':'.join(lower)},upperdir={place}/upper,workdir={place}/work $root",
            "mount --rbind /dev $root/dev",
            "mount -t proc proc $root/proc",
            # As Debian's image has it: a package that is installed starts no server.
            r"printf '#!/bin/sh\nexit 101\n' > $root/usr/sbin/policy-rc.d; chmod 755 $root/usr/sbin/policy-rc.d",
            "cp /etc/resolv.conf /etc/hosts $root/etc/",
            *shared_by_pip(),
            *(line for step in stage.steps for line in carried_out(step, folder)),
        ]
    final = next(stage for stage in stages if stage.name == last)
    user = final.value("USER", "root")
    environment = " ".join(rest for step, rest in final.steps if step == "ENV")
    lines += [
        *layers_of(final, lowers, folder),
        "mount -t tmpfs tmpfs $root/tmp",
        "mount -o remount,ro $root",
        f"echo '== as {user}: {image.command}'",
        f"exec unshare --net chroot --userspec={user if ':' in user else user + ':' + user} $root "
        f"env --chdir={final.value('WORKDIR', '/')} -i PATH=/usr/sbin:/usr/bin:/bin {environment} {image.command}",
    ]
    return "\n".join(lines)


LAYER = "layer"
"""How a line begins that says what a layer weighs."""


def layers_of(final: Stage, lowers: dict[str, list[str]], folder: Path) -> Iterator[str]:
    """For sh: the base, each stage below the last, what the last copies from another, and what it writes itself."""
    *below, base = lowers[final.name][1:]
    weighed = [("base", base), *((f"stage {Path(place).parent.name}", place) for place in reversed(below))]
    copied = [rest.removeprefix("--from=").split() for step, rest in final.steps if rest.startswith("--from=")]
    weighed += [(f"{target} from {origin}", f"{folder}/{origin}/root{source}") for origin, source, target in copied]
    for name, place in [*weighed, ("its own steps", f"{folder}/{final.name}/upper")]:
        weight = f"$(du --summarize --block-size=MiB --one-file-system {place} | cut -f1)"
        yield f"echo {LAYER} {weight} {shlex.quote(name)}"


def carried_out(step: tuple[str, str], folder: Path) -> list[str]:
    name, rest = step
    if name == "RUN":
        told = " ".join(f"{key}={shlex.quote(value)}" for key, value in told_to_pip().items())
        return [f"chroot $root env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root {told} sh -c {shlex.quote(rest)}"]
    if name == "COPY" and rest.startswith("--from="):
        origin, source, target = rest.removeprefix("--from=").split()
        return [f"mkdir -p $root{target}", f"mount --bind {folder}/{origin}/root{source} $root{target}"]
    if name == "COPY":
        *sources, target = rest.split()
        into = target.endswith("/")
        copy = f"cp -r {' '.join(sources)} $root{target}" if into else f"cp -rT {sources[0]} $root{target}"
        return [f"mkdir -p {'$root' + target if into else f'$(dirname $root{target})'}", copy]
    if name == "WORKDIR":
        return [f"mkdir -p $root{rest}"]
    return []


CERTIFICATES = "/run/pip-certificates.crt"
"""In the image; the system's own file is written anew when a step installs Debian's certificates."""


def told_to_pip() -> dict[str, str]:
    told = {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
    return told | ({"PIP_CERT": CERTIFICATES} if "PIP_CERT" in told else {})


def shared_by_pip() -> Iterator[str]:
    if certificates := os.environ.get("PIP_CERT"):
        yield f"cp {shlex.quote(certificates)} $root{CERTIFICATES}"
    if (wheels := Path(os.environ.get("PIP_FIND_LINKS", ""))).is_absolute():
        yield f"mkdir -p $root{wheels} && mount --bind {wheels} $root{wheels}"


def main(names: list[str]) -> int:
    if not MINBASE.is_dir():
        raise SystemExit(f"{MINBASE} is not there; make build/minbase makes it, as root")
    failed = []
    for name in names or list(IMAGES):
        image, folder = IMAGES[name], WORK / name
        shutil.rmtree(folder, ignore_errors=True)
        began = time.monotonic()
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script_of(image, folder)]
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        well = ended.returncode == 0 and image.says in ended.stdout
        layers = [f"    {line.removeprefix(LAYER)}\n" for line in ended.stdout.splitlines() if line.startswith(LAYER)]
        sys.stdout.write("".join(layers) if well else ended.stdout)
        sys.stdout.write(f"{name}: {'carried out' if well else 'FAILED'}, {time.monotonic() - began:.0f} s\n")
        sys.stdout.flush()
        failed += [] if well else [name]
        shutil.rmtree(folder, ignore_errors=True)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
