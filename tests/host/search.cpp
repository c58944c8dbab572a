// The search order, missing folders, and names that nobody offers.
#include <cstdlib>
#include <optional>

#include "host/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

class Environment {
  public:
    Environment(const char* name, const char* value) : name_(name) {
        if (const char* old = std::getenv(name)) old_ = old;
        set(value);
    }
    ~Environment() { set(old_ ? old_->c_str() : nullptr); }
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;

  private:
    void set(const char* value) const {
        if (value == nullptr)
            unsetenv(name_);
        else
            setenv(name_, value, 1);
    }
    const char* name_;
    std::optional<std::string> old_;
};

std::vector<std::string> origins(const std::vector<host::SearchEntry>& entries) {
    std::vector<std::string> out;
    for (const auto& entry : entries) out.push_back(entry.origin);
    return out;
}

}  // namespace

TEST_CASE("folders are searched in the documented order") {
    const Environment path("HEARTH_PLUGIN_PATH", "/c::/d");
    const Environment data("XDG_DATA_HOME", "/e");
    const auto entries = host::search_path({.from_command_line = {"/a"}, .from_recipe = {"/usr"}});
    CHECK(origins(entries) == std::vector<std::string>{"--plugin-path", "recipe", "HEARTH_PLUGIN_PATH",
                                                       "HEARTH_PLUGIN_PATH", "user", "installed"});
    CHECK(entries[0].folder == "/a");
    CHECK(entries[1].folder == "/usr");
    CHECK(entries[2].folder == "/c");
    CHECK(entries[3].folder == "/d");
    CHECK(entries[4].folder == "/e/hearth/plugins");
    const auto here = fs::read_symlink("/proc/self/exe").parent_path().parent_path();
    CHECK(entries[5].folder == here / "lib/hearth/plugins");
}

TEST_CASE("without XDG_DATA_HOME, or with a relative one, the user's folder is in ~/.local/share") {
    const Environment home("HOME", "/home/somebody");
    for (const char* value : {static_cast<const char*>(nullptr), "relative", ""}) {
        const Environment data("XDG_DATA_HOME", value);
        const auto entries = host::search_path({});
        CHECK(entries.at(entries.size() - 2).folder == "/home/somebody/.local/share/hearth/plugins");
    }
}

TEST_CASE("the environment can be left out") {
    const Environment path("HEARTH_PLUGIN_PATH", "/c");
    CHECK(origins(host::search_path({.from_command_line = {"/a"}, .from_recipe = {}, .environment = false})) ==
          std::vector<std::string>{"--plugin-path"});
}

TEST_CASE("a relative folder of the command line is taken from the working directory") {
    const auto entries =
        host::search_path({.from_command_line = {"x/../y"}, .from_recipe = {}, .environment = false});
    CHECK(entries.at(0).folder == fs::current_path() / "y");
}

TEST_CASE("a missing folder is an error where somebody asked for it") {
    const TemporaryFolder scratch;
    const auto absent = scratch / "absent";
    for (const std::string origin : {"--plugin-path", "recipe", "HEARTH_PLUGIN_PATH"}) {
        host::Registry registry;
        CHECK_THAT(refusal([&] {
                       registry.scan({{absent, origin}});
                   }),
                   Contains(absent.string() + " (from " + origin + "): No such file or directory"));
    }
    host::Registry several;
    CHECK_THAT(refusal([&] {
                   several.scan({{absent, "recipe"}, {scratch / "gone", "recipe"}});
               }),
               Contains("absent (from recipe): No such file or directory\n  " + (scratch / "gone").string() +
                        " (from recipe): No such file or directory, expected a folder of plugins"));
    for (const std::string origin : {"user", "installed"}) {
        host::Registry registry;
        CHECK_NOTHROW(registry.scan({{absent, origin}}));
        CHECK(registry.searched().size() == 1);
    }
}

TEST_CASE("a name that nobody offers is a recipe error with the nearest name") {
    host::Registry registry;
    registry.scan({{folder("good"), "test"}});
    const auto message = refusal([&] { registry.find(Kind::head, "scal", "r.toml:3:7: "); }, ExitCode::recipe);
    CHECK_THAT(message, Contains("r.toml:3:7: there is no head 'scal' (did you mean 'scale'?)"));
    CHECK_THAT(message, Contains("searched " + folder("good").string()));
    CHECK_THAT(refusal([&] { registry.find(Kind::loss, "scale"); }, ExitCode::recipe),
               Contains("there is a head of that name"));
    CHECK(registry.try_find(Kind::loss, "scale") == nullptr);
}

TEST_CASE("a folder that a recipe names and that is gone gives way to those of the command line") {
    const fs::path gone = "/nonexistent/plugins";
    CHECK(origins(
              host::search_path({.from_command_line = {"/a"}, .from_recipe = {gone}, .environment = false})) ==
          std::vector<std::string>{"--plugin-path"});
    CHECK(origins(host::search_path({.from_command_line = {}, .from_recipe = {gone}, .environment = false})) ==
          std::vector<std::string>{"recipe"});
    host::Registry registry;
    CHECK_THAT(refusal([&] {
                   registry.scan({{gone, "recipe"}});
               }),
               Contains("name the folder they are in now with --plugin-path"));
}

TEST_CASE("a folder that others can write to is told from one that they cannot") {
    const TemporaryFolder folder;
    CHECK(host::unsafe_folder(folder.path()) == "");
    CHECK(host::unsafe_folder("/nonexistent") == "");
    fs::permissions(folder.path(), fs::perms::others_write, fs::perm_options::add);
    CHECK_THAT(host::unsafe_folder(folder.path()), Contains("that everybody may write to"));
}

TEST_CASE("a library that is not approved is neither run nor found, and named where it is missed") {
    std::vector<std::string> asked;
    const host::Approve none = [&](const host::Candidate& candidate) {
        asked.push_back(candidate.file.filename().string());
        CHECK(candidate.sha256.size() == 64);
        return false;
    };
    host::Registry registry;
    registry.scan({{folder("good"), "test"}}, none);
    CHECK(asked == std::vector<std::string>{"libhearth_head_scale.so"});
    CHECK(registry.libraries().empty());
    CHECK_THAT(refusal([&] { registry.find(Kind::head, "scale"); }),
               Contains("there is no head 'scale'") && Contains(good().string()) && Contains("--locked"));
    const host::Approve never = [](const host::Candidate&) -> bool { throw PluginError("not this one"); };
    CHECK(refusal([&] { registry.scan({{folder("good"), "test"}}, never); }) == "not this one");
}
