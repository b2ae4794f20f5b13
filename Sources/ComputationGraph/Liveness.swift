/// What a mask leaves of the graph.
public struct Liveness: Sendable {
    /// For every vertex, whether something it computes still reaches an output.
    public let isLive: [Bool]
    /// For every vertex, whether something it reads still depends on a model input's elements.
    public let dependsOnData: [Bool]
    /// Whether every output that depends on a model input still does.
    public let isConnected: Bool

    /// Works out what of `graph` is left when `mask` is removed.
    public init(of graph: Graph, under mask: Mask) {
        var reached = [Bool](repeating: false, count: graph.values.count)
        for input in graph.inputs { reached[input.value] = true }
        var depends = [Bool](repeating: false, count: graph.vertices.count)
        let cuts = Cuts(mask, in: graph)
        for index in graph.order {
            let vertex = graph.vertices[index]
            var any = vertex.captured.contains { reached[$0] }
            for slot in vertex.inputs.indices where !any {
                if let input = cuts.value(read: slot, of: vertex), reached[input] { any = true }
            }
            depends[index] = any
            // Through Shape and its like only the shape passes on, not the elements.
            if any {
                for output in vertex.outputs {
                    if let output { reached[output] = graph.values[output].dependsOnData }
                }
            }
        }

        var live = [Bool](repeating: false, count: graph.vertices.count)
        var needed = [Bool](repeating: false, count: graph.values.count)
        for output in graph.outputs { needed[output.value] = true }
        for index in graph.order.reversed() {
            let vertex = graph.vertices[index]
            guard vertex.outputs.contains(where: { $0.map { needed[$0] } ?? false }) else { continue }
            live[index] = true
            for value in vertex.captured { needed[value] = true }
            for slot in vertex.inputs.indices {
                if let input = cuts.value(read: slot, of: vertex) { needed[input] = true }
            }
        }
        isLive = live
        dependsOnData = depends
        isConnected = graph.outputs.allSatisfy { !graph.values[$0.value].dependsOnData || reached[$0.value] }
    }
}
