import Testing
import Torch

@Suite("Memory that is not to be had")
struct MemoryTests {
    /// More than any process can address.
    private let bytes = 1 << 60

    @Test("is an error of its own, with the operator that asked for it")
    func isTyped() throws {
        let error = try #require(throws: TorchError.self) {
            try Operation("aten::empty.memory_format")(.ints([bytes]), .type(.uint8))
        }
        guard case .outOfMemory(let operation, let reason) = error else {
            Issue.record("\(error)")
            return
        }
        #expect(operation == "aten::empty.memory_format")
        #expect(reason.contains("\(bytes >> 20) MiB"))
        #expect(error.description.contains("out of memory"))
    }

    @Test("is what a limit leaves, for the thread that it is set for and as long as it is set")
    func isLimited() throws {
        let empty = Operation("aten::empty.memory_format")
        let some = 64 << 20
        func asked(_ bytes: Int) throws { _ = try empty(.ints([bytes]), .type(.uint8)) }
        try asked(some)
        try TorchRuntime.withMemory(atMost: some / 2) {
            try asked(some / 8)
            let error = try #require(throws: TorchError.self) { try asked(some) }
            guard case .outOfMemory = error else {
                Issue.record("\(error)")
                return
            }
        }
        try asked(some)
    }

    @Test("is the same error where an operator asks for it on its way")
    func isTypedInside() throws {
        // A view of one stored element: nothing is asked for before two of them are added.
        let wide = try Operation("aten::expand")(.tensor(Tensor([1] as [Float])), .ints([bytes / 4]))
        let error = try #require(throws: TorchError.self) {
            try Operation("aten::add.Tensor")(.tensor(wide), .tensor(wide))
        }
        guard case .outOfMemory = error else {
            Issue.record("\(error)")
            return
        }
    }

    @Test("is the same error where a gradient asks for it")
    func isTypedOnTheWayBack() throws {
        let one = try Tensor([1] as [Float])
        try one.requireGradient()
        // The gradient of one element of a view is as large as the view.
        let first = try TorchRuntime.withGradients {
            let wide = try Operation("aten::expand")(.tensor(one), .ints([bytes / 4]))
            return try Operation("aten::select.int")(.tensor(wide), 0, 0)
        }
        let error = try #require(throws: TorchError.self) {
            try Tensor.gradients(of: [first], withRespectTo: [one])
        }
        guard case .outOfMemory = error else {
            Issue.record("\(error)")
            return
        }
    }

    @Test("is no other refusal")
    func isNoRefusal() throws {
        let error = try #require(throws: TorchError.self) {
            try Operation("aten::reshape")(.tensor(Tensor([1, 2] as [Float])), .ints([3]))
        }
        guard case .refused = error else {
            Issue.record("\(error)")
            return
        }
    }
}
