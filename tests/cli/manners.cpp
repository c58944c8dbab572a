// Help, and what a slip of the keyboard gets for an answer.
#include <pty.h>
#include <unistd.h>

#include <sstream>

#include "base/utf8.hpp"
#include "cli/support.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

using Words = std::vector<std::string>;

Words with(Words words, const std::string& more) {
    words.push_back(more);
    return words;
}

/// The names below "Subcommands:" of a help text.
Words verbs_of(const std::string& help) {
    Words out;
    std::istringstream lines(help.substr(std::min(help.size(), help.find("Subcommands:"))));
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line) && line.substr(0, 2) == "  ") {
        std::istringstream words(line);
        std::string name;
        words >> name;
        if (line[2] != ' ') out.push_back(name);
    }
    return out;
}

/// Lines "  hearth VERB ..." after "Examples:".
int examples_of(const std::string& help, const Words& verb) {
    const auto at = help.find("Examples:");
    if (at == std::string::npos) return 0;
    std::string start = "\n  hearth ";
    for (const auto& word : verb) start += word + " ";
    if (!verb.empty()) start.pop_back();
    int count = 0;
    for (auto found = help.find(start, at); found != std::string::npos; found = help.find(start, found + 1))
        ++count;
    return count;
}

/// What `hearth WORDS...` writes to a terminal of so many columns.
std::string on_terminal(const std::filesystem::path& folder, Words words, int columns) {
    words.insert(words.begin(), HEARTH_TEST_BINARY_DIR "/bin/hearth");
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    winsize size{};
    size.ws_row = 24;
    size.ws_col = static_cast<unsigned short>(columns);
    int terminal = -1;
    const auto pid = ::forkpty(&terminal, nullptr, nullptr, &size);
    if (pid == 0) {
        if (::chdir(folder.c_str()) == 0) ::execv(arguments[0], arguments.data());
        ::_exit(127);
    }
    std::string written;
    std::array<char, 4096> buffer{};
    for (ssize_t count = 0; (count = ::read(terminal, buffer.data(), buffer.size())) > 0;)
        written.append(buffer.data(), static_cast<std::size_t>(count));
    ::close(terminal);
    ::waitpid(pid, nullptr, 0);
    return written;
}

int checked_verbs = 0;

void check_help(const Sandbox& sandbox, const Words& verb) {
    const auto help = sandbox.run(with(verb, "--help"));
    INFO("hearth " << (verb.empty() ? "" : verb.back()) << " --help\n" << help.out << help.err);
    CHECK(help.code == 0);
    CHECK(help.err.empty());
    CHECK(examples_of(help.out, verb) >= 2);
    ++checked_verbs;
    for (const auto& name : verbs_of(help.out)) check_help(sandbox, with(verb, name));
}

}  // namespace

TEST_CASE("the help of every verb shows two examples of it") {
    checked_verbs = 0;
    check_help(Sandbox(), {});
    CHECK(checked_verbs >= 16);  // itself, nine verbs and the verbs of data, recipes and plugins
}

TEST_CASE("a misspelt verb gets the nearest one, and exit code 2") {
    const Sandbox sandbox;
    const auto outcome = sandbox.run({"trian", "tiny.toml"});
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Contains("error: unknown verb 'trian' (did you mean 'train'?)"));
    CHECK(outcome.out.empty());

    const auto inner = sandbox.run({"data", "fantom"});
    CHECK(inner.code == 2);
    CHECK_THAT(inner.err, Contains("unknown verb 'fantom' (did you mean 'phantom'?)") &&
                              Contains("see `hearth data --help`"));
}

TEST_CASE("a misspelt verb is one with --help too") {
    const Sandbox sandbox;
    for (const auto& words : std::vector<Words>{{"trian", "--help"}, {"--help", "trian"}, {"trian", "-h"}}) {
        const auto outcome = sandbox.run(words);
        CHECK(outcome.code == 2);
        CHECK_THAT(outcome.err, Contains("error: unknown verb 'trian' (did you mean 'train'?)"));
        CHECK(outcome.out.empty());
    }
    CHECK_THAT(
        sandbox.run({"data", "fantom", "--help"}).err,
        Contains("unknown verb 'fantom' (did you mean 'phantom'?)") && Contains("see `hearth data --help`"));
    CHECK(sandbox.run({"--out", "somewhere", "train", "--help"}).code == 0);
    CHECK(sandbox.run({"train", "tiny.toml", "--help"}).code == 0);
}

TEST_CASE("a value that a flag cannot have is named with those it can") {
    const Sandbox sandbox;
    for (const auto& [words, found] : std::vector<std::pair<Words, std::string>>{
             {{"train", "tiny.toml", "--seed", "-3"}, "--seed: found -3, expected a whole number from 0; see"},
             {{"train", "tiny.toml", "--seed", "1.5"},
              "--seed: found 1.5, expected a whole number from 0; see"},
             {{"data", "phantom", "-n", "0"},
              "--count: found 0, expected a whole number from 1 to 10000000; see"},
             {{"data", "phantom", "--lesions", "3"}, "--lesions: found 3, expected a number from 0 to 1; see"},
             {{"sweep", "tiny.toml", "--seeds", "2", "--seeds", "3"},
              "--seeds: found it 2 times, expected it once; see"}}) {
        const auto outcome = sandbox.run(words);
        CHECK(outcome.code == 2);
        CHECK_THAT(outcome.err, Contains(found));
    }
}

TEST_CASE("on a terminal errors and help are broken between words at its width") {
    constexpr int columns = 60;
    const Sandbox sandbox;
    for (const auto& [words, rows] : std::vector<std::pair<Words, std::string>>{
             {{"plan", "tiny.toml", "train.epochz=3"}, "error: "}, {{"probe", "--help"}, "Usage: "}}) {
        const auto written = on_terminal(sandbox.folder.path(), words, columns);
        INFO(written);
        CHECK_THAT(written, Contains(rows));
        std::istringstream lines(written);
        for (std::string line; std::getline(lines, line);) {
            while (!line.empty() && line.back() == '\r') line.pop_back();
            const bool one_word = line.find(' ', line.find_first_not_of(' ')) == std::string::npos;
            CHECK((one_word || hearth::base::display_width(line) <= columns));
        }
    }
}

TEST_CASE("the value of a flag is not taken for a verb") {
    CHECK_THAT(Sandbox().run({"--out", "somewhere", "trian"}).err,
               Contains("unknown verb 'trian' (did you mean 'train'?)"));
}

TEST_CASE("a misspelt flag gets the nearest one, and where the verb's flags are listed") {
    const Sandbox sandbox;
    const auto outcome = sandbox.run({"plan", "tiny.toml", "--mermiad"});
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Contains("error: unknown flag '--mermiad' (did you mean '--mermaid'?)") &&
                                Contains("see `hearth plan --help`"));

    const auto inner = sandbox.run({"data", "phantom", "--cuont", "5"});
    CHECK(inner.code == 2);
    CHECK_THAT(inner.err, Contains("unknown flag '--cuont' (did you mean '--count'?)") &&
                              Contains("see `hearth data phantom --help`"));
}

TEST_CASE("a key of the recipe that is given as a flag is shown as it is written") {
    const Sandbox sandbox;
    for (const auto& [words, hint] : std::vector<std::pair<std::vector<std::string>, std::string>>{
             {{"--epochs", "3"}, "unknown flag '--epochs'; write train.epochs=3; see"},
             {{"--lr=1e-4"}, "unknown flag '--lr=1e-4'; write optimizer.lr=1e-4; see"},
             {{"--learning-rate", "1e-4"}, "write optimizer.lr=1e-4"},
             {{"--batch-size", "8"}, "write train.batch=8"},
             {{"--num_workers"}, "write data.workers=VALUE"},
             {{"--size", "--json"}, "write data.size=VALUE"}}) {
        auto all = std::vector<std::string>{"train", "tiny.toml"};
        all.insert(all.end(), words.begin(), words.end());
        const auto outcome = sandbox.run(all);
        CHECK(outcome.code == 2);
        CHECK_THAT(outcome.err, Contains(hint));
    }
    CHECK_THAT(sandbox.run({"probe", "run", "--epochs", "3"}).err, !Contains("write train.epochs"));
}

TEST_CASE("no verb, a missing argument and a word too many are usage errors") {
    const Sandbox sandbox;
    CHECK(sandbox.run({}).code == 2);
    CHECK(sandbox.run({"train"}).code == 2);
    const auto outcome = sandbox.run({"plan", "tiny.toml", "epochs"});
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Contains("found 'epochs' after the recipe, expected key=value"));
}

TEST_CASE("--version names the program and its version") {
    const auto outcome = Sandbox().run({"--version"});
    CHECK(outcome.code == 0);
    CHECK_THAT(outcome.out, Catch::Matchers::Matches("hearth [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}
