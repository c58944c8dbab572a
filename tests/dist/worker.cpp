// One process of the tests in collectives.cpp, phases_and_fits.cpp and training.cpp: makes the calls that argv names and ends
// with 0 when each gave what it has to.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <hearth/error.hpp>
#include <string>
#include <thread>

#include "common/nn/batch_norm.hpp"
#include "dist/gradients.hpp"
#include "host/registry.hpp"
#include "recipe/recipe.hpp"
#include "train/fitting.hpp"
#include "train/trainer.hpp"
#include "train/training_data.hpp"
#include "train/training_set.hpp"

using namespace hearth;

namespace {

int failures = 0;
std::atomic<int> collectives = 0;

/// From here on calls of c10d are counted, of whatever thread.
void count_collectives() {
    at::addGlobalCallback(
        at::RecordFunctionCallback([](const at::RecordFunction& call) -> std::unique_ptr<at::ObserverContext> {
            if (std::string_view(call.name()).starts_with("c10d::")) ++collectives;
            return nullptr;
        }));
}

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
    // Rows that matter differently, and a gradient that is no contiguous tensor.
    const auto weights = at::arange(2 * world, at::kFloat).view({1, -1}), y = at::ones({2, 3}).requires_grad_();
    (at::matmul(weights, group.all_gather(y, true)).sum() * (group.rank() + 1)).backward();
    const auto own = weights.t().narrow(0, 2 * group.rank(), 2).expand({2, 3});
    check(at::equal(y.grad(), own * (world * (world + 1) / 2)), "the part of the gradient that is one's own");
    // What every process needs of it alone goes to it alone.
    const auto part = group.reduce_scatter_sum(at::arange(2 * world, at::kFloat));
    check(at::equal(part, at::arange(2, at::kFloat).add(2 * group.rank()).mul(world)), "reduce_scatter_sum");
}

void words(const dist::ProcessGroup& group) {
    const auto heard = group.from_first(group.rank() == 0 ? "the word" : "noise");
    check(heard == "the word", "from_first");
    check(group.from_first("").empty(), "from_first of nothing");
    group.wait_for_all(std::chrono::seconds(20));
}

/// Batch normalisation over all processes is that of one with the whole batch.
void normalises(const dist::ProcessGroup& group) {
    at::manual_seed(1);
    const auto x = at::randn({4 * group.world_size(), 3}) + 10, incoming = at::randn_like(x);
    const auto run = [&](const at::Tensor& part, const at::Tensor& gradient, const Comm& comm) {
        nn::BatchNorm norm(3, {}, /*sync=*/true);
        const auto own = part.clone().requires_grad_();
        const auto y = norm.forward(own, comm);
        (y * gradient).sum().backward();
        std::vector<at::Tensor> out = {y.detach(), own.grad()};
        for (const auto& parameter : norm.parameters()) out.push_back(parameter.grad());
        for (const auto& buffer : norm.buffers()) out.push_back(buffer);
        return out;
    };
    const auto whole = run(x, incoming, Comm::local());
    const auto mine = [&](const at::Tensor& all) { return all.narrow(0, 4 * group.rank(), 4); };
    auto part = run(mine(x), mine(incoming), group);
    const auto close = [](const at::Tensor& a, const at::Tensor& b) {
        return at::allclose(a.to(at::kDouble), b.to(at::kDouble), 1e-4, 1e-5);
    };
    check(close(part[0], mine(whole[0])), "its part of the output");
    check(close(part[1], mine(whole[1])), "its part of the gradient");
    for (const auto i : {2, 3}) group.all_reduce_sum(part[static_cast<std::size_t>(i)]);
    for (std::size_t i = 2; i < whole.size(); ++i)
        check(close(part[i], whole[i]), "gradients of gain and shift, running statistics");
}

/// The gradient of w x is x: the average of rank + 1 over the processes. `unused` has none.
void averages(const dist::ProcessGroup& group) {
    const auto w = at::ones({4}).requires_grad_(), unused = at::ones({2}).requires_grad_();
    dist::GradientAverage average({{"w", w}, {"unused", unused}}, group);
    count_collectives();
    const auto loss = [&] { return (w * (group.rank() + 1)).sum(); };
    const auto mean = static_cast<float>(group.world_size() + 1) / 2;
    for (int step = 0; step < 3; ++step) {
        w.mutable_grad() = at::Tensor();
        loss().backward();  // stays here
        check(w.grad()[0].item<float>() == static_cast<float>(group.rank() + 1),
              "a gradient that is not averaged");
        collectives = 0;
        average.prepare();
        loss().backward();
        average.finish();
        check(at::allclose(w.grad(), at::full({4}, 2 * mean)), "accumulated and averaged gradient");
        check(!unused.grad().defined(), "no gradient where no process has one");
        // At first in one bucket; then that of `unused` comes after the other.
        check(collectives == (step == 0 ? 1 : 2), "a collective a bucket, and no other");
    }
}

/// Which parameters a loss reaches changes from step to step and from process to process, in several buckets, one
/// of them in channels-last order.
void reaches(const dist::ProcessGroup& group) {
    const std::vector<std::int64_t> big = {1, 300, 1000};  // more than the first bucket holds
    const std::vector<at::Tensor> parts = {at::ones(big),
                                           at::ones({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast),
                                           at::ones(big), at::ones({7}, at::kDouble)};
    std::vector<std::pair<std::string, at::Tensor>> named;
    for (const auto& part : parts)
        named.emplace_back(fmt::format("p{}", named.size()), part.set_requires_grad(true));
    dist::GradientAverage average(named, group);
    const auto world = static_cast<std::size_t>(group.world_size());
    // Whether a process uses a parameter in a step: nobody, some and all of them in turn.
    const auto uses = [&](std::size_t process, std::size_t part, std::size_t step) {
        switch ((part + step) % 4) {
            case 0:
                return true;
            case 1:
                return process == step % world;
            case 2:
                return false;
            default:
                return process != step % world;
        }
    };
    const auto factor = [](std::size_t process, const at::Tensor& part) {
        return (at::arange(part.numel(), part.options().requires_grad(false)).remainder(11) + 1)
                   .view(part.sizes()) *
               static_cast<double>(process + 1);
    };
    const auto rank = static_cast<std::size_t>(group.rank());
    for (std::size_t step = 0; step < 9; ++step) {
        at::Tensor loss = at::zeros({}, at::kDouble).requires_grad_();
        for (std::size_t i = 0; i < parts.size(); ++i) {
            parts[i].mutable_grad() = at::Tensor();
            if (uses(rank, i, step)) loss = loss + (parts[i] * factor(rank, parts[i])).sum();
        }
        average.prepare();
        loss.backward();
        average.finish();
        for (std::size_t i = 0; i < parts.size(); ++i) {
            auto expected = at::zeros_like(parts[i]);
            bool anybody = false;
            for (std::size_t process = 0; process < world; ++process)
                if (uses(process, i, step)) {
                    anybody = true;
                    expected = expected + factor(process, parts[i]) / static_cast<double>(world);
                }
            const auto& gradient = parts[i].grad();
            check(gradient.defined() == anybody, "a gradient where somebody has one");
            if (!anybody || !gradient.defined()) continue;
            check(at::allclose(gradient, expected), "the average over all, with zeros of those that have none");
            check(gradient.strides() == parts[i].strides(), "in memory a gradient lies as its parameter does");
        }
    }
}

void asks(const dist::ProcessGroup& group) {
    count_collectives();
    const int last = group.world_size() - 1;
    check(!group.any_before(group.rank() == 0), "nothing was asked before");
    check(group.any_before(false), "process 0 said yes the time before");
    check(!group.any_before(group.rank() == last), "nobody did");
    check(group.any_before(true), "the last one did");
    check(group.any_before(false), "all did");
    for (int i = 0; i < 200; ++i) {
        const bool odd = i % 3 == 1;
        check(group.any_before(odd && group.rank() == last) == (i % 3 == 2), "again and again");
        if (i == 50 && group.rank() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    check(collectives == 0, "no collective of the device");
}

train::TrainRequest request(const dist::ProcessGroup& group, const std::string& out) {
    train::TrainRequest request;
    request.out = out;
    request.quiet = true;
    request.group = &group;
    return request;
}

/// With what the launcher says, not with OMP_NUM_THREADS: each process takes its part of the cores.
void shares(const dist::ProcessGroup& group, const std::string& file) {
    const auto cores = dist::cores_for(group.launch());
    check(dist::cores_of(group) == cores && dist::cores_of(Comm::local()) == 0, "cores_of");
    check(group.launch().local_world == group.world_size(), "all processes are of this machine");
    host::Registry registry;
    registry.scan({{HEARTH_TEST_BINARY_DIR "/lib/hearth/plugins", "test"}});
    const auto recipe = recipe::load(file, {"data.workers=0", "train.threads=0"});
    const auto plan = plan::Plan::initial(recipe, registry);
    check(train::loader_options(recipe, plan, {}, group).workers == cores, "workers of a process of a group");
    check(train::loader_options(recipe, plan, {}).workers == 0, "workers of a process that is alone");
    at::set_num_threads(64);
    const train::Trainer trainer(recipe, registry, request(group, "run"));
    check(at::get_num_threads() == cores, "threads of a process of a group");
}

/// A step has the collectives of its gradients, one here, and those of its losses, none here.
void steps(const dist::ProcessGroup& group, const std::string& file) {
    host::Registry registry;
    registry.scan({{HEARTH_TEST_BINARY_DIR "/lib/hearth/plugins", "test"},
                   {HEARTH_TEST_BINARY_DIR "/tests/plugins/train", "test"}});
    const auto calls = [&](int steps) {
        const auto recipe = recipe::load(file, {fmt::format("data.phantom_count={}", 8 * steps)});
        train::Trainer trainer(recipe, registry, request(group, fmt::format("run{}", steps)));
        collectives = 0;
        check(trainer.run().steps == steps, "so many steps");
        return collectives.load();
    };
    count_collectives();
    const int few = calls(4), more = calls(9);
    fmt::print("{} collectives in 4 steps, {} in 9\n", few, more);
    check(more - few == 5, "one collective a step");
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
        auto& average = odd ? second : first;
        average.prepare();
        loss.backward();
        average.finish();
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
        dist::GroupParts parts;
        if (what == "sits") parts.identity = [](c10::Device) { return "GPU-00000000-0000"; };
        const dist::ProcessGroup group(launch.value(), c10::kCPU,
                                       std::chrono::seconds(what == "hangs" ? 3 : 20), parts);
        if (what == "fits" || what == "shares" || what == "steps")
            (what == "fits" ? fits : what == "shares" ? shares : steps)(group, argv[2]);
        else
            (what == "sums"         ? sums
             : what == "gathers"    ? gathers
             : what == "words"      ? words
             : what == "normalises" ? normalises
             : what == "averages"   ? averages
             : what == "turns"      ? turns
             : what == "reaches"    ? reaches
             : what == "asks"       ? asks
             : what == "hangs"      ? hangs
                                    : dies)(group);
    } catch (const Error& error) {
        fmt::print("{}\n", error.what());
        return static_cast<int>(error.code());
    }
    return failures == 0 ? 0 : 1;
}
