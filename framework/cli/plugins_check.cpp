// hearth plugins check says what a file would be refused for: first without running any of its code, then by loading
// it in a process of its own beside the plugins that are found.
#include <fmt/format.h>
#include <unistd.h>

#include <fstream>

#include "base/json_text.hpp"
#include "cli/child.hpp"
#include "cli/plugins.hpp"
#include "summary/plugins_text.hpp"
#include "train/signals.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

/// What a child printed, read once.
class Printed {
  public:
    Printed() : file_(fs::temp_directory_path() / fmt::format("hearth-check-{}.log", ::getpid())) {}
    ~Printed() {
        std::error_code gone;
        fs::remove(file_, gone);
    }
    Printed(const Printed&) = delete;
    Printed& operator=(const Printed&) = delete;
    const fs::path& file() const { return file_; }
    /// What follows the last "error: ".
    std::string error() const {
        std::ifstream in(file_);
        const std::string text{std::istreambuf_iterator<char>(in), {}};
        const auto at = text.rfind("error: ");
        if (at == std::string::npos) return "";
        return text.substr(at + 7, text.find_last_not_of('\n') + 1 - at - 7);
    }

  private:
    fs::path file_;
};

/// Loads the file first, as from a folder that is searched first, then all others.
void load_beside(const fs::path& file, const Globals& globals) {
    host::Registry registry;
    registry.load(file, "checked");
    registry.scan(host::search_path(
        {.from_command_line = {globals.plugin_paths.begin(), globals.plugin_paths.end()}, .from_recipe = {}}));
}

/// "" where a process of its own loads the file, else what it was refused for or died of.
std::string problem_when_loaded(const fs::path& file, const Globals& globals) {
    const Printed printed;
    std::vector<std::string> words = {"plugins", "check", "--load", file.string()};
    for (const auto& folder : globals.plugin_paths) words.insert(words.end(), {"--plugin-path", folder});
    const train::SignalsPassedOn signals;
    const auto ended = run_hearth(words, printed.file());
    if (ended.code == 0) return "";
    const auto error = printed.error();
    return error.starts_with(file.string()) || ended.signal == 0
               ? error
               : fmt::format("{}: died while it was loaded ({}): {}", file.string(), ended.text(), error);
}

void check(const fs::path& file, const Globals& globals) {
    auto checked = summary::check_plugin(file);
    if (checked.problem.empty()) checked.problem = problem_when_loaded(file, globals);
    if (globals.json)
        base::print_json(summary::plugins_check_json(checked), 2);
    else if (checked.problem.empty())
        fmt::print("{}", summary::plugins_check_text(checked));
    if (!checked.problem.empty()) throw PluginError(checked.problem);
}

}  // namespace

void add_plugins_check(CLI::App& plugins, Globals& globals) {
    struct Flags {
        std::string file;
        bool load = false;
    };
    auto flags = std::make_shared<Flags>();
    auto* verb = plugins.add_subcommand(
        "check", "Say what a file would be refused for; its code runs in a process of its own, if at all");
    verb->add_option("file", flags->file, "Shared library")->required();
    verb->add_flag("--load", flags->load, "")->group("");  // what that process does
    verb->footer(
        "A file that was built otherwise is refused without running any of it. Another is then loaded beside "
        "the\n"
        "plugins that are found, which tells of ids that are taken and of entries that cannot be used.\n\n"
        "Examples:\n  hearth plugins check build/lib/libhearth_head_mine.so\n  hearth plugins check mine.so "
        "--json");
    verb->callback([flags, &globals] {
        if (flags->load)
            load_beside(flags->file, globals);
        else
            check(flags->file, globals);
    });
}

}  // namespace hearth::cli
