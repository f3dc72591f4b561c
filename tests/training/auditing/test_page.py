# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""The page of an audit, opened from its file in a real browser that has no network."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.auditing.page import write_page

LABELS = ["neutral", "happy", "sad", "</script><script>window.hacked = 1</script>"]
HEADER = ["sample_id", "content_hash", "given_label", "decision", "label"]
# What people and programs call files.
IDS = [
    'a, "quoted" name',
    "two\nlines",
    "=1+1",
    "</script><script>window.hacked = 2</script>",
    "<img src=x onerror='window.hacked = 3'>",
    "Gesicht Ü 笑 😀",
    " spaces ",
    "__proto__",
]


def make_row(sample_id: str, index: int, given: int, probabilities, agreement: float = 1.0, **more) -> dict:
    """A row of the table; noisy where the clips are sure of another label."""
    probabilities = np.array(probabilities, dtype=np.float32)
    predicted = int(probabilities.argmax())
    noisy = predicted != given and probabilities[predicted] - probabilities[given] > 0.8
    return {
        "sample_id": sample_id,
        "path": f"videos/{sample_id}.mp4",
        "content_hash": f"{index:016x}",
        "split": "train",
        "fold": None,
        "epoch": None,
        "given_label": LABELS[given],
        "predicted_label": LABELS[predicted],
        "suggested_label": LABELS[predicted] if noisy else None,
        "probabilities": probabilities,
        "label_quality": probabilities[given],
        "margin": probabilities[given] - np.delete(probabilities, given).max(),
        "clip_agreement": agreement,
        "clip_std": 0.01,
        "num_valid_clips": 4,
        "loss": -np.log(probabilities[given]),
        "weight": 0.0 if noisy else 1.0,
        "partition": "noisy" if noisy else "hard" if agreement <= 0.75 else "clean",
        "num_frames": 100 - index % 90,
        "decode_ok": True,
        **more,
    }


def unreadable_row(sample_id: str) -> dict:
    row = make_row(sample_id, 999, 0, [1.0, 0, 0, 0])
    return {**{name: None for name in row}, "sample_id": sample_id, "given_label": "neutral", "decode_ok": False}


def summarise(rows: list[dict], **more) -> dict:
    return {
        "title": "Audit of <b>faces</b>",
        "dataset": "faces & more",
        "split": "train",
        "model": "rdfer-small",
        "model_revision": None,
        "out_of_sample": True,
        "folds": 5,
        "source": "audit",
        "label_names": LABELS,
        "rule": ["Noisy: the clips agree by more than 0.8.", "Hard: agreement of at most 0.75."],
        "partition_by_class": {
            label: {
                partition: sum(row["given_label"] == label and row["partition"] == partition for row in rows)
                for partition in ("clean", "hard", "noisy")
            }
            for label in LABELS
        },
        "joint": (np.eye(4) * 0.21 + 0.01).tolist(),
        "confused_pairs": [{"given": "sad", "true": "happy", "share": 0.012, "count": 3}],
        "agreement_loss": {
            "noisy_loss_threshold": float("inf"),
            "hard_agreement_threshold": 0.75,
        },
        "truth": None,
        "unreadable": [
            {"sample_id": row["sample_id"], "reason": "cut <i>off</i>"} for row in rows if not row["decode_ok"]
        ],
        "reproducibility": {"seed": "0", "torch": "2.14"},
        **more,
    }


def make_card(clips) -> dict:
    """Six frames, centres of clips at the first ones."""
    frames = []
    for shade in range(6):
        file = io.BytesIO()
        Image.new("RGB", (48, 48), (40 * shade, 90, 120)).save(file, "WEBP")
        frames.append(file.getvalue())
    times = [0.04 * index for index in range(5)] + [None]
    return {"frames": frames, "frame_times": times, "clips": clips, "clip_frames": list(range(len(clips)))}


HAPPY, FLAT = [0.01, 0.97, 0.01, 0.01], [0.4, 0.3, 0.2, 0.1]


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """Names that are hard to write down, all noisy; then hard, clean and unreadable ones, of plain names."""
    probabilities = [[0.02 - 0.002 * i, 0.96 + 0.002 * i, 0.01, 0.01] for i in range(len(IDS))]
    return [
        make_row("clean-1", 20, 1, HAPPY),
        *(make_row(name, i, 0, probabilities[i]) for i, name in enumerate(IDS)),
        make_row("hard-1", 21, 2, FLAT, agreement=0.5),
        make_row("hard-2", 22, 3, [0.02, 0.45, 0.529, 0.001], agreement=0.25),
        make_row("other", 23, 3, [0.005, 0.005, 0.98, 0.01]),
        unreadable_row("broken"),
    ]


@pytest.fixture(scope="module")
def small_page(rows, tmp_path_factory) -> Path:
    """With cards for all suspicious ones but "other"."""
    path = tmp_path_factory.mktemp("page") / "audit.html"
    write_page(path, rows, summarise(rows), {name: make_card([HAPPY, HAPPY, FLAT]) for name in IDS})
    return path


@pytest.fixture(scope="module")
def large_page(tmp_path_factory) -> Path:
    rng = np.random.default_rng(0)
    rows = [
        make_row(f"video-{i:04d}", i, int(rng.integers(4)), probabilities, agreement=rng.integers(1, 5) / 4)
        for i, probabilities in enumerate(rng.dirichlet([0.3] * 4, 5000).clip(1e-6))
    ]
    path = tmp_path_factory.mktemp("page") / "large.html"
    noisy = sorted((row for row in rows if row["partition"] == "noisy"), key=lambda row: row["label_quality"])
    cards = {row["sample_id"]: make_card([row["probabilities"]] * 4) for row in noisy[:100]}
    write_page(path, rows, summarise(rows, out_of_sample=False, folds=None), cards)
    return path


@pytest.fixture
def visit(browser):
    """Opens a page's file. Any request but for the file, and any error in the console, fails the test."""
    contexts, trouble = [], []

    def open_page(path: Path, width: int = 1280, **options):
        context = browser.new_context(
            viewport={"width": width, "height": 850}, offline=True, reduced_motion="reduce", **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("console", lambda message: message.type in ("error", "warning") and trouble.append(message.text))
        page.on(
            "request",
            lambda request: request.url.startswith((path.as_uri(), "blob:", "data:")) or trouble.append(request.url),
        )
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


def ids(page) -> list[str]:
    """Of the rows of the table that are there."""
    return page.locator("#videos tbody tr[data-row] > th").all_text_contents()


def card_ids(page) -> list[str]:
    return page.locator(".card:not([hidden]) h3 > span:first-child").all_text_contents()


def column(page, key: str) -> list[str]:
    place = page.evaluate(
        "key => [...document.querySelectorAll('#videos thead th')].findIndex(h => h.dataset.key == key)", key
    )
    return page.locator(f"#videos tbody tr[data-row] > :nth-child({place + 1})").all_text_contents()


def by_id(page, kind: str, sample_id: str):
    """The card ("article") or row ("tr") of a video."""
    index = page.evaluate(
        "id => { const d = JSON.parse(document.getElementById('data').textContent);"
        " return d.rows.findIndex((row) => row[d.columns.indexOf('sample_id')] === id); }",
        sample_id,
    )
    return page.locator(f"{kind}[data-row='{index}']")


def draw(card) -> None:
    """Scrolls to a card and waits until it is laid out. Before (content-visibility) its inner text is empty."""
    card.scroll_into_view_if_needed()
    card.locator("img").last.wait_for()
    card.page.wait_for_function("card => card.querySelector('.clips').innerText", arg=card.element_handle())


def downloaded(page) -> list[list[str]]:
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "decisions.csv"
    text = Path(download.value.path()).read_bytes().decode("utf-8")
    header, *lines = csv.reader(io.StringIO(text, newline=""))
    assert header == HEADER
    return lines


def test_the_overview_says_what_was_found(visit, small_page):
    page = visit(small_page)
    assert page.title() == page.inner_text("h1") == "Audit of <b>faces</b>"
    text = page.inner_text("body")
    assert "Out-of-sample" in text and "(5 folds)" in text and page.locator(".badge.in-sample").count() == 0
    assert [tile.split("\n") for tile in page.locator(".tiles li").all_inner_texts()] == [
        ["13", "videos"],
        ["9", "noisy (69.2 %)"],
        ["2", "hard (15.4 %)"],
        ["1", "clean (7.7 %)"],
        ["1", "unreadable"],
    ]
    assert "Noisy: the clips agree by more than 0.8." in page.inner_text(".rule")
    cells = page.locator("#matrix tbody tr:first-child > *").all_inner_texts()
    assert cells == ["neutral", "8 100.0 %", "0 0.0 %", "0 0.0 %", "8"]
    assert "neutral may be wiped out: 8 of its 8 videos" in " ".join(page.inner_text("#labels").split())
    assert ids(page)[-4:] == [
        "hard-2",
        "hard-1",
        "clean-1",
        "broken",
    ]  # though no label is less probable than hard-2's
    assert page.locator("#pairs tbody tr").all_inner_texts() == ["sad\thappy\t3\t1.2 %"]
    assert page.locator("#joint tbody tr:first-child td").all_inner_texts()[:2] == ["22.0 %", "1.0 %"]
    assert "Cards for the 8 most suspicious of 9 videos judged noisy" in page.inner_text("#cards")
    assert page.inner_text("#unreadable li") == "broken: cut <i>off</i>"
    assert "Not for decisions about people" in page.inner_text("#limits")
    assert "torch" in page.inner_text("#facts") and page.locator("#truth").count() == 0
    legend = [text.strip() for text in page.locator("#legend li").all_inner_texts()]
    assert legend == ["9 noisy: no loss is high enough", "2 hard: agreement at most 0.75", "1 clean"]


def test_cards_show_frames_and_clips_and_names_are_text(visit, small_page, rows):
    page = visit(small_page)
    assert card_ids(page) == IDS[::-1]  # the most suspicious first
    card = by_id(page, "article", IDS[0])
    draw(card)
    assert card.locator(".verdict").inner_text() == "given neutral → suggested happy"
    assert "label quality\n0.020" in card.locator(".measures").inner_text()
    assert card.locator(".strip li").all_inner_texts() == [
        *("0.00 s clip 1", "0.04 s clip 2", "0.08 s clip 3"),
        *("0.12 s", "0.16 s", "frame 6"),
    ]
    assert card.locator(".clips li").all_inner_texts() == [
        "Video: happy 0.96, neutral 0.02",
        *("Clip 1, 0.00 s: happy 0.97, neutral 0.01", "Clip 2, 0.04 s: happy 0.97, neutral 0.01"),
        "Clip 3, 0.08 s: neutral 0.40",
    ]
    for name in IDS:
        draw(by_id(page, "article", name))
    page.wait_for_function("() => [...document.images].every(image => image.complete)")
    assert page.evaluate("[...document.images].map(i => i.naturalWidth)") == [48] * 6 * len(IDS)
    alternatives = page.evaluate("[...document.images].map(i => i.alt)")
    assert all(alternatives) and f"{IDS[0]}, frame 3 of 6 at 0.08 s, centre of clip 3" in alternatives
    assert page.evaluate("window.hacked") is None
    assert set(ids(page)) == {row["sample_id"] for row in rows}


@pytest.mark.parametrize("width", [1280, 390])
def test_a_still_is_shown_once_beside_its_verdict(visit, tmp_path, width):
    row = make_row("face.png", 0, 0, [0.01, 0.97, 0.01, 0.01], num_frames=1)
    card = make_card([HAPPY, HAPPY])
    card |= {"frames": card["frames"][:1], "frame_times": [None], "clip_frames": [0, 0]}
    path = tmp_path / "stills.html"
    write_page(path, [row], summarise([row]), {"face.png": card})
    page = visit(path, width)
    shown = by_id(page, ".card", "face.png")
    draw(shown)
    assert shown.locator("img").count() == 1 and shown.locator("img").get_attribute("alt") == "face.png"
    words = shown.locator(".clips").inner_text()
    assert "Image: happy" in words and "Views 1: happy" in words and "frame" not in words
    image, verdict = (shown.locator(part).bounding_box() for part in ("img", ".verdict"))
    assert image["x"] + image["width"] <= verdict["x"] and image["width"] >= 70
    assert "its clips are groups of these views" in " ".join(page.locator(".words").first.text_content().split())


def test_filters_and_search(visit, small_page):
    page = visit(small_page)
    page.select_option("[name=partition]", "hard")
    assert ids(page) == ["hard-2", "hard-1"] and card_ids(page) == []
    assert page.is_visible("#no-card")
    assert page.inner_text("#shown") == "2 of 13 videos, 0 of 8 cards"
    page.select_option("[name=given]", "sad")
    assert ids(page) == ["hard-1"]
    page.click("button[type=reset]")
    page.wait_for_function("() => document.querySelector('#shown').textContent.startsWith('13 ')")
    page.select_option("[name=predicted]", "sad")
    assert ids(page) == ["other", "hard-2"]
    page.click("button[type=reset]")
    page.wait_for_function("() => document.querySelector('#shown').textContent.startsWith('13 ')")
    page.select_option("[name=partition]", "unreadable")
    assert ids(page) == ["broken"]
    page.select_option("[name=partition]", "all")
    page.fill("[name=search]", "GESICHT ü")
    assert ids(page) == card_ids(page) == [IDS[5]]
    page.fill("[name=search]", "")
    by_id(page, "tr", "other").locator("[data-do=drop]").click()
    page.select_option("[name=decision]", "drop")
    assert ids(page) == ["other"]


def test_sorting_by_mouse_and_keyboard(visit, small_page):
    page = visit(small_page)
    head = page.locator("th[data-key=num_frames]")
    assert head.get_attribute("aria-sort") == "none"
    assert page.get_attribute("th[data-key=rank]", "aria-sort") == "ascending"
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    values = column(page, "num_frames")
    assert values[-1] == "–" and [int(v) for v in values[:-1]] == sorted(int(v) for v in values[:-1])  # noqa: RUF001
    assert values[:2] == ["77", "78"] and "100" in values  # as numbers, "100" would be first as text
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    values = column(page, "num_frames")
    assert values[0] == "100" and values[-1] == "–"  # noqa: RUF001
    page.click("th[data-key=sample_id] button")
    assert head.get_attribute("aria-sort") == "none"
    assert ids(page).index("broken") < ids(page).index("clean-1") < ids(page).index("hard-1")
    page.click("th[data-key=partition] button")
    assert column(page, "partition") == ["noisy"] * 9 + ["hard"] * 2 + ["clean", "unreadable"]


def test_decisions_come_back_from_the_file_exactly(visit, small_page, rows, tmp_path):
    page = visit(small_page, accept_downloads=True)
    given = {row["sample_id"]: row["given_label"] for row in rows}
    hashes = {row["sample_id"]: row["content_hash"] or "" for row in rows}
    assert page.is_disabled("#download") and page.is_disabled("#undo")
    expected = {}

    def expect(name, decision, label=""):
        expected[name] = [name, hashes[name], given[name], decision, label]

    for i, name in enumerate(IDS):  # by mouse, on cards
        card = by_id(page, "article", name)
        card.scroll_into_view_if_needed()
        decision = ("keep", "relabel", "drop")[i % 3]
        if i == 4:
            card.locator("select").select_option(LABELS[3])
        card.locator(f"[data-do={decision}]").click()
        assert card.locator(f"[data-do={decision}]").get_attribute("aria-pressed") == "true"
        expect(name, decision, (LABELS[3] if i == 4 else "happy") if decision == "relabel" else "")
    for name, decision in (("broken", "drop"), ("clean-1", "keep")):  # in rows, also of what has no card
        by_id(page, "tr", name).locator(f"[data-do={decision}]").click()
        expect(name, decision)
    row = by_id(page, "tr", "hard-1")
    row.locator("select").select_option("happy")
    row.locator("[data-do=relabel]").click()
    row.locator("select").select_option("neutral")  # another label while it is decided: the decision goes along
    expect("hard-1", "relabel", "neutral")
    assert page.inner_text("#decided") == "11 decided: 4 keep, 4 relabel, 3 drop"
    lines = downloaded(page)
    assert {line[0]: line for line in lines} == expected and len(lines) == len(expected)

    page.reload()  # the browser has kept them
    assert page.inner_text("#decided") == "11 decided: 4 keep, 4 relabel, 3 drop"
    assert downloaded(page) == lines

    # Another browser, which knows nothing, goes on from the file; what does not fit is left out.
    other = visit(small_page)
    assert other.inner_text("#decided") == "Nothing decided yet"
    path = tmp_path / "decisions.csv"
    strangers = [["unknown", "0", "sad", "keep", ""], ["other", "changed", LABELS[3], "drop", ""]]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *lines, *strangers])
    other.set_input_files("#file", path)
    other.wait_for_function("() => document.querySelector('#kept').textContent.includes('11 decisions loaded')")
    assert "2 were left out" in other.inner_text("#kept")
    assert downloaded(other) == lines
    other.click(".more summary")
    other.click("#clear")
    assert other.inner_text("#decided") == "Nothing decided yet"
    other.click("#undo")
    assert downloaded(other) == lines


def test_decisions_by_keyboard_and_undo(visit, small_page):
    page = visit(small_page)
    first, second = by_id(page, "article", IDS[-1]), by_id(page, "article", IDS[-2])
    first.focus()
    first.locator("select").wait_for()
    for key, text in (
        ("r", "Decided: relabel to happy"),
        ("k", "Decided: keep"),
        ("d", "Decided: drop"),
        ("d", ""),  # the same again takes it back
        ("u", "Decided: drop"),
        ("u", "Decided: keep"),
    ):
        page.keyboard.press(key)
        assert first.locator(".state").text_content() == text
    assert by_id(page, "tr", IDS[-1]).locator("[data-do=keep]").get_attribute("aria-pressed") == "true"  # its row, too
    page.keyboard.press("n")
    assert second.evaluate("card => card === document.activeElement")
    page.keyboard.press("p")
    assert first.evaluate("card => card === document.activeElement")
    first.locator("select").focus()
    page.keyboard.press("k")  # belongs to the list of labels, as does Ctrl+D to the browser
    page.keyboard.press("Control+d")
    assert page.inner_text("#decided") == "1 decided: 1 keep, 0 relabel, 0 drop"
    page.click("#undo")
    page.click("#undo")
    assert page.inner_text("#decided") == "Nothing decided yet" and page.is_disabled("#undo")

    # A row without a suggestion: no label is taken for granted.
    row = by_id(page, "tr", "clean-1")
    assert row.locator("select").input_value() == ""
    row.locator("[data-do=keep]").focus()
    page.keyboard.press("r")
    assert row.locator("select").evaluate("choice => choice === document.activeElement")
    assert page.inner_text("#decided") == "Nothing decided yet"
    assert row.locator("option").all_text_contents() == ["choose …", "neutral", "sad", LABELS[3]]  # not the given one


def test_many_rows_of_which_few_are_in_the_document(visit, large_page):
    page = visit(large_page)
    assert page.inner_text("#shown").startswith("5000 of 5000 videos, 100 of 100 cards")
    assert page.get_attribute("#videos", "aria-rowcount") == "5001"
    assert page.locator("#videos tbody tr").count() < 60
    assert page.locator("#card-list img").count() < 100 * 6  # cards far below wait
    last = page.evaluate("JSON.parse(document.getElementById('data').textContent).rows.at(-1)[0]")
    page.focus("#scroller")
    for key, shown in (("End", last), ("Home", None)):
        page.keyboard.press(key)
        page.wait_for_function(
            "shown => (e => e && e.getAttribute('aria-rowindex') === shown)(document.querySelector("
            "`#videos tbody tr[aria-rowindex='${shown}']`))",
            arg="5001" if shown else "2",
        )
        assert page.locator("#videos tbody tr").count() < 60
        if shown:
            assert ids(page)[-1] == shown
            box, inside = (page.locator(s).last.bounding_box() for s in ("#scroller", "#videos tbody tr[data-row]"))
            assert box["y"] <= inside["y"] and inside["y"] + inside["height"] <= box["y"] + box["height"] + 1
    page.evaluate("document.querySelector('#scroller').scrollTop = 100000")
    page.wait_for_function("() => !document.querySelector('#videos tbody tr[aria-rowindex=\"2\"]')")
    indices = page.locator("#videos tbody tr[data-row]").evaluate_all(
        "rows => rows.map(r => +r.getAttribute('aria-rowindex'))"
    )
    assert indices == list(range(indices[0], indices[0] + len(indices)))
    page.fill("[name=search]", "video-4999")
    assert ids(page) == ["video-4999"]

    # A mark of the map leads to its row.
    page.fill("[name=search]", "")
    page.locator("#plot svg").scroll_into_view_if_needed()
    mark = page.locator("#plot path.noisy").first
    box = page.locator("#plot svg").bounding_box()
    x, y = mark.evaluate("path => path.getAttribute('d').match(/^M([\\d.]+),([\\d.]+)/).slice(1).map(Number)")
    page.mouse.move(box["x"] + x, box["y"] + y + 4.5)
    named = page.inner_text("#readout").split(":")[0]
    assert named.startswith("video-")
    page.mouse.down()
    page.mouse.up()
    assert page.locator("#videos tr.found > th").text_content() == named


def test_in_sample_is_loud(visit, large_page):
    page = visit(large_page)
    assert "In-sample: the model may have been trained on the videos" in page.inner_text(".notice.loud")
    headings = page.locator("h1, #overview h2, #labels h2, #map h2, #cards h2, #table h2").all_inner_texts()
    assert len(headings) == 6 and all("in-sample" in heading for heading in headings)
    assert "in-sample" in page.inner_text("#toolbar")
    assert "this one is in-sample" in page.inner_text("#limits")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(visit, small_page, scheme):
    page = visit(small_page, width=360, color_scheme=scheme)
    by_id(page, "article", IDS[0]).scroll_into_view_if_needed()
    by_id(page, "article", IDS[0]).locator("select").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    light = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(value => value > 200)")
    assert light == (scheme == "light")
    page.click("#filters summary")
    page.select_option("[name=partition]", "hard")
    assert ids(page) == ["hard-2", "hard-1"]


def test_what_may_be_missing_or_not_a_number(visit, tmp_path):
    """No videos at all; and one video that every column is unknown of, with a truth to compare with."""
    path = tmp_path / "audit.html"
    write_page(path, [], summarise([], source="training run", out_of_sample=False, folds=None), {})
    page = visit(path)
    assert "taken while the model was trained on these videos" in page.inner_text(".notice.loud")
    assert page.inner_text("#shown").startswith("0 of 0 videos") and "No video has scores" in page.inner_text("#plot")

    row = {**make_row("only", 0, 0, HAPPY), "loss": float("inf"), "label_quality": float("nan"), "true_label": "happy"}
    metric = {"value": 0.9, "low": 0.85, "high": 0.95}
    truth = [
        {"score": "loss", "auroc": metric, "auprc": 0.5, "precision_at_k": {"k": 10, **metric}, "hard_vs_noisy": None}
    ]
    write_page(path, [row], summarise([row], truth=truth), {})
    page = visit(path)
    assert column(page, "loss") == column(page, "label_quality") == ["–"]  # noqa: RUF001
    assert column(page, "true_label") == ["happy"] and column(page, "margin") == ["-0.96"]
    assert page.locator("#truth thead th").all_inner_texts()[3] == "Precision among the 10 most suspicious"
    interval = "0.900 (0.850 to 0.950)"
    assert page.locator("#truth tbody td").all_inner_texts() == [interval, "0.500", interval, "–"]  # noqa: RUF001


def test_a_browser_that_keeps_nothing_says_so(visit, small_page):
    page = visit(small_page)
    page.evaluate("void (Storage.prototype.setItem = () => { throw new DOMException('no', 'QuotaExceededError'); })")
    by_id(page, "tr", "other").locator("[data-do=drop]").click()
    assert "does not store decisions" in page.inner_text("#kept")
    assert [line[0] for line in downloaded(page)] == ["other"]


def test_the_page_says_whose_cards_it_has(rows, tmp_path):
    path, card = tmp_path / "audit.html", make_card([HAPPY])
    quiet = [row for row in rows if row["partition"] != "noisy"]
    noisy = [row["sample_id"] for row in rows if row["partition"] == "noisy"]
    for kept, names, sentence in (
        (rows, noisy, "Cards for all 9 videos judged noisy."),
        (rows, [*noisy, "hard-1"], "Cards for all 9 videos judged noisy, and for 1 other with large losses."),
        (quiet, ["hard-1", "hard-2"], "No video was judged noisy. Cards for the 2 with the largest loss."),
        (rows, [], "This page has no cards with frames"),
    ):
        write_page(path, kept, summarise(kept), {name: card for name in names})
        assert sentence in path.read_text(encoding="utf-8")


def test_cards_that_do_not_fit_are_refused(rows, tmp_path):
    card = make_card([HAPPY])
    for cards, message in (
        ({"nowhere": card}, "card for 'nowhere', but no row"),
        ({"other": {**card, "frame_times": [0.0]}}, "card of 'other' has 6 frames and 1 times"),
        ({"other": {**card, "clip_frames": [6]}}, r"`clip_frames` of 'other' are \[6\]: it has 6 frames"),
    ):
        with pytest.raises(ValueError, match=message):
            write_page(tmp_path / "audit.html", rows, summarise(rows), cards)
    assert not (tmp_path / "audit.html").exists()
