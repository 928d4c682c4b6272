"""axe-core on every page, light and dark, at the width of a phone and of a desk: no rule of it is broken. And no page
is wider than a phone.

Over sample data. What only colours can break is looked at in both themes, all else once at each width. In the usual
depth of the tests each page is looked at in one theme at one width, by turns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import pytest
from playwright.sync_api import Page, ViewportSize

from tests.browser.conftest import Visit
from tests.browser.screenshots import PAGES, SIZES
from tests.browser.test_behaviour import ADDRESSES, COOKIES
from tests.depth import by_depth

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE: Final = Path(__file__).parents[2] / "edge-api/frontend/node_modules/axe-core/axe.min.js"
WAITING: Final = {"prog_second_step": "waiting-keyed"}
SECOND_STEPS: Final = {
    "account-second-step-passkey": "/account/sign-in/second-step",
    "account-second-step-app": "/account/sign-in/second-step?use=totp",
    "account-second-step-code": "/account/sign-in/second-step?use=recovery_code",
}
EVERYWHERE: Final[list[tuple[str, dict[str, str], str]]] = [
    *((name, COOKIES[who], path.format(**ADDRESSES)) for name, (who, path) in PAGES.items()),
    *((name, WAITING, path) for name, path in SECOND_STEPS.items()),
]

PHONE: Final = "390"
Look = tuple[str, Literal["light", "dark"], bool]
"""Width, theme, and whether it is for what colours can break alone."""
ALL_LOOKS: Final[list[Look]] = [(width, scheme, scheme == "dark") for width in SIZES for scheme in ("light", "dark")]
ONE_LOOK: Final[list[Look]] = [(width, scheme, False) for width, scheme, _ in ALL_LOOKS]
TURNS: Final = len(ONE_LOOK)
"""In so many tests are the pages: with another look in each, in the usual depth."""

RUN: Final = """
async (colours) => {
  // A change of theme runs from parents to children: where one transition ends, the next begins.
  for (let still = 0; still < 2; still++) {
    await new Promise(requestAnimationFrame);
    const changing = document.getAnimations().filter((each) => each instanceof CSSTransition);
    if (changing.length) still = -1;
    await Promise.allSettled(changing.map((each) => each.finished));
  }
  const found = await axe.run(document, {
    resultTypes: ["violations"],
    iframes: false, // a mail's frame is a site of its own, which lets nothing in
    preload: { assets: ["media"] }, // and no styles, which only experimental rules ask for that are not run
    ...(colours ? { runOnly: { type: "rule", values: ["color-contrast", "link-in-text-block"] } } : {}),
  });
  return found.violations.flatMap((broken) => broken.nodes.map((node) => `${broken.id} at ${node.target.join(" ")}`));
}
"""

TOO_WIDE: Final = "document.documentElement.scrollWidth > innerWidth"
BESIDE: Final = """
() => [...document.querySelectorAll(".people")].some((list) =>
  [...list.children].some((line, place, all) => place > 0 && line.offsetTop <= all[place - 1].offsetTop))
"""
"""Whether a list has lines beside one another."""

HOLD_TINT: Final = """
() => {
  document.querySelectorAll("tbody tr").forEach((row) => row.classList.add("is-fresh"));
  const tints = document.getAnimations().filter((each) => each.animationName === "fresh");
  tints.forEach((each) => { each.pause(); each.currentTime = 0; });
  return tints.length;
}
"""


@pytest.fixture
def look(visit: Visit) -> Visit:
    """As `visit`, and every page has axe-core from its beginning: the browser is sent and compiles it once for all."""
    script = f"if (window === window.top) {{ {AXE.read_text()} }}"

    def open_page(**options: Any) -> Page:
        page = visit(**options)
        page.add_init_script(script)
        return page

    return open_page


@pytest.mark.parametrize("turn", range(TURNS))
def test_no_page_keeps_anybody_out_or_is_wider_than_a_phone(look: Visit, sample: str, turn: int) -> None:
    """At an address that has a name, so that what is about passkeys is shown too. Each page is loaded once."""
    base = sample.replace("127.0.0.1", "localhost")
    page = look(base_url=base)
    broken: list[str] = []
    too_wide: list[str] = []
    beside: list[str] = []
    looks = by_depth(usual=[ONE_LOOK[turn % len(ONE_LOOK)]], thorough=ALL_LOOKS)
    for name, cookies, address in EVERYWHERE[turn::TURNS]:
        page.context.clear_cookies()
        page.context.add_cookies([{"name": key, "value": value, "url": base} for key, value in cookies.items()])
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(viewport(PHONE))
        page.goto(address)
        if page.evaluate(TOO_WIDE):
            too_wide.append(name)
        if page.evaluate(BESIDE):
            beside.append(name)
        for width, scheme, colours in looks:
            page.set_viewport_size(viewport(width))
            page.emulate_media(color_scheme=scheme)
            broken += [f"{name} at {width}, {scheme}: {found}" for found in page.evaluate(RUN, colours)]
    assert (too_wide, beside) == ([], [])
    assert broken == [], "\n".join(broken)


def viewport(width: str) -> ViewportSize:
    across, down = SIZES[width]
    return {"width": across, "height": down}


def test_an_event_that_has_just_arrived_is_read_on_its_tint(look: Visit, sample: str) -> None:
    """Held where the tint is strongest: a moment that the look at all pages only meets by chance."""
    page = look(base_url=sample, reduced_motion="no-preference")
    page.context.add_cookies(
        [{"name": key, "value": value, "url": sample} for key, value in COOKIES["operator"].items()]
    )
    page.goto("/admin/events")
    broken: list[str] = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        held = page.evaluate(HOLD_TINT)
        assert held > 0
        broken += [f"{scheme}: {found}" for found in page.evaluate(RUN, True)]
    assert broken == []


def test_this_would_see_what_is_wrong(look: Visit, sample: str) -> None:
    page = look(base_url=sample)
    page.goto("/")
    page.evaluate(
        """() => {
          const image = document.createElement("img");
          const faint = Object.assign(document.createElement("p"), { textContent: "Faint" });
          document.querySelector("main").append(image, faint);
          faint.style.color = "#ccc";
          faint.style.background = "#fff";
        }"""
    )
    found = page.evaluate(RUN, False)
    assert [rule for rule in ("image-alt", "color-contrast") if not any(rule in item for item in found)] == []
