"""Run the study of every preset (``examples/presets.toml``) and make the README's picture of its page.

``python -m scripts.picture_of_presets DATA`` with DATA a folder that holds ``resnet20.safetensors`` and CIFAR-10, as
docs/networks.md names the files. Minutes; what is known from an earlier run is taken from ``out/studies.sqlite``. Needs
Chromium and its driver, and selenium (extra ``dev``).
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image

from devicekit.common.paths import replacing
from reports import Study, sweep
from reports.sweeps.files import write

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "presets.png"
WIDTH, HEIGHT = 1240, 2170
COLOURS = 96
"""The page is text on white: so few keep the file small, and nobody sees it."""


def study(data: str) -> Study:
    """Return the study with the user's folder of images."""
    found = Study.load(ROOT / "examples" / "presets.toml")
    networks = tuple({**own, "data": data} if isinstance(own, dict) else own for own in found.vary["network"])
    return Study.make(found.model_dump() | {"vary": {**found.vary, "network": networks}})


def picture(page: Path) -> Image.Image:
    """Return the top of a page as a reader sees it."""
    from selenium import webdriver

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        raise SystemExit("Needs Chromium and chromedriver.")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.add_argument(f"--window-size={WIDTH},{HEIGHT}")
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        opened.get(page.resolve().as_uri())
        # The second network, which is the harder one.
        opened.execute_script(
            "const own = document.getElementById('group'); own.value = String(own.options.length - 1);"
            "own.dispatchEvent(new Event('change'));"
        )
        opened.implicitly_wait(1)
        return Image.open(io.BytesIO(opened.get_screenshot_as_png())).convert("RGB")
    finally:
        opened.quit()


def main(data: str) -> None:
    """Run the study and write the picture."""
    asked = study(data)
    result = sweep(asked, ROOT / "out" / "studies.sqlite", name="presets", progress=lambda *told: print(*told))
    save(picture(write(result, asked, ROOT / "out" / "presets")))


def save(seen: Image.Image) -> None:
    """Write the picture small."""
    small = seen.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    with replacing(PICTURE) as temporary:
        small.save(temporary, "PNG", optimize=True)
    print(PICTURE, PICTURE.stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1])
