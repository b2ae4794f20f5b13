#include "CTorch.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/api/include/torch/version.h>

#include <climits>
#include <cstring>
#include <mutex>
#include <new>
#include <string>
#include <vector>

namespace {

thread_local std::string last_error;
thread_local bool gradients_enabled = false;

// One operator at a time in the whole process. OpenBLAS's serial build (Debian's libopenblas0-serial) keeps scratch
// memory that all threads share without locking it: matrix products on two threads at once overwrite each other's
// operands and return wrong numbers. Workers compute on one thread, so nothing waits here.
std::mutex computing;

// libtorch's messages carry a C++ backtrace after the first line or two: a user needs the sentence only.
void remember(const char *what) {
    last_error = what;
    auto end = last_error.find("\nException raised from");
    if (end != std::string::npos) last_error.resize(end);
}

// Runs `body`. Tensors' memory that is not to be had is a std::bad_alloc (Allocator.cpp), as it is for everything else.
template <typename Body>
ct_status guarded(Body &&body) noexcept {
    try {
        body();
        return CT_OK;
    } catch (const std::bad_alloc &error) {
        remember(error.what());
        return CT_OUT_OF_MEMORY;
    } catch (const c10::OutOfMemoryError &error) {
        remember(error.what());
        return CT_OUT_OF_MEMORY;
    } catch (const std::exception &error) {
        remember(error.what());
    } catch (...) {
        last_error = "libtorch threw something that is no exception";
    }
    return CT_FAILED;
}

c10::TensorImpl *implementation(const ct_tensor *tensor) {
    return reinterpret_cast<c10::TensorImpl *>(const_cast<ct_tensor *>(tensor));
}

at::Tensor borrow(const ct_tensor *tensor) {
    return at::Tensor(c10::intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>::reclaim_copy(
        implementation(tensor)));
}

ct_tensor *hand_out(at::Tensor tensor) {
    return reinterpret_cast<ct_tensor *>(tensor.unsafeReleaseTensorImpl());
}

c10::IValue value_of(const ct_value &value) {
    switch (value.kind) {
    case CT_NONE:
    case CT_DEFAULT:
        return c10::IValue();
    case CT_TENSOR:
        return c10::IValue(borrow(value.as.tensor));
    case CT_INT:
        return c10::IValue(value.as.integer);
    case CT_DOUBLE:
        return c10::IValue(value.as.real);
    case CT_BOOL:
        return c10::IValue(value.as.integer != 0);
    case CT_STRING:
        return c10::IValue(std::string(value.as.string, static_cast<size_t>(value.count)));
    case CT_INTS: {
        c10::List<int64_t> list;
        list.reserve(static_cast<size_t>(value.count));
        for (int64_t i = 0; i < value.count; i++) list.push_back(value.as.integers[i]);
        return c10::IValue(std::move(list));
    }
    case CT_DOUBLES: {
        c10::List<double> list;
        for (int64_t i = 0; i < value.count; i++) list.push_back(value.as.reals[i]);
        return c10::IValue(std::move(list));
    }
    case CT_BOOLS: {
        c10::List<bool> list;
        for (int64_t i = 0; i < value.count; i++) list.push_back(value.as.integers[i] != 0);
        return c10::IValue(std::move(list));
    }
    case CT_TENSORS: {
        c10::List<at::Tensor> list;
        for (int64_t i = 0; i < value.count; i++) list.push_back(borrow(value.as.tensors[i]));
        return c10::IValue(std::move(list));
    }
    case CT_OPTIONAL_TENSORS: {
        c10::List<c10::optional<at::Tensor>> list;
        for (int64_t i = 0; i < value.count; i++) {
            const ct_tensor *tensor = value.as.tensors[i];
            list.push_back(tensor ? c10::optional<at::Tensor>(borrow(tensor)) : c10::nullopt);
        }
        return c10::IValue(std::move(list));
    }
    }
    return c10::IValue();
}

void collect(const c10::IValue &value, std::vector<at::Tensor> &results) {
    if (value.isTensor()) {
        results.push_back(value.toTensor());
    } else if (value.isTensorList()) {
        for (const at::Tensor &tensor : value.toTensorVector()) results.push_back(tensor);
    } else if (value.isInt()) {
        results.push_back(at::scalar_tensor(value.toInt(), at::kLong));
    } else if (value.isDouble()) {
        results.push_back(at::scalar_tensor(value.toDouble(), at::kDouble));
    } else if (value.isBool()) {
        results.push_back(at::scalar_tensor(value.toBool(), at::kBool));
    } else if (value.isTuple()) {
        for (const auto &element : value.toTupleRef().elements()) collect(element, results);
    } else {
        throw std::runtime_error("the operator returned a " + value.tagKind() + ", which has no tensor form");
    }
}

}  // namespace

struct ct_operator {
    c10::OperatorHandle handle;
};

const char *ct_last_error(void) { return last_error.c_str(); }
const char *ct_version(void) { return TORCH_VERSION; }

const char *ct_config(void) {
    static const std::string config = [] {
        std::string text;
        guarded([&] { text = at::show_config(); });
        return text;
    }();
    return config.c_str();
}

void ct_set_threads(int32_t count) {
    guarded([&] { at::set_num_threads(count); });
}

void ct_set_gradients(bool enabled) { gradients_enabled = enabled; }
bool ct_gradients(void) { return gradients_enabled; }

ct_status ct_find_operator(const char *name, const char *overload, const ct_operator **found) {
    return guarded([&] {
        auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
        if (!handle) {
            std::string full = name;
            if (*overload) full += std::string(".") + overload;
            throw std::runtime_error("libtorch " TORCH_VERSION " has no operator " + full);
        }
        *found = new ct_operator{*handle};
    });
}

ct_status ct_call(const ct_operator *op, const ct_value *arguments, int32_t argument_count, ct_tensor **results,
                int32_t result_capacity, int32_t *result_count) {
    return guarded([&] {
        const c10::FunctionSchema &schema = op->handle.schema();
        const auto &formal = schema.arguments();
        if (static_cast<size_t>(argument_count) > formal.size())
            throw std::runtime_error("too many arguments for " + schema.name());
        torch::jit::Stack stack;
        stack.reserve(formal.size());
        for (size_t i = 0; i < formal.size(); i++) {
            bool given = i < static_cast<size_t>(argument_count) && arguments[i].kind != CT_DEFAULT;
            if (given && arguments[i].kind == CT_INT && formal[i].type()->kind() == c10::TypeKind::FloatType) {
                // Unlike Python's, the boxed call does not turn whole numbers into reals.
                stack.push_back(static_cast<double>(arguments[i].as.integer));
            } else if (given) {
                stack.push_back(value_of(arguments[i]));
            } else if (formal[i].default_value()) {
                stack.push_back(*formal[i].default_value());
            } else {
                throw std::runtime_error(schema.name() + " needs the argument '" + formal[i].name() + "'");
            }
        }
        std::unique_lock<std::mutex> lock(computing);
        if (gradients_enabled) {
            at::AutoGradMode mode(true);
            op->handle.callBoxed(stack);
        } else {
            at::AutoDispatchBelowADInplaceOrView below;
            op->handle.callBoxed(stack);
        }
        lock.unlock();
        std::vector<at::Tensor> collected;
        for (const c10::IValue &value : stack) collect(value, collected);
        if (collected.size() > static_cast<size_t>(result_capacity))
            throw std::runtime_error(schema.name() + " returned more tensors than there is room for");
        for (size_t i = 0; i < collected.size(); i++) results[i] = hand_out(std::move(collected[i]));
        *result_count = static_cast<int32_t>(collected.size());
    });
}

ct_status ct_make(int32_t type, const int64_t *shape, int32_t rank, const void *bytes, size_t byte_count,
                ct_tensor **made) {
    return guarded([&] {
        at::Tensor tensor = at::empty(at::IntArrayRef(shape, static_cast<size_t>(rank)),
                                      at::TensorOptions(static_cast<at::ScalarType>(type)));
        if (tensor.nbytes() != byte_count)
            throw std::runtime_error("the shape wants " + std::to_string(tensor.nbytes()) + " bytes, there are "
                                     + std::to_string(byte_count));
        if (byte_count) std::memcpy(tensor.data_ptr(), bytes, byte_count);
        *made = hand_out(std::move(tensor));
    });
}

void ct_retain(const ct_tensor *tensor) { c10::raw::intrusive_ptr::incref(implementation(tensor)); }
void ct_release(const ct_tensor *tensor) { c10::raw::intrusive_ptr::decref(implementation(tensor)); }

int32_t ct_type(const ct_tensor *tensor) {
    return static_cast<int32_t>(c10::typeMetaToScalarType(implementation(tensor)->dtype()));
}
int32_t ct_rank(const ct_tensor *tensor) { return static_cast<int32_t>(implementation(tensor)->dim()); }
void ct_shape(const ct_tensor *tensor, int64_t *shape) {
    auto sizes = implementation(tensor)->sizes();
    std::copy(sizes.begin(), sizes.end(), shape);
}
void ct_strides(const ct_tensor *tensor, int64_t *strides) {
    auto distances = implementation(tensor)->strides();
    std::copy(distances.begin(), distances.end(), strides);
}
int64_t ct_count(const ct_tensor *tensor) { return implementation(tensor)->numel(); }
size_t ct_byte_count(const ct_tensor *tensor) {
    return static_cast<size_t>(implementation(tensor)->numel()) * implementation(tensor)->itemsize();
}
bool ct_is_contiguous(const ct_tensor *tensor, bool channels_last) {
    return implementation(tensor)->is_contiguous(channels_last ? at::MemoryFormat::ChannelsLast
                                                               : at::MemoryFormat::Contiguous);
}

bool ct_is_exclusive(const ct_tensor *tensor) {
    c10::TensorImpl *impl = implementation(tensor);
    if (c10::raw::intrusive_ptr::use_count(impl) != 1 || !impl->has_storage() || impl->requires_grad()) return false;
    return impl->storage().use_count() == 1 && impl->storage_offset() == 0 && impl->is_non_overlapping_and_dense();
}
bool ct_same_layout(const ct_tensor *left, const ct_tensor *right) {
    return implementation(left)->dtype() == implementation(right)->dtype()
        && implementation(left)->sizes() == implementation(right)->sizes()
        && implementation(left)->strides() == implementation(right)->strides();
}

ct_status ct_copy_out(const ct_tensor *tensor, void *bytes, size_t byte_count) {
    return guarded([&] {
        at::AutoDispatchBelowADInplaceOrView below;
        at::Tensor contiguous = borrow(tensor).detach().contiguous();
        if (contiguous.nbytes() != byte_count) throw std::runtime_error("the buffer has the wrong size");
        if (byte_count) std::memcpy(bytes, contiguous.data_ptr(), byte_count);
    });
}

ct_status ct_requires_gradient(const ct_tensor *tensor, bool required) {
    return guarded([&] { borrow(tensor).requires_grad_(required); });
}

bool ct_has_gradient(const ct_tensor *tensor) {
    bool has = false;
    guarded([&] { has = borrow(tensor).requires_grad(); });
    return has;
}

ct_status ct_gradient(const ct_tensor *const *outputs, const ct_tensor *const *output_gradients, int32_t output_count,
                    const ct_tensor *const *inputs, int32_t input_count, bool keep_graph, bool create_graph,
                    ct_tensor **gradients) {
    return guarded([&] {
        torch::autograd::variable_list out, seeds, in;
        for (int32_t i = 0; i < output_count; i++) {
            out.push_back(borrow(outputs[i]));
            seeds.push_back(output_gradients[i] ? borrow(output_gradients[i]) : at::Tensor());
        }
        for (int32_t i = 0; i < input_count; i++) in.push_back(borrow(inputs[i]));
        std::lock_guard<std::mutex> lock(computing);
        at::AutoGradMode mode(true);
        auto result = torch::autograd::grad(out, in, seeds, keep_graph || create_graph, create_graph,
                                            /*allow_unused=*/true);
        for (int32_t i = 0; i < input_count; i++)
            gradients[i] = result[static_cast<size_t>(i)].defined() ? hand_out(result[static_cast<size_t>(i)]) : nullptr;
    });
}
