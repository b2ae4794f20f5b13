import Foundation
import Testing

@testable import Report

@Suite struct TextTests {
    @Test func numbersAreAlignedToTheRightAndTextToTheLeft() {
        var table = TextTable(["edge", "loss", "share", "name"])
        table.append(["4:1", "0.25", "5.0%", "a"])
        table.append(["16:0", "12.5", "-", "long name"])
        table.append(["7:0", "-1e-05"])
        #expect(
            table.description == """
                edge    loss  share  name
                4:1     0.25   5.0%  a
                16:0    12.5      -  long name
                7:0   -1e-05

                """)
        #expect(
            table.markdown == """
                | edge | loss | share | name |
                | --- | ---: | ---: | --- |
                | 4:1 | 0.25 | 5.0% | a |
                | 16:0 | 12.5 | - | long name |
                | 7:0 | -1e-05 |  |  |

                """)
    }

    @Test func aTableWithoutRowsIsItsTitles() {
        #expect(TextTable(["edge", "loss"]).description == "edge  loss\n")
    }

    @Test func charactersAreCountedNotBytes() {
        var table = TextTable(["a", "b"])
        table.append(["é", "x"])
        table.append(["ab", "y"])
        #expect(table.description == "a   b\né   x\nab  y\n")
    }

    @Test(arguments: [
        (0, "0"), (999, "999"), (1000, "1,000"), (123_456, "123,456"), (1_234_567, "1,234,567"),
        (-1000, "-1,000"),
        (Int.min, "-9,223,372,036,854,775,808"),
    ])
    func countsHaveThousandsSeparators(count: Int, text: String) {
        #expect(NumberText.grouped(count) == text)
    }

    @Test(arguments: [
        (0.44, "0.4 s"), (9.94, "9.9 s"), (13.2, "13 s"), (59.4, "59 s"), (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.6, "1 h 00 min"), (3725, "1 h 02 min"), (86_400, "1 d 00 h"), (273_600, "3 d 04 h"),
        (.infinity, "?"),
        (.nan, "?"), (-1, "?"),
    ])
    func durationsHaveAtMostTwoUnits(seconds: Double, text: String) {
        #expect(NumberText.duration(seconds) == text)
    }

    @Test func progressTellsShareRateAndTimeLeft() {
        // 120 in 4 s are 30/s; 456 are left: 15.2 s.
        let line = ProgressLine(label: "level 3", unit: "blocks", done: 120, total: 576, elapsed: 4)
        #expect(line.description == "level 3: 120 of 576 blocks (20.8%), 30.0/s, 15 s left")
    }

    @Test func progressDoesNotCountWhatAnEarlierRunHadDone() {
        // 20 of the 120 in 4 s are 5/s; 456 are left: 91.2 s.
        let line = ProgressLine(
            label: "level 3", unit: "blocks", done: 120, total: 576, doneBefore: 100, elapsed: 4)
        #expect(line.description == "level 3: 120 of 576 blocks (20.8%), 5.00/s, 1 min 31 s left")
    }

    @Test func progressTowardsAnEstimateSaysAbout() {
        // 120 in 4 s are 30/s; 180 are left: 6 s.
        let line = ProgressLine(
            label: "step 3", unit: "block evaluations", done: 120, total: 300, elapsed: 4, isEstimate: true)
        #expect(
            line.description == "step 3: 120 of about 300 block evaluations (40.0%), 30.0/s, about 6.0 s left"
        )
    }

    @Test func progressLosesFirstWhatMattersLeastWhereALineIsShort() {
        let line = ProgressLine(
            label: "step 3", unit: "block evaluations", done: 120, total: 300, elapsed: 4, isEstimate: true,
            details: ["4 of 9 candidates decided"])
        let texts = [
            "step 3: 120 of about 300 block evaluations (40.0%), 30.0/s, about 6.0 s left; 4 of 9 candidates decided",
            "step 3: 120 of about 300 block evaluations (40.0%), about 6.0 s left; 4 of 9 candidates decided",
            "step 3: 120 of about 300 block evaluations (40.0%), about 6.0 s left",
            "step 3: 120 of about 300 (40.0%), about 6.0 s left",
            "step 3: 120 of about 300, about 6.0 s left",
            "step 3: 120 of about 300",
        ]
        #expect(line.text(fitting: 1000) == line.description)
        for (text, shorter) in zip(texts, texts.dropFirst() + ["step 3: 120 of about 3…"]) {
            #expect(line.text(fitting: text.count) == text)
            #expect(line.text(fitting: text.count - 1) == shorter)
        }
    }

    @Test func progressOfOneThingIsInTheSingular() {
        #expect(
            ProgressLine(label: "masks", unit: "masks", done: 0, total: 1, elapsed: 0).description
                == "masks: 0 of 1 mask (0.0%)")
    }

    @Test func progressWithNothingToTellFromSaysNoRate() {
        #expect(
            ProgressLine(label: "a", unit: "tasks", done: 0, total: 9, elapsed: 0).description
                == "a: 0 of 9 tasks (0.0%)")
        #expect(
            ProgressLine(label: "a", unit: "tasks", done: 0, total: 0, elapsed: 5).description
                == "a: 0 of 0 tasks")
        #expect(
            ProgressLine(label: "a", unit: "tasks", done: 9, total: 9, elapsed: 3).description
                == "a: 9 of 9 tasks (100.0%), 3.00/s")
    }

    @Test func thePathAsCSVHasAllDigitsAndQuotesWhatNeedsIt() throws {
        #expect(
            PathCSV(try sampleSummary()).description
                == [
                    "step,node,slot,consumer,tensor,loss,lossChange,accuracy,parameters,flops",
                    "0,,,,,0.5,0.0,0.8,2000,1234567",
                    "1,1,1,sum,x,0.75,0.25,0.6,1500,1000000",
                    // 0.1 + 0.2 − 0.5 in binary64.
                    "2,2,0,\"scale, \"\"last\"\"\",y,0.30000000000000004,-0.19999999999999996,0.9,1000,500000",
                    "",
                ].joined(separator: "\r\n"))
    }

    @Test func aTableIsAtMostAHundredCharactersWideAndItsLongestTextsGiveWay() {
        var table = TextTable(["edge", "loss", "tensor", "consumer"])
        let long = String(repeating: "a", count: 70) + String(repeating: "z", count: 70)
        table.append(["12:0", "0.25", long, "short"])
        table.append(["3:1", "1.5", "middle", String(repeating: "é", count: 60)])
        let lines = table.description.split(separator: "\n")
        #expect(lines.allSatisfy { $0.count <= 100 } && lines.contains { $0.count == 100 })
        #expect(lines[1].contains("12:0") && lines[1].contains("short"))
        // Both ends of a name tell something.
        #expect(lines[1].contains("aaaa…zzzz"))
        #expect(lines[2].contains("middle"))
        #expect(table.markdown.contains(long))
    }

    @Test func aTitleOfTwoLinesStandsAboveItsColumnAndInMarkdownInOneLine() {
        var table = TextTable(["step", "held-out\nloss"])
        table.append(["1", "0.5"])
        #expect(table.description == "      held-out\nstep      loss\n   1       0.5\n")
        #expect(table.markdown.hasPrefix("| step | held-out loss |\n"))
    }

    @Test func aTableThatIsTooWideBreaksTitlesAndListsAndLeavesOutWhatCanBeMissed() {
        var table = TextTable(
            ["removed", "held-out accuracy", "change"], lists: ["removed"], dispensable: ["change"])
        table.append(["31:0 47:0 channels@12:0(8)", "99.5", "+0.0001"])
        let one = "removed                     held-out accuracy   change\n"
        #expect(table.text(width: 54) == one + "31:0 47:0 channels@12:0(8)               99.5  +0.0001\n")
        // Titles first.
        #expect(
            table.text(width: 53)
                == "                            held-out\n"
                + "removed                     accuracy   change\n"
                + "31:0 47:0 channels@12:0(8)      99.5  +0.0001\n")
        // Then lists.
        #expect(
            table.text(width: 40)
                == "                       held-out\nremoved                accuracy   change\n"
                + "31:0 47:0                  99.5  +0.0001\nchannels@12:0(8)\n")
        // Then a column; nothing that commands take is ever cut.
        #expect(
            table.text(width: 30)
                == "                      held-out\nremoved               accuracy\n"
                + "31:0 47:0                 99.5\nchannels@12:0(8)\n")
        #expect(table.text(width: 10) == table.text(width: 26))
    }

    @Test func columnsGoBeforeNamesAreCutToLittle() {
        let (name, other) = (String(repeating: "a", count: 30), String(repeating: "b", count: 30))
        var table = TextTable(["edge", "consumer", "tensor"], dispensable: ["tensor"])
        table.append(["1:0", name, other])
        // Both at 20 characters would take 48.
        #expect(table.text(width: 48).contains("…"))
        #expect(table.text(width: 47) == "edge  consumer\n1:0   \(name)\n")
        #expect(table.text(width: 18) == "edge  consumer\n1:0   aaaaa…aaaaaa\n")
    }

    @Test func sentencesAreFilledToAWidthAndKeepTheirIndentation() {
        #expect(
            ParagraphText.filled("one two three\n  four five six\n\nshort\n", width: 10)
                == "one two\nthree\n  four\n  five six\n\nshort\n")
    }

    @Test(arguments: [
        ("abcdef", 6, "abcdef"), ("abcdefg", 6, "ab…efg"), ("abcdefg", 1, "…"), ("äöüß", 3, "ä…ß"),
    ])
    func aTextIsCutInItsMiddle(text: String, width: Int, cut: String) {
        #expect(TerminalText.cut(text, to: width) == cut)
    }

    @Test(arguments: [("abcdef", 6, "abcdef"), ("abcdefg", 6, "abcde…"), ("abc", 0, "…")])
    func aLineIsClippedAtItsEnd(line: String, width: Int, clipped: String) {
        #expect(TerminalText.clipped(line, to: width) == clipped)
    }

    @Test(arguments: [
        (0, "0 samples"), (1, "1 sample"), (2, "2 samples"), (1234, "1,234 samples"),
    ])
    func aNumberOfThingsHasTheRightForm(count: Int, text: String) {
        #expect(NumberText.counted(count, "sample") == text)
    }

    @Test func theSummaryTellsPathFrontsAndSavedWork() throws {
        let text = SummaryText(try sampleSummary(last: 2)).plain
        #expect(
            text.hasPrefix(
                """
                beam:2 pruning by exact loss (cross-entropy)

                40 samples in blocks of 8, 2 shards, 4 workers, 1 min 05 s

                Path
                step  edge  tensor  consumer       loss  change  accuracy  parameters  of all      FLOPs  of all
                   0                                0.5      +0    80.00%       2,000  100.0%  1,234,567  100.0%
                   1  1:1   x       sum            0.75   +0.25    60.00%       1,500   75.0%  1,000,000   81.0%
                   2  2:0   y       scale, "last"     2    +1.5    90.00%       1,000   50.0%    500,000   40.5%

                """))
        #expect(text.contains("\nPareto front of loss and parameters\nremovals  loss  change"))
        // 20 of 40 are half.
        #expect(
            text.hasSuffix(
                """

                Work
                measured 20 of 40 blocks (2 times fewer than brute force); with perfect foresight 17
                7 removals tried, in 11 tasks; a block is one set of removals on up to 8 samples

                """))
    }

    @Test func theSummaryInMarkdownHasHeadingsAndTables() throws {
        let text = SummaryText(try sampleSummary(last: 2)).markdown
        #expect(text.hasPrefix("# beam:2 pruning by exact loss (cross-entropy)\n\n40 samples"))
        #expect(text.contains("\n## Path\n\n| step | edge | tensor |"))
        #expect(
            text.contains(
                "| 1 | 1:1 | x | sum | 0.75 | +0.25 | 60.00% | 1,500 | 75.0% | 1,000,000 | 81.0% |\n"))
    }
}
