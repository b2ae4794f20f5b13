// A C face of libtorch, small because every operator goes through libtorch's own dispatcher by schema name.
//
// Every function is noexcept. Those that can fail return a ct_status, and unless that is CT_OK leave the reason in
// ct_last_error() of the calling thread. A ct_tensor is a counted reference: release each one you are handed.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    CT_OK = 0,
    CT_FAILED,         // libtorch refused
    CT_OUT_OF_MEMORY,  // the system gave no memory (Allocator.cpp)
} ct_status;

typedef struct ct_tensor ct_tensor;
typedef struct ct_operator ct_operator;

typedef enum {
    CT_NONE = 0,
    CT_DEFAULT,  // the default value in the operator's schema
    CT_TENSOR,
    CT_INT,
    CT_DOUBLE,
    CT_BOOL,
    CT_STRING,
    CT_INTS,
    CT_DOUBLES,
    CT_BOOLS,
    CT_TENSORS,           // Tensor[]
    CT_OPTIONAL_TENSORS,  // Tensor?[]; absent ones are null
} ct_kind;

// One argument of an operator. Lists point to memory that the caller keeps alive during the call.
typedef struct {
    ct_kind kind;
    int64_t count;  // elements of a list; bytes of a string
    union {
        int64_t integer;
        double real;
        const ct_tensor *tensor;
        const int64_t *integers;
        const double *reals;
        const ct_tensor *const *tensors;
        const char *string;
    } as;
} ct_value;

const char *ct_last_error(void);
const char *ct_version(void);
// How libtorch was built and what it found here, in its own words.
const char *ct_config(void);

// Compute threads of this process, for operators and for BLAS.
void ct_set_threads(int32_t count);
// How many bytes all tensors of this process may take at once (at first any). An operator that wants more ends with
// CT_OUT_OF_MEMORY.
void ct_limit_memory(uint64_t bytes);
// The same for operators on the calling thread alone; returns what it was before.
uint64_t ct_limit_own_memory(uint64_t bytes);
// Hands free pages back to the system, also those between blocks in use.
void ct_release_freed_memory(void);
// The processor that the BLAS chose its kernels for; empty where it does not say.
const char *ct_matrix_kernels(void);
// Turns recording for backward on or off for the calling thread (off at first).
void ct_set_gradients(bool enabled);
bool ct_gradients(void);

// Finds an operator by schema name ("aten::conv2d") and overload name ("" or "Tensor"). Never released.
ct_status ct_find_operator(const char *name, const char *overload, const ct_operator **found);
// Calls an operator. Arguments left out at the end take their defaults. Results that are lists are flattened;
// integer, real and boolean results become zero-dimensional tensors.
ct_status ct_call(const ct_operator *op, const ct_value *arguments, int32_t argument_count, ct_tensor **results,
                int32_t result_capacity, int32_t *result_count);

// A new tensor with a copy of `bytes` (C order). `type` is libtorch's ScalarType number.
ct_status ct_make(int32_t type, const int64_t *shape, int32_t rank, const void *bytes, size_t byte_count,
                ct_tensor **made);
void ct_retain(const ct_tensor *tensor);
void ct_release(const ct_tensor *tensor);

int32_t ct_type(const ct_tensor *tensor);
int32_t ct_rank(const ct_tensor *tensor);
void ct_shape(const ct_tensor *tensor, int64_t *shape);
// The distance of neighbours in every dimension, in elements.
void ct_strides(const ct_tensor *tensor, int64_t *strides);
int64_t ct_count(const ct_tensor *tensor);
size_t ct_byte_count(const ct_tensor *tensor);
bool ct_is_contiguous(const ct_tensor *tensor, bool channels_last);
// Whether nobody else holds the tensor or its memory, and the elements fill that memory without gaps.
bool ct_is_exclusive(const ct_tensor *tensor);
// Whether element type, sizes and strides are the same.
bool ct_same_layout(const ct_tensor *left, const ct_tensor *right);
// Copies the elements in C order into `bytes`, which has room for ct_byte_count.
ct_status ct_copy_out(const ct_tensor *tensor, void *bytes, size_t byte_count);

// Autograd.
ct_status ct_requires_gradient(const ct_tensor *tensor, bool required);
// Whether a gradient is wanted for it or for what it was computed from.
bool ct_has_gradient(const ct_tensor *tensor);
// Gradients of sum(outputs * output_gradients) with respect to inputs; null where an input was not used.
ct_status ct_gradient(const ct_tensor *const *outputs, const ct_tensor *const *output_gradients, int32_t output_count,
                    const ct_tensor *const *inputs, int32_t input_count, bool keep_graph, bool create_graph,
                    ct_tensor **gradients);

#ifdef __cplusplus
}
#endif
