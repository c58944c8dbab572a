/// HEARTH_TARGET_CLONES before a function has it compiled a second time for AVX2 and FMA (x86-64-v3); the
/// loader picks the best the processor has. Without effect where that is not possible. Sanitizers start too
/// late for such functions.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && __GNUC__ >= 12 && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HEARTH_TARGET_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define HEARTH_TARGET_CLONES
#endif
/// For what such a function calls: only what is inlined is compiled for its target.
#define HEARTH_ALWAYS_INLINE __attribute__((always_inline)) inline
