extension Graph {
    /// Of some linear layers, those that a fit refits under a mask: they are live, and their data depends on a cut, one of a part
    /// of it too.
    public func refitted(_ maps: [LinearMap], under mask: Mask) -> [LinearMap] {
        let cuts = Cuts(mask, in: self)
        let isLive = Liveness(of: self, under: mask).isLive
        var changed = [Bool](repeating: false, count: values.count)
        for vertex in order.map({ vertices[$0] }) {
            let reads =
                !cuts[vertex.index].isEmpty || vertex.captured.contains { changed[$0] }
                || vertex.inputs.contains { $0.map { changed[$0] } ?? false }
            if reads { for case let output? in vertex.outputs { changed[output] = true } }
        }
        return maps.filter { map in
            isLive[map.vertex] && !cuts.isWhole(map.vertex, map.dataSlot)
                && (cuts.contains(map.vertex, map.dataSlot)
                    || vertices[map.vertex].inputs[map.dataSlot].map { changed[$0] } ?? false)
        }
    }
}
