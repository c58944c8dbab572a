#include "cuda/launch.hpp"

namespace hearth::cuda {
namespace {

constexpr int threads = 256;

__global__ void sums_of_squares(UpdateAll a) {
    __shared__ double shared[32];
    sum_squares(a, static_cast<int>(blockIdx.x), Threads{shared});
}

__global__ void update_pieces(UpdateAll a) {
    __shared__ double shared[32];
    update_piece(a, static_cast<int>(blockIdx.x), Threads{shared});
}

}  // namespace

int launch(const UpdateAll& a, void* stream) {
    const auto blocks = static_cast<unsigned>(a.piece_count);
    sums_of_squares<<<blocks, threads, 0, static_cast<cudaStream_t>(stream)>>>(a);
    if (const auto code = cudaGetLastError(); code != cudaSuccess) return static_cast<int>(code);
    update_pieces<<<blocks, threads, 0, static_cast<cudaStream_t>(stream)>>>(a);
    return static_cast<int>(cudaGetLastError());
}

}  // namespace hearth::cuda
