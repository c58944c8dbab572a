#include "cuda/host_twin.hpp"

#include <algorithm>

namespace {

int launched = 0;

template <class Arguments>
int run(const Arguments& a) {
    ++launched;
    hearth::test::all_blocks(a, [](const auto& work) { work(hearth::cuda::Alone()); });
    return 0;
}

}  // namespace

int hearth::test::launches() {
    return launched;
}

namespace hearth::cuda {

int launch(const Norm<float>& a, void*) {
    return run(a);
}
int launch(const Norm<bf16>& a, void*) {
    return run(a);
}
int launch(const NormBackward<float>& a, void*) {
    return run(a);
}
int launch(const NormBackward<bf16>& a, void*) {
    return run(a);
}
int launch(const GeluBackward<float>& a, void*) {
    return run(a);
}
int launch(const GeluBackward<bf16>& a, void*) {
    return run(a);
}
int launch(const ColumnSums& a, void*) {
    return run(a);
}
int launch(const UpdateAll& a, void*) {
    return run(a);
}
int launch(const Crops& a, void*) {
    return run(a);
}

const char* error_text(int) {
    return "none: the host has no CUDA";
}

}  // namespace hearth::cuda
