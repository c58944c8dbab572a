// A recipe whose loss does what a plugin should not: tests/negative/plugins/misbehave.cpp.
#pragma once

#include <fmt/format.h>

#include "cli/support.hpp"

namespace hearth::test {

inline std::string negative_plugins(const std::string& folder) {
    return std::string(HEARTH_TEST_PLUGINS "/") + folder;
}

/// Two epochs of five steps.
inline const std::string misbehaving_recipe = R"(schema = 1
name = "bad"
[networks.student]
backbone = { use = "vit", patch = 8, dim = 48, depth = 1, heads = 3 }
[[pass]]
network = "student"
view = "image"
[[loss]]
use = "misbehave"
[data]
source = "phantom"
phantom_count = 40
size = 32
workers = 1
[train]
epochs = 2
batch = 8
threads = 1
precision = "fp32"
)";

struct Misbehaving : Sandbox {
    Misbehaving() { folder.write("bad.toml", misbehaving_recipe); }
    /// hearth VERB bad.toml loss.misbehave.fault=FAULT loss.misbehave.at=AT MORE...
    Outcome with(const std::string& verb, const std::string& fault, const std::string& at,
                 std::vector<std::string> more = {}) const {
        std::vector<std::string> words = {verb,
                                          "bad.toml",
                                          "loss.misbehave.fault=" + fault,
                                          "loss.misbehave.at=" + at,
                                          "--plugin-path",
                                          negative_plugins("misbehaving")};
        words.insert(words.end(), more.begin(), more.end());
        return run(words);
    }
    nlohmann::json json_of(const std::string& file) const { return nlohmann::json::parse(folder.read(file)); }
};

}  // namespace hearth::test
