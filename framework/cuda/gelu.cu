#include "cuda/launch.hpp"

namespace hearth::cuda {
namespace {

constexpr int columns = 256;  // of a block, one a thread

template <class T>
__global__ void gelu_backward_strips(GeluBackward<T> a) {
    const int begin = static_cast<int>(blockIdx.x) * columns, left = a.width - begin;
    gelu_backward_strip(a, static_cast<int>(blockIdx.y), begin, left < columns ? left : columns,
                        Block<1>(nullptr));
}

template <class T>
int start_gelu_backward(const GeluBackward<T>& a, void* stream) {
    const dim3 blocks(static_cast<unsigned>((a.width + columns - 1) / columns),
                      static_cast<unsigned>(a.strips));
    gelu_backward_strips<<<blocks, columns, 0, static_cast<cudaStream_t>(stream)>>>(a);
    return static_cast<int>(cudaGetLastError());
}

}  // namespace

int launch(const GeluBackward<float>& a, void* stream) {
    return start_gelu_backward(a, stream);
}
int launch(const GeluBackward<bf16>& a, void* stream) {
    return start_gelu_backward(a, stream);
}

}  // namespace hearth::cuda
