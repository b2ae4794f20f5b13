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
        if tag in ("td", "th"):
            self.inside = True
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


SVG = "{http://www.w3.org/2000/svg}"


def front(points, prefers_high=False):
    """The points, cost and value, that no other one beats."""
    sign = -1 if prefers_high else 1
    return {(cost, value) for cost, value in points
            if not any(other <= cost and sign * worth <= sign * value and (other, worth) != (cost, value)
                       for other, worth in points)}


def text_of(element):
    return " ".join("".join(element.itertext()).split())


def test_a_report_has_every_strategy_and_the_numbers_of_the_json():
    with scratch() as folder:
        page, numbers = os.path.join(folder, "report.html"), os.path.join(folder, "numbers.json")
        answer = espalier(
            "compare", "example:digits-resnet", "--samples", 128, "--steps", 3, "--workers", 0,
            "--validation", "example:digits-resnet/held-out",
            "--strategies", "greedy,beam:2,beam:3,random,magnitude", "--report", page, "--json", numbers)
        assert answer.code == 0, answer.errors
        text = open(page, encoding="utf-8").read()
        found = json.load(open(numbers))
        names = [entry["strategy"] for entry in found["strategies"]]
        # The page is XML too, and needs nothing from elsewhere.
        root = xml.etree.ElementTree.fromstring(text.replace("<!DOCTYPE html>", ""))
        assert not re.findall(r"(?:src|href)=|<script|url\(", text)
        figures = root.findall(".//figure")
        charts = [figure.find(f"{SVG}svg") for figure in figures]
        assert len(charts) == 4, len(charts)
        # What was asked for, with what, and when.
        facts = {text_of(name): text_of(value) for name, value in zip(root.iter("dt"), root.iter("dd"))}
        assert facts["command"].startswith("espalier compare example:digits-resnet --samples 128 "), facts
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, by Espalier \d+\.\d+\.\d+", facts["made"]), facts
        assert "right class" in facts["loss"] and f"{found['base']['flops']:,} FLOPs" in facts["unpruned model"], facts
        assert "baseline" in facts["random:0, random:1, random:2"] and "3 best states" in facts["beam:3"], facts
        cells = Cells()
        cells.feed(text)
        levels = {(row[0], row[1]): row for row in cells.rows if row and row[0].isdigit()}
        for entry in found["strategies"]:
            for step in entry["path"]:
                row = levels[str(step["step"]), entry["strategy"]]
                assert abs(float(row[2]) - step["measured"]["loss"]) <= 5e-4 * step["measured"]["loss"], row
                assert row[4] == f"{step['measured']['parameters']:,}" and row[5] == f"{step['measured']['flops']:,}"
                assert all(edge in row[-1] for edge in step["removed"]), (row, step)
                assert re.search(r"\d+:\d+ \(.+\)", row[-1]), row
        # A long table is folded.
        assert any("Every step" not in text_of(fold) and f"{len(levels)} states" in text_of(fold)
                   for fold in root.iter("details")), len(levels)
        # Axes say what they are relative to, and every line has a look of its own; a family has one colour.
        assert "FLOPs left, % of the unpruned model's" in list(charts[0].itertext())
        styles = [path.get("style") for path in charts[0].iter(f"{SVG}path") if not path.get("class")]
        looks = [style.rsplit(";", 1)[0] for style in styles if "stroke-width:2.5" not in style]
        assert len(looks) == len(set(looks)) == len(names), looks
        colours = {}
        for name, look in zip(names, looks, strict=True):
            colours.setdefault(name.split(":")[0], set()).add(look.split(";")[0])
        assert all(len(group) == 1 for group in colours.values()), colours
        assert len(set.union(*colours.values())) == len(colours) == 4, colours
        legend = [text_of(item) for item in figures[0].findall(".//li")]
        assert legend == [*names, "Pareto front"], legend
        # One dot per state and strategy, the unpruned model among them.
        dots = [mark for mark in charts[0].iter() if mark.find(f"{SVG}title") is not None]
        assert len(dots) == sum(1 + len(entry["path"]) for entry in found["strategies"])
        # Every chart has rings around its own front.
        states = [(found["base"], found["baseValidation"])] + [
            (step["measured"], step["validation"]) for entry in found["strategies"] for step in entry["path"]]
        expected = [
            front([(seen["flops"], seen["loss"]) for seen, _ in states]),
            front([(seen["parameters"], seen["loss"]) for seen, _ in states]),
            front([(seen["flops"], seen["accuracy"]) for seen, _ in states], prefers_high=True),
            front([(seen["flops"], held["loss"]) for seen, held in states])]
        rings = [len(chart.findall(f".//{SVG}circle[@class='front']")) for chart in charts]
        assert rings == [len(points) for points in expected], (rings, expected)


def test_a_report_that_cannot_be_written_is_told():
    answer = espalier(
        "compare", "example:digits-resnet", "--samples", 64, "--steps", 1, "--workers", 0, "--strategies", "greedy",
        "--report", "/nowhere/at/all/report.html")
    assert answer.code == 65 and "/nowhere/at/all" in answer.errors, (answer.code, answer.errors)
