#include "CTorch.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>

// OpenBLAS picks its kernels by a table of processor models when it is loaded; a processor that is newer than the
// library gets the kernels of 2004 (Prescott: SSE3), which are a fifth as fast. OPENBLAS_CORETYPE overrules the table,
// but it is read before `main`. The library exports what it does then; before `main`, when no thread computes yet, it
// is done over with the kernels that fit what the processor can do. Where a symbol is missing (another BLAS)
// or the variable is set, nothing changes.
static void choose_matrix_kernels(void) {
    using corename_function = const char *(*)(void);
    using plain_function = void (*)(void);
    auto corename = reinterpret_cast<corename_function>(dlsym(RTLD_DEFAULT, "openblas_get_corename"));
    auto forget = reinterpret_cast<plain_function>(dlsym(RTLD_DEFAULT, "gotoblas_dynamic_quit"));
    auto choose = reinterpret_cast<plain_function>(dlsym(RTLD_DEFAULT, "gotoblas_dynamic_init"));
    if (!corename || !forget || !choose || std::getenv("OPENBLAS_CORETYPE")) return;
#if defined(__x86_64__)
    if (std::strcmp(corename(), "Prescott") != 0) return;
    const char *fitting = nullptr;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd")) {
        fitting = "SKYLAKEX";
    } else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        fitting = "HASWELL";
    }
    if (!fitting) return;
    setenv("OPENBLAS_CORETYPE", fitting, 1);
    forget();
    choose();
    unsetenv("OPENBLAS_CORETYPE");
#endif
}

// libtorch leaves AVX-512 aside unless asked, because the first processors that had it slowed down; it asks the
// environment when it chooses its first kernel.
static void choose_elementwise_kernels(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
        setenv("ATEN_CPU_CAPABILITY", "avx512", 0);
#endif
}

__attribute__((constructor)) static void choose_kernels(void) {
    choose_matrix_kernels();
    choose_elementwise_kernels();
}

const char *ct_matrix_kernels(void) {
    using corename_function = const char *(*)(void);
    auto corename = reinterpret_cast<corename_function>(dlsym(RTLD_DEFAULT, "openblas_get_corename"));
    return corename ? corename() : "";
}
