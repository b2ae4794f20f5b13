/// What is wrong with a data file, or with what was asked of it, as a sentence that names file and array.
public struct DatasetError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The classes of problems, for callers that decide by them.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        /// The file cannot be opened or read.
        case unreadableFile
        /// The file cannot be written.
        case unwritableFile
        /// The zip structure is damaged, hostile or of a kind that NumPy does not write.
        case malformedArchive
        /// An array's `.npy` header or data are damaged.
        case malformedArray
        /// Stored bytes do not have the checksum that the archive claims for them.
        case checksumMismatch
        /// An array would not fit in this machine's memory.
        case tooLarge
        /// Strings, objects, complex numbers and structured types are not read.
        case unsupportedElementType
        /// The archive holds no array of that name.
        case missingArray
        /// The array's element type does not suit its purpose.
        case elementTypeMismatch
        /// The array's shape does not suit its purpose.
        case shapeMismatch
        /// Arrays disagree on the number of samples, or there are too few.
        case sampleCount
        /// An array holds a value that its purpose excludes.
        case invalidValue
        /// A setting (number of shards, block size, …) is out of its range.
        case invalidSetting
    }

    /// The class of problem.
    public let kind: Kind
    /// The file, as the caller named it.
    public var file: String?
    /// The array within the file.
    public var array: String?
    /// The rest of the sentence.
    public let problem: String

    /// Makes an error; `problem` is a clause that can follow "file: array 'x': ".
    public init(_ kind: Kind, _ problem: String, file: String? = nil, array: String? = nil) {
        self.kind = kind
        self.problem = problem
        self.file = file
        self.array = array
    }

    /// The whole sentence: file, array, problem.
    public var description: String {
        var text = ""
        if let file { text += "\(file): " }
        if let array { text += "array '\(array)': " }
        return text + problem
    }

    /// The same error, with file and array filled in where it did not know them.
    func located(file: String? = nil, array: String? = nil) -> DatasetError {
        var copy = self
        copy.file = copy.file ?? file
        copy.array = copy.array ?? array
        return copy
    }
}

/// Runs `body` and fills in file and array of the error it throws.
func locating<R>(
    file: String? = nil, array: String? = nil, _ body: () throws(DatasetError) -> R
) throws(DatasetError) -> R {
    do { return try body() } catch { throw error.located(file: file, array: array) }
}
