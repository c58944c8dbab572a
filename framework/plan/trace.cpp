#include "plan/trace.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cstdlib>
#include <hearth/error.hpp>
#include <string_view>

#include "base/utf8.hpp"
#include "plan/plan.hpp"
#include "plan/tensor_text.hpp"

namespace hearth::plan {
namespace {

/// The dataflow's name of an output, or "loss.mse.total" of what has none there.
std::string name_of(const Node& node, const std::string& port) {
    for (const auto& wire : node.writes)
        if (wire.port == port) return wire.name;
    return node.id + "." + base::printable(port);
}

class Trace : public CallWatch {
  public:
    void after(const Node& node, const Context* context, const Tensors&, const Tensors&,
               const Tensors& out) override {
        if (context != nullptr) print(node, *context, out);
    }
    void delivered(const Node& node, const Context& context, const Tensors& out) override {
        print(node, context, out);
    }

  private:
    static void print(const Node& node, const Context& context, const Tensors& out) {
        const char* const of = context.training ? "step" : "evaluation at step";
        for (const auto& [port, tensor] : out)
            fmt::print(stderr, "trace: {} {} {} {}\n", of, context.progress.step, name_of(node, port),
                       trace_text(tensor));
    }
};

}  // namespace

std::string trace_text(const at::Tensor& tensor) {
    if (!tensor.defined()) return "undefined";
    auto text =
        fmt::format("{} {} {}", sizes_text(tensor), dtype_text(tensor.scalar_type()), tensor.device().str());
    if (tensor.is_meta()) return text;
    const auto values = tensor.detach().to(at::kCPU, at::kDouble).flatten();
    const auto finite = values.masked_select(values.isfinite());
    if (finite.numel() > 0)
        text += fmt::format(" mean {:.4g} deviation {:.4g}", finite.mean().item<double>(),
                            finite.std(/*unbiased=*/false).item<double>());
    return text + fmt::format(" nan {} inf {}", values.isnan().sum().item<std::int64_t>(),
                              values.isinf().sum().item<std::int64_t>());
}

CallWatch* trace_of_environment() {
    const char* given = std::getenv("HEARTH_TRACE");
    const std::string_view value = given == nullptr ? "" : given;
    if (value.empty() || value == "0") return nullptr;
    if (value != "1")
        throw RecipeError(
            fmt::format("HEARTH_TRACE: found \"{}\", expected 1 to print what each component returns, "
                        "or 0",
                        value));
    static Trace trace;
    return &trace;
}

}  // namespace hearth::plan
