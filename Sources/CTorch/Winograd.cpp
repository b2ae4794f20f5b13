#include <ATen/ATen.h>
#include <torch/library.h>

#include <array>
#include <cstdlib>
#include <new>
#include <utility>

#include "WinogradTiles.h"

// Convolutions with 3 × 3 kernels in steps of one, by Winograd's minimal filtering F(4×4, 3×3) (Lavin and Gray, "Fast
// Algorithms for Convolutional Neural Networks", 2016): a tile of 4 × 4 outputs takes 36 products per pair of channels
// where the definition takes 144. Input and output lie with the channels innermost.

namespace {

using namespace winograd;

// How much of a product stays in registers: tiles, and vectors of output channels. The functions are by vectors, then
// by tiles.
template <size_t most_tiles>
struct Products {
    std::array<std::array<void (*)(const Product &), most_tiles>, 2> by_size;
    int64_t most_vectors;
};

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx512cd,avx2,fma"), min_vector_width(512)))
#define NARROW __attribute__((target("avx2,fma")))

template <int64_t tiles, int64_t vectors>
WIDE void multiply_wide(const Product &of) {
    multiply<tiles, vectors>(of);
}

template <size_t... i>
constexpr Products<sizeof...(i)> wide_products(std::index_sequence<i...>) {
    return {{{{multiply_wide<i + 1, 1>...}, {multiply_wide<i + 1, 2>...}}}, 2};
}

bool has_wide(void) {
    static const bool found = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return found;
}

// With less than this the transforms take as long as the products that they save.
bool has_narrow(void) {
    static const bool found = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return found;
}
#else
#define NARROW
bool has_narrow(void) {
#if defined(__aarch64__)
    return true;
#else
    return false;
#endif
}
#endif

template <int64_t tiles>
NARROW void multiply_narrow(const Product &of) {
    multiply<tiles, 1>(of);
}

template <size_t... i>
constexpr Products<sizeof...(i)> narrow_products(std::index_sequence<i...>) {
    return {{{{multiply_narrow<i + 1>...}, {}}}, 1};
}

// Memory that every call of a thread uses again.
struct Scratch {
    float *memory = nullptr;
    size_t count = 0;

    float *floats(size_t wanted) {
        if (wanted > count) {
            std::free(memory);
            count = 0;
            memory = static_cast<float *>(std::aligned_alloc(64, (wanted * sizeof(float) + 63) / 64 * 64));
            if (!memory) throw std::bad_alloc();
            count = wanted;
        }
        return memory;
    }
    ~Scratch() { std::free(memory); }
};

thread_local Scratch scratch;

// The tiles that are transformed, multiplied and transformed back before the next ones. Fewer would read the weights
// more often, more would not stay in the second-level cache.
int64_t group_of(const Convolution &c) { return c.in_channels * c.out_channels <= 256 * 256 ? 28 : 56; }

// Whether all outputs are finite numbers.
template <size_t most_tiles>
INLINED bool convolve(const Convolution &c, const Products<most_tiles> &products, const float *x, const float *weights,
                      const float *bias, float *y, float *memory) {
    int64_t capacity = group_of(c), total = c.tiles(), groups = (total + capacity - 1) / capacity;
    int64_t in_blocks = c.in_channels / lanes, out_blocks = c.out_channels / lanes;
    std::memset(memory, 0, lanes * sizeof(float));
    // Products take the place of what they are made from where one call makes all of a tile's.
    bool in_place = out_blocks <= products.most_vectors && out_blocks <= in_blocks;
    float *from = memory + lanes, *to = in_place ? from : from + in_blocks * capacity * spot;
    Vector flaws = {};
    for (int64_t group = 0; group < groups; group++) {
        int64_t first = total * group / groups, count = total * (group + 1) / groups - first;
        read_tiles(c, x, memory, first, count, capacity, from);
        int64_t parts = (count + int64_t(most_tiles) - 1) / int64_t(most_tiles);
        for (int64_t point = 0; point < points; point++) {
            const float *at_point = weights + point * c.in_channels * c.out_channels;
            for (int64_t block = 0; block < out_blocks;) {
                int64_t vectors = std::min(products.most_vectors, out_blocks - block);
                for (int64_t part = 0; part < parts; part++) {
                    int64_t start = count * part / parts, tiles = count * (part + 1) / parts - start;
                    products.by_size[vectors - 1][tiles - 1](
                        {from + start * spot + point * lanes, at_point + block * lanes * c.in_channels,
                         to + (block * capacity + start) * spot + point * lanes, in_blocks, capacity * spot,
                         lanes * c.in_channels, capacity * spot});
                }
                block += vectors;
            }
        }
        write_tiles(c, to, bias, first, count, capacity, y, flaws);
    }
    float sum = 0;
    for (int64_t i = 0; i < lanes; i++) sum += flaws[i];
    return sum == 0;
}

#if defined(__x86_64__)
WIDE bool convolve_wide(const Convolution &c, const float *x, const float *weights, const float *bias, float *y,
                        float *memory) {
    static constexpr auto products = wide_products(std::make_index_sequence<14>());
    return convolve(c, products, x, weights, bias, y, memory);
}
#endif

NARROW bool convolve_narrow(const Convolution &c, const float *x, const float *weights, const float *bias, float *y,
                            float *memory) {
    static constexpr auto products = narrow_products(std::make_index_sequence<6>());
    return convolve(c, products, x, weights, bias, y, memory);
}

// G g Gᵀ of every kernel, by point, sixteen output channels, input channel and output channel. Empty where
// `convolution` would not use it.
at::Tensor transformed_weight(const at::Tensor &weight) {
    TORCH_CHECK(weight.dim() == 4 && weight.size(2) == 3 && weight.size(3) == 3, "a weight of shape ", weight.sizes());
    int64_t out_channels = weight.size(0), in_channels = weight.size(1);
    auto options = weight.options().dtype(at::kFloat);
    if (!has_narrow() || out_channels % lanes != 0 || in_channels % lanes != 0) return at::empty({0}, options);
    const double f = 1.0 / (2 * a2 * (a2 - b2)), g = 1.0 / (2 * b2 * (b2 - a2));
    auto matrix = at::tensor({1.0 / product2, 0.0, 0.0, f, f * a, f * a2, f, -f * a, f * a2, g, g * b, g * b2, g, -g * b,
                              g * b2, 0.0, 0.0, 1.0}, at::kDouble).view({6, 3});
    // All at once, as (G ⊗ G) times the kernels' nine numbers.
    auto kernels = weight.to(at::kDouble).reshape({out_channels / lanes, lanes, in_channels, 9}).permute({3, 0, 2, 1});
    auto product = at::matmul(at::kron(matrix, matrix), kernels.reshape({9, -1}));
    return product.to(at::kFloat).view({points, out_channels / lanes, in_channels, lanes});
}

at::Tensor direct(const at::Tensor &x, const at::Tensor &weight, const c10::optional<at::Tensor> &bias,
                  at::IntArrayRef padding, bool rectified) {
    auto padded = at::constant_pad_nd(x, {padding[1], padding[3], padding[0], padding[2]});
    auto result = at::conv2d(padded, weight, bias);
    return rectified ? result.relu_() : result;
}

// The convolution of `x` with the kernels that `transformed` was made from, after `padding` with zeros (top, left, bottom,
// right), and max(·, 0) of it if `rectified`. A result that is not finite everywhere is computed anew by libtorch:
// here infinity and numbers near the largest would become NaN in a whole tile.
at::Tensor convolution(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &transformed,
                       const c10::optional<at::Tensor> &bias, at::IntArrayRef padding, bool rectified) {
    TORCH_CHECK(x.dim() == 4 && weight.dim() == 4 && weight.size(1) == x.size(1) && weight.size(2) == 3
                && weight.size(3) == 3, "an input of shape ", x.sizes(), " with a weight of shape ", weight.sizes());
    TORCH_CHECK(padding.size() == 4, "padding of ", padding.size(), " numbers");
    Convolution c{x.size(0), x.size(2), x.size(3), x.size(1), x.size(2) + padding[0] + padding[2] - 2,
                  x.size(3) + padding[1] + padding[3] - 2, weight.size(0), padding[0], padding[1], rectified};
    if (x.scalar_type() != at::kFloat || weight.scalar_type() != at::kFloat || transformed.numel() == 0
        || (bias && bias->scalar_type() != at::kFloat) || c.out_height <= 0 || c.out_width <= 0 || x.numel() == 0
        || std::min({padding[0], padding[1], padding[2], padding[3]}) < 0)
        return direct(x, weight, bias, padding, rectified);
    TORCH_CHECK(has_narrow() && transformed.scalar_type() == at::kFloat && transformed.is_contiguous()
                && transformed.numel() == points * c.in_channels * c.out_channels && c.in_channels % lanes == 0
                && c.out_channels % lanes == 0, "a transformed weight of shape ", transformed.sizes());
    TORCH_CHECK(!bias || bias->numel() == c.out_channels, "a bias of shape ", bias->sizes());
    auto from = x.contiguous(at::MemoryFormat::ChannelsLast);
    auto aligned = reinterpret_cast<uintptr_t>(transformed.data_ptr<float>()) % 64 == 0 ? transformed
        : transformed.clone();
    auto offset = bias ? c10::optional<at::Tensor>(bias->contiguous()) : c10::nullopt;
    auto result = at::empty({c.images, c.out_channels, c.out_height, c.out_width},
                            x.options().memory_format(at::MemoryFormat::ChannelsLast));
    int64_t blocks = (c.in_channels + c.out_channels) / lanes;
    float *memory = scratch.floats(static_cast<size_t>(lanes + blocks * group_of(c) * spot));
    auto convolve = convolve_narrow;
#if defined(__x86_64__)
    if (has_wide()) convolve = convolve_wide;
#endif
    bool is_finite = convolve(c, from.data_ptr<float>(), aligned.data_ptr<float>(),
                              offset ? offset->data_ptr<float>() : nullptr, result.data_ptr<float>(), memory);
    return is_finite ? result : direct(from, weight, bias, padding, rectified);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(espalier, library) {
    library.def("winograd_weight(Tensor weight) -> Tensor", transformed_weight);
    library.def("winograd_convolution(Tensor input, Tensor weight, Tensor transformed, Tensor? bias, int[] padding, "
                "bool rectified) -> Tensor", convolution);
}
