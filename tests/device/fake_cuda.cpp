#include "device/fake_cuda.hpp"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/native/DispatchStub.h>
#include <ATen/native/transformers/attention.h>
#include <ATen/native/transformers/sdp_utils_cpp.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <vector>

namespace hearth::test::fake_cuda {
namespace {

using at::Tensor;
using torch::jit::Stack;

std::mutex counts_mutex;
Counts counts;

void note(const std::string& line) {
    const std::lock_guard lock(counts_mutex);
    counts.order.push_back(line);
}

void count(const std::string& name, double bytes, bool asks = false) {
    const std::lock_guard lock(counts_mutex);
    ++counts.kernels;
    counts.bytes += bytes;
    auto& operation = counts.by_name[name];
    ++operation.count;
    operation.bytes += bytes;
    if (!asks) return;
    ++counts.questions;
    counts.askers.insert(name);
}

constexpr c10::StreamId of_copies = 1;
thread_local c10::StreamId current_stream = 0;

c10::Stream stream_of(c10::StreamId id) {
    return c10::Stream(c10::Stream::UNSAFE, device, id);
}

/// Switches between devices, of which there is one, and its streams: the one that computes, and another.
struct OneDevice final : c10::impl::DeviceGuardImplInterface {
    c10::DeviceType type() const override { return c10::kCUDA; }
    c10::Device exchangeDevice(c10::Device) const override { return device; }
    c10::Device getDevice() const override { return device; }
    void setDevice(c10::Device) const override {}
    void uncheckedSetDevice(c10::Device) const noexcept override {}
    c10::Stream getStream(c10::Device) const override { return stream_of(current_stream); }
    c10::Stream getStreamFromGlobalPool(c10::Device, bool) const override { return stream_of(of_copies); }
    c10::Stream exchangeStream(c10::Stream stream) const override {
        return stream_of(std::exchange(current_stream, stream.id()));
    }
    c10::DeviceIndex deviceCount() const noexcept override { return 1; }
    void record(void** event, const c10::Stream& stream, const c10::DeviceIndex,
                const c10::EventFlag) const override {
        *event = this->event();
        note("record on " + std::to_string(stream.id()));
    }
    void block(void*, const c10::Stream& stream) const override {
        note(std::to_string(stream.id()) + " waits for it");
    }
    void synchronizeStream(const c10::Stream& stream) const override {
        note("the host waits for " + std::to_string(stream.id()));
    }
    bool queryEvent(void*) const override { return true; }
    void destroyEvent(void*, const c10::DeviceIndex) const noexcept override {}

  private:
    static void* event() {
        static int any = 0;
        return &any;
    }
};

Tensor empty_there(at::IntArrayRef sizes, at::IntArrayRef strides, at::ScalarType type) {
    std::int64_t elements = 1;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        if (sizes[i] == 0) {
            elements = 0;
            break;
        }
        elements += (sizes[i] - 1) * strides[i];
    }
    auto storage = c10::make_intrusive<c10::StorageImpl>(
        c10::StorageImpl::use_byte_size_t(), elements * static_cast<std::int64_t>(at::elementSize(type)),
        c10::DataPtr(nullptr, device), nullptr, false);
    auto tensor = at::detail::make_tensor<c10::TensorImpl>(
        c10::Storage(storage), c10::DispatchKeySet(c10::DispatchKey::CUDA), c10::scalarTypeToTypeMeta(type));
    tensor.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, strides);
    return tensor;
}

Tensor empty_there_like(const Tensor& tensor) {
    return empty_there(tensor.sizes(), tensor.strides(), tensor.scalar_type());
}

/// Of its shape and type on the device where the shape of a result is computed. Numbers stay.
Tensor on_meta(const Tensor& tensor) {
    if (!tensor.defined() || (tensor.is_cpu() && tensor.dim() == 0)) return tensor;
    return at::empty_strided(tensor.sizes(), tensor.strides(),
                             tensor.options().device(c10::kMeta).pinned_memory(std::nullopt));
}

Tensor zeros_here(const Tensor& tensor) {
    if (!tensor.defined() || !tensor.is_cuda()) return tensor;
    return at::empty_strided(tensor.sizes(), tensor.strides(),
                             tensor.options().device(c10::kCPU).pinned_memory(std::nullopt))
        .zero_();
}

/// visit(tensor) for all that an operation is given, undefined ones left out.
template <class Visit>
void for_each_tensor(const Stack& given, const Visit& visit) {
    const auto defined = [&](const Tensor& tensor) {
        if (tensor.defined()) visit(tensor);
    };
    for (const auto& value : given) {
        if (value.isTensor()) defined(value.toTensor());
        if (value.isTensorList())
            for (const auto& tensor : value.toTensorVector()) defined(tensor);
        if (value.isOptionalTensorList())
            for (const auto& tensor : value.toOptionalTensorVector())
                if (tensor) defined(*tensor);
    }
}

Stack arguments_of(const c10::OperatorHandle& operation, const Stack& stack) {
    return {stack.end() - static_cast<std::ptrdiff_t>(operation.schema().arguments().size()), stack.end()};
}

double bytes_of(const Stack& given) {
    double bytes = 0;
    for_each_tensor(given, [&](const Tensor& tensor) { bytes += static_cast<double>(tensor.nbytes()); });
    return bytes;
}

void note_mixed(const std::string& name, const Stack& given) {
    bool here = false, there = false;
    for_each_tensor(given, [&](const Tensor& tensor) {
        here = here || (tensor.is_cpu() && tensor.dim() > 0);
        there = there || tensor.is_cuda();
    });
    if (!here || !there) return;
    const std::lock_guard lock(counts_mutex);
    counts.mixed.insert(name);
}

template <Tensor (*moved)(const Tensor&)>
void move_arguments(Stack& stack, std::size_t arguments, c10::Device to) {
    for (auto value = stack.end() - static_cast<std::ptrdiff_t>(arguments); value != stack.end(); ++value) {
        if (value->isTensor()) {
            *value = moved(value->toTensor());
        } else if (value->isTensorList()) {
            auto list = value->toTensorVector();
            for (auto& tensor : list) tensor = moved(tensor);
            *value = c10::List<Tensor>(list);
        } else if (value->isOptionalTensorList()) {
            auto list = value->toOptionalTensorVector();
            for (auto& tensor : list)
                if (tensor) tensor = moved(*tensor);
            *value = c10::List<std::optional<Tensor>>(list);
        } else if (value->isDevice() && value->toDevice().is_cuda()) {
            *value = c10::IValue(to);
        }
    }
}

/// The argument that a result is, for operations which write into one; null for others.
const c10::IValue* written_argument(const c10::FunctionSchema& schema, std::size_t result, const Stack& given) {
    const auto* alias = schema.returns()[result].alias_info();
    if (alias == nullptr || !alias->isWrite()) return nullptr;
    for (std::size_t i = 0; i < given.size(); ++i) {
        const auto* argument = schema.arguments()[i].alias_info();
        if (argument != nullptr && argument->beforeSets() == alias->beforeSets() && given[i].isTensor())
            return &given[i];
    }
    return nullptr;
}

/// Results of a computation elsewhere as tensors of the device. Their bytes.
double take_results(const c10::FunctionSchema& schema, Stack& stack, const Stack& given) {
    double bytes = 0;
    const auto first = stack.end() - static_cast<std::ptrdiff_t>(schema.returns().size());
    for (std::size_t i = 0; i < schema.returns().size(); ++i) {
        auto& value = first[static_cast<std::ptrdiff_t>(i)];
        if (const auto* written = written_argument(schema, i, given); written != nullptr) {
            const auto target = written->toTensor(), made = value.toTensor();
            if (target.sizes() != made.sizes()) {
                const auto resized = empty_there_like(made);
                target.unsafeGetTensorImpl()->set_storage_keep_dtype(resized.storage());
                target.unsafeGetTensorImpl()->set_sizes_and_strides(resized.sizes(), resized.strides());
            }
            value = target;
        } else if (value.isTensor() && value.toTensor().defined()) {
            value = empty_there_like(value.toTensor());
            bytes += static_cast<double>(value.toTensor().nbytes());
        } else if (value.isTensorList()) {
            std::vector<Tensor> list;
            for (const auto& tensor : value.toTensorVector()) list.push_back(empty_there_like(tensor));
            value = c10::List<Tensor>(list);
        }
    }
    return bytes;
}

bool allocates(const std::string& name) {
    static const std::set<std::string> names = {"aten::empty", "aten::empty_like", "aten::empty_strided",
                                                "aten::resize_", "aten::set_"};
    return names.contains(name);
}

/// Whether the shape of its result, or the result itself, is a value that the host has to wait for.
bool asks(const std::string& name) {
    static const std::set<std::string> names = {
        "aten::nonzero", "aten::masked_select", "aten::equal",      "aten::is_nonzero",
        "aten::_unique", "aten::_unique2",      "aten::unique_dim", "aten::unique_consecutive",
        "aten::bincount"};
    return names.contains(name);
}

template <Tensor (*moved)(const Tensor&), c10::DeviceType where>
void computed_elsewhere(const c10::OperatorHandle& operation, Stack* stack) {
    const at::AutoDispatchBelowADInplaceOrView below;
    const auto& name = operation.schema().name();
    const auto given = arguments_of(operation, *stack);
    note_mixed(name, given);
    move_arguments<moved>(*stack, given.size(), where);
    operation.callBoxed(stack);
    const double written = take_results(operation.schema(), *stack, given);
    if (!allocates(name)) count(name, bytes_of(given) + written, asks(name));
}

void as_view(const c10::OperatorHandle& operation, Stack* stack) {
    operation.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
}

/// Of operations that change lists of tensors in place.
void counted_alone(const c10::OperatorHandle& operation, Stack* stack) {
    const auto given = arguments_of(operation, *stack);
    note_mixed(operation.schema().name(), given);
    count(operation.schema().name(), bytes_of(given));
    torch::jit::drop(*stack, given.size());
}

Tensor& copied(Tensor& self, const Tensor& from, bool non_blocking) {
    const double bytes = static_cast<double>(self.nbytes());
    if (self.is_cuda() && from.is_cuda()) {
        count(self.scalar_type() == from.scalar_type() ? "copy" : "cast",
              bytes + static_cast<double>(from.nbytes()));
        return self;
    }
    const std::lock_guard lock(counts_mutex);
    auto& operation = counts.by_name[self.is_cuda() ? "copy to the device" : "copy to the host"];
    ++operation.count;
    operation.bytes += bytes;
    (self.is_cuda() ? counts.bytes_up : counts.bytes_down) += bytes;
    if (self.is_cuda() && !non_blocking && from.dim() > 0) ++counts.waits_up;
    if (self.is_cuda()) counts.order.push_back("copy on " + std::to_string(current_stream));
    if (!self.is_cuda()) {
        self.zero_();
        if (!non_blocking) {
            ++counts.questions;
            counts.askers.insert("copy to the host");
        }
    }
    return self;
}

at::Scalar value_of(const Tensor& tensor) {
    {
        const std::lock_guard lock(counts_mutex);
        ++counts.questions;
        counts.bytes_down += static_cast<double>(tensor.nbytes());
        counts.askers.insert("item");
        counts.order.push_back("question");
    }
    if (tensor.scalar_type() == at::kBool) return true;
    if (at::isIntegralType(tensor.scalar_type(), /*includeBool=*/false)) return std::int64_t{1};
    return 1.0;
}

using Flash = std::tuple<Tensor, Tensor, Tensor, Tensor, c10::SymInt, c10::SymInt, Tensor, Tensor, Tensor>;

/// [batch, heads, length, width] as flash attention lays it out.
Tensor attended(const Tensor& like) {
    const auto b = like.size(0), h = like.size(1), n = like.size(2), d = like.size(3);
    return empty_there({b, h, n, d}, {n * h * d, d, h * d, 1}, like.scalar_type());
}

Flash flash(const Tensor& q, const Tensor& k, const Tensor& v, double, bool, bool, std::optional<double>) {
    count("flash attention", static_cast<double>(2 * q.nbytes() + k.nbytes() + v.nbytes()));
    const auto b = q.size(0), h = q.size(1), n = q.size(2);
    return {attended(q),
            empty_there({b, h, n}, {h * n, n, 1}, at::kFloat),
            Tensor(),
            Tensor(),
            c10::SymInt(n),
            c10::SymInt(k.size(2)),
            empty_there({2}, {1}, at::kLong),
            empty_there({}, {}, at::kLong),
            Tensor()};
}

std::tuple<Tensor, Tensor, Tensor> flash_backward(const Tensor& gradient, const Tensor& q, const Tensor& k,
                                                  const Tensor& v, const Tensor&, const Tensor&, const Tensor&,
                                                  const Tensor&, c10::SymInt, c10::SymInt, double, bool,
                                                  const Tensor&, const Tensor&, std::optional<double>) {
    count("flash attention, backward",
          static_cast<double>(gradient.nbytes() + 2 * (q.nbytes() + k.nbytes() + v.nbytes())));
    return {attended(q), attended(k), attended(v)};
}

/// Attention in single precision.
std::tuple<Tensor, Tensor, Tensor, Tensor> exact_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                                           const std::optional<Tensor>&, bool, double, bool,
                                                           std::optional<double>) {
    count("exact attention", static_cast<double>(2 * q.nbytes() + k.nbytes() + v.nbytes()));
    const auto b = q.size(0), h = q.size(1), n = q.size(2);
    return {attended(q), empty_there({b, h, n}, {h * n, n, 1}, at::kFloat), empty_there({}, {}, at::kLong),
            empty_there({}, {}, at::kLong)};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> exact_attention_backward(
    const Tensor& gradient, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor&, const Tensor&,
    const Tensor&, const Tensor&, const Tensor&, double, std::array<bool, 4>, bool, std::optional<double>) {
    count("exact attention, backward",
          static_cast<double>(gradient.nbytes() + 2 * (q.nbytes() + k.nbytes() + v.nbytes())));
    return {attended(q), attended(k), attended(v), Tensor()};
}

std::int64_t kind_of_attention(const Tensor& q, const Tensor&, const Tensor&, const std::optional<Tensor>&,
                               double, bool, std::optional<double>, bool) {
    return static_cast<std::int64_t>(q.scalar_type() == at::kFloat ? sdp::SDPBackend::efficient_attention
                                                                   : sdp::SDPBackend::flash_attention);
}

Tensor product_of_type(const Tensor& a, const Tensor& b, at::ScalarType type) {
    auto out = empty_there({a.size(0), b.size(1)}, {b.size(1), 1}, type);
    count("aten::mm", static_cast<double>(a.nbytes() + b.nbytes() + out.nbytes()));
    return out;
}

/// LibTorch knows the shape of a convolution in Python only, and on zeros it takes seconds.
Tensor convolved(const Tensor& x, const Tensor& weight, const std::optional<Tensor>&, at::IntArrayRef stride,
                 at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
                 at::IntArrayRef output_padding, std::int64_t groups) {
    const auto at_axis = [](at::IntArrayRef values, std::size_t axis) {
        return values.size() == 1 ? values[0] : values[axis];
    };
    std::vector<std::int64_t> sizes = {x.size(0), transposed ? weight.size(1) * groups : weight.size(0)};
    for (std::size_t axis = 0; axis + 2 < static_cast<std::size_t>(x.dim()); ++axis) {
        const auto in = x.size(static_cast<std::int64_t>(axis) + 2);
        const auto reach = at_axis(dilation, axis) * (weight.size(static_cast<std::int64_t>(axis) + 2) - 1);
        const auto pad = 2 * at_axis(padding, axis), step = at_axis(stride, axis);
        sizes.push_back(transposed ? (in - 1) * step - pad + reach + at_axis(output_padding, axis) + 1
                                   : (in + pad - reach - 1) / step + 1);
    }
    const auto out = at::empty(sizes, x.options());
    count("aten::convolution", static_cast<double>(x.nbytes() + weight.nbytes() + out.nbytes()));
    return out;
}

std::tuple<Tensor, Tensor, Tensor> convolution_gradients(const Tensor& gradient, const Tensor& x,
                                                         const Tensor& weight, at::OptionalIntArrayRef,
                                                         at::IntArrayRef, at::IntArrayRef, at::IntArrayRef,
                                                         bool, at::IntArrayRef, std::int64_t,
                                                         std::array<bool, 3> wanted) {
    std::tuple<Tensor, Tensor, Tensor> out;
    const auto give = [&](bool want, Tensor& to, at::IntArrayRef sizes) {
        if (!want) return;
        to = at::empty(sizes, gradient.options());
        count("aten::convolution_backward", static_cast<double>(gradient.nbytes() + x.nbytes() + to.nbytes()));
    };
    give(wanted[0], std::get<0>(out), x.sizes());
    give(wanted[1], std::get<1>(out), weight.sizes());
    give(wanted[2], std::get<2>(out), {gradient.size(1)});
    return out;
}

/// Every operation of LibTorch that has a kernel for the CPU gets one for the device; those that are made of others stay so.
void give_kernels(torch::Library& library) {
    using c10::DispatchKey;
    static const std::set<std::string> own = {"aten::copy_",
                                              "aten::_local_scalar_dense",
                                              "aten::record_stream",
                                              "aten::_fused_adamw_",
                                              "aten::convolution",
                                              "aten::convolution_backward",
                                              "aten::_scaled_dot_product_flash_attention",
                                              "aten::_scaled_dot_product_flash_attention_backward",
                                              "aten::_scaled_dot_product_efficient_attention",
                                              "aten::_scaled_dot_product_efficient_attention_backward"};
    auto& dispatcher = c10::Dispatcher::singleton();
    const auto boxed_meta = [] {
        return torch::CppFunction::makeFromBoxedFunction<&computed_elsewhere<on_meta, c10::kMeta>>();
    };
    for (const auto& name : dispatcher.getAllOpNames()) {
        const auto operation = dispatcher.findSchema(name);
        if (!operation || !name.name.starts_with("aten::") || own.contains(name.name) ||
            (name.name == "aten::mm" && name.overload_name == "dtype"))
            continue;
        const auto overload = name.overload_name.empty() ? name.name : name.name + "." + name.overload_name;
        if (name.name.starts_with("aten::_foreach_")) {
            if (name.name == "aten::_foreach_norm")
                library.impl(overload.c_str(), boxed_meta());
            else if (name.name.ends_with("_"))
                library.impl(overload.c_str(), torch::CppFunction::makeFromBoxedFunction<&counted_alone>());
            continue;  // the others go tensor by tensor
        }
        const bool cpu = operation->hasKernelForDispatchKey(DispatchKey::CPU);
        const bool meta = operation->hasKernelForDispatchKey(DispatchKey::Meta);
        const auto& returns = operation->schema().returns();
        const auto* alias = returns.empty() ? nullptr : returns.front().alias_info();
        if (!cpu && !meta) continue;
        if (cpu && alias != nullptr && !alias->isWrite())
            library.impl(overload.c_str(), torch::CppFunction::makeFromBoxedFunction<&as_view>());
        else if (meta)
            library.impl(overload.c_str(), boxed_meta());
        else
            library.impl(
                overload.c_str(),
                torch::CppFunction::makeFromBoxedFunction<&computed_elsewhere<zeros_here, c10::kCPU>>());
    }
}

}  // namespace

void install() {
    static const auto library = [] {
        static const c10::impl::DeviceGuardImplRegistrar guard(c10::kCUDA, new OneDevice());
        auto made = std::make_unique<torch::Library>(torch::Library::IMPL, "aten", c10::DispatchKey::CUDA,
                                                     __FILE__, __LINE__);
        give_kernels(*made);
        made->impl("copy_", TORCH_FN(copied));
        made->impl("_local_scalar_dense", TORCH_FN(value_of));
        made->impl("_scaled_dot_product_flash_attention", TORCH_FN(flash));
        made->impl("_scaled_dot_product_flash_attention_backward", TORCH_FN(flash_backward));
        made->impl("convolution", TORCH_FN(convolved));
        made->impl("convolution_backward", TORCH_FN(convolution_gradients));
        made->impl("_scaled_dot_product_efficient_attention", TORCH_FN(exact_attention));
        made->impl("_scaled_dot_product_efficient_attention_backward", TORCH_FN(exact_attention_backward));
        made->impl("mm.dtype", TORCH_FN(product_of_type));
        made->impl("record_stream", [](Tensor&, c10::Stream) {});
        made->impl("_fused_adamw_", torch::CppFunction::makeFromBoxedFunction<&counted_alone>());
        at::native::_fused_sdp_choice_stub.set_cuda_dispatch_ptr(&kind_of_attention);
        return made;
    }();
    // Hearth's own kernels (framework/cuda): one each, like an operation of LibTorch's.
    static const auto fused = [] {
        auto made = std::make_unique<torch::Library>(torch::Library::IMPL, "hearth_kernels",
                                                     c10::DispatchKey::CUDA, __FILE__, __LINE__);
        for (const auto* name : {"norm", "add_norm", "norm_backward", "gelu_backward"})
            made->impl(name,
                       torch::CppFunction::makeFromBoxedFunction<&computed_elsewhere<zeros_here, c10::kCPU>>());
        return made;
    }();
}

Counting::Counting() {
    const std::lock_guard lock(counts_mutex);
    counts = {};
}

Counts Counting::now() const {
    const std::lock_guard lock(counts_mutex);
    return counts;
}

}  // namespace hearth::test::fake_cuda
