// Run folders as training leaves them, without training.
#pragma once

#include <fmt/format.h>

#include "cli/support.hpp"

namespace hearth::test {

struct MadeRun {
    std::string recipe = "mine", status = "finished", heartbeat = "2026-01-01T00:00:00Z";
    int seed = 0, epochs = 4;
    double shift = 0;  ///< added to every other score of the positives
    int rows = 40;
};

/// eval.json of a linear probe on `rows` images of rows / 2 patients.
inline std::string made_evaluation(const MadeRun& run) {
    std::vector<int> labels, patients;
    std::vector<double> probabilities;
    for (int i = 0; i < run.rows; ++i) {
        labels.push_back(i % 3 == 0);
        patients.push_back(i / 2);
        const double positive =
            0.01 * ((i * 37 + run.seed * 11) % 50) + (labels.back() == 1 && i % 2 == 0 ? run.shift : 0);
        probabilities.push_back(1 - positive);
        probabilities.push_back(positive);
    }
    const nlohmann::json auc = {
        {"value", 0.5 + run.shift / 2}, {"low", 0.4}, {"high", 0.9}, {"used", 2000}, {"dropped", 0}};
    const nlohmann::json score = {
        {"model", "trained"}, {"classifier", "linear"}, {"auc", auc}, {"accuracy", 0.5},
        {"f1", 0.5},          {"threshold", 0.5},       {"l2", 0.01}, {"probabilities", probabilities}};
    return nlohmann::json({{"classes", {"normal", "abnormal"}},
                           {"labels", labels},
                           {"patients", patients},
                           {"train_images", 10},
                           {"test_images", run.rows},
                           {"test_patients", run.rows / 2},
                           {"protocol", "made for a test"},
                           {"scores", nlohmann::json::array({score})},
                           {"differences", nlohmann::json::array()}})
        .dump();
}

inline void make_run(const TemporaryFolder& folder, const std::string& name, const MadeRun& run) {
    folder.write(name + "/run.json", nlohmann::json({{"name", run.recipe},
                                                     {"status", run.status},
                                                     {"heartbeat", run.heartbeat},
                                                     {"started", run.heartbeat},
                                                     {"recipe_hash", "0123456789abcdef"},
                                                     {"epoch", run.epochs - 1},
                                                     {"step", 30},
                                                     {"pid", 999999999},
                                                     {"quarantined", 0}})
                                         .dump());
    folder.write(name + "/resolved.toml",
                 fmt::format("schema = 1\nname = \"{}\"\n[train]\nepochs = {}\nseed = {}\n", run.recipe,
                             run.epochs, run.seed));
    folder.write(
        name + "/metrics.jsonl",
        "{\"step\":1,\"loss\":2.5}\n{\"step\":2,\"loss\":1.25}\n{\"step\":2,\"event\":\"probe\"}\n{\"st");
    folder.write(name + "/eval.json", made_evaluation(run));
    // As old as the heartbeat: a file written just now is a sign of life.
    std::filesystem::last_write_time(folder / (name + "/metrics.jsonl"),
                                     std::filesystem::file_time_type::clock::now() - std::chrono::hours(48));
}

}  // namespace hearth::test
