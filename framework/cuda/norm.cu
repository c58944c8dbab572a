#include "cuda/launch.hpp"

namespace hearth::cuda {
namespace {

template <int slots, class T>
__global__ void norm_rows(Norm<T> a) {
    __shared__ double shared[32];
    norm_row(a, blockIdx.x, Block<slots>(shared));
}

template <int slots, class T>
__global__ void norm_backward_strips(NormBackward<T> a) {
    __shared__ double shared[32];
    norm_backward_strip(a, static_cast<int>(blockIdx.x), Block<slots>(shared));
}

__global__ void column_sums(ColumnSums a) {
    __shared__ float shared[32][33];
    column_sum(a, static_cast<int>(blockIdx.x * 32 + threadIdx.x), Lanes{shared});
}

/// start.template operator()<slots>(threads) with the fewest slots that hold a row.
template <class Start>
int for_width(int width, const Start& start) {
    const int threads = width <= 16 * 256 ? 256 : 1024, slots = (width + threads - 1) / threads;
    if (slots <= 1)
        start.template operator()<1>(threads);
    else if (slots <= 3)
        start.template operator()<3>(threads);
    else if (slots <= 4)
        start.template operator()<4>(threads);
    else if (slots <= 8)
        start.template operator()<8>(threads);
    else if (slots <= 16)
        start.template operator()<16>(threads);
    else
        return static_cast<int>(cudaErrorInvalidValue);
    return static_cast<int>(cudaGetLastError());
}

template <class T>
int start_norm(const Norm<T>& a, void* stream) {
    return for_width(a.width, [&]<int slots>(int threads) {
        norm_rows<slots><<<static_cast<unsigned>(a.rows), threads, 0, static_cast<cudaStream_t>(stream)>>>(a);
    });
}

template <class T>
int start_norm_backward(const NormBackward<T>& a, void* stream) {
    return for_width(a.width, [&]<int slots>(int threads) {
        norm_backward_strips<slots>
            <<<static_cast<unsigned>(a.strips), threads, 0, static_cast<cudaStream_t>(stream)>>>(a);
    });
}

}  // namespace

int launch(const Norm<float>& a, void* stream) {
    return start_norm(a, stream);
}
int launch(const Norm<bf16>& a, void* stream) {
    return start_norm(a, stream);
}
int launch(const NormBackward<float>& a, void* stream) {
    return start_norm_backward(a, stream);
}
int launch(const NormBackward<bf16>& a, void* stream) {
    return start_norm_backward(a, stream);
}

int launch(const ColumnSums& a, void* stream) {
    const auto blocks = static_cast<unsigned>((a.planes * a.width + 31) / 32);
    column_sums<<<blocks, dim3(32, 32), 0, static_cast<cudaStream_t>(stream)>>>(a);
    return static_cast<int>(cudaGetLastError());
}

const char* error_text(int code) {
    return cudaGetErrorString(static_cast<cudaError_t>(code));
}

}  // namespace hearth::cuda
