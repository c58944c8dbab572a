#include "dist/gradients.hpp"

#include <c10/util/Exception.h>

#include <algorithm>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

namespace hearth::dist {
namespace {

constexpr std::size_t first_bucket = 1 << 20, bucket = 25 << 20;

/// Without what the reducer says when it looked for unused parameters and found none: a recipe may have some or
/// not.
class QuietHandler : public c10::WarningHandler {
  public:
    void process(const c10::Warning& warning) override {
        if (warning.msg().find("find_unused_parameters") == std::string::npos) WarningHandler::process(warning);
    }
};

}  // namespace

GradientAverage::GradientAverage(const std::vector<std::pair<std::string, at::Tensor>>& parameters,
                                 const ProcessGroup& group) {
    std::vector<at::Tensor> tensors;
    std::unordered_map<std::size_t, std::string> names;
    for (const auto& [name, tensor] : parameters) {
        names.emplace(tensors.size(), name);
        tensors.push_back(tensor);
    }
    static QuietHandler handler;
    c10::WarningUtils::set_warning_handler(&handler);
    try {
        c10d::verify_params_across_processes(group.group(), tensors, std::nullopt);
    } catch (const std::exception& error) {
        group.lost("comparing parameters", error.what());
    }
    const std::vector<bool> sparse(tensors.size(), false);
    // The backward pass meets the last parameters first.
    auto buckets =
        std::get<0>(c10d::compute_bucket_assignment_by_size(tensors, {first_bucket, bucket}, sparse));
    std::reverse(buckets.begin(), buckets.end());
    reducer_ = std::make_shared<c10d::Reducer>(
        tensors, std::move(buckets), group.group(), sparse, static_cast<std::int64_t>(bucket),
        /*find_unused_parameters=*/true, /*gradient_as_bucket_view=*/false, std::move(names),
        static_cast<std::int64_t>(first_bucket), /*skip_all_reduce_unused_params=*/false,
        /*use_python_reducer=*/false, std::vector<std::int64_t>{});
}

GradientAverage::~GradientAverage() = default;

void GradientAverage::prepare(const at::Tensor& loss) {
    reducer_->prepare_for_forward();
    reducer_->prepare_for_backward({loss});
}

}  // namespace hearth::dist
