internal import Dispatch
internal import Report
internal import Synchronization

/// Standard error, for messages and progress.
enum StandardError {
    private static let line = Mutex(ProgressLineWriter(isTerminal: isTerminal))
    /// Looks for another width of the terminal. A signal tells of it too, but would interrupt system calls of other threads.
    // Only created; safe from any thread.
    private nonisolated(unsafe) static let resizing = {
        let timer = DispatchSource.makeTimerSource()
        timer.schedule(deadline: .now(), repeating: .milliseconds(250))
        timer.setEventHandler { line.withLock { $0.refresh() } }
        timer.resume()
        return timer
    }()

    /// Writes text, in place of the progress that is shown.
    static func write(_ text: String) {
        line.withLock { line in
            line.clear()
            FileHandleWriter.write(TerminalText.shown(text), to: 2)
        }
    }

    /// Shows how far the work is; on a terminal ten times a second at most, and in a log once a minute.
    static func show(_ progress: () -> ProgressLine?) {
        if isTerminal { withExtendedLifetime(resizing) {} }
        line.withLock { $0.show(now: .now, progress) }
    }

    /// Takes the progress away.
    static func clear() { line.withLock { $0.clear() } }

    /// Leaves the line on which the terminal shows `^C`; no progress is shown any more.
    static func interrupted() { line.withLock { $0.end() } }

    /// Says that the user stopped the work.
    static func writeInterruption(_ advice: String) { write("espalier: interrupted" + advice + "\n") }

    /// Whether a person is watching.
    static var isTerminal: Bool { Terminal.isTerminal(2) }
}

/// Standard output, for results.
enum StandardOutput {
    /// What cannot be written is told when the program ends.
    static func write(_ text: String) {
        StandardError.clear()
        print(TerminalText.shown(text), terminator: "")
    }

    /// Writes sentences, on a terminal in lines that are broken between words.
    static func writeSentences(_ text: String) {
        write(Terminal.isTerminal(1) ? ParagraphText.filled(text, width: width) : text)
    }

    /// How many characters a line of a table may have: what a terminal shows, else as in a file.
    static var width: Int {
        Terminal.isTerminal(1) ? max(Terminal.columns(1), 40) : TextTable.width
    }
}

/// One line about progress: written over on a terminal, and a line a minute in a log.
private struct ProgressLineWriter {
    private let isTerminal: Bool
    private var began: ContinuousClock.Instant?
    private var lastShown: ContinuousClock.Instant?
    /// What stands on the terminal now: the progress, how many characters of it, and how wide the terminal was.
    private var open: (progress: ProgressLine, length: Int, columns: Int)?
    private var isOver = false

    /// How long a log shows nothing.
    private static let silence = Duration.seconds(60)

    init(isTerminal: Bool) { self.isTerminal = isTerminal }

    mutating func show(now: ContinuousClock.Instant, _ progress: () -> ProgressLine?) {
        let since = lastShown ?? began
        began = began ?? now
        if isTerminal {
            if let last = lastShown, now - last < .milliseconds(100) { return }
            guard !isOver, let progress = progress() else { return }
            draw(progress)
        } else {
            guard let since, now - since > Self.silence, let progress = progress() else { return }
            FileHandleWriter.write(TerminalText.shown("\(progress)\n"), to: 2)
        }
        lastShown = now
    }

    /// Draws the line again where the terminal has another width.
    mutating func refresh() {
        guard let open, Terminal.columns(2) != open.columns else { return }
        draw(open.progress)
    }

    mutating func clear() {
        if let open { FileHandleWriter.write(Self.erasing(open, columns: Terminal.columns(2)), to: 2) }
        open = nil
        if !isTerminal {
            // Another line says how far the work is.
            began = nil
            lastShown = nil
        }
    }

    mutating func end() {
        if isTerminal { FileHandleWriter.write("\n", to: 2) }
        (open, isOver) = (nil, true)
    }

    private mutating func draw(_ progress: ProgressLine) {
        let columns = Terminal.columns(2)
        // The last column stays free: some terminals go to the next line once it is filled.
        let text = TerminalText.shown(progress.text(fitting: columns - 1))
        FileHandleWriter.write(
            (open.map { Self.erasing($0, columns: columns) } ?? "\r\u{1B}[K") + text, to: 2)
        open = (progress, text.count, columns)
    }

    /// Takes the line away. A terminal that has become narrower since has broken it into several rows.
    private static func erasing(_ open: (ProgressLine, length: Int, columns: Int), columns: Int) -> String {
        let rows = max(0, open.length - 1) / max(1, columns)
        return rows > 0 ? "\u{1B}[\(rows)A\r\u{1B}[J" : "\r\u{1B}[K"
    }
}
