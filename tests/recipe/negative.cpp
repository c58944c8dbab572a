// The broken recipes of tests/negative/recipes. Each says in its first lines which errors it must give:
//   # expect unknown-key.toml:7:1: train.epoch: unknown key
//   # and    (did you mean 'epochs'?)                            on the same line of the message
// No other error may come.
#include <fstream>
#include <set>

#include "recipe/support.hpp"

using namespace hearth;
namespace fs = std::filesystem;

namespace {

const fs::path folder = fs::path(HEARTH_TEST_SOURCE_DIR) / "tests/negative/recipes";

std::vector<std::vector<std::string>> expectations(const fs::path& file) {
    std::vector<std::vector<std::string>> out;
    std::ifstream stream(file);
    for (std::string line; std::getline(stream, line);) {
        if (line.starts_with("# expect ")) out.push_back({line.substr(9)});
        if (line.starts_with("# and ")) out.back().push_back(line.substr(line.find_first_not_of(' ', 5)));
    }
    return out;
}

/// The errors in a message: its lines after the title, or the one line there is.
std::vector<std::string> errors(const std::string& message) {
    std::vector<std::string> lines;
    std::istringstream stream(message);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    if (lines.size() > 1) lines.erase(lines.begin());
    return lines;
}

}  // namespace

TEST_CASE("broken recipes give the errors they promise, all at once and no others") {
    std::set<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder))
        if (entry.path().extension() == ".toml") files.insert(entry.path());
    REQUIRE(files.size() >= 15);
    for (const auto& file : files) {
        const auto expected = expectations(file);
        if (expected.empty()) continue;  // a part that others extend
        DYNAMIC_SECTION(file.filename().string()) {
            const auto message = test::message_of<RecipeError>([&] { recipe::load(file); });
            INFO(message);
            const auto found = errors(message);
            CHECK(found.size() == expected.size());
            for (const auto& parts : expected) {
                INFO(parts.front());
                CHECK(std::any_of(found.begin(), found.end(), [&](const std::string& line) {
                    return std::all_of(parts.begin(), parts.end(), [&](const std::string& part) {
                        return line.find(part) != std::string::npos;
                    });
                }));
            }
        }
    }
}
