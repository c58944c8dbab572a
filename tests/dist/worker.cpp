// One process of the tests in collectives.cpp and phases_and_fits.cpp: makes the calls that argv names and ends
// with 0 when each gave what it has to.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <unistd.h>

#include <hearth/error.hpp>
#include <string>
#include <thread>

#include "dist/gradients.hpp"
#include "host/registry.hpp"
#include "recipe/recipe.hpp"
#include "train/fitting.hpp"
#include "train/training_data.hpp"
#include "train/training_set.hpp"

using namespace hearth;

namespace {

int failures = 0;

void check(bool holds, const char* what) {
    if (holds) return;
    ++failures;
    fmt::print("does not hold: {}\n", what);
}

/// Row r of process p is 10 p + r.
at::Tensor rows_of(int process) {
    return (at::arange(2, at::kFloat) + 10 * process).view({2, 1});
}

void sums(const dist::ProcessGroup& group) {
    const int world = group.world_size();
    auto x = at::full({3}, group.rank() + 1, at::kFloat);
    group.all_reduce_sum(x);
    check(at::equal(x, at::full({3}, world * (world + 1) / 2, at::kFloat)), "all_reduce_sum");
    auto strided = at::zeros({2, 2}).t();
    strided.fill_(1);
    group.all_reduce_sum(strided);
    check(strided.sum().item<float>() == 4.0f * static_cast<float>(world),
          "all_reduce_sum of a transposed tensor");
}

void gathers(const dist::ProcessGroup& group) {
    const int world = group.world_size();
    const auto all = group.all_gather(rows_of(group.rank()), false);
    for (int p = 0; p < world; ++p) check(at::equal(all.narrow(0, 2 * p, 2), rows_of(p)), "all_gather");
    // Loss of process p: p + 1 times the sum of everything: each row's gradient is the sum of all p + 1.
    const auto x = rows_of(group.rank()).requires_grad_();
    (group.all_gather(x, true).sum() * (group.rank() + 1)).backward();
    check(at::equal(x.grad(), at::full({2, 1}, world * (world + 1) / 2, at::kFloat)), "gradient of all_gather");
}

void words(const dist::ProcessGroup& group) {
    const auto heard = group.from_first(group.rank() == 0 ? "the word" : "noise");
    check(heard == "the word", "from_first");
    check(group.from_first("").empty(), "from_first of nothing");
    group.wait_for_all(std::chrono::seconds(20));
}

/// The gradient of w x is x: the average of rank + 1 over the processes. `unused` has none.
void averages(const dist::ProcessGroup& group) {
    const auto w = at::ones({4}).requires_grad_(), unused = at::ones({2}).requires_grad_();
    dist::GradientAverage average({{"w", w}, {"unused", unused}}, group);
    const auto loss = [&] { return (w * (group.rank() + 1)).sum(); };
    const auto mean = static_cast<float>(group.world_size() + 1) / 2;
    for (int step = 0; step < 3; ++step) {
        w.mutable_grad() = at::Tensor();
        loss().backward();  // stays here
        check(w.grad()[0].item<float>() == static_cast<float>(group.rank() + 1),
              "a gradient that is not averaged");
        const auto last = loss();
        average.prepare(last);
        last.backward();
        check(at::allclose(w.grad(), at::full({4}, 2 * mean)), "accumulated and averaged gradient");
        check(!unused.grad().defined(), "no gradient where no process has one");
    }
}

/// Two sets of parameters take turns in a loss of both, as those of phases do.
void turns(const dist::ProcessGroup& group) {
    const std::vector<at::Tensor> parts = {at::ones({4}).requires_grad_(), at::ones({3}).requires_grad_()};
    dist::GradientAverage first({{"first", parts[0]}}, group), second({{"second", parts[1]}}, group);
    const auto mean = static_cast<float>(group.world_size() + 1) / 2;
    for (int turn = 0; turn < 6; ++turn) {
        const bool odd = turn % 2 != 0;
        const auto &asked = parts[odd ? 1 : 0], &other = parts[odd ? 0 : 1];
        asked.set_requires_grad(true);
        other.set_requires_grad(false);
        asked.mutable_grad() = other.mutable_grad() = at::Tensor();
        const auto loss = (asked.sum() * other.sum() * (group.rank() + 1));
        (odd ? second : first).prepare(loss);
        loss.backward();
        check(at::allclose(asked.grad(), at::full_like(asked, mean * static_cast<float>(other.numel()))),
              "the gradient of whose turn it is");
        check(!other.grad().defined(), "no gradient of whose turn it is not");
    }
}

/// Of the recipe that argv names: what a loss is given of the training set, and the clusters it finds in it.
void fits(const dist::ProcessGroup& group, const std::string& file) {
    host::Registry registry;
    registry.scan({{HEARTH_TEST_BINARY_DIR "/lib/hearth/plugins", "test"}});
    const auto recipe = recipe::load(file);
    auto plan = plan::Plan::initial(recipe, registry);
    const auto data = train::open_training_data(recipe.data, &group);
    const auto set_for = [&](const Comm& comm) {
        return [&](const Component& component, const std::string&) -> std::unique_ptr<TrainingSet> {
            Context context;
            context.comm = &comm;
            return std::make_unique<train::PlanTrainingSet>(
                train::WholeSet{recipe, plan, data.images, data.labels, context}, component);
        };
    };
    std::shared_ptr<Component> loss;
    for (const auto& [name, component] : plan.components())
        if (name == "loss.proto-nce") loss = component;
    // All batches, one after the other, and then the buffers that a fit leaves.
    const auto taken_in = [&](const Comm& comm) {
        std::vector<at::Tensor> out;
        set_for(comm)(*loss, "")->each([&](const Tensors& in, const at::Tensor& index) {
            out.push_back(index.clone());
            out.push_back(in["features"].clone());
        });
        Context context;
        context.comm = &comm;
        context.progress = {.step = 10, .total_steps = 100, .steps_per_epoch = 1};
        train::begin_epoch(plan, context, set_for(comm));
        for (const auto& buffer : loss->named_buffers()) out.push_back(buffer.value().clone());
        return out;
    };
    const auto together = taken_in(group), alone = taken_in(Comm::local());
    check(together.size() == alone.size() && together.size() > 6, "as many batches as in one process");
    for (std::size_t i = 0; i < together.size(); ++i) {
        check(at::equal(together[i], alone[i]), "the same as in one process");
        const auto all = group.all_gather(together[i].unsqueeze(0), /*with_grad=*/false);
        for (int p = 0; p < group.world_size(); ++p)
            check(at::equal(all[p], together[i]), "the same everywhere");
    }
}

/// Process 1 goes to sleep; the others wait for it in vain.
void hangs(const dist::ProcessGroup& group) {
    auto x = at::ones({1});
    group.all_reduce_sum(x);
    if (group.rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(60));
    group.all_reduce_sum(x);
}

void dies(const dist::ProcessGroup& group) {
    auto x = at::ones({1});
    group.all_reduce_sum(x);
    if (group.rank() == 1) ::_exit(9);
    group.all_reduce_sum(x);
}

}  // namespace

int main(int, char** argv) {
    const std::string what = argv[1];
    try {
        const auto launch = dist::read_launch(dist::process_environment());
        const dist::ProcessGroup group(launch.value(), c10::kCPU,
                                       std::chrono::seconds(what == "hangs" ? 3 : 20));
        if (what == "fits")
            fits(group, argv[2]);
        else
            (what == "sums"       ? sums
             : what == "gathers"  ? gathers
             : what == "words"    ? words
             : what == "averages" ? averages
             : what == "turns"    ? turns
             : what == "hangs"    ? hangs
                                  : dies)(group);
    } catch (const Error& error) {
        fmt::print("{}\n", error.what());
        return static_cast<int>(error.code());
    }
    return failures == 0 ? 0 : 1;
}
