#include "train/stage_start.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <hearth/error.hpp>
#include <iterator>
#include <map>

#include "base/name_pattern.hpp"
#include "plan/tensor_text.hpp"
#include "train/initial_weights.hpp"

namespace hearth::train {
namespace {

/// Which tensors of a stage go on from the one before.
class Carried {
  public:
    Carried(const StageStart& start, const recipe::Recipe& stage)
        : start_(start), stage_(stage), tensors_(start.carried.begin(), start.carried.end()) {}

    /// Undefined where the tensor starts anew.
    at::Tensor find(const std::string& name) const {
        const auto found = tensors_.find(name);
        const bool fresh = std::ranges::any_of(
            stage_.stage->fresh, [&](const auto& pattern) { return base::matches(name, pattern); });
        return found == tensors_.end() || fresh || names_a_file(name.substr(0, name.find('.'))) ? at::Tensor()
                                                                                                : found->second;
    }

    /// The stage with the files of those networks of which something starts anew.
    recipe::Recipe with_files_that_count(const plan::Plan& plan) const {
        auto out = stage_;
        for (auto& spec : out.networks) {
            const auto* network = plan.network(spec.name);
            if (network == nullptr) continue;
            auto tensors = network->named_parameters();
            std::ranges::move(network->named_buffers(), std::back_inserter(tensors));
            if (std::ranges::all_of(tensors, [&](const auto& item) { return find(item.first).defined(); }))
                spec.init_from.clear();
        }
        return out;
    }

  private:
    /// Whether the network, or its leader, starts from a file that the stage before did not name.
    bool names_a_file(const std::string& name) const {
        const auto* network = stage_.network(name);
        if (network != nullptr && !network->follows.empty()) network = stage_.network(network->follows);
        if (network == nullptr || network->init_from.empty() || start_.before == nullptr) return false;
        const auto* before = start_.before->network(network->name);
        return before != nullptr && before->init_from != network->init_from;
    }

    const StageStart& start_;
    const recipe::Recipe& stage_;
    std::map<std::string, at::Tensor> tensors_;
};

}  // namespace

std::vector<std::string> go_on_from(const StageStart& start, const recipe::Recipe& stage, plan::Plan& plan) {
    const Carried carried(start, stage);
    auto warnings = load_initial_weights(carried.with_files_that_count(plan), plan);
    const at::NoGradGuard no_grad;
    for (auto& [name, tensor] : plan.state()) {
        const auto before = carried.find(name);
        if (!before.defined()) continue;
        if (tensor.numel() == 0) tensor.resize_(before.sizes());
        if (tensor.sizes() != before.sizes())
            throw RecipeError(
                fmt::format("{}: stage '{}' has {} as {}, the stage before it as {}; name it in `fresh`, "
                            "or give it the "
                            "same size",
                            stage.stage->origin.text(), stage.stage->name, name, plan::sizes_text(tensor),
                            plan::sizes_text(before)));
        tensor.copy_(before);
    }
    return warnings;
}

}  // namespace hearth::train
