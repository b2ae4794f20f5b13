import ComputationGraph
import Testing
import Torch

@testable import Engine

@Suite("A convolution of a fit")
struct FitConvolutionTests {
    @Test("gives what libtorch's gives, with the model's weights and with others, and holds on to no more")
    func agreesWithTheDefinition() throws {
        let subject = try RecoverySubject(example: "digits-resnet", samples: 16)
        let network = subject.network
        let inputs = try network.inputs(Array(0..<16), of: subject.dataset)
        let model = try network.specialisation(for: inputs)
        let schedule = FitSchedule(.empty, [model])
        var lane = FitLane(blocks: [Activations(model, inputs: inputs)])
        var compared = 0
        for position in schedule.steps {
            let vertex = model.graph.vertices[model.steps[position].vertex]
            if vertex.operation == "Conv", compared % 2 == 1 {
                let weight = try #require(vertex.inputs[1])
                lane.replace(weight, by: try #require(network.parameters[weight]) * -0.5)
            }
            var (plain, fast) = (lane.blocks[0], lane.blocks[0])
            try schedule.compute(position, for: &plain)
            if let convolution = try FitConvolution(
                vertex.index, in: lane, schedule.cuts, network.parameters)
            {
                try schedule.compute(position, for: &fast, by: convolution)
                let output = try #require(vertex.outputs[0])
                let expected = try #require(plain[output]).elements(as: Float.self)
                let found = try #require(fast[output]).elements(as: Float.self)
                let scale = expected.reduce(0) { max($0, abs($1)) }
                let worst = zip(found, expected).reduce(0) { max($0, abs($1.0 - $1.1)) }
                #expect(found.count == expected.count && worst <= 1e-5 * scale, "\(worst) of \(scale)")
                #expect(found != expected, "it is the same algorithm")
                #expect(fast.heldValues == plain.heldValues)
                compared += 1
            }
            lane.blocks[0] = plain
        }
        #expect(compared > 10)
    }

    @Test("whose input is cut is computed as any other layer")
    func cutInputs() throws {
        let subject = try RecoverySubject(example: "digits-resnet", samples: 16)
        let inputs = try subject.network.inputs(Array(0..<16), of: subject.dataset)
        let model = try subject.network.specialisation(for: inputs)
        let lane = FitLane(blocks: [Activations(model, inputs: inputs)])
        let convolutions = subject.graph.vertices.filter { $0.operation == "Conv" }
        for vertex in convolutions {
            let cuts = Cuts(Mask([Edge(node: vertex.index, slot: 0)]), in: subject.graph)
            #expect(try FitConvolution(vertex.index, in: lane, cuts, subject.network.parameters) == nil)
        }
        #expect(convolutions.count > 10)
    }
}
