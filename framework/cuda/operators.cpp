#include "cuda/operators.hpp"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <hearth/error.hpp>
#include <limits>
#include <optional>
#include <tuple>
#include <vector>

#include "cuda/launch.hpp"

namespace hearth::cuda {
namespace {

using at::Tensor;
using std::optional;

/// Strips of rows whose sums are added up afterwards: enough for every multiprocessor to have several blocks.
constexpr std::int64_t norm_strips = 512, gelu_strips = 128;

/// launch() on the stream that LibTorch computes on.
template <class Arguments>
void start(const char* name, const Arguments& arguments, const Tensor& on) {
    void* stream = nullptr;
    if (!on.is_cpu())
        stream = c10::impl::VirtualGuardImpl(on.device().type()).getStream(on.device()).native_handle();
    if (const int code = launch(arguments, stream); code != 0)
        throw Error(ExitCode::internal, fmt::format("the kernel {} did not start: {} (CUDA's error {})", name,
                                                    error_text(code), code));
}

template <class T>
const T* data(const Tensor& tensor) {
    return tensor.const_data_ptr<T>();
}
template <class T>
const T* data(const optional<Tensor>& tensor) {
    return tensor ? tensor->const_data_ptr<T>() : nullptr;
}
optional<Tensor> dense(const optional<Tensor>& tensor) {
    return tensor ? optional(tensor->contiguous()) : std::nullopt;
}

/// visit(T()) for the type of what is rounded.
template <class Visit>
void for_type(at::ScalarType type, const Visit& visit) {
    if (type == at::kBFloat16)
        visit(bf16());
    else
        visit(float());
}

/// What the kernel does not take is computed by ATen's formula.
template <class Signature, class... Arguments>
auto formula(const char* name, const Arguments&... arguments) {
    return c10::Dispatcher::singleton()
        .findSchemaOrThrow(name, "formula")
        .typed<Signature>()
        .call(arguments...);
}

bool rounds_to(at::ScalarType type) {
    return type == at::kBFloat16 || type == at::kFloat;
}

bool single(const Tensor& tensor) {
    return tensor.scalar_type() == at::kFloat;
}

/// [.., D] -> [.., 1], as ATen's layer norm has its statistics.
Tensor statistic(const Tensor& x) {
    auto sizes = x.sizes().vec();
    sizes.back() = 1;
    return at::empty(sizes, x.options());
}

using Two = std::tuple<Tensor, Tensor>;
using Three = std::tuple<Tensor, Tensor, Tensor>;
using Four = std::tuple<Tensor, Tensor, Tensor, Tensor>;

bool takes_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, at::ScalarType type) {
    return single(x) && single(gain) && single(bias) && rounds_to(type) && x.dim() > 1 &&
           x.size(-1) <= widest_norm && gain.numel() == x.size(-1) && bias.numel() == x.size(-1);
}

Four normed(const char* name, const Tensor& given, const optional<Tensor>& given_branch,
            const optional<Tensor>& given_scale, const Tensor& gain, const Tensor& bias, double eps,
            at::ScalarType type) {
    const c10::DeviceGuard guard(given.device());
    const auto x = given.contiguous();
    const auto branch = dense(given_branch), scale = dense(given_scale);
    const auto sum = branch ? at::empty_like(x) : x, out = at::empty(x.sizes(), x.options().dtype(type));
    const auto mean = statistic(x), rstd = statistic(x);
    const auto rows = mean.numel();
    if (x.numel() > 0)
        for_type(type, [&]<class T>(T) {
            start(name,
                  Norm<T>{.x = data<float>(x),
                          .branch = data<T>(branch),
                          .scale = data<float>(scale),
                          .gain = data<float>(gain),
                          .bias = data<float>(bias),
                          .sum = branch ? sum.mutable_data_ptr<float>() : nullptr,
                          .out = out.mutable_data_ptr<T>(),
                          .mean = mean.mutable_data_ptr<float>(),
                          .rstd = rstd.mutable_data_ptr<float>(),
                          .rows = rows,
                          .rows_per_sample = rows / x.size(0),
                          .width = static_cast<int>(x.size(-1)),
                          .eps = static_cast<float>(eps)},
                  x);
        });
    return {sum, out, mean, rstd};
}

Three norm(const Tensor& x, const Tensor& gain, const Tensor& bias, double eps, at::ScalarType type) {
    if (!takes_norm(x, gain, bias, type))
        return formula<decltype(norm)>("hearth_kernels::norm", x, gain, bias, eps, type);
    const auto [sum, out, mean, rstd] =
        normed("norm", x, {}, {}, gain.contiguous(), bias.contiguous(), eps, type);
    return {out, mean, rstd};
}

Four add_norm(const Tensor& x, const Tensor& branch, const optional<Tensor>& scale, const Tensor& gain,
              const Tensor& bias, double eps, at::ScalarType type) {
    if (!takes_norm(x, gain, bias, type) || branch.scalar_type() != type || branch.sizes() != x.sizes() ||
        (scale && (!single(*scale) || scale->numel() != x.size(0))))
        return formula<decltype(add_norm)>("hearth_kernels::add_norm", x, branch, scale, gain, bias, eps, type);
    return normed("add_norm", x, branch, scale, gain.contiguous(), bias.contiguous(), eps, type);
}

/// partial [planes, strips, width] -> [planes, width]
Tensor column_sums(const Tensor& partial) {
    const auto out = at::empty({partial.size(0), partial.size(2)}, partial.options());
    start("column_sums",
          ColumnSums{.partial = data<float>(partial),
                     .out = out.mutable_data_ptr<float>(),
                     .planes = static_cast<int>(partial.size(0)),
                     .strips = static_cast<int>(partial.size(1)),
                     .width = static_cast<int>(partial.size(2))},
          partial);
    return out;
}

Four norm_backward(const optional<Tensor>& given_grad_sum, const Tensor& given_grad_out, const Tensor& sum,
                   const Tensor& mean, const Tensor& rstd, const Tensor& gain,
                   const optional<Tensor>& given_scale, optional<at::ScalarType> branch) {
    const auto type = given_grad_out.scalar_type();
    if (!takes_norm(sum, gain, gain, type) || branch.value_or(type) != type ||
        (given_grad_sum && !single(*given_grad_sum)) || (given_scale && !single(*given_scale)))
        return formula<decltype(norm_backward)>("hearth_kernels::norm_backward", given_grad_sum, given_grad_out,
                                                sum, mean, rstd, gain, given_scale, branch);
    const c10::DeviceGuard guard(sum.device());
    const auto grad_sum = dense(given_grad_sum), scale = dense(given_scale);
    const auto x = sum.contiguous(), grad_out = given_grad_out.contiguous();
    const auto grad_x = at::empty_like(x);
    const auto grad_branch = branch ? at::empty(x.sizes(), x.options().dtype(type)) : Tensor();
    const auto rows = mean.numel(), width = x.size(-1);
    if (x.numel() == 0) return {grad_x, grad_branch, at::zeros_like(gain), at::zeros_like(gain)};
    const auto strips = std::min(rows, norm_strips);
    const auto partial = at::empty({2, strips, width}, x.options());
    for_type(type, [&]<class T>(T) {
        start("norm_backward",
              NormBackward<T>{.grad_sum = data<float>(grad_sum),
                              .grad_out = data<T>(grad_out),
                              .sum = data<float>(x),
                              .mean = data<float>(mean),
                              .rstd = data<float>(rstd),
                              .gain = data<float>(gain.contiguous()),
                              .scale = data<float>(scale),
                              .grad_x = grad_x.mutable_data_ptr<float>(),
                              .grad_branch = branch ? grad_branch.mutable_data_ptr<T>() : nullptr,
                              .partial = partial.mutable_data_ptr<float>(),
                              .rows = rows,
                              .rows_per_sample = rows / x.size(0),
                              .strips = static_cast<int>(strips),
                              .width = static_cast<int>(width)},
              x);
    });
    const auto sums = column_sums(partial);
    return {grad_x, grad_branch, sums[0], sums[1]};
}

Two gelu_backward(const Tensor& given_grad, const Tensor& given_x) {
    const auto type = given_x.scalar_type();
    if (!rounds_to(type) || given_grad.scalar_type() != type || given_x.dim() == 0)
        return formula<decltype(gelu_backward)>("hearth_kernels::gelu_backward", given_grad, given_x);
    const c10::DeviceGuard guard(given_x.device());
    const auto grad = given_grad.contiguous(), x = given_x.contiguous();
    const auto grad_x = at::empty_like(x);
    const auto width = x.size(-1), rows = width == 0 ? 0 : x.numel() / width;
    const auto strips = std::min(rows, gelu_strips);
    const auto partial = at::empty({1, strips, width}, x.options().dtype(at::kFloat));
    if (x.numel() == 0) return {grad_x, at::zeros({width}, partial.options())};
    for_type(type, [&]<class T>(T) {
        start("gelu_backward",
              GeluBackward<T>{.grad = data<T>(grad),
                              .x = data<T>(x),
                              .grad_x = grad_x.mutable_data_ptr<T>(),
                              .partial = partial.mutable_data_ptr<float>(),
                              .rows = rows,
                              .strips = static_cast<int>(strips),
                              .width = static_cast<int>(width)},
              x);
    });
    return {grad_x, column_sums(partial)[0]};
}

/// Planes of `images` [B, C, H, W] are dense; they may lie anywhere, or in one place.
bool has_dense_planes(const Tensor& images) {
    return images.stride(3) == 1 && images.stride(2) == images.size(3);
}

bool takes_crops(const Tensor& images, const Tensor& crops, std::int64_t size) {
    if (!single(images) || !single(crops) || images.dim() != 4 || crops.dim() != 3 ||
        images.device() != crops.device() || images.size(0) != crops.size(0) ||
        crops.size(2) <= CropRow::blur || size < 1 || images.numel() == 0 || crops.numel() == 0)
        return false;
    const auto rows = std::max(images.size(2), size), planes = crops.size(1) * images.size(0) * images.size(1);
    return std::max({planes * crop_strips(rows), size * crop_strip, rows, images.size(3), crops.size(2)}) <=
           std::numeric_limits<int>::max();
}

Tensor crops(const Tensor& given_images, const Tensor& given_crops, std::int64_t size, bool bicubic,
             double solarise_threshold) {
    if (!takes_crops(given_images, given_crops, size))
        return formula<decltype(crops)>("hearth_kernels::crops", given_images, given_crops, size, bicubic,
                                        solarise_threshold);
    const c10::DeviceGuard guard(given_images.device());
    const auto images = has_dense_planes(given_images) ? given_images : given_images.contiguous();
    const auto crops = given_crops.contiguous();
    const auto batch = images.size(0), channels = images.size(1), high = images.size(2), count = crops.size(1);
    const auto made = [&](std::int64_t rows, std::int64_t columns, at::ScalarType type = at::kFloat) {
        return at::empty({count, batch, channels, rows, columns}, images.options().dtype(type));
    };
    const auto narrow = made(high, size), soft = made(size, size), out = made(size, size),
               sums = made(crop_strips(size), 1, at::kDouble);
    start("crops",
          Crops{.images = data<float>(images),
                .image_stride = images.stride(0),
                .channel_stride = images.stride(1),
                .crops = data<float>(crops),
                .narrow = narrow.mutable_data_ptr<float>(),
                .soft = soft.mutable_data_ptr<float>(),
                .sums = sums.mutable_data_ptr<double>(),
                .out = out.mutable_data_ptr<float>(),
                .batch = static_cast<int>(batch),
                .count = static_cast<int>(count),
                .channels = static_cast<int>(channels),
                .height = static_cast<int>(high),
                .width = static_cast<int>(images.size(3)),
                .columns = static_cast<int>(crops.size(2)),
                .size = static_cast<int>(size),
                .interpolation = bicubic ? fused::Interpolation::bicubic : fused::Interpolation::bilinear,
                .solarise_threshold = static_cast<float>(solarise_threshold)},
          images);
    return out;
}

/// Plain things one after another, on their way to the device from page-locked memory, so that nothing waits.
template <class T>
Tensor bytes_there(const std::vector<T>& things, c10::Device device) {
    const auto options = at::TensorOptions(at::kByte);
    auto here = at::empty({static_cast<std::int64_t>(things.size() * sizeof(T))},
                          options.pinned_memory(!device.is_cpu()));
    std::memcpy(here.mutable_data_ptr(), things.data(), things.size() * sizeof(T));
    return here.to(device, /*non_blocking=*/true);
}

float* numbers_of(const Tensor& tensor) {
    return tensor.defined() ? tensor.mutable_data_ptr<float>() : nullptr;
}

/// See train/device_update.hpp.
Tensor adamw(at::TensorList values, at::TensorList gradients, at::TensorList averages, at::TensorList squares,
             at::TensorList moving_averages, at::ArrayRef<double> rates, at::IntArrayRef frozen,
             const Tensor& steps_before, const Tensor& steps_after, const optional<Tensor>& loss, double clip,
             bool clip_by_all, double beta1, double beta2, double eps) {
    const auto device = steps_before.device();
    const c10::DeviceGuard guard(device);
    std::vector<Updated> parameters;
    std::vector<Piece> pieces;
    for (std::size_t i = 0; i < values.size(); ++i) {
        const auto elements = values[i].numel(), count = pieces_of(elements);
        const auto rate = [&](std::size_t which) { return static_cast<float>(rates[3 * i + which]); };
        parameters.push_back(
            {.value = numbers_of(values[i]),
             .gradient = gradients[i].defined() ? gradients[i].const_data_ptr<float>() : nullptr,
             .average = numbers_of(averages[i]),
             .square = numbers_of(squares[i]),
             .moving_average = numbers_of(moving_averages[i]),
             .copy = nullptr,
             .average_copy = nullptr,
             .rates = {.lr = rate(0), .weight_decay = rate(1), .moving_average_weight = rate(2)},
             .frozen = frozen[i] != 0 || !gradients[i].defined() ? 1 : 0,
             .first_piece = static_cast<int>(pieces.size()),
             .pieces = static_cast<int>(count)});
        for (std::int64_t piece = 0; piece < count; ++piece) {
            const auto begin = piece * piece_size;
            pieces.push_back({.parameter = static_cast<int>(i),
                              .count = static_cast<int>(std::min<std::int64_t>(piece_size, elements - begin)),
                              .begin = begin});
        }
    }
    const auto parameters_there = bytes_there(parameters, device), pieces_there = bytes_there(pieces, device);
    const auto exact = steps_before.options().dtype(at::kDouble);
    const auto sums = at::empty({static_cast<std::int64_t>(pieces.size())}, exact);
    auto told = at::empty({told_count}, exact);
    start("update",
          UpdateAll{.parameters = static_cast<const Updated*>(parameters_there.const_data_ptr()),
                    .pieces = static_cast<const Piece*>(pieces_there.const_data_ptr()),
                    .piece_count = static_cast<int>(pieces.size()),
                    .squares = sums.mutable_data_ptr<double>(),
                    .steps_before = data<float>(steps_before),
                    .steps_after = steps_after.mutable_data_ptr<float>(),
                    .counted = static_cast<int>(steps_before.numel()),
                    .loss = data<float>(loss),
                    .told = told.mutable_data_ptr<double>(),
                    .clip = clip,
                    .clip_by_all = clip_by_all,
                    .beta1 = beta1,
                    .beta2 = beta2,
                    .eps = eps},
          steps_before);
    return told;
}

}  // namespace

void register_kernels(torch::Library& library) {
    library.impl("norm", norm);
    library.impl("add_norm", add_norm);
    library.impl("norm_backward", norm_backward);
    library.impl("gelu_backward", gelu_backward);
    library.impl("crops", crops);
    library.impl("adamw_", adamw);
}

}  // namespace hearth::cuda
