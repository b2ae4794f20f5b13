#include "CTorch.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <utility>

// Where the memory of tensors comes from.
//
// libtorch's own allocator throws a c10::Error when there is none, which only its text tells from any other error. This
// one throws a std::bad_alloc, as everything else in C++ does; ct_status tells of it.
//
// Linux promises memory that it does not have, and ends a process that uses it. So there is a limit: what a model asks for
// beyond it is an error like any other.

namespace {

// What every vector instruction is content with, and what libtorch's own allocator gives.
constexpr size_t alignment = 64;

class OutOfMemory : public std::bad_alloc {
public:
    explicit OutOfMemory(size_t bytes) noexcept {
        try {
            text = std::to_string(bytes >> 20) + " MiB are not to be had";
        } catch (...) {
            // Then there is no memory for a sentence either.
        }
    }
    const char *what() const noexcept override { return text.empty() ? "no memory is to be had" : text.c_str(); }

private:
    std::string text;
};

// What tensors hold, and may hold.
std::atomic<size_t> taken{0};
std::atomic<size_t> limit{SIZE_MAX};
// The limit for what the calling thread asks for.
thread_local size_t own_limit = SIZE_MAX;

void give_back(void *memory) {
    taken.fetch_sub(malloc_usable_size(memory), std::memory_order_relaxed);
    std::free(memory);
}

class Allocator final : public c10::Allocator {
public:
    c10::DataPtr allocate(size_t bytes) const override {
        void *memory = nullptr;
        const size_t most = std::min(limit.load(std::memory_order_relaxed), own_limit);
        const size_t held = taken.load(std::memory_order_relaxed);
        if (bytes > most || held > most - bytes) throw OutOfMemory(bytes);
        if (bytes != 0 && posix_memalign(&memory, alignment, bytes) != 0) throw OutOfMemory(bytes);
        taken.fetch_add(malloc_usable_size(memory), std::memory_order_relaxed);
        return {memory, memory, &give_back, c10::Device(c10::DeviceType::CPU)};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
};

// libtorch is loaded, and its allocator in place, before this runs; higher priorities win. Tensors may be let go of when the
// process ends, so the allocator stays.
__attribute__((constructor)) void choose_allocator(void) { c10::SetCPUAllocator(new Allocator, 1); }

}  // namespace

void ct_limit_memory(uint64_t bytes) { limit = bytes; }

uint64_t ct_limit_own_memory(uint64_t bytes) { return std::exchange(own_limit, bytes); }
