"""docs/lesson.md, typed from the first command to the last: each prints what is shown."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.shell_session import alike, files, shown, typed

PAGE = (Path(__file__).parents[2] / "docs" / "lesson.md").read_text(encoding="utf-8")

VARYING = (
    (r"[ \t]+", " "),
    (r"data in \S+|the cluster in \S+", "in HOME"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME"),
    (r"j-\d{8}-\d{4}", "JOB"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"\b(\d+ min )?\d+(\.\d+)? s\b", "SECONDS"),
    (r"datanode-\d( \(dead\))?(, datanode-\d( \(dead\))?){2,}", "REPLICAS"),
    (r"^ ?\d+ \d+( 1 \d+ REPLICAS)", r"OFFSET CHUNK\1"),
    (r"/../[0-9a-f]{16}-0{15}1", "/CHUNK"),
    (r"\d of 9 maps", "MOST of 9 maps"),
    (r"(on a node that holds its input|away from its input: .*)", "PLACE"),
    (r"worker-\d (node|remote:.*?)? ?SECONDS", "WORKER PLACE SECONDS"),
    (r"worker-\d", "WORKER"),
    (r"\bm-0000\d", "MAP"),
    (r"\d+ records in, 416 out, \d+ bytes", "SOME records in, 416 out, SOME bytes"),
    (r"(bytes:map_output) \d+", r"\1 SOME"),
)


def test_every_section_is_in_the_timetable() -> None:
    sections = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    slugs = [name.lower().replace(" ", "-") for name in sections]
    assert slugs == re.findall(r"\]\(#([^)]+)\)", PAGE)


def test_the_lesson(tmp_path: Path) -> None:
    for name, text in files(PAGE).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    lesson = shown(PAGE)
    answers = typed([command for command, _ in lesson], tmp_path, tmp_path / "cluster")
    for (command, output), (code, printed) in zip(lesson, answers, strict=True):
        assert alike(printed, VARYING) == alike(output, VARYING), command
        assert code == 0, command
