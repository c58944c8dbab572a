// The step on a device that is not there (support/elsewhere.hpp).
#include <fmt/ranges.h>

#include "plan/support.hpp"
#include "support/elsewhere.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

/// Two images through the loader's half of the plan.
Tensors batch_elsewhere(const plan::Plan& plan, const recipe::Recipe& recipe) {
    std::map<std::string, std::vector<at::Tensor>> rows;
    for (std::uint64_t sample = 0; sample < 2; ++sample) {
        const auto size = recipe.data.size;
        Tensors views{{"image", at::rand({recipe.data.channels, size, size})},
                      {"index", at::scalar_tensor(0, at::kLong)}};
        for (const char* name : {"label", "segmentation"})
            if (plan.delivered().count(name) != 0) {
                std::vector<std::int64_t> sizes;
                for (const auto& dim : plan.shape(name))
                    if (dim.known()) sizes.push_back(dim.value());
                views.set(name, at::zeros(sizes, std::string(name) == "label" ? at::kLong : at::kFloat));
            }
        plan.prepare(views, {.seed = 0, .epoch = 0, .sample = sample, .stream = 0});
        for (const auto& name : plan.delivered()) rows[name].push_back(views[name]);
    }
    Tensors batch;
    for (const auto& [name, tensor] : stacked(plan, rows)) batch.set(name, tensor.to(elsewhere));
    return batch;
}

}  // namespace

TEST_CASE("elsewhere, asking for a value fails and a tensor left behind is noticed") {
    complete_elsewhere();
    const auto there = at::ones({3}, elsewhere), here = at::ones({3});
    CHECK_THROWS(there.sum().item<double>());
    CHECK_THROWS(there.masked_select(there > 0));
    CHECK_THROWS(there.nonzero());
    const MixedDevices mixed;
    there.mul(2.0).add(at::scalar_tensor(1)).copy_(here);
    CHECK(mixed.found().empty());
    CHECK_THROWS(at::mul(there, here));
    CHECK(mixed.found() == std::set<std::string>{"aten::mul"});
}

TEST_CASE("the step of every shipped recipe runs where its tensors are, and waits for none of their values") {
    complete_elsewhere();
    Context context;
    context.device = elsewhere;
    context.progress = {.step = 1, .total_steps = 10, .steps_per_epoch = 2};
    int steps = 0;
    for_each_shipped_recipe([&](const std::filesystem::path& file) {
        for (auto recipe : recipe::stages(small(file))) {
            recipe.data.augment_on = "device";
            auto plan = plan::Plan::build(recipe, registry());
            auto batch = batch_elsewhere(plan, recipe);
            for (const auto& [name, tensor] : plan.state()) move_elsewhere(tensor);
            plan.train(true);
            const MixedDevices mixed;
            for (const auto& phase : plan.phases()) {
                INFO(phase.name);
                plan.ask_gradients(phase);
                const auto out = plan.step(phase, batch, context);
                out.total.backward();
                CHECK(out.total.device() == elsewhere);
                for (const auto& name : phase.keeps) batch.set(name, out.tensors[name].detach());
            }
            CHECK(fmt::format("{}", fmt::join(mixed.found(), " ")) == "");
            for (const auto& [name, parameter] : plan.trained_parameters()) {
                INFO(name);
                CHECK((!parameter.grad().defined() || parameter.grad().device() == elsewhere));
            }
        }
        ++steps;
    });
    CHECK(steps >= 17);
}
