// How components find each other: by names, not by the order of the file.
#include <algorithm>
#include <map>
#include <set>

#include "plan/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

using Names = std::vector<std::string>;

const std::string second_pass = R"(
[[pass]]
network = "student"
view = "student.restored"
as = "again"
[[loss]]
use = "restoration"
name = "twice"
patch = 8
reads = { restored = "again.restored" }
)";

// Both passes have `restored`, so the first loss must say which.
const std::string two_passes = replaced(restoring, "patch = 8\n)", "patch = 8\n)").empty() ? "" : "";

bool every_input_is_written_before(const plan::Plan& plan, const std::string& size) {
    std::set<std::string> names = {"image", "index"};
    for (const auto& node : plan.nodes()) {
        for (const auto& wire : node.reads)
            if (!wire.name.empty() && names.count(wire.name) == 0) return false;
        for (const auto& wire : node.writes) names.insert(wire.name);
    }
    return names.count(size) != 0;
}

}  // namespace
