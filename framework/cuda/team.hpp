// A kernel is written once, as the work of a team of threads (docs/decisions/0014-kernels.md). On the device the
// team is a block, on the host a loop: there it is compared with ATen where no GPU is.
//
//   float total = 0;
//   typename Team::Own values(width);                            // a number for each element, kept by who visits it
//   team.each(width, [&](int i, int slot) { total += values[slot] = x[i]; });
//   const float mean = team.sum(total) / width;                  // of all threads, and the same in all
//
// Between two calls of each() a thread knows what it wrote itself, and no other's.
#pragma once

#include <torch/headeronly/util/BFloat16.h>

#include <math.h>
#include <cstdint>
#include <vector>

#if defined(__CUDACC__)
#define HEARTH_HD __host__ __device__ __forceinline__
#else
#define HEARTH_HD inline
#endif

namespace hearth::cuda {

using bf16 = c10::BFloat16;

/// The host: one thread is the team.
struct Alone {
    class Own {
      public:
        explicit Own(int count) : values_(static_cast<std::size_t>(count)) {}
        float& operator[](int slot) { return values_[static_cast<std::size_t>(slot)]; }

      private:
        std::vector<float> values_;
    };
    template <class Body>
    void each(int count, const Body& body) const {
        for (int i = 0; i < count; ++i) body(i, i);
    }
    template <class Number>
    Number sum(Number x) const {
        return x;
    }
    bool first() const { return true; }
};

#if defined(__CUDACC__)

/// The device: a block of at most 1024 threads, a multiple of 32. It keeps nothing.
struct Threads {
    double* shared;  ///< 32 numbers

    template <class Body>
    __device__ void each(int count, const Body& body) const {
        for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) body(i, 0);
    }
    template <class Number>
    __device__ Number sum(Number x) const {
        for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(~0u, x, distance);
        auto* of_warps = reinterpret_cast<Number*>(shared);
        __syncthreads();  // who is still reading the last sum
        if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = x;
        __syncthreads();
        Number total = 0;
        for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) total += of_warps[warp];
        return total;
    }
    __device__ bool first() const { return threadIdx.x == 0; }
};

/// The same, which visits up to `slots` elements a thread and keeps numbers of them in registers.
template <int slots>
struct Block : Threads {
    __device__ explicit Block(double* memory) : Threads{memory} {}

    class Own {
      public:
        __device__ explicit Own(int) {
#pragma unroll
            for (int slot = 0; slot < slots; ++slot) values_[slot] = 0;
        }
        __device__ float& operator[](int slot) {
            return values_[slot];
        }

      private:
        float values_[slots];
    };
    template <class Body>
    __device__ void each(int count, const Body& body) const {
#pragma unroll
        for (int slot = 0; slot < slots; ++slot)
            if (const int i = static_cast<int>(threadIdx.x + slot * blockDim.x); i < count) body(i, slot);
    }
};

/// The device: a column of a block of 32 x 32 threads, so that 32 teams read side by side. It keeps nothing.
struct Lanes {
    float (*shared)[33];

    template <class Body>
    __device__ void each(int count, const Body& body) const {
        for (int i = static_cast<int>(threadIdx.y); i < count; i += 32) body(i, 0);
    }
    __device__ float sum(float x) const {
        __syncthreads();
        shared[threadIdx.y][threadIdx.x] = x;
        __syncthreads();
        float total = 0;
        for (int lane = 0; lane < 32; ++lane) total += shared[lane][threadIdx.x];
        return total;
    }
    __device__ bool first() const { return threadIdx.y == 0; }
};

#endif

}  // namespace hearth::cuda
