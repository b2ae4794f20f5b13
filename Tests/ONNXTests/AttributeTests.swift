import Foundation
import ONNX
import Testing

@Suite("Attributes by name and type")
struct AttributeTests {
    let node = NodeProto(
        "Conv", inputs: ["x"], outputs: ["y"], name: "conv1",
        attributes: [
            AttributeProto(name: "group", int: 4), AttributeProto(name: "strides", ints: [2, 3]),
            AttributeProto(name: "alpha", float: 0.5), AttributeProto(name: "scales", floats: [1, 2]),
            AttributeProto(name: "auto_pad", string: "SAME_UPPER"),
            AttributeProto(name: "names", strings: ["a", "b"]),
        ])

    @Test("an attribute that is there is read")
    func present() throws {
        #expect(try node.int("group") == 4)
        #expect(try node.int("group", default: 1) == 4)
        #expect(try node.ints("strides") == [2, 3])
        #expect(try node.float("alpha") == 0.5)
        #expect(try node.floats("scales") == [1, 2])
        #expect(try node.string("auto_pad") == "SAME_UPPER")
        #expect(try node.strings("names") == ["a", "b"])
        #expect(node.hasAttribute("group") && !node.hasAttribute("axis"))
    }

    @Test("one that is missing is its default")
    func missing() throws {
        #expect(try node.int("axis", default: -1) == -1)
        #expect(try node.int("axis", default: nil) == nil)
        #expect(try node.ints("pads", default: nil) == nil)
        #expect(try node.string("mode", default: "nearest") == "nearest")
        #expect(try node.tensor("value", default: nil) == nil)
        #expect(try node.graph("body", default: nil) == nil)
    }

    @Test("a missing one that is required is an error that names node and attribute")
    func required() {
        let error = #expect(throws: ModelError.self) { try node.int("axis") }
        #expect(error?.description == #"node Conv "conv1", attribute "axis": is missing."#)
    }

    @Test("one of another type is an error that names node, attribute and both types")
    func wrongType() {
        let error = #expect(throws: ModelError.self) { try node.ints("group", default: [1]) }
        #expect(
            error?.description
                == #"node Conv "conv1", attribute "group": is an integer where a list of integers is needed."#
        )
        #expect(throws: ModelError.self) { try node.tensor("group") }
        #expect(throws: ModelError.self) { try node.graph("strides") }
        #expect(throws: ModelError.self) { try node.float("group") }
    }
}
