// Pictures of a run that cost more than a report may take: they are files of its folder plots/, which the
// report shows.
#pragma once

#include <filesystem>
#include <optional>

#include "report/page.hpp"

namespace hearth::cli {

/// The section of the report from plots/pictures.json, or nothing.
std::optional<report::Section> pictures_section(const std::filesystem::path& folder);

}  // namespace hearth::cli
