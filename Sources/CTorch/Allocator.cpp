#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <cstdlib>
#include <new>
#include <string>

// Where the memory of tensors comes from.
//
// libtorch's own allocator throws a c10::Error when there is none, which only its text tells from any other error. This
// one throws a std::bad_alloc, as everything else in C++ does; ct_status tells of it.

namespace {

// What every vector instruction is content with, and what libtorch's own allocator gives.
constexpr size_t alignment = 64;

class OutOfMemory : public std::bad_alloc {
public:
    explicit OutOfMemory(size_t bytes) noexcept {
        try {
            text = std::to_string(bytes) + " bytes are not to be had";
        } catch (...) {
            // Then there is no memory for a sentence either.
        }
    }
    const char *what() const noexcept override { return text.empty() ? "no memory is to be had" : text.c_str(); }

private:
    std::string text;
};

void give_back(void *memory) { std::free(memory); }

class Allocator final : public c10::Allocator {
public:
    c10::DataPtr allocate(size_t bytes) const override {
        void *memory = nullptr;
        if (bytes != 0 && posix_memalign(&memory, alignment, bytes) != 0) throw OutOfMemory(bytes);
        return {memory, memory, &give_back, c10::Device(c10::DeviceType::CPU)};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
};

// libtorch is loaded, and its allocator in place, before this runs; higher priorities win. Tensors may be let go of when the
// process ends, so the allocator stays.
__attribute__((constructor)) void choose_allocator(void) { c10::SetCPUAllocator(new Allocator, 1); }

}  // namespace
