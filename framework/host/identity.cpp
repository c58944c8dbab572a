#include "host/identity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <hearth/plugin.hpp>
#include <sstream>

#include "host/dynamic_symbols.hpp"

namespace hearth::host {
namespace {

constexpr std::string_view section_prefix = ".hearth.";

struct Field {
    const char* name;
    std::string_view prefix;  ///< within the section name, e.g. "torch"
};
constexpr std::array<Field, 4> fields = {
    {{"plugin API", "api"}, {"LibTorch", "torch"}, {"compiler", ""}, {"C++ ABI", "cxx11abi"}}};

// ".hearth.api1.torch2_11_0.gcc12.cxx11abi1" -> {"1", "2.11.0", "gcc12", "1"}; empty when it is not of that
// form.
std::vector<std::string> parse(std::string_view identity) {
    if (!identity.starts_with(section_prefix)) return {};
    std::vector<std::string> values;
    std::istringstream words{std::string(identity.substr(section_prefix.size()))};
    for (std::string word; std::getline(words, word, '.');) {
        const auto i = values.size();
        if (i == fields.size() || !word.starts_with(fields[i].prefix)) return {};
        word.erase(0, fields[i].prefix.size());
        std::replace(word.begin(), word.end(), '_', '.');
        values.push_back(word);
    }
    return values.size() == fields.size() ? values : std::vector<std::string>{};
}

}  // namespace

std::string host_identity() {
    return HEARTH_BUILD_IDENTITY;
}

std::vector<std::string> read_identities(const std::filesystem::path& file) {
    auto names = section_names(file);
    std::erase_if(names, [](const auto& name) { return !name.starts_with(section_prefix); });
    return names;
}

std::string compare_identities(const std::string& found, const std::string& expected) {
    if (found == expected) return "";
    const auto theirs = parse(found);
    const auto ours = parse(expected);
    if (theirs.empty() || ours.empty())
        return fmt::format("  build identity: found '{}', expected '{}'\n", found, expected);
    std::string lines;
    for (std::size_t i = 0; i < fields.size(); ++i)
        if (theirs[i] != ours[i])
            lines += fmt::format("  {}: found {}, expected {}\n", fields[i].name, theirs[i], ours[i]);
    return lines;
}

}  // namespace hearth::host
