// Runs of tests: small recipes, trained in this process, and what they leave behind.
#pragma once

#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <hearth/error.hpp>
#include <nlohmann/json.hpp>

#include "base/safetensors.hpp"
#include "host/registry.hpp"
#include "support/temporary_folder.hpp"
#include "train/trainer.hpp"

namespace hearth::test {

namespace fs = std::filesystem;

inline const fs::path parts_folder = fs::path(HEARTH_TEST_BINARY_DIR) / "tests/plugins/train";

/// The plugins of this build and those of parts.cpp, loaded once.
inline const host::Registry& with_parts() {
    static const host::Registry loaded = [] {
        host::Registry made;
        made.scan({{fs::path(HEARTH_TEST_BINARY_DIR) / "lib/hearth/plugins", "test"}, {parts_folder, "test"}});
        return made;
    }();
    return loaded;
}

/// One linear map on sixteen images of 16 x 16: two steps an epoch.
inline const std::string linear_map = R"(schema = 1
name = "parts"
[data]
source = "phantom"
phantom_count = 16
size = 16
workers = 1
[networks.student]
backbone = { use = "test-pixels" }
[[pass]]
network = "student"
view = "image"
[[loss]]
use = "test-mean-square"
[train]
epochs = 2
batch = 8
device = "cpu"
precision = "fp32"
threads = 1
log_every = 1
[optimizer]
lr = 1e-3
lr_batch = 0
)";

/// The demo's method at a size that takes a moment: 24 steps.
inline std::string tiny_demo() {
    return "schema = 1\nname = \"tiny\"\nextends = [\"" HEARTH_TEST_SOURCE_DIR
           "/recipes/base/phantom-tiny.toml\"]\n"
           R"([data]
phantom_count = 48
size = 32
workers = 2
[networks.student]
backbone = { depth = 1 }
[networks.student.heads]
project = { out = 8, hidden = 32, bottleneck = 16 }
restore = { depth = 1, width = 32, heads = 2 }
[train]
epochs = 4
batch = 8
device = "cpu"
precision = "fp32"
threads = 1
log_every = 1
[optimizer]
lr = { from = 1e-3, warmup = 1 }
[probe]
phantom_count = 40
)";
}

inline std::vector<nlohmann::json> read_lines(const fs::path& file) {
    std::vector<nlohmann::json> lines;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
        const auto parsed = nlohmann::json::parse(line, nullptr, false);
        if (!parsed.is_discarded()) lines.push_back(parsed);
    }
    return lines;
}

inline nlohmann::json read_json(const fs::path& file) {
    std::ifstream in(file);
    return nlohmann::json::parse(in, nullptr, false);
}

/// A recipe in a folder of its own, trained into run/.
struct TrainingRun {
    TemporaryFolder folder;
    recipe::Recipe recipe;
    std::string opening;  ///< of the log

    explicit TrainingRun(const std::string& text, const std::vector<std::string>& overrides = {})
        : recipe(recipe::load(folder.write("recipe.toml", text), overrides)) {}

    fs::path path() const { return folder / "run"; }
    train::TrainSummary run(train::Resume resume = train::Resume::no) {
        train::TrainRequest request;
        request.out = path();
        request.resume = resume;
        request.quiet = true;
        request.opening = opening;
        train::Trainer trainer(recipe, with_parts(), request);
        return trainer.run();
    }
    /// The weights of the recipe's seed, before any step.
    std::map<std::string, at::Tensor> initial() const {
        at::manual_seed(static_cast<std::uint64_t>(recipe.train.seed));
        std::map<std::string, at::Tensor> out;
        for (const auto& [name, tensor] : plan::Plan::build(recipe, with_parts()).state())
            out.emplace(name, tensor.detach().clone());
        return out;
    }
    base::SafeTensors last() const { return base::read_safetensors(path() / "checkpoints/last.safetensors"); }
    std::vector<nlohmann::json> metrics() const { return read_lines(path() / "metrics.jsonl"); }
    std::string log() const { return folder.read("run/train.log"); }
    nlohmann::json status() const { return read_json(path() / "run.json"); }
};

/// "" when both hold the same tensors bit for bit, else the first that differs.
inline std::string difference(const base::SafeTensors& a, const base::SafeTensors& b) {
    if (a.tensors.size() != b.tensors.size()) return "number of tensors";
    for (const auto& [name, tensor] : a.tensors) {
        const auto other = b.find(name);
        if (!other.defined() || !at::equal(tensor, other)) return name;
    }
    return "";
}

}  // namespace hearth::test
