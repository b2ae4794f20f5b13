#include "CTorch.h"

#include <malloc.h>

// How glibc manages the heap: freed memory stays in this process, and large blocks are reused instead of mapped, and their
// pages cleared, anew. Clearing took a quarter of the time on transformers.
//
// This has to be said before any thread allocates. A thread that has an arena of its own by then keeps it, and an arena
// beside the main one maps every block of more than 64 MiB by itself, whatever M_MMAP_MAX says.
__attribute__((constructor)) static void keep_freed_memory(void) {
    // No separate mappings, one arena for all threads, and nothing handed back unless asked: with any threshold, a model
    // whose values take more than that has the top of the heap returned in every pass.
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TRIM_THRESHOLD, -1);
    // Grown in steps, so that growing takes few calls.
    mallopt(M_TOP_PAD, 64 << 20);
}

void ct_release_freed_memory(void) { malloc_trim(0); }
