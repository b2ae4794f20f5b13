// The arithmetic of Winograd.cpp: tiles of one image after the other, sixteen channels at a time.
//
// Everything here is inlined into a function that names the instructions it may use, so that one source serves all
// processors. Vectors are passed by reference: by value their registers would depend on those instructions.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace winograd {

#define INLINED __attribute__((always_inline)) inline

constexpr int64_t lanes = 16;
constexpr int64_t points = 36;
// The floats of one tile's sixteen channels at all points.
constexpr int64_t spot = points * lanes;
using Vector = float __attribute__((vector_size(64)));
// The same where it need not be aligned.
using LooseVector = float __attribute__((vector_size(64), aligned(4)));

// The polynomials are evaluated at 0, ±a, ±b and infinity. 3/4 and 3/2 err half as much as the usual 1 and 2, and
// all constants that follow from them are exact.
constexpr float a = 0.75f, b = 1.5f, a2 = a * a, b2 = b * b, a3 = a2 * a, b3 = b2 * b, product2 = a2 * b2, sum2 = a2 + b2;

struct Convolution {
    int64_t images, height, width, in_channels;
    int64_t out_height, out_width, out_channels;
    // Rows and columns of zeros before the input.
    int64_t top, left;
    bool rectified;

    int64_t across() const { return (out_width + 3) / 4; }
    int64_t down() const { return (out_height + 3) / 4; }
    int64_t tiles() const { return images * down() * across(); }
};

// Where a tile lies; the next one is to the right, then below, then in the next image.
struct Place {
    int64_t image, row, column;

    Place(const Convolution &c, int64_t tile)
        : image(tile / c.across() / c.down()), row(tile / c.across() % c.down()), column(tile % c.across()) {}
    INLINED void advance(const Convolution &c) {
        if (++column < c.across()) return;
        column = 0;
        if (++row < c.down()) return;
        row = 0, image++;
    }
};

// Six numbers times Bᵀ.
INLINED void transform_input(const Vector *d, Vector *to) {
    Vector p = d[4] - b2 * d[2], q = d[3] - b2 * d[1], r = d[4] - a2 * d[2], s = d[3] - a2 * d[1];
    to[0] = d[4] - sum2 * d[2] + product2 * d[0];
    to[1] = p + a * q;
    to[2] = p - a * q;
    to[3] = r + b * s;
    to[4] = r - b * s;
    to[5] = d[5] - sum2 * d[3] + product2 * d[1];
}

// Six numbers times Aᵀ.
INLINED void transform_output(const Vector *m, Vector *to) {
    Vector p = m[1] + m[2], q = m[1] - m[2], r = m[3] + m[4], s = m[3] - m[4];
    to[0] = m[0] + p + r;
    to[1] = a * q + b * s;
    to[2] = a2 * p + b2 * r;
    to[3] = m[5] + a3 * q + b3 * s;
}

// A patch of 6 × 6 pixels that lies inside the image.
struct Inner {
    const float *corner;
    int64_t row, column;
    INLINED const float *operator()(int64_t i, int64_t j) const { return corner + i * row + j * column; }
};

// A patch that hangs over: what is outside points at zeros.
struct Border {
    const float *pixels[6][6];
    INLINED const float *operator()(int64_t i, int64_t j) const { return pixels[i][j]; }
};

// Bᵀ d B. Two rows of Bᵀ d at a time: more would not stay in registers.
template <class Patch>
INLINED void transform_patch(const Patch &patch, Vector *to) {
#define PIXEL(i) (*reinterpret_cast<const LooseVector *>(patch(i, j)))
    Vector first[6], second[6];
#pragma clang loop unroll(full)
    for (int64_t j = 0; j < 6; j++) {
        Vector p = PIXEL(4) - b2 * PIXEL(2), q = PIXEL(3) - b2 * PIXEL(1);
        first[j] = p + a * q, second[j] = p - a * q;
    }
    transform_input(first, to + 6);
    transform_input(second, to + 12);
#pragma clang loop unroll(full)
    for (int64_t j = 0; j < 6; j++) {
        Vector p = PIXEL(4) - a2 * PIXEL(2), q = PIXEL(3) - a2 * PIXEL(1);
        first[j] = p + b * q, second[j] = p - b * q;
    }
    transform_input(first, to + 18);
    transform_input(second, to + 24);
#pragma clang loop unroll(full)
    for (int64_t j = 0; j < 6; j++) {
        first[j] = PIXEL(4) - sum2 * PIXEL(2) + product2 * PIXEL(0);
        second[j] = PIXEL(5) - sum2 * PIXEL(3) + product2 * PIXEL(1);
    }
    transform_input(first, to);
    transform_input(second, to + 30);
#undef PIXEL
}

// Tiles `first` to `first + count` of the input, by channels, tile and point. `zeros` are sixteen.
INLINED void read_tiles(const Convolution &c, const float *x, const float *zeros, int64_t first, int64_t count,
                        int64_t capacity, float *to) {
    int64_t row = c.width * c.in_channels, column = c.in_channels;
    Place place(c, first);
    for (int64_t tile = 0; tile < count; tile++, place.advance(c)) {
        int64_t top = place.row * 4 - c.top, left = place.column * 4 - c.left;
        bool is_inside = top >= 0 && top + 6 <= c.height && left >= 0 && left + 6 <= c.width;
        const float *image = x + place.image * c.height * row;
        for (int64_t channel = 0; channel < c.in_channels; channel += lanes) {
            auto result = reinterpret_cast<Vector *>(to + (channel / lanes * capacity + tile) * spot);
            if (is_inside) {
                transform_patch(Inner{image + top * row + left * column + channel, row, column}, result);
                continue;
            }
            Border border;
            for (int64_t i = 0; i < 6; i++)
                for (int64_t j = 0; j < 6; j++) {
                    int64_t y = top + i, z = left + j;
                    bool exists = y >= 0 && y < c.height && z >= 0 && z < c.width;
                    border.pixels[i][j] = exists ? image + y * row + z * column + channel : zeros;
                }
            transform_patch(border, result);
        }
    }
}

// Aᵀ m A and the bias. What is no finite number leaves NaN in `flaws`.
INLINED void write_tiles(const Convolution &c, const float *from, const float *bias, int64_t first, int64_t count,
                         int64_t capacity, float *y, Vector &flaws) {
    int64_t row = c.out_width * c.out_channels, column = c.out_channels;
    const Vector zero = {}, floor = c.rectified ? zero : zero - __builtin_inff();
    Place place(c, first);
    for (int64_t tile = 0; tile < count; tile++, place.advance(c)) {
        int64_t top = place.row * 4, left = place.column * 4;
        int64_t rows = std::min<int64_t>(4, c.out_height - top), columns = std::min<int64_t>(4, c.out_width - left);
        float *corner = y + (place.image * c.out_height + top) * row + left * column;
        for (int64_t channel = 0; channel < c.out_channels; channel += lanes) {
            auto m = reinterpret_cast<const Vector *>(from + (channel / lanes * capacity + tile) * spot);
            Vector half[4][6], result[4][4];
#pragma clang loop unroll(full)
            for (int64_t j = 0; j < 6; j++) {
                Vector of[6] = {m[j], m[6 + j], m[12 + j], m[18 + j], m[24 + j], m[30 + j]}, to[4];
                transform_output(of, to);
                for (int64_t i = 0; i < 4; i++) half[i][j] = to[i];
            }
            Vector offset = bias ? Vector(*reinterpret_cast<const LooseVector *>(bias + channel)) : zero;
#pragma clang loop unroll(full)
            for (int64_t i = 0; i < 4; i++) {
                transform_output(half[i], result[i]);
                for (int64_t j = 0; j < 4; j++) {
                    result[i][j] += offset;
                    flaws += result[i][j] * zero;
                    result[i][j] = result[i][j] > floor ? result[i][j] : floor;
                }
            }
            float *to = corner + channel;
            if (rows == 4 && columns == 4) {
#pragma clang loop unroll(full)
                for (int64_t i = 0; i < 4; i++)
                    for (int64_t j = 0; j < 4; j++)
                        *reinterpret_cast<LooseVector *>(to + i * row + j * column) = result[i][j];
                continue;
            }
#pragma clang loop unroll(full)
            for (int64_t i = 0; i < 4; i++)
#pragma clang loop unroll(full)
                for (int64_t j = 0; j < 4; j++)
                    if (i < rows && j < columns)
                        *reinterpret_cast<LooseVector *>(to + i * row + j * column) = result[i][j];
        }
    }
}

// What a product of matrices reads and writes at one point: `blocks` times sixteen channels of the input's tiles, the
// weights of one or two times sixteen channels of the output, whose panels lie `panel` apart.
struct Product {
    const float *tiles, *weights;
    float *to;
    int64_t blocks, tile_block, panel, to_block;
};

// Sums in the order of the channels, whatever the number of tiles.
template <int64_t tiles, int64_t vectors>
INLINED void multiply(const Product &of) {
    Vector sums[tiles][vectors] = {};
    const float *from = of.tiles, *weights = of.weights;
    for (int64_t block = 0; block < of.blocks; block++, from += of.tile_block, weights += lanes * lanes) {
#pragma clang loop unroll_count(vectors == 1 ? 16 : 4)
        for (int64_t channel = 0; channel < lanes; channel++) {
            Vector weight[vectors];
            for (int64_t j = 0; j < vectors; j++)
                weight[j] = *reinterpret_cast<const Vector *>(weights + j * of.panel + channel * lanes);
#pragma clang loop unroll(full)
            for (int64_t i = 0; i < tiles; i++)
                for (int64_t j = 0; j < vectors; j++)
                    sums[i][j] = from[i * spot + channel] * weight[j] + sums[i][j];
        }
    }
    for (int64_t i = 0; i < tiles; i++)
        for (int64_t j = 0; j < vectors; j++)
            *reinterpret_cast<Vector *>(of.to + j * of.to_block + i * spot) = sums[i][j];
}

}  // namespace winograd
