// Holds the files of examples/plugin-template, which the build turns into source (embed.cmake).
#pragma once

#include <string_view>
#include <vector>

namespace hearth::authoring {

struct TemplateFile {
    std::string_view path;  ///< "loss/tests/test_variance_floor.cpp": below the folder of templates
    std::string_view text;
};
const std::vector<TemplateFile>& template_files();

}  // namespace hearth::authoring
