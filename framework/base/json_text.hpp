// JSON becomes text here, whatever bytes its strings hold.
#pragma once

#include <fmt/core.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace hearth::base {

/// On one line, or indented by `indent` blanks. Bytes that are no UTF-8, as in a file name of another system,
/// become U+FFFD: nlohmann's dump() throws where it meets one.
template <typename Json>
std::string json_text(const Json& json, int indent = -1) {
    return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

/// From here on standard output has nothing but what print_json() prints: what plugins and libraries print goes to
/// standard error.
void keep_stdout_for_json();

/// Prints a text and a line end, past what keep_stdout_for_json() keeps away. Throws DataError where it cannot.
void print_past(const std::string& text);

/// Prints it and a line end, for `--json`.
template <typename Json>
void print_json(const Json& json, int indent = -1) {
    print_past(json_text(json, indent));
}

/// A JSON file, or null when it is not there or no JSON.
nlohmann::json read_json_file(const std::filesystem::path& file);

}  // namespace hearth::base
