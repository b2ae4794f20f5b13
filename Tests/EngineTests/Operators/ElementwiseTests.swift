import ONNX
import Testing
import Torch

@testable import Engine

/// Expected values are NumPy's, or the examples of the ONNX operator documentation, as each test says.
@Suite struct ElementwiseTests {
    @Test func wholeNumbersAreDividedTowardsZero() throws {
        // C: -7 / 2 is -3; NumPy's floor division would give -4.
        let quotient = try OneNode(operation: "Div")(
            Tensor([-7, 7, -8] as [Int32]), Tensor([2, -2, 3] as [Int32]))
        #expect(try first(quotient) == [-3, -3, -2] as [Int32])
        #expect(quotient[0].scalarType == .int32)
    }

    @Test func moduloTakesTheSignThatFmodAsksFor() throws {
        // ONNX's test_mod_mixed_sign_int32 and test_mod_int64_fmod.
        let left = try Tensor([-4, 7, 5, 4, -7, 8])
        let right = try Tensor([2, -3, 8, -2, 3, 5])
        #expect(try first(OneNode(operation: "Mod")(left, right)) == [0, -2, 5, 0, 2, 3])
        let attribute = AttributeProto(name: "fmod", int: 1)
        #expect(
            try first(OneNode(operation: "Mod", attributes: [attribute])(left, right)) == [0, 1, 5, 0, -1, 3])
    }

    @Test func moduloOfRealNumbersNeedsFmod() throws {
        let numbers = try Tensor([1, 2] as [Float])
        #expect(throws: EngineError.self) { try OneNode(operation: "Mod")(numbers, numbers) }
    }

    @Test func halvesRoundToEven() throws {
        // ONNX's test_round.
        let numbers = try Tensor([0.5, 1.5, 2.5, -0.5, -1.5, -2.5] as [Float])
        #expect(try first(OneNode(operation: "Round")(numbers)) == [0, 2, 2, 0, -2, -2] as [Float])
    }

    @Test func powersHaveTheTypeOfTheBase() throws {
        // ONNX's test_pow_types_float32_int64 and test_pow_types_int32_float32.
        let whole = try OneNode(operation: "Pow")(
            Tensor([1, 2, 3] as [Int32]), Tensor([4, 5, 6] as [Float]))
        #expect(whole[0].scalarType == .int32)
        #expect(try first(whole) == [1, 32, 729] as [Int32])
        let real = try OneNode(operation: "Pow", constants: [1])(Tensor([1, 2, 3] as [Float]), Tensor([3]))
        #expect(try first(real) == [1, 8, 27] as [Float])
    }

    @Test func aConstantExponentOfHigherRankStillAddsDimensions() throws {
        // NumPy: (np.ones(2) ** np.ones((1, 1))).shape is (1, 2).
        let node = OneNode(operation: "Pow", constants: [1])
        #expect(
            try node(Tensor([1, 2] as [Float]), Tensor([2] as [Float], shape: [1, 1]))[0].shape == [1, 2])
    }

    @Test(arguments: [Set<Int>(), [1, 2]]) func clippingWithSwappedLimitsGivesTheUpper(constants: Set<Int>)
        throws
    {
        // ONNX's test_clip_min_greater_than_max.
        let node = OneNode(operation: "Clip", constants: constants)
        let clipped = try node(
            Tensor([-2, 0, 6] as [Float]), Tensor(scalar: Float(2)), Tensor(scalar: Float(1)))
        #expect(try first(clipped) == [1, 1, 1] as [Float])
    }

    @Test func castsTruncateAndWrap() throws {
        // NumPy: np.float32([-1.9, 1.9]).astype(int32) and np.int32([-1, 65537]).astype(uint16).
        let whole = AttributeProto(name: "to", int: ElementType.int32.rawValue)
        let truncated = try OneNode(operation: "Cast", attributes: [whole])(Tensor([-1.9, 1.9] as [Float]))
        #expect(try first(truncated) == [-1, 1] as [Int32])
        let short = AttributeProto(name: "to", int: ElementType.uint16.rawValue)
        let wrapped = try OneNode(operation: "Cast", attributes: [short])(Tensor([-1, 65537] as [Int32]))
        #expect(try first(wrapped) == [65535, 1] as [Int32])
    }

    @Test func castsToEightBitFloatsRoundToTheNearestAndSaturate() throws {
        // ml_dtypes 0.5: np.float32([0.48, 1.07, 500, 0.001]).astype(float8_e4m3fn), 500 saturated as ONNX says.
        let to = AttributeProto(name: "to", int: ElementType.float8E4M3FN.rawValue)
        let numbers = try Tensor([0.48, 1.07, 500, 0.001, -.infinity] as [Float])
        let rounded: [Float] = try first(OneNode(operation: "Cast", version: 19, attributes: [to])(numbers))
        #expect(rounded == [0.46875, 1.125, 448, 0.001953125, -448])
        let cut = AttributeProto(name: "saturate", int: 0)
        let open: [Float] = try first(
            OneNode(operation: "Cast", version: 19, attributes: [to, cut])(numbers))
        #expect(open[2].isNaN && open[4].isNaN)
    }

    @Test func aSlopePerChannelEqualsTheBroadcastOne() throws {
        // ONNX's PRelu: f(x) = slope · x for x < 0.
        let numbers = try Tensor([-1, 2, -3, -4] as [Float], shape: [1, 2, 1, 2])
        let slope = try Tensor([0.5, 2] as [Float], shape: [2, 1, 1])
        #expect(try first(OneNode(operation: "PRelu")(numbers, slope)) == [-0.5, 2, -6, -8] as [Float])
    }

    @Test func wrongAttributeValuesAreErrorsThatNameTheNode() throws {
        let attribute = AttributeProto(name: "direction", string: "UP")
        let numbers = try Tensor([1, 2] as [UInt8])
        #expect {
            try OneNode(operation: "BitShift", attributes: [attribute])(numbers, numbers)
        } throws: {
            "\($0)".contains("BitShift") && "\($0)".contains("UP")
        }
    }
}
