#include "train/operations.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>
#include <torch/cuda.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

namespace hearth::train {
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<double> counted_flops = 0, counted_seconds = 0;
std::thread::id counting_thread;
thread_local int depth = 0;

std::mutex times_guard;
std::map<std::string, OperationTime, std::less<>> times;

/// One operation under way.
struct Call : at::ObserverContext {
    Clock::time_point start = Clock::now();
    double flops_per_output = 0;  ///< of a convolution, whose output is known at its end
    double inside = 0;            ///< seconds in operations that it called
    Call* caller = nullptr;       ///< the operation of this thread that called it

    double seconds() const { return std::chrono::duration<double>(Clock::now() - start).count(); }
};
thread_local Call* innermost = nullptr;

double size(const c10::IValue& value, std::int64_t axis) {
    return static_cast<double>(value.toTensor().size(axis));
}

/// 2 M K N of the last two axes of a [.., M, K] and b [.., K, N], of as many matrices as there are.
double product(const c10::IValue& a, const c10::IValue& b) {
    return 2.0 * static_cast<double>(a.toTensor().numel()) * size(b, -1);
}

/// For each value of an output [N, O, ..] that weights [O, I, ..] make.
double convolution(const at::Tensor& weight) {
    return 2.0 * static_cast<double>(weight.numel()) / static_cast<double>(weight.size(0));
}

bool is_fused_attention(std::string_view name) {
    return name.starts_with("aten::_scaled_dot_product_") && name.find("_math") == std::string_view::npos;
}

/// Queries [B, H, N, d] against keys [B, H, M, d]: two products forward; backward five.
double attention(const c10::IValue& query, const c10::IValue& key, bool backward) {
    return (backward ? 5.0 : 2.0) * 2.0 * static_cast<double>(query.toTensor().numel()) * size(key, -2);
}

double flops_of(const at::RecordFunction& call) {
    const std::string_view name = call.name();
    const auto in = call.inputs();
    if (name == "aten::mm" || name == "aten::bmm") return product(in[0], in[1]);
    if (name == "aten::addmm" || name == "aten::baddbmm") return product(in[1], in[2]);
    if (name == "aten::convolution_backward") {
        const auto wanted = in[10].toBoolList();
        return convolution(in[2].toTensor()) * static_cast<double>(in[0].toTensor().numel()) *
               (int{wanted[0]} + int{wanted[1]});
    }
    if (is_fused_attention(name)) {
        const bool backward = name.find("_backward") != std::string_view::npos;
        return backward ? attention(in[1], in[2], true) : attention(in[0], in[1], false);
    }
    return 0;
}

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction&) {
    ++depth;
    return std::make_unique<Call>();
}

std::unique_ptr<at::ObserverContext> begin_with_shapes(const at::RecordFunction& call) {
    ++depth;
    auto out = std::make_unique<Call>();
    out->caller = std::exchange(innermost, out.get());
    if (std::string_view(call.name()) == "aten::convolution")
        out->flops_per_output = convolution(call.inputs()[1].toTensor());
    else
        counted_flops += flops_of(call);
    return out;
}

void end(const at::RecordFunction&, at::ObserverContext* call) {
    if (--depth == 0 && std::this_thread::get_id() == counting_thread)
        counted_seconds += static_cast<Call*>(call)->seconds();
}

void add_time(std::string_view name, double seconds) {
    const std::scoped_lock lock(times_guard);
    auto found = times.find(name);
    if (found == times.end()) found = times.emplace(name, OperationTime{.name = std::string(name)}).first;
    found->second.seconds += seconds;
    ++found->second.calls;
}

void end_with_shapes(const at::RecordFunction& operation, at::ObserverContext* context) {
    const auto& call = *static_cast<Call*>(context);
    const double seconds = call.seconds();
    innermost = call.caller;
    if (call.caller != nullptr) call.caller->inside += seconds;
    add_time(operation.name(), seconds - call.inside);
    if (call.flops_per_output > 0)
        counted_flops += call.flops_per_output * static_cast<double>(operation.outputs()[0].toTensor().numel());
    end(operation, context);
}

}  // namespace

OperationCounter::OperationCounter(bool shapes) {
    counted_flops = 0;
    counted_seconds = 0;
    times.clear();
    counting_thread = std::this_thread::get_id();
    handle_ = at::addGlobalCallback(
        at::RecordFunctionCallback(shapes ? &begin_with_shapes : &begin, shapes ? &end_with_shapes : &end)
            .needsInputs(shapes)
            .needsOutputs(shapes)
            .scopes({at::RecordScope::FUNCTION}));
}

OperationCounter::~OperationCounter() {
    at::removeCallback(handle_);
}

double OperationCounter::flops() const {
    return counted_flops;
}

double OperationCounter::seconds() const {
    return counted_seconds;
}

std::vector<OperationTime> OperationCounter::slowest_first() const {
    const std::scoped_lock lock(times_guard);
    std::vector<OperationTime> out;
    for (const auto& [name, time] : times) out.push_back(time);
    std::ranges::sort(out, [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
    return out;
}

double measure_gemm(c10::Device device, at::ScalarType type) {
    const at::NoGradGuard no_grad;
    const auto finish = [&] {
        if (device.is_cuda()) torch::cuda::synchronize();
    };
    double best = 0;
    const std::int64_t scale = device.is_cuda() ? 4 : 1;
    for (const auto& [m, k, n] :
         {std::array<std::int64_t, 3>{2048, 2048, 2048}, {4096, 768, 3072}, {3072, 3072, 768}}) {
        const auto options = at::TensorOptions(type).device(device);
        const auto a = at::randn({m * scale, k * scale}, options),
                   b = at::randn({k * scale, n * scale}, options);
        auto out = at::empty({m * scale, n * scale}, options);
        at::mm_out(out, a, b);
        finish();
        const auto until = Clock::now() + std::chrono::milliseconds(600);
        do {
            const auto start = Clock::now();
            at::mm_out(out, a, b);
            finish();
            const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
            best = std::max(best, 2.0 * static_cast<double>(m * k * n * scale * scale * scale) / seconds);
        } while (Clock::now() < until);
    }
    return best;
}

}  // namespace hearth::train
