"""`espalier compare --report` draws and lists what its JSON has."""

import html.parser
import os
import re
import xml.etree.ElementTree

from program import espalier, scratch
import json


class Cells(html.parser.HTMLParser):
    """The texts of a page's table cells, row by row."""

    def __init__(self):
        super().__init__()
        self.rows, self.inside = [], False

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        self.inside = tag in ("td", "th")
        if self.inside:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def test_a_report_has_every_strategy_and_the_numbers_of_the_json():
    with scratch() as folder:
        page, numbers = os.path.join(folder, "report.html"), os.path.join(folder, "numbers.json")
        answer = espalier(
            "compare", "example:digits-resnet", "--samples", 128, "--steps", 2, "--workers", 0,
            "--strategies", "greedy,beam:2,random,magnitude", "--report", page, "--json", numbers)
        assert answer.code == 0, answer.errors
        text = open(page, encoding="utf-8").read()
        found = json.load(open(numbers))
        # The page is XML too, and needs nothing from elsewhere.
        root = xml.etree.ElementTree.fromstring(text.replace("<!DOCTYPE html>", ""))
        assert not re.findall(r"(?:src|href)=|<script|url\(", text)
        charts = root.findall(".//{http://www.w3.org/2000/svg}svg")
        assert len(charts) == 3, len(charts)
        cells = Cells()
        cells.feed(text)
        levels = {(row[0], row[1]): row for row in cells.rows if row and row[0].isdigit()}
        for entry in found["strategies"]:
            assert entry["strategy"] in charts[0].itertext()
            for step in entry["path"]:
                row = levels[str(step["step"]), entry["strategy"]]
                assert abs(float(row[2]) - step["measured"]["loss"]) <= 5e-4 * step["measured"]["loss"], row
                assert row[4] == str(step["measured"]["parameters"]) and row[5] == str(step["measured"]["flops"])
        # Axes say what they are relative to, and every line has a look of its own.
        titles = list(charts[0].itertext())
        assert "FLOPs left, % of the unpruned model's" in titles, titles
        lines = [path.get("style") for path in charts[0].iter("{http://www.w3.org/2000/svg}path")
                 if not path.get("class")]
        assert len(set(style.rsplit(";", 1)[0] for style in lines)) == len(found["strategies"]), lines
        # One dot per state and strategy, the unpruned model among them.
        dots = [mark for mark in charts[0].iter() if mark.find("{http://www.w3.org/2000/svg}title") is not None]
        assert len(dots) == sum(1 + len(entry["path"]) for entry in found["strategies"])


def test_a_report_that_cannot_be_written_is_told():
    answer = espalier(
        "compare", "example:digits-resnet", "--samples", 64, "--steps", 1, "--workers", 0, "--strategies", "greedy",
        "--report", "/nowhere/at/all/report.html")
    assert answer.code == 65 and "/nowhere/at/all" in answer.errors, (answer.code, answer.errors)
