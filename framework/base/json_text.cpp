#include "base/json_text.hpp"

#include <fstream>

namespace hearth::base {

nlohmann::json read_json_file(const std::filesystem::path& file) {
    std::ifstream in(file);
    auto json = nlohmann::json::parse(in, nullptr, false);
    return json.is_discarded() ? nlohmann::json() : json;
}

}  // namespace hearth::base
