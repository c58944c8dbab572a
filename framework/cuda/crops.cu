#include "cuda/launch.hpp"

namespace hearth::cuda {
namespace {

constexpr int threads = 256;

__global__ void narrow_strips(Crops a) {
    narrow_strip(a, blockIdx.x, Threads{nullptr});
}

__global__ void shorten_strips(Crops a) {
    shorten_strip(a, blockIdx.x, Threads{nullptr});
}

__global__ void blur_rows(Crops a) {
    blur_rows_strip(a, blockIdx.x, Threads{nullptr});
}

__global__ void blur_columns(Crops a) {
    __shared__ double shared[32];
    blur_columns_strip(a, blockIdx.x, Threads{shared});
}

__global__ void finish(Crops a) {
    __shared__ double shared[32];
    finish_strip(a, blockIdx.x, Threads{shared});
}

}  // namespace

int launch(const Crops& a, void* stream) {
    const auto on = static_cast<cudaStream_t>(stream);
    const auto of_boxes = static_cast<unsigned>(crop_planes(a) * crop_strips(a.height)),
               of_crops = static_cast<unsigned>(crop_planes(a) * crop_strips(a.size));
    const int columns = a.size < threads ? (a.size + 31) / 32 * 32 : threads;  // one a thread
    narrow_strips<<<of_boxes, columns, 0, on>>>(a);
    shorten_strips<<<of_crops, threads, 0, on>>>(a);
    blur_rows<<<of_crops, threads, 0, on>>>(a);
    blur_columns<<<of_crops, threads, 0, on>>>(a);
    finish<<<of_crops, threads, 0, on>>>(a);
    return static_cast<int>(cudaGetLastError());
}

}  // namespace hearth::cuda
