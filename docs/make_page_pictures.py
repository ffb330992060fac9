"""Makes the pictures of the pages in docs/images: the bundled suite's report, and its comparison with the plain vote.

    python docs/make_page_pictures.py

Runs the suite twice with its recorded answers, then opens the pages in the machine's Chromium. Needs Docker, Chromium
and the extra `dev`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import tomli_w
from playwright.sync_api import Page, ViewportSize, sync_playwright

from swerl_eval.demo.setup import demo_settings

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
PROGRAM = Path(sys.executable).parent / "swerl-eval"
DATASET = "swerl_eval/demo/suite"
"""What the pages show in place of this machine's path."""
INSTANCE = "demo__inkwell-2"
DESKTOP = ViewportSize(width=1200, height=860)
PHONE = ViewportSize(width=375, height=720)


def make_runs(folder: Path) -> None:
    """Carry out the suite with tests and by the plain vote."""
    settings = {key: value for key, value in demo_settings().items() if key != "run_id"}
    vote = {"tests": 0, "test_samples": 0, "regression": False, "evaluate": "selected"}
    for name, own in (("with tests", {}), ("plain vote", vote)):
        config = folder / f"{name}.toml"
        config.write_text(tomli_w.dumps(settings | own), encoding="utf-8")
        swerl_eval(folder, "run", "--config", str(config), "--results", str(folder), "--run-id", name)
        manifest = folder / name / "run.json"
        content = json.loads(manifest.read_bytes())
        content["config"]["dataset"] = DATASET
        manifest.write_text(json.dumps(content), encoding="utf-8")
        swerl_eval(folder, "report", name, "--format", "html")
    swerl_eval(folder, "compare", "plain vote", "with tests", "--results", ".", "--format", "html", "-o", "c.html")


def swerl_eval(folder: Path, *arguments: str) -> None:
    """Run a command of the program."""
    subprocess.run([PROGRAM, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def shoot(page: Page, name: str) -> None:
    """Take a picture of what is in sight."""
    page.wait_for_timeout(300)
    page.screenshot(path=IMAGES / f"{name}.png")


def main() -> None:
    """Make all pictures."""
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        folder = Path(place)
        make_runs(folder)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        report = (folder / "with tests" / "report.html").as_uri()
        pictures = (
            ("report", report, DESKTOP),
            ("report-dark", report, DESKTOP),
            ("report-phone", report, PHONE),
            ("report-instance", f"{report}#open={INSTANCE}", DESKTOP),
            ("comparison", (folder / "c.html").as_uri(), DESKTOP),
        )
        for name, address, size in pictures:
            context = browser.new_context(viewport=size, color_scheme="dark" if name.endswith("dark") else "light")
            page = context.new_page()
            page.goto(address)
            if name == "report-instance":
                page.get_by_role("button", name="Chosen patch and gold patch").click()
            shoot(page, name)
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
