"""The README is true: its Python runs, its commands and files exist."""
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_python_blocks_run_in_their_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert BLOCKS
    namespace = {"__name__": "readme"}
    for number, block in enumerate(BLOCKS, 1):
        exec(compile(block, f"README.md, python block {number}", "exec"), namespace)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md", *sorted(
    f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))])
def test_links_lead_to_files(page):
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / link).exists(), f"{page} links to {link}"


def test_source_files_named_for_reading_exist():
    guide = README.partition("## Reading the source")[2].partition("\n## ")[0]
    for name in re.findall(r"`(src/[\w./]+)`", guide):
        assert (ROOT / name).exists(), f"the README sends readers to {name}"


def test_commands_of_the_door_are_documented():
    import runpy

    commands = runpy.run_path(str(ROOT / "run.py"))["COMMANDS"]
    pages = README + (ROOT / "docs" / "building.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    for command in commands:
        assert f"python3 run.py {command}" in pages
