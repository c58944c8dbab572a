// Times one training step of any recipe, phase by phase, on batches made beforehand (the loader is not timed).
//   bench_step recipes/afire.toml train.batch=8 train.precision=fp32 --steps 5 --warmup 2
// Prints one JSON line. benchmarks/side_by_side.py runs it in turns with another implementation.
#include <torch/torch.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "host/registry.hpp"
#include "plan/plan.hpp"
#include "train/autocast.hpp"
#include "train/check.hpp"
#include "train/follower.hpp"
#include "train/memory.hpp"
#include "train/optimizer.hpp"
#include "train/progress.hpp"
#include "train/trainer.hpp"

using namespace hearth;

namespace {

/// Seconds per phase, one entry per counted step.
class Phases {
  public:
    template <class F>
    void time(const std::string& name, F&& body) {
        const auto start = std::chrono::steady_clock::now();
        body();
        seconds_[name].push_back(
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    void clear() { seconds_.clear(); }
    nlohmann::json summary() const {
        nlohmann::json out;
        for (auto [name, list] : seconds_) {
            std::sort(list.begin(), list.end());
            out[name] = {{"min", list.front()}, {"median", list[list.size() / 2]}};
        }
        return out;
    }

  private:
    std::map<std::string, std::vector<double>> seconds_;
};

int run(const std::vector<std::string>& words) {
    std::vector<std::string> overrides = {"data.source=phantom"};
    std::string file;
    int steps = 5, warmup = 2;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words[i] == "--steps")
            steps = std::stoi(words.at(++i));
        else if (words[i] == "--warmup")
            warmup = std::stoi(words.at(++i));
        else if (file.empty())
            file = words[i];
        else
            overrides.push_back(words[i]);
    }
    train::keep_freed_memory();  // as `hearth train`
    const auto recipe = recipe::load(file, overrides);
    host::Registry registry;
    registry.scan(host::search_path({.from_command_line = {}, .from_recipe = recipe.plugin_paths}));
    const auto device = train::pick_device(recipe.train.device);
    const bool bf16 = train::use_bf16(recipe.train.precision, device);
    if (recipe.train.threads > 0) at::set_num_threads(static_cast<int>(recipe.train.threads));
    torch::manual_seed(0);
    auto plan = plan::Plan::build(recipe, registry);
    plan.to(device);
    plan.train(true);
    train::Optimizer optimizer(recipe.optimizer, plan.trained_parameters(), recipe.train.batch);
    std::vector<train::Follower> followers;
    for (const auto& network : plan.networks())
        if (!network.follows.empty()) followers.emplace_back(network, *plan.network(network.follows));

    const auto loader = train::generated_batches(recipe, plan, recipe.train.batch);
    loader->begin(0);
    Tensors batch;
    loader->next(batch);

    Context context;
    context.device = device;
    context.progress = {
        .step = 1, .total_steps = 1000, .steps_per_epoch = 1};  // past the first epoch: nothing is frozen
    Phases phases;
    double loss = 0;
    for (int i = 0; i < warmup + steps; ++i) {
        if (i == warmup) phases.clear();
        phases.time("step", [&] {
            optimizer.zero_grad();
            plan::StepOutput out;
            phases.time("forward", [&] {
                const train::Autocast autocast(device.type(), bf16);
                out = plan.step(batch, context);
                loss = out.total.item<double>();
            });
            phases.time("backward", [&] { out.total.backward(); });
            phases.time("clip", [&] { optimizer.clip(); });
            phases.time("optimizer", [&] { optimizer.step(context.progress); });
            phases.time("ema", [&] {
                for (auto& follower : followers) follower.update(context.progress);
            });
        });
    }
    std::int64_t trained = 0;
    for (const auto& [name, parameter] : plan.trained_parameters()) trained += parameter.numel();
    std::cout << nlohmann::json({{"bench", "step"},
                                 {"recipe", recipe.name},
                                 {"batch", recipe.train.batch},
                                 {"precision", bf16 ? "bf16" : "fp32"},
                                 {"threads", at::get_num_threads()},
                                 {"steps", steps},
                                 {"phases_s", phases.summary()},
                                 {"trained_parameters", trained},
                                 {"peak_rss_mib", train::peak_memory_mib()},
                                 {"last_loss", loss}})
                     .dump()
              << std::endl;
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run({argv + 1, argv + argc});
    } catch (const Error& error) {
        std::cerr << "error: " << error.what() << "\n";
        return static_cast<int>(error.code());
    }
}
