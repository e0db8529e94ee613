"""The MAP's image in a container engine, started as packaged_system starts its layout without one."""

import json
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

IMAGE = "curia-pacs-map"


class EngineSystem:
    """engine : a command as of podman or docker, with its own options
    context : that the image was built of
    """

    USER = 1000

    def __init__(self, engine: str, context: Path) -> None:
        self.engine, self.context = shlex.split(engine), context

    def output_folder(self, path: Path) -> Path:
        """A new folder that the package's user may write to, below folders that he may enter."""
        path.mkdir()
        path.chmod(0o777)
        return path

    def run(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        mounts: Mapping[str, Path] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Start the image once: no network, a read-only root, the image's user.

        mounts : folders by their place in the image
        """
        options = ["--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp"]
        options += [word for key, value in (environment or {}).items() for word in ("--env", f"{key}={value}")]
        options += [word for place, folder in (mounts or {}).items() for word in ("--volume", f"{folder}:{place}")]
        command = [*self.engine, "run", *options, IMAGE, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)

    def described(self) -> dict[str, Any]:
        """What the image says of itself: User, Labels, Entrypoint, Healthcheck."""
        command = [*self.engine, "image", "inspect", IMAGE]
        (image,) = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        config: dict[str, Any] = image["Config"]
        return config | {"Healthcheck": config.get("Healthcheck") or image.get("Healthcheck")}
