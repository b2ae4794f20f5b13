#include <ATen/ATen.h>
#include <torch/library.h>

#include <dlfcn.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

// Operators that libtorch lacks, or has in a form that takes several times as long. They are found by schema name like
// its own. None is recorded for backward: gradients take libtorch's.

namespace {

// The widest vectors that the processor has, chosen when the program is loaded.
#if defined(__x86_64__) && defined(__linux__)
#define FOR_EVERY_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EVERY_PROCESSOR
#endif

// Stacks of matrices.

using gemm_function = void (*)(int, int, int, int, int, int, float, const float *, int, const float *, int, float,
                               float *, int);

gemm_function matrix_product(void) {
    static const auto found = reinterpret_cast<gemm_function>(dlsym(RTLD_DEFAULT, "cblas_sgemm"));
    return found;
}

// How the BLAS reads a matrix: rows one after the other, or columns.
struct Layout {
    bool is_transposed;
    int leading;
};

constexpr int64_t largest = INT32_MAX;

c10::optional<Layout> layout_of(const at::Tensor &tensor) {
    int64_t rows = tensor.size(-2), columns = tensor.size(-1);
    int64_t down = rows == 1 ? columns : tensor.stride(-2), right = columns == 1 ? 1 : tensor.stride(-1);
    if (right == 1 && down >= columns && down <= largest) return Layout{false, static_cast<int>(down)};
    right = columns == 1 ? rows : tensor.stride(-1), down = rows == 1 ? 1 : tensor.stride(-2);
    if (down == 1 && right >= rows && right <= largest) return Layout{true, static_cast<int>(right)};
    return c10::nullopt;
}

// The products of two stacks of matrices, (…, M, K) and (…, K, N), times a number. Matrices are read where they lie,
// whichever way round; libtorch's bmm copies them unless they lie end to end, and spends a microsecond on each.
// `swapped` exchanges M with the dimension before it in the result, as if transposed afterwards.
at::Tensor multiply_stacks(const at::Tensor &left, const at::Tensor &right, double scale, bool swapped) {
    int64_t rank = left.dim();
    TORCH_CHECK(rank >= 3 && right.dim() == rank, "stacks of matrices have three dimensions or more, and as many");
    TORCH_CHECK(!swapped || rank >= 4, "there is no dimension to exchange the rows with");
    auto shape = left.sizes().vec();
    int64_t rows = shape[rank - 2], inner = shape[rank - 1], columns = right.size(-1), count = 1;
    TORCH_CHECK(right.size(-2) == inner, "matrices of ", inner, " columns and ", right.size(-2), " rows");
    for (int64_t i = 0; i < rank - 2; i++) {
        TORCH_CHECK(right.size(i) == shape[i], "stacks of ", left.sizes(), " and ", right.sizes());
        count *= shape[i];
    }
    shape[rank - 1] = columns;
    if (swapped) std::swap(shape[rank - 2], shape[rank - 3]);
    auto multiply = matrix_product();
    if (!multiply || left.scalar_type() != at::kFloat || right.scalar_type() != at::kFloat || inner == 0
        || rows > largest || inner > largest || columns > largest || columns * shape[rank - 2] > largest) {
        auto product = at::matmul(left, right);
        if (scale != 1) product = product.mul(scale);
        return swapped ? product.transpose(rank - 3, rank - 2).contiguous() : product;
    }
    auto result = at::empty(shape, left.options());
    if (result.numel() == 0) return result;
    auto place = swapped ? result.transpose(rank - 3, rank - 2) : result;
    at::Tensor a = left, b = right;
    auto layout_a = layout_of(a), layout_b = layout_of(b);
    if (!layout_a) layout_a = layout_of(a = a.contiguous());
    if (!layout_b) layout_b = layout_of(b = b.contiguous());
    TORCH_CHECK(layout_a && layout_b, "matrices that are too large");
    int down = static_cast<int>(rows == 1 ? columns : place.stride(-2));
    const float *from_a = a.data_ptr<float>(), *from_b = b.data_ptr<float>();
    float *to = place.data_ptr<float>();
    std::vector<int64_t> index(static_cast<size_t>(rank - 2), 0);
    for (int64_t matrix = 0; matrix < count; matrix++) {
        constexpr int row_major = 101, plain = 111, transposed = 112;
        multiply(row_major, layout_a->is_transposed ? transposed : plain, layout_b->is_transposed ? transposed : plain,
                 static_cast<int>(rows), static_cast<int>(columns), static_cast<int>(inner), static_cast<float>(scale),
                 from_a, layout_a->leading, from_b, layout_b->leading, 0, to, down);
        for (int64_t i = rank - 3; i >= 0; i--) {
            // One on, or back to the start of this dimension and one on in the next.
            bool carries = ++index[i] == a.size(i);
            int64_t step = carries ? 1 - a.size(i) : 1;
            from_a += step * a.stride(i), from_b += step * b.stride(i), to += step * place.stride(i);
            if (!carries) break;
            index[i] = 0;
        }
    }
    return result;
}

// x·Φ(x), Φ the normal distribution (Hendrycks and Gimpel, 2016), as max(x, 0) − |x|·Φ(−|x|). Φ(−t) = 2^(t·q(t) − 1):
// the polynomial q is fitted on 0...6 (minimax in the result; at most 1.2e-8 off), where the rest is below 1e-9.
FOR_EVERY_PROCESSOR
void gelu_of(const float *__restrict from, float *__restrict to, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        float x = from[i], size = x < 0 ? -x : x, t = size < 6.0f ? size : 6.0f;
        float q = 1.5436150135883508e-07f;
        q = q * t + -3.8111918456706917e-06f;
        q = q * t + 3.711726458277553e-05f;
        q = q * t + -0.00015186032396741211f;
        q = q * t + -0.00025173905305564404f;
        q = q * t + 0.007243448402732611f;
        q = q * t + -0.05263913422822952f;
        q = q * t + -0.4591546356678009f;
        q = q * t + -1.1511123180389404f;
        float power = q * t;
        // 2^power as 2^whole · 2^part: adding 1.5·2^23 leaves the whole number in the last bits.
        float shifted = power + 12582912.0f;
        float part = power - (shifted - 12582912.0f);
        int32_t whole;
        std::memcpy(&whole, &shifted, sizeof whole);
        float tail = 0.00015345810970757157f;
        tail = tail * part + 0.0013399930903688073f;
        tail = tail * part + 0.009618489071726799f;
        tail = tail * part + 0.05550328642129898f;
        tail = tail * part + 0.24022646248340607f;
        tail = tail * part + 0.6931471824645996f;
        tail = tail * part + 1.0f;
        int32_t bits;
        std::memcpy(&bits, &tail, sizeof bits);
        bits = static_cast<int32_t>(static_cast<uint32_t>(bits) + (static_cast<uint32_t>(whole) << 23));
        std::memcpy(&tail, &bits, sizeof tail);
        to[i] = (x < 0 ? 0.0f : x) - 0.5f * t * tail;
    }
}

at::Tensor exact_gelu(const at::Tensor &input) {
    if (input.scalar_type() != at::kFloat) return at::gelu(input);
    auto from = input.contiguous();
    auto result = at::empty_like(from);
    gelu_of(from.data_ptr<float>(), result.data_ptr<float>(), from.numel());
    return result;
}

// Ba et al., "Layer Normalization", 2016, over the last dimension. Sums are kept in as many parts as a vector has
// elements: the same ones whatever the processor.
FOR_EVERY_PROCESSOR
void normalize_rows(const float *__restrict from, const float *__restrict scale, const float *__restrict offset,
                    float *__restrict to, int64_t rows, int64_t columns, float epsilon) {
    constexpr int64_t width = 16;
    int64_t whole = columns - columns % width;
    for (int64_t row = 0; row < rows; row++, from += columns, to += columns) {
        float sums[width] = {}, squares[width] = {};
        for (int64_t i = 0; i < whole; i += width)
            for (int64_t j = 0; j < width; j++) sums[j] += from[i + j];
        for (int64_t i = whole; i < columns; i++) sums[i - whole] += from[i];
        for (int64_t half = width / 2; half > 0; half /= 2)
            for (int64_t j = 0; j < half; j++) sums[j] += sums[j + half];
        float mean = sums[0] / static_cast<float>(columns);
        for (int64_t i = 0; i < whole; i += width)
            for (int64_t j = 0; j < width; j++) {
                float difference = from[i + j] - mean;
                squares[j] += difference * difference;
            }
        for (int64_t i = whole; i < columns; i++) squares[i - whole] += (from[i] - mean) * (from[i] - mean);
        for (int64_t half = width / 2; half > 0; half /= 2)
            for (int64_t j = 0; j < half; j++) squares[j] += squares[j + half];
        float factor = 1.0f / std::sqrt(squares[0] / static_cast<float>(columns) + epsilon);
        for (int64_t i = 0; i < columns; i++) to[i] = (from[i] - mean) * factor * scale[i] + offset[i];
    }
}

at::Tensor normalize(const at::Tensor &input, const at::Tensor &scale, const at::Tensor &offset, double epsilon) {
    TORCH_CHECK(input.dim() > 0, "an input without dimensions");
    int64_t columns = input.size(-1);
    TORCH_CHECK(scale.numel() == columns && offset.numel() == columns, "scale and bias must have ", columns, " elements");
    if (input.scalar_type() != at::kFloat || columns == 0)
        return at::layer_norm(input, {columns}, scale, offset, epsilon);
    auto from = input.contiguous();
    auto result = at::empty_like(from);
    normalize_rows(from.data_ptr<float>(), scale.contiguous().data_ptr<float>(), offset.contiguous().data_ptr<float>(),
                   result.data_ptr<float>(), from.numel() / columns, columns, static_cast<float>(epsilon));
    return result;
}

}  // namespace

TORCH_LIBRARY(espalier, library) {
    library.def("multiply_stacks(Tensor left, Tensor right, float scale, bool swapped) -> Tensor", multiply_stacks);
    library.def("gelu(Tensor self) -> Tensor", exact_gelu);
    library.def("layer_norm(Tensor input, Tensor weight, Tensor bias, float eps) -> Tensor", normalize);
}
