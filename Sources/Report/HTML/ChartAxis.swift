internal import Foundation

/// The range of a chart's axis, and its ticks at round numbers.
struct ChartAxis: Sendable {
    let lower: Double
    let upper: Double
    let isLogarithmic: Bool
    let ticks: [Double]

    /// An axis for these values, a little wider than they are.
    init(_ values: [Double], mayBeLogarithmic: Bool) {
        let smallest = values.min() ?? 0
        let largest = values.max() ?? 1
        isLogarithmic = mayBeLogarithmic && smallest > 0 && largest > 100 * smallest
        if isLogarithmic {
            let (first, last) = (Int(log10(smallest).rounded(.down)), Int(log10(largest).rounded(.up)))
            (lower, upper) = (pow(10, Double(first)), pow(10, Double(max(last, first + 1))))
            ticks = (first...max(last, first + 1)).map { pow(10, Double($0)) }
            return
        }
        let span = largest > smallest ? largest - smallest : max(abs(largest), 1)
        let rough = span / 5
        let power = pow(10, log10(rough).rounded(.down))
        // Steps of 1, 2 or 5 times a power of ten.
        let step = [1.0, 2, 5, 10].first { $0 * power >= rough }.map { $0 * power } ?? rough
        let (first, last) = ((smallest / step).rounded(.down), (largest / step).rounded(.up))
        (lower, upper) = (first * step, max(last, first + 1) * step)
        ticks = stride(from: first, through: max(last, first + 1), by: 1).map { $0 * step }
    }

    /// Where a value lies between the ends, 0 to 1.
    func share(of value: Double) -> Double {
        isLogarithmic
            ? (log10(value) - log10(lower)) / (log10(upper) - log10(lower))
            : (value - lower) / (upper - lower)
    }

    /// A tick's text.
    static func label(_ value: Double) -> String {
        abs(value) < 1e-12 ? "0" : String(format: "%.4g", value)
    }
}
