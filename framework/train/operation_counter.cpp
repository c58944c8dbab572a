#include "train/operation_counter.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>
#include <torch/cuda.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
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
std::set<std::string, std::less<>> uncounted_names;

/// One operation under way.
struct Call : at::ObserverContext {
    Clock::time_point start = Clock::now();
    double flops_per_output = 0;  ///< of a convolution, whose output is known at its end
    double inside = 0;            ///< seconds in operations that it called
    bool counted = false;         ///< its products are
    bool calls_counted = false;   ///< or those of an operation that it called
    Call* caller = nullptr;       ///< the operation of this thread that called it

    double seconds() const { return std::chrono::duration<double>(Clock::now() - start).count(); }
};
thread_local Call* innermost = nullptr;

using Inputs = c10::ArrayRef<const c10::IValue>;

double size(const c10::IValue& value, std::int64_t axis) {
    return static_cast<double>(value.toTensor().size(axis));
}

double values_of(const c10::IValue& value) {
    return static_cast<double>(value.toTensor().numel());
}

/// Which inputs of an operation are multiplied, and how.
struct Product {
    enum class Of { matrices, linear, vector, convolution, attention } of;
    std::size_t first, second;
};

/// Overloads that write to a given tensor have the same name and order of inputs; "aten::addmm_" is
/// "aten::addmm".
const std::map<std::string, Product, std::less<>>& products() {
    using Of = Product::Of;
    static const std::map<std::string, Product, std::less<>> known = {
        {"aten::mm", {Of::matrices, 0, 1}},
        {"aten::bmm", {Of::matrices, 0, 1}},
        {"aten::_int_mm", {Of::matrices, 0, 1}},
        {"aten::_scaled_mm", {Of::matrices, 0, 1}},
        {"aten::addmm", {Of::matrices, 1, 2}},
        {"aten::_addmm_activation", {Of::matrices, 1, 2}},
        {"aten::baddbmm", {Of::matrices, 1, 2}},
        {"aten::addbmm", {Of::matrices, 1, 2}},
        {"aten::mkldnn_linear", {Of::linear, 0, 1}},
        {"mkldnn::_linear_pointwise", {Of::linear, 0, 1}},
        {"mkldnn::_linear_pointwise.binary", {Of::linear, 0, 2}},
        {"mkl::_mkl_linear", {Of::linear, 0, 2}},
        {"aten::mv", {Of::vector, 0, 1}},
        {"aten::addmv", {Of::vector, 1, 2}},
        {"aten::dot", {Of::vector, 0, 1}},
        {"aten::vdot", {Of::vector, 0, 1}},
        {"aten::convolution", {Of::convolution, 0, 1}},
        {"aten::_convolution", {Of::convolution, 0, 1}},
        {"aten::convolution_overrideable", {Of::convolution, 0, 1}},
        {"aten::mkldnn_convolution", {Of::convolution, 0, 1}},
        {"aten::cudnn_convolution", {Of::convolution, 0, 1}},
        {"mkldnn::_convolution_pointwise", {Of::convolution, 0, 1}},
        {"aten::convolution_backward", {Of::convolution, 1, 2}}};
    return known;
}

std::optional<Product> product_of(const at::RecordFunction& call) {
    std::string name = call.name();
    if (name.starts_with("aten::_scaled_dot_product_") && name.find("_math") == std::string::npos) {
        const bool backward = name.find("_backward") != std::string::npos;
        return Product{Product::Of::attention, backward ? 1U : 0U, backward ? 2U : 1U};
    }
    if (name.ends_with("_")) name.pop_back();
    if (const auto overload = call.operator_name(); overload && overload->overload_name == "binary")
        name += ".binary";
    const auto found = products().find(name);
    return found == products().end() ? std::nullopt : std::optional(found->second);
}

/// Whether a name is that of an operator that multiplies matrices, counted here or not.
bool says_product(const at::RecordFunction& call) {
    static const std::set<std::string, std::less<>> words = {
        "mm",     "bmm",  "addmm",  "baddbmm", "addbmm",    "mv",          "addmv", "dot",    "vdot",
        "matmul", "gemm", "linear", "einsum",  "trilinear", "convolution", "conv",  "conv1d", "conv2d",
        "conv3d", "rnn",  "lstm",   "gru",     "tensordot", "attention",   "cdist"};
    if (!call.operator_name()) return false;  // the scope of a RECORD_FUNCTION
    std::string name = call.name();
    if (name.find("reorder") != std::string::npos || name.find("prepack") != std::string::npos) return false;
    std::ranges::replace(name, ':', '_');
    std::istringstream parts(name);
    for (std::string part; std::getline(parts, part, '_');)
        if (words.contains(part)) return true;
    return false;
}

/// A convolution with weights [O, I, ..]: for each value of its output; for each value of the input where it is
/// transposed, with weights [I, O, ..].
double for_each_value(const at::Tensor& weight) {
    return 2.0 * static_cast<double>(weight.numel()) / static_cast<double>(weight.size(0));
}

bool is_transposed(std::string_view name, Inputs in) {
    if (name == "aten::convolution_backward") return in[7].toBool();
    const bool says =
        name == "aten::convolution" || name == "aten::_convolution" || name == "aten::convolution_overrideable";
    return says && in[6].toBool();
}

/// Of a forward convolution that is not transposed nothing: its output is not there yet.
double flops_of_convolution(std::string_view name, const Product& product, Inputs in) {
    const double each = for_each_value(in[product.second].toTensor());
    const bool transposed = is_transposed(name, in);
    if (name != "aten::convolution_backward") return transposed ? each * values_of(in[0]) : 0;
    const auto wanted = in[10].toBoolList();
    return each * values_of(in[transposed ? 1 : 0]) * (int{wanted[0]} + int{wanted[1]});
}

double flops_of(std::string_view name, const Product& product, Inputs in) {
    const auto &a = in[product.first], &b = in[product.second];
    switch (product.of) {
        case Product::Of::matrices:  // [.., M, K] and [.., K, N]
            return 2 * values_of(a) * size(b, -1);
        case Product::Of::linear:  // [.., K] and [N, K]
            return 2 * values_of(a) * size(b, 0);
        case Product::Of::vector:
            return 2 * values_of(a);
        case Product::Of::convolution:
            return flops_of_convolution(name, product, in);
        case Product::Of::attention:  // queries [B, H, N, d], keys [B, H, M, d]: two products, backward five
            return (product.first == 1 ? 5 : 2) * 2 * values_of(a) * size(b, -2);
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
    out->counted = out->caller != nullptr && out->caller->counted;  // with the operation that called this one
    const auto product = product_of(call);
    if (out->counted || !product) return out;
    out->counted = true;
    const std::string_view name = call.name();
    const auto in = call.inputs();
    counted_flops += flops_of(name, *product, in);
    const bool forward = product->of == Product::Of::convolution && product->first == 0;
    if (forward && !is_transposed(name, in))
        out->flops_per_output = for_each_value(in[product->second].toTensor());
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

void add_uncounted(std::string_view name) {
    const std::scoped_lock lock(times_guard);
    uncounted_names.emplace(name);
}

void end_with_shapes(const at::RecordFunction& operation, at::ObserverContext* context) {
    const auto& call = *static_cast<Call*>(context);
    const double seconds = call.seconds();
    innermost = call.caller;
    if (call.caller != nullptr) {
        call.caller->inside += seconds;
        call.caller->calls_counted |= call.counted || call.calls_counted;
    }
    if (!call.counted && !call.calls_counted && says_product(operation)) add_uncounted(operation.name());
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
    uncounted_names.clear();
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

std::vector<std::string> OperationCounter::uncounted() const {
    const std::scoped_lock lock(times_guard);
    return {uncounted_names.begin(), uncounted_names.end()};
}

std::vector<OperationTime> OperationCounter::slowest_first() const {
    const std::scoped_lock lock(times_guard);
    std::vector<OperationTime> out;
    for (const auto& [name, time] : times) out.push_back(time);
    std::ranges::sort(out, [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
    return out;
}

namespace {

/// Seconds of one product of [m, k] and [k, n], best of those that fit 0.6 s; at least one, after one to warm
/// up.
double product_seconds(std::int64_t m, std::int64_t k, std::int64_t n, const at::TensorOptions& options) {
    const auto finish = [&] {
        if (options.device().is_cuda()) torch::cuda::synchronize();
    };
    const auto a = at::randn({m, k}, options), b = at::randn({k, n}, options);
    auto out = at::empty({m, n}, options);
    at::mm_out(out, a, b);
    finish();
    double best = std::numeric_limits<double>::infinity();
    const auto until = Clock::now() + std::chrono::milliseconds(600);
    do {
        const auto start = Clock::now();
        at::mm_out(out, a, b);
        finish();
        best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
    } while (Clock::now() < until);
    return best;
}

}  // namespace

double measure_gemm(c10::Device device, at::ScalarType type) {
    const at::NoGradGuard no_grad;
    const auto options = at::TensorOptions(type).device(device);
    // A CPU without instructions for bfloat16 needs minutes for what others do in a moment: edges shrink by 8
    // there.
    const double small = 2.0 * 256 * 256 * 256 / product_seconds(256, 256, 256, options);
    const std::int64_t up = device.is_cuda() ? 4 : 1, down = small < 2e10 ? 8 : 1;
    double best = 0;
    for (const auto& [m, k, n] :
         {std::array<std::int64_t, 3>{2048, 2048, 2048}, {4096, 768, 3072}, {3072, 3072, 768}}) {
        const std::array edges = {m * up / down, k * up / down, n * up / down};
        const auto operations = 2.0 * static_cast<double>(edges[0] * edges[1] * edges[2]);
        best = std::max(best, operations / product_seconds(edges[0], edges[1], edges[2], options));
    }
    return best;
}

}  // namespace hearth::train
