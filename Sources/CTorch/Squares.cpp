#include <ATen/ATen.h>
#include <torch/library.h>

#include <dlfcn.h>

#include <algorithm>
#include <cstdint>

// XᵀX in double precision, which is half of the products of a matrix product.

namespace {

using syrk_function = void (*)(int, int, int, int, int, double, const double *, int, double, double *, int);

syrk_function rank_update(void) {
    static const auto found = reinterpret_cast<syrk_function>(dlsym(RTLD_DEFAULT, "cblas_dsyrk"));
    return found;
}

// Adds XᵀX to the upper half of every matrix of `sums` (groups, d, d); what is below it means nothing. `rows` is
// (groups, n, d). Without a BLAS that offers the update the whole product is added.
at::Tensor add_squares(at::Tensor sums, const at::Tensor &rows) {
    TORCH_CHECK(sums.dim() == 3 && sums.is_contiguous() && sums.scalar_type() == at::kDouble, "sums must be float64 matrices");
    TORCH_CHECK(rows.dim() == 3 && rows.scalar_type() == at::kDouble, "rows must be float64 matrices");
    int64_t groups = rows.size(0), count = rows.size(1), columns = rows.size(2);
    TORCH_CHECK(sums.size(0) == groups && sums.size(1) == columns && sums.size(2) == columns,
                "the squares of ", columns, " columns in ", groups, " groups are no ", sums.sizes());
    TORCH_CHECK(count <= INT32_MAX && columns <= INT32_MAX, "too many rows");
    if (!rank_update()) return sums.add_(at::matmul(rows.transpose(1, 2), rows));
    if (count == 0 || columns == 0) return sums;
    constexpr int row_major = 101, upper = 121, transposed = 112;
    for (int64_t group = 0; group < groups; group++) {
        auto own = rows.select(0, group).contiguous();
        rank_update()(row_major, upper, transposed, static_cast<int>(columns), static_cast<int>(count), 1,
                      own.data_ptr<double>(), static_cast<int>(columns), 1,
                      sums.data_ptr<double>() + group * columns * columns, static_cast<int>(columns));
    }
    return sums;
}

// Symmetric matrices (groups, d, d) from their upper halves.
at::Tensor mirrored(const at::Tensor &halves) {
    TORCH_CHECK(halves.dim() == 3 && halves.size(1) == halves.size(2) && halves.scalar_type() == at::kDouble,
                "halves must be square float64 matrices");
    auto result = halves.clone(at::MemoryFormat::Contiguous);
    constexpr int64_t tile = 32;
    int64_t size = halves.size(1);
    for (int64_t group = 0; group < halves.size(0); group++) {
        double *matrix = result.data_ptr<double>() + group * size * size;
        for (int64_t top = 0; top < size; top += tile)
            for (int64_t left = 0; left <= top; left += tile)
                for (int64_t row = top; row < std::min(top + tile, size); row++)
                    for (int64_t column = left; column < std::min({left + tile, row, size}); column++)
                        matrix[row * size + column] = matrix[column * size + row];
    }
    return result;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(espalier, library) {
    library.def("add_squares(Tensor(a!) sums, Tensor rows) -> Tensor(a!)", add_squares);
    library.def("mirrored(Tensor halves) -> Tensor", mirrored);
}
