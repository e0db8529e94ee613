"""The pages become a site without a warning: no dead link, no page that no reader finds."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_site_builds_without_a_warning_and_asks_no_other_host(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    page = (tmp_path / "index.html").read_text()
    loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"', page)
    assert [address for address in loaded if "canonical" not in address] == []
    reference = (tmp_path / "reference" / "domain.html").read_text()
    assert "<li><code>frame_of_reference_uid</code>: empty when the source names none</li>" in reference
