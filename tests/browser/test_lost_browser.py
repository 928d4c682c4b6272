"""A browser that is lost costs the test that had it, and no other."""

import psutil
import pytest

from tests.browser.chromium import TestChromium

pytestmark = pytest.mark.browser


def test_the_next_test_has_another_one(session_chromium: TestChromium, chromium: object) -> None:
    processes = psutil.Process().children(recursive=True)
    browser = next(process for process in processes if process.name().startswith("chrom"))
    browser.kill()
    browser.wait(10)
    page = session_chromium.browser.new_page()
    page.set_content("<p>Here</p>")
    assert page.inner_text("p") == "Here"
    page.close()
