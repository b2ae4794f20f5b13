import Testing
import Torch

@Suite struct OperationTests {
    @Test func callsAnOperatorByItsSchemaName() throws {
        let x = try Tensor([-1, 2, -3, 4] as [Float], shape: [2, 2])
        let y = try Operation("aten::relu")(.tensor(x))
        #expect(try y.elements(as: Float.self) == [0, 2, 0, 4])
        #expect(y.shape == [2, 2])
    }

    @Test func fillsArgumentsThatAreLeftOutFromTheSchema() throws {
        // A 1x1 convolution of ones over two channels holding 1 and 2: 3 everywhere.
        let image = try Tensor([1, 1, 2, 2] as [Float], shape: [1, 2, 1, 2])
        let weight = try Tensor([1, 1] as [Float], shape: [1, 2, 1, 1])
        let y = try Operation("aten::conv2d")(.tensor(image), .tensor(weight))
        #expect(try y.elements(as: Float.self) == [3, 3])
    }

    @Test func takesListsAndReturnsLists() throws {
        let x = try Tensor([1, 2, 3, 4, 5] as [Int])
        let parts = try Operation("aten::split_with_sizes").call([.tensor(x), .ints([2, 3])])
        #expect(try parts.map { try $0.elements(as: Int.self) } == [[1, 2], [3, 4, 5]])
        let joined = try Operation("aten::cat")(.tensors([parts[1], parts[0]]))
        #expect(try joined.elements(as: Int.self) == [3, 4, 5, 1, 2])
        let expanded = try Operation("aten::expand")(.tensor(parts[0]), .ints([2, 2]))
        #expect(try expanded.elements(as: Int.self) == [1, 2, 1, 2])
    }

    @Test func reportsWhatLibtorchSaysInOneSentence() throws {
        let a = try Tensor([1, 2] as [Float])
        let b = try Tensor([1, 2, 3] as [Float])
        let error = try #require(throws: TorchError.self) {
            try Operation("aten::add.Tensor")(.tensor(a), .tensor(b))
        }
        #expect(error.description.contains("aten::add.Tensor"))
        #expect(error.description.contains("must match the size"))
        #expect(!error.description.contains("\n"))
    }

    @Test func namesAnOperatorThatIsNotThere() throws {
        let error = try #require(throws: TorchError.self) { try Operation("aten::no_such_thing")() }
        #expect(error.description.contains("aten::no_such_thing"))
    }

    @Test func differentiatesTwice() throws {
        // d/dx x³ = 3x² and d²/dx² x³ = 6x, at 2.
        let x = try Tensor(scalar: Float(2))
        try x.requireGradient()
        let (first, second) = try TorchRuntime.withGradients {
            let multiply = Operation("aten::mul.Tensor")
            let cube = try multiply(.tensor(try multiply(.tensor(x), .tensor(x))), .tensor(x))
            let gradient = try #require(
                try Tensor.gradients(of: [cube], withRespectTo: [x], createGraph: true)[0])
            return (gradient, try #require(try Tensor.gradients(of: [gradient], withRespectTo: [x])[0]))
        }
        #expect(try first.item(as: Float.self) == 12)
        #expect(try second.item(as: Float.self) == 12)
    }
}
