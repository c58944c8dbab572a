// Computing on another device than the CPU, without one: on LibTorch's "meta" device tensors have a shape and
// no values. Asking for a value, for which a GPU would have to be waited for, fails there, and so does mixing a
// tensor with one that was left on the CPU.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/record_function.h>
#include <torch/library.h>

#include <array>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace hearth::conformance {

inline const c10::Device elsewhere(c10::kMeta);

/// What torch::nn::Module::to() cannot do, since it keeps a tensor's kind. Modules have handles of their own on
/// what they registered, so the tensor stays and what it is changes.
inline void move_elsewhere(const at::Tensor& tensor) {
    const auto there = at::empty_like(tensor, tensor.options().device(elsewhere));
    auto* impl = tensor.unsafeGetTensorImpl();
    impl->_change_backend_component_keys(elsewhere);
    impl->set_storage_keep_dtype(there.storage());
}

/// On the CPU, of the shape of a tensor from elsewhere; another tensor stays as it is.
inline at::Tensor zeros_of(const at::Tensor& tensor) {
    return tensor.defined() && tensor.is_meta() ? at::zeros(tensor.sizes(), tensor.options().device(at::kCPU))
                                                : tensor;
}

/// Of many operations LibTorch knows the result's shape in Python only. Here they run on zeros of the shapes
/// they are given, and their results lose their values.
inline void run_on_zeros(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
    const auto& schema = operation.schema();
    static const std::set<std::string> ask = {"aten::_local_scalar_dense", "aten::nonzero",
                                              "aten::masked_select",       "aten::equal",
                                              "aten::is_nonzero",          "aten::_unique2"};
    if (ask.count(schema.name()) != 0)
        throw std::runtime_error(schema.name() + " asks for values: a GPU would be waited for");
    const auto count = schema.arguments().size();
    const torch::jit::Stack given(stack->end() - static_cast<std::ptrdiff_t>(count), stack->end());
    for (auto value = stack->end() - static_cast<std::ptrdiff_t>(count); value != stack->end(); ++value) {
        if (value->isTensor()) {
            *value = zeros_of(value->toTensor());
        } else if (value->isTensorList()) {
            auto list = value->toTensorVector();
            for (auto& tensor : list) tensor = zeros_of(tensor);
            *value = c10::List<at::Tensor>(list);
        } else if (value->isOptionalTensorList()) {
            auto list = value->toOptionalTensorVector();
            for (auto& tensor : list)
                if (tensor) tensor = zeros_of(*tensor);
            *value = c10::List<std::optional<at::Tensor>>(list);
        }
    }
    operation.callBoxed(stack);
    // An operation that writes into one of its arguments returns that argument.
    const auto written = [&](const c10::Argument& result) -> const c10::IValue* {
        for (std::size_t i = 0; i < count && result.alias_info() != nullptr; ++i) {
            const auto* argument = schema.arguments()[i].alias_info();
            if (argument != nullptr && argument->beforeSets() == result.alias_info()->beforeSets() &&
                given[i].isTensor())
                return &given[i];
        }
        return nullptr;
    };
    const auto first = stack->end() - static_cast<std::ptrdiff_t>(schema.returns().size());
    for (std::size_t i = 0; i < schema.returns().size(); ++i) {
        auto& value = first[static_cast<std::ptrdiff_t>(i)];
        if (!value.isTensor() || !value.toTensor().defined()) continue;
        const auto& made = value.toTensor();
        if (const auto* target = written(schema.returns()[i]);
            target != nullptr && target->toTensor().is_meta()) {
            if (target->toTensor().sizes() != made.sizes()) target->toTensor().resize_(made.sizes());
            value = *target;
        } else {
            value = at::empty_like(made, made.options().device(elsewhere));
        }
    }
}

/// The convolution of devices that LibTorch has none for.
inline at::Tensor convolve_zeros(const at::Tensor& x, const at::Tensor& weight,
                                 const std::optional<at::Tensor>& bias, c10::SymIntArrayRef stride,
                                 c10::SymIntArrayRef padding, c10::SymIntArrayRef dilation, bool transposed,
                                 c10::SymIntArrayRef output_padding, c10::SymInt groups) {
    const auto here = at::convolution_symint(zeros_of(x), zeros_of(weight),
                                             bias ? std::optional(zeros_of(*bias)) : std::nullopt, stride,
                                             padding, dilation, transposed, output_padding, groups);
    return at::empty_like(here, here.options().device(elsewhere));
}

inline std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_gradients(
    const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight, c10::SymIntArrayRef,
    c10::SymIntArrayRef, c10::SymIntArrayRef, bool, c10::SymIntArrayRef, c10::SymInt, std::array<bool, 3>) {
    return {at::empty_like(x), at::empty_like(weight), at::empty({gradient.size(1)}, weight.options())};
}

/// Makes run_on_zeros() of all operations that have nothing of their own for that device. Once in a process.
inline void complete_elsewhere() {
    static const auto library = [] {
        using c10::DispatchKey;
        auto made = std::make_unique<torch::Library>(torch::Library::IMPL, "aten", DispatchKey::Meta, __FILE__,
                                                     __LINE__);
        auto& dispatcher = c10::Dispatcher::singleton();
        for (const auto& name : dispatcher.getAllOpNames()) {
            const auto operation = dispatcher.findSchema(name);
            if (!operation || !name.name.starts_with("aten::")) continue;
            const bool known = operation->hasKernelForAnyDispatchKey(c10::DispatchKeySet(
                {DispatchKey::Meta, DispatchKey::CompositeImplicitAutograd,
                 DispatchKey::CompositeExplicitAutograd, DispatchKey::CompositeExplicitAutogradNonFunctional}));
            if (known || !operation->hasKernelForDispatchKey(DispatchKey::CPU)) continue;
            const auto overload = name.overload_name.empty() ? name.name : name.name + "." + name.overload_name;
            made->impl(overload.c_str(), torch::CppFunction::makeFromBoxedFunction<&run_on_zeros>());
        }
        made->impl("convolution_overrideable", &convolve_zeros);
        made->impl("convolution_backward_overrideable", &convolution_gradients);
        return made;
    }();
}

/// While it lives, notes operations that are given tensors of both devices. Numbers (tensors without axes) may
/// come from the CPU, as they may for a GPU, and copies are what moves a tensor.
class MixedDevices {
  public:
    MixedDevices()
        : handle_(at::addGlobalCallback(
              at::RecordFunctionCallback(&look).needsInputs(true).scopes({at::RecordScope::FUNCTION}))) {
        found().clear();
    }
    ~MixedDevices() { at::removeCallback(handle_); }
    MixedDevices(const MixedDevices&) = delete;
    MixedDevices& operator=(const MixedDevices&) = delete;
    /// Names of those operations.
    static std::set<std::string>& found() {
        static std::set<std::string> names;
        return names;
    }

  private:
    static std::unique_ptr<at::ObserverContext> look(const at::RecordFunction& call) {
        const std::string name = call.name();
        bool there = false, here = false;
        const auto note = [&](const at::Tensor& tensor) {
            if (!tensor.defined()) return;
            there = there || tensor.is_meta();
            here = here || (tensor.is_cpu() && tensor.dim() > 0);
        };
        for (const auto& value : call.inputs()) {
            if (value.isTensor()) note(value.toTensor());
            if (value.isTensorList())
                for (const auto& tensor : value.toTensorVector()) note(tensor);
        }
        if (there && here && name.find("copy") == std::string::npos) found().insert(name);
        return nullptr;
    }
    at::CallbackHandle handle_;
};

}  // namespace hearth::conformance
