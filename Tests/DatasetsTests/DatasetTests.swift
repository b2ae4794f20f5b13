import Testing

@testable import Datasets

/// A data set fits its model or says what does not fit.
struct DatasetTests {
    private let image = InputSpecification(name: "image", elementType: .float32, shape: [nil, 2])

    private func read(
        _ arrays: [(String, NumpyArray)], _ inputs: [InputSpecification]? = nil, limit: Int? = nil
    ) throws -> Dataset {
        try Dataset(
            NumpyArchive(bytes: NumpyArchive.encode(arrays), path: "data.npz"), inputs: inputs ?? [image],
            limit: limit)
    }

    private func floats(_ shape: [Int], _ values: [Float]) throws -> NumpyArray {
        try NumpyArray(shape: shape, values: values)
    }

    private func images(_ count: Int = 3) throws -> NumpyArray {
        try floats([count, 2], (0..<count * 2).map { Float($0) })
    }

    private func failure(
        _ arrays: [(String, NumpyArray)], _ inputs: [InputSpecification]? = nil, limit: Int? = nil
    ) -> DatasetError? {
        #expect(throws: DatasetError.self) { try read(arrays, inputs, limit: limit) }
    }

    @Test func gathersRowsInTheOrderAsked() throws {
        let data = try read([
            ("image", images()), ("labels", NumpyArray(shape: [3], values: [5, 6, 7] as [UInt8])),
        ])
        #expect(data.samples == 3)
        #expect(try data.gather([2, 0, 2], from: "image") == floats([3, 2], [4, 5, 0, 1, 4, 5]))
        #expect(try data.gather(1..<3, from: "labels") == NumpyArray(shape: [2], values: [6, 7] as [Int64]))
        #expect(try data.gather([], from: "image").shape == [0, 2])
        #expect(throws: DatasetError.self) { try data.gather([3], from: "image") }
        #expect(throws: DatasetError.self) { try data.gather([0], from: "weights") }
    }

    @Test func slicesReadBackFromTheirArchive() throws {
        let data = try read([
            ("image", images()), ("weights", floats([3], [1, 0, 2])),
            ("targets", floats([3, 1], [7, 8, 9])),
        ])
        let slice = try data.slice(1..<3)
        #expect(slice.samples == 2)
        #expect(try slice.gather([0], from: "targets") == floats([1, 1], [8]))
        #expect(try read(slice.namedArrays) == slice)
        #expect(throws: DatasetError.self) { try data.slice(1..<4) }
        #expect(throws: DatasetError.self) { try data.slice(1..<1) }
    }

    @Test func theOnlyArrayServesTheOnlyInput() throws {
        #expect(
            try read([("x", images()), ("labels", NumpyArray(shape: [3], values: [0, 1, 2] as [Int32]))])
                .arrays["image"] == images())
        let error = try failure([("x", images()), ("y", images())])
        #expect(error?.kind == .missingArray)
        #expect(
            error?.description
                == "data.npz: there is no array for the model's input 'image'; the file holds 'x', 'y'")
    }

    @Test func oneArrayFilesAreNamedInput() throws {
        let specification = InputSpecification(name: "input", elementType: .float32, shape: [nil, 3])
        let data = try Dataset(contentsOf: Fixtures.path("version2.npy"), inputs: [specification])
        // numpy.arange(6).reshape(2, 3), kept in Fortran order in the file.
        #expect(data.arrays["input"] == (try floats([2, 3], [0, 1, 2, 3, 4, 5])))
    }

    @Test func limitTakesTheFirstSamples() throws {
        #expect(try read([("image", images())], limit: 2).arrays["image"] == images(2))
        #expect(try failure([("image", images())], limit: 4)?.kind == .sampleCount)
        #expect(try failure([("image", images())], limit: 0)?.kind == .invalidSetting)
        #expect(try failure([("image", floats([0, 2], []))])?.kind == .sampleCount)
    }

    @Test func elementTypesConvertOnlyWithoutGuessing() throws {
        let wide = try NumpyArray(shape: [1, 2], values: [1, 2] as [Double])
        let half = try NumpyArray(shape: [1, 2], values: [1, 2] as [Float16])
        #expect(try read([("image", wide)]).arrays["image"] == floats([1, 2], [1, 2]))
        #expect(try read([("image", half)]).arrays["image"] == floats([1, 2], [1, 2]))
        let bytes = try failure([("image", NumpyArray(shape: [1, 2], values: [1, 2] as [UInt8]))])
        #expect(bytes?.kind == .elementTypeMismatch)
        #expect(bytes?.description.contains("array.astype(np.float32) / 255") == true)

        let tokens = InputSpecification(name: "tokens", elementType: .int64, shape: [nil, nil])
        let small = try NumpyArray(shape: [1, 3], values: [1, 2, 3] as [Int32])
        #expect(
            try read([("tokens", small)], [tokens]).arrays["tokens"]
                == NumpyArray(shape: [1, 3], values: [1, 2, 3] as [Int64]))
        #expect(try failure([("tokens", images())], [tokens])?.kind == .elementTypeMismatch)
    }

    @Test func shapesMustAgreeWhereTheModelFixesThem() throws {
        let error = try failure([("image", floats([2, 3], [0, 0, 0, 0, 0, 0]))])
        #expect(error?.kind == .shapeMismatch)
        #expect(
            error?.description.contains("[2, 3], but the model's input 'image' wants [samples, 2]") == true)
        #expect(try failure([("image", floats([2], [0, 0]))])?.kind == .shapeMismatch)
        #expect(try failure([("image", floats([], [0]))])?.kind == .shapeMismatch)
        let fixed = InputSpecification(name: "image", elementType: .float32, shape: [1, 2])
        #expect(try read([("image", images())], [fixed]).samples == 3)
        let unknown = InputSpecification(name: "image", elementType: .float32, shape: nil)
        #expect(try read([("image", images())], [unknown]).samples == 3)
    }

    @Test func arraysMustHaveOneSampleCount() throws {
        let error = try failure([
            ("image", images()), ("labels", NumpyArray(shape: [2], values: [0, 1] as [Int64])),
        ])
        #expect(error?.kind == .sampleCount)
        #expect(error?.array == "labels")
    }

    @Test func inputsMustBeFinite() throws {
        let error = try failure([("image", floats([2, 2], [0, 0, .nan, 0]))])
        #expect(error?.description == "data.npz: array 'image': sample 1, index [0] is NaN or infinite")
        // Beyond the limit it does not matter.
        #expect(try read([("image", floats([2, 2], [0, 0, .nan, 0]))], limit: 1).samples == 1)
    }

    @Test func labelsMustBeClassNumbers() throws {
        func labels(_ array: NumpyArray) throws -> DatasetError? {
            try failure([("image", images()), ("labels", array)])
        }
        #expect(try labels(floats([3], [0, 1, 2]))?.kind == .elementTypeMismatch)
        #expect(try labels(NumpyArray(shape: [3], values: [0, -1, 2] as [Int64]))?.kind == .invalidValue)
        #expect(
            try labels(NumpyArray(shape: [3, 1, 1, 1], values: [0, 1, 2] as [Int64]))?.kind == .shapeMismatch)
        let some = try NumpyArray(shape: [3, 2], values: [0, -100, 1, 2, -100, -100] as [Int64])
        #expect(try read([("image", images()), ("labels", some)]).labels == some)
    }

    @Test func weightsMustWeigh() throws {
        func weights(_ array: NumpyArray) throws -> DatasetError? {
            try failure([("image", images()), ("weights", array)])
        }
        #expect(try weights(floats([3], [0, 0, 0]))?.kind == .invalidValue)
        #expect(try weights(floats([3], [1, -1, 1]))?.kind == .invalidValue)
        #expect(try weights(floats([3], [1, .infinity, 1]))?.kind == .invalidValue)
        #expect(try weights(floats([3, 1], [1, 1, 1]))?.kind == .shapeMismatch)
        #expect(
            try weights(NumpyArray(shape: [3], values: [1, 1, 1] as [Int64]))?.kind == .elementTypeMismatch)
    }

    @Test func anInputNamedLabelsIsAnInput() throws {
        let inputs = [image, InputSpecification(name: "labels", elementType: .float32, shape: [nil])]
        let data = try read([("image", images()), ("labels", floats([3], [1, 2, 3]))], inputs)
        #expect(data.labels == nil)
        #expect(data.arrays["labels"]?.elementType == .float32)
    }
}
