#include <ATen/ATen.h>

#include <hearth/context.hpp>
#include <hearth/random.hpp>

namespace hearth {
namespace {

constexpr std::uint64_t own_streams = 0x9E3779B97F4A7C15;  // so that no augment of that seed draws the same

template <class Draw>
at::Tensor rows(const Context& context, const at::Tensor& index, at::IntArrayRef shape, std::uint64_t which,
                Draw draw) {
    auto sizes = shape.vec();
    sizes.insert(sizes.begin(), index.size(0));
    if (index.is_meta()) return at::empty(sizes, index.options().dtype(at::kFloat));  // shapes alone are asked
    auto out = at::empty(sizes, at::kFloat);
    const auto on_cpu = index.to(at::kCPU, at::kLong).contiguous();
    const auto* samples = on_cpu.const_data_ptr<std::int64_t>();
    auto* values = out.mutable_data_ptr<float>();
    const auto each = index.size(0) > 0 ? out.numel() / index.size(0) : 0;
    for (std::int64_t i = 0; i < index.size(0); ++i) {
        Random random({.seed = context.seed ^ own_streams,
                       .epoch = context.draw,
                       .sample = static_cast<std::uint64_t>(samples[i]),
                       .stream = (context.stream & 0xff) << 8 | (which & 0xff)});
        for (std::int64_t k = 0; k < each; ++k) *values++ = static_cast<float>(draw(random));
    }
    return out.to(context.device, /*non_blocking=*/true);
}

}  // namespace

at::Tensor Context::normal(const at::Tensor& index, at::IntArrayRef shape, std::uint64_t which) const {
    return rows(*this, index, shape, which, [](Random& random) { return random.normal(); });
}

at::Tensor Context::uniform(const at::Tensor& index, at::IntArrayRef shape, std::uint64_t which) const {
    return rows(*this, index, shape, which, [](Random& random) { return random.uniform(); });
}

}  // namespace hearth
