// The tiny recipe trained once, and twelve films, for tests that only look at them.
#pragma once

#include "base/safetensors.hpp"
#include "cli/support.hpp"

namespace hearth::test {

struct TrainedBox : Sandbox {
    TrainedBox() {
        const auto trained =
            run({"train", "tiny.toml", "--out", "run", "--no-report", "probe.every=0", "data.max_bad=0.2"});
        INFO(trained.err);
        REQUIRE(trained.code == 0);
        REQUIRE(run({"data", "phantom", "--out", "films", "-n", "12", "--size", "32"}).code == 0);
    }
    static const TrainedBox& once() {
        static const TrainedBox box;
        return box;
    }
    base::SafeTensors read(const std::string& name) const { return base::read_safetensors(folder / name); }
};

}  // namespace hearth::test
