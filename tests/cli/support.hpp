// Runs the built `hearth` in a temporary folder, with nothing of the user's own plugins or settings.
#pragma once

#include <sys/wait.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/temporary_folder.hpp"

namespace hearth::test {

/// What a command ended with and printed.
struct Outcome {
    int code = -1;
    std::string out, err;
    /// Standard output as JSON; the test fails when it is none.
    nlohmann::json json() const {
        auto parsed = nlohmann::json::parse(out, nullptr, false);
        INFO(out);
        REQUIRE_FALSE(parsed.is_discarded());
        return parsed;
    }
};

/// The demo recipe on 40 films of 32 x 32 pixels, one epoch of 5 steps.
inline const std::string tiny_recipe = R"(schema = 1
name = "tiny"
extends = [")" HEARTH_TEST_SOURCE_DIR R"(/recipes/base/phantom-tiny.toml"]
[data]
phantom_count = 40
size = 32
workers = 1
[networks.student]
backbone = { patch = 8, dim = 48, depth = 1, heads = 3 }
[networks.student.heads]
project = { out = 8, hidden = 32, bottleneck = 16 }
restore = { depth = 1, width = 32, heads = 2 }
[optimizer]
lr = { warmup = 0 }
[train]
epochs = 1
batch = 8
log_every = 1
threads = 1
[probe]
phantom_count = 40
k = 5
[eval]
phantom_count = 40
k = 5
)";

class Sandbox {
  public:
    Sandbox() { folder.write("tiny.toml", tiny_recipe); }
    TemporaryFolder folder;

    /// hearth WORDS..., run in the folder.
    Outcome run(const std::vector<std::string>& words) const {
        std::string command = "cd " + quoted(folder.path().string()) +
                              " && env -u HEARTH_PLUGIN_PATH XDG_DATA_HOME=/nonexistent XDG_STATE_HOME=" +
                              quoted((folder.path() / "state").string()) + " OMP_NUM_THREADS=1 " +
                              quoted(HEARTH_TEST_BINARY_DIR "/bin/hearth");
        for (const auto& word : words) command += " " + quoted(word);
        command += " 2>stderr.txt </dev/null";
        Outcome outcome;
        std::FILE* pipe = ::popen(command.c_str(), "r");
        REQUIRE(pipe != nullptr);
        std::array<char, 4096> buffer{};
        for (std::size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
            outcome.out.append(buffer.data(), n);
        const int status = ::pclose(pipe);
        outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        outcome.err = folder.read("stderr.txt");
        return outcome;
    }

  private:
    static std::string quoted(const std::string& word) {
        std::string out = "'";
        for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
        return out + "'";
    }
};

}  // namespace hearth::test
