internal import Cluster
internal import Files
internal import Foundation
internal import Work

/// What a fine-tuning goes on from when it was stopped.
struct TrainingCheckpoint {
    /// What the trainer wrote.
    var trainer: [UInt8]
    /// The best weights so far, and the step after which they were; `nil` before any measurement.
    var best: (step: Int, elements: [Float])?
    /// How it went.
    var curve: TrainingCurve
    /// What the curve's next point is made of.
    var pending: Pending

    /// Steps since the curve's last point.
    struct Pending: Codable {
        var loss = 0.0
        var norm = 0.0
        var steps = 0
    }

    /// Nothing yet.
    init() { (trainer, best, curve, pending) = ([], nil, TrainingCurve(), Pending()) }

    private init(
        trainer: [UInt8], best: (step: Int, elements: [Float])?, curve: TrainingCurve, pending: Pending
    ) {
        (self.trainer, self.best, self.curve, self.pending) = (trainer, best, curve, pending)
    }

    private static let fileName = "checkpoint"

    /// Writes it into a run's folder, complete or not at all.
    ///
    /// - Throws: `FileError`.
    func write(in folder: String) throws {
        var writer = ByteWriter()
        // In two halves: large models have more bytes than a number of four bytes tells.
        writer.write(trainer.count >> 32)
        writer.write(trainer.count & 0xFFFF_FFFF)
        writer.write(raw: trainer)
        writer.write(best?.step ?? 0)
        writer.write(best?.elements.count ?? 0)
        writer.write(raw: best?.elements ?? [])
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        writer.write(String(decoding: try encoder.encode(curve), as: UTF8.self))
        writer.write(String(decoding: try encoder.encode(pending), as: UTF8.self))
        try OutputFile.write(
            ContentHash.content(of: writer.bytes).sha256 + writer.bytes,
            to: folder + "/" + TrainingCheckpoint.fileName)
    }

    /// Reads a run's last one; `nil` where there is none.
    ///
    /// - Throws: `InputError` for a file that is damaged.
    static func read(in folder: String) throws -> TrainingCheckpoint? {
        let path = folder + "/" + fileName
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        guard let data = FileManager.default.contents(atPath: path) else {
            throw InputError("\(path): it cannot be read")
        }
        let bytes = [UInt8](data)
        guard bytes.count > 32, ContentHash.content(of: Array(bytes[32...])).sha256 == Array(bytes[..<32])
        else { throw InputError("\(path): the checkpoint is damaged: remove it to train from the beginning") }
        do {
            var reader = ByteReader(Array(bytes[32...]))
            let count = try reader.number() << 32 | reader.number()
            let trainer = try reader.raw(count)
            let step = try reader.number()
            let elements = try reader.floats(try reader.number())
            let curve = Data(try reader.text(limit: 1 << 30).utf8)
            let pending = Data(try reader.text().utf8)
            try reader.finish()
            return TrainingCheckpoint(
                trainer: trainer, best: elements.isEmpty ? nil : (step, elements),
                curve: try JSONDecoder().decode(TrainingCurve.self, from: curve),
                pending: try JSONDecoder().decode(Pending.self, from: pending))
        } catch { throw InputError("\(path): the checkpoint is damaged: \(error)") }
    }
}
