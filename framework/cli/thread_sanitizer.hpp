// A program is put under ThreadSanitizer where it starts: this one is started again for a plugin that needs it.
#pragma once

#include <filesystem>
#include <vector>

namespace hearth::cli {

/// Starts this process anew, with the same arguments, under the ThreadSanitizer that the libraries were built with
/// (GCC's, a shared library); returns where it runs under it already. Of what is not built with it, Hearth and
/// LibTorch among it, nothing is reported; what TSAN_OPTIONS says is kept. Throws PluginError for a library that
/// was built without, RecipeError where the sanitizer's own library is not there.
void run_under_thread_sanitizer(const std::vector<std::filesystem::path>& libraries);

}  // namespace hearth::cli
