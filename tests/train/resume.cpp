// `hearth train` as a process that is killed, or asked to stop, and resumed: the weights end bit for bit where
// those of an uninterrupted run end.
#include <fmt/format.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <map>
#include <sstream>

#include "base/utf8.hpp"
#include "train/run_folder.hpp"
#include "train/signals.hpp"
#include "train/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains, Catch::Matchers::EndsWith, Catch::Matchers::StartsWith;

namespace {

constexpr std::int64_t steps_per_epoch = 6, total_steps = 24;
constexpr std::uint64_t seed = 20260;  // of the steps at which runs are interrupted

/// `hearth train` with its output in a socket. Whatever happens to the test, no process is left behind.
class Training {
  public:
    Training(const fs::path& recipe, const fs::path& out, std::vector<std::string> more = {}) : out_(out) {
        std::vector<std::string> words = {HEARTH_TEST_BINARY_DIR "/bin/hearth",
                                          "train",
                                          recipe.string(),
                                          "--no-report",
                                          "--plugin-path",
                                          parts_folder.string(),
                                          "--out",
                                          out.string()};
        words.insert(words.end(), more.begin(), more.end());
        std::vector<char*> arguments;
        for (auto& word : words) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        // The smallest buffer there is holds a few lines: the run waits for its reader and cannot get far ahead
        // of it.
        int ends[2] = {-1, -1};
        const int smallest = 1;
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        REQUIRE(::setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &smallest, sizeof smallest) == 0);
        pid_ = ::fork();
        if (pid_ == 0) {
            ::dup2(ends[1], STDOUT_FILENO);
            ::dup2(ends[1], STDERR_FILENO);
            ::execv(arguments[0], arguments.data());
            ::_exit(127);
        }
        ::close(ends[1]);
        socket_ = ends[0];
    }
    ~Training() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
        ::close(socket_);
    }
    Training(const Training&) = delete;
    Training& operator=(const Training&) = delete;

    /// Exit code, or minus the signal that ended it.
    int wait() {
        while (read_some()) continue;
        int status = 0;
        REQUIRE(::waitpid(pid_, &status, 0) == pid_);
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    /// Sends a signal as soon as metrics.jsonl tells of `step`; looks whenever the run has printed something.
    void interrupt_at(std::int64_t step, int signal) {
        while (last_step() < step)
            if (!read_some()) FAIL("the run ended before step " << step << ":\n" << output_);
        ::kill(pid_, signal);
    }
    const std::string& output() const { return output_; }

  private:
    /// Waits for output; false once there will be none.
    bool read_some() {
        char buffer[4096];
        const auto count = ::read(socket_, buffer, sizeof buffer);
        if (count > 0) output_.append(buffer, static_cast<std::size_t>(count));
        return count > 0;
    }
    std::int64_t last_step() const {
        const auto lines = read_lines(out_ / "metrics.jsonl");
        return lines.empty() ? 0 : lines.back().value("step", std::int64_t{0});
    }
    fs::path out_;
    std::string output_;
    int socket_ = -1;
    pid_t pid_ = -1;
};

/// What `hearth train` writes to a terminal of so many columns.
std::string on_terminal(const fs::path& recipe, const fs::path& out, int columns, const char* kind) {
    winsize size{};
    size.ws_row = 24;
    size.ws_col = static_cast<unsigned short>(columns);
    int terminal = -1;
    const auto pid = ::forkpty(&terminal, nullptr, nullptr, &size);
    if (pid == 0) {
        ::setenv("TERM", kind, 1);
        ::execl(HEARTH_TEST_BINARY_DIR "/bin/hearth", "hearth", "train", recipe.c_str(), "--no-report",
                "--plugin-path", parts_folder.c_str(), "--out", out.c_str(), nullptr);
        ::_exit(127);
    }
    std::string written;
    char buffer[4096];
    for (ssize_t count = 0; (count = ::read(terminal, buffer, sizeof buffer)) > 0;)
        written.append(buffer, static_cast<std::size_t>(count));
    ::close(terminal);
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    INFO(written);
    REQUIRE(WEXITSTATUS(status) == 0);
    return written;
}

base::SafeTensors last(const fs::path& run) {
    return base::read_safetensors(run / "checkpoints/last.safetensors");
}

/// The recipe, and the run that nobody interrupts: made once for all tests.
struct Reference {
    TemporaryFolder folder;
    fs::path recipe = folder.write("tiny.toml", tiny_demo()), run = folder / "whole";
    base::SafeTensors weights;

    Reference() {
        Training training(recipe, run);
        const int code = training.wait();
        INFO(training.output());
        REQUIRE(code == 0);
        weights = last(run);
    }
};

const Reference& reference() {
    static const Reference made;
    return made;
}

/// Resumes and compares with the run that nobody interrupted.
void resume_and_compare(const fs::path& run, std::vector<std::string> more = {}) {
    const auto& whole = reference();
    more.emplace_back("--resume");
    Training training(whole.recipe, run, more);
    const int code = training.wait();
    INFO(training.output());
    REQUIRE(code == 0);
    CHECK(last(run).metadata.at("hearth.step") == std::to_string(total_steps));
    CHECK(difference(last(run), whole.weights) == "");
    CHECK(read_json(run / "run.json")["status"] == "finished");
    // Each step is told of once, with the loss of the run that nobody interrupted.
    const auto told = read_lines(run / "metrics.jsonl"), expected = read_lines(whole.run / "metrics.jsonl");
    std::map<std::int64_t, double> losses;
    for (const auto& line : told)
        if (line.contains("loss")) CHECK(losses.emplace(line["step"], line["loss"]).second);
    CHECK(losses.size() == total_steps);
    for (const auto& line : expected)
        if (line.contains("loss")) CHECK(losses[line["step"]] == line["loss"]);
}

}  // namespace

TEST_CASE("the uninterrupted run trains: its weights are not those it started with") {
    const auto& whole = reference();
    CHECK(read_json(whole.run / "run.json")["status"] == "finished");
    CHECK(whole.weights.metadata.at("hearth.step") == std::to_string(total_steps));
    CHECK(whole.weights.find("optimizer.steps.student.backbone.cls_token").item<double>() == total_steps);
}

TEST_CASE("a run killed at a random step ends, resumed, with the weights of one that was not") {
    Random random({.seed = seed});
    const auto step = random.integer(steps_per_epoch + 1, total_steps - 8);
    const auto& whole = reference();
    const auto run = whole.folder / "killed";
    {
        Training training(whole.recipe, run);
        training.interrupt_at(step, SIGKILL);
        REQUIRE(training.wait() == -SIGKILL);
    }
    INFO("killed at step " << step << " or soon after");
    CHECK(read_json(run / "run.json")["status"] == "running");  // nobody could write how it ended
    const auto saved = std::stoll(last(run).metadata.at("hearth.step"));
    CHECK((saved >= steps_per_epoch && saved < total_steps));
    resume_and_compare(run);
}

TEST_CASE("a run killed before its first checkpoint starts again") {
    const auto& whole = reference();
    const auto run = whole.folder / "killed-early";
    {
        Training training(whole.recipe, run);
        training.interrupt_at(1, SIGKILL);
        REQUIRE(training.wait() == -SIGKILL);
    }
    resume_and_compare(run);
}

TEST_CASE("SIGTERM in mid-epoch: a checkpoint, status stopped, exit code 75; resumed with more workers") {
    Random random({.seed = seed + 1});
    const auto step = random.integer(steps_per_epoch + 1, 2 * steps_per_epoch - 3);
    const auto& whole = reference();
    const auto run = whole.folder / "stopped";
    Training training(whole.recipe, run);
    training.interrupt_at(step, SIGTERM);
    const int code = training.wait();
    INFO(training.output());
    CHECK(code == static_cast<int>(ExitCode::stopped));
    const auto status = read_json(run / "run.json");
    CHECK(status["status"] == "stopped");
    CHECK(status["exit_code"] == 75);
    const auto saved = std::stoll(last(run).metadata.at("hearth.step"));
    CHECK(status["step"] == saved);
    CHECK((saved >= step && saved < total_steps));
    std::ifstream log(run / "train.log");
    CHECK_THAT(std::string(std::istreambuf_iterator<char>(log), {}),
               Contains(fmt::format("stopped by SIGTERM at step {}; go on with --resume", saved)));
    resume_and_compare(run, {"data.workers=3"});
    CHECK_THAT(whole.folder.read("stopped/train.log"),
               Contains(fmt::format("\ntrained {} steps in ", total_steps - saved)) &&
                   Contains(fmt::format(", {} in all\n", total_steps)));
}

TEST_CASE("a lost connection and a scheduler's warning end a run as SIGTERM does, even when they come twice") {
    const auto& whole = reference();
    for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2}) {
        INFO("signal " << signal);
        const auto run = whole.folder / fmt::format("signal-{}", signal);
        Training training(whole.recipe, run);
        training.interrupt_at(1, signal);
        training.interrupt_at(1, signal);
        const int code = training.wait();
        INFO(training.output());
        CHECK(code == static_cast<int>(ExitCode::stopped));
        CHECK(read_json(run / "run.json")["status"] == "stopped");
        CHECK(fs::exists(run / "checkpoints/last.safetensors"));
    }
}

TEST_CASE("a signal that comes twice at once, to the group and passed on, is one") {
    const train::StopSignals signals(/*tells=*/false);
    std::raise(SIGTERM);
    std::raise(SIGTERM);
    CHECK(train::StopSignals::received() == SIGTERM);
}

TEST_CASE("what was ignored stays ignored, as nohup asks for it") {
    const auto before = std::signal(SIGHUP, SIG_IGN);
    {
        const train::StopSignals signals;
        std::raise(SIGHUP);
        CHECK(train::StopSignals::received() == 0);
        std::raise(SIGUSR1);
        CHECK(train::StopSignals::received() == SIGUSR1);
    }
    CHECK(std::signal(SIGHUP, before) == SIG_IGN);
    CHECK(std::signal(SIGUSR1, SIG_DFL) == SIG_DFL);
}

TEST_CASE("work that can be done again ends at a signal with 75, and says so before") {
    const TemporaryFolder folder;
    folder.write("run.json", R"({"status": "finished", "exit_code": 0})");
    const auto before = std::signal(SIGHUP, SIG_DFL);  // it may be ignored here
    const auto pid = ::fork();
    if (pid == 0) {
        const train::EndAtSignal ends([&](int signal) {
            train::record_evaluation(folder.path(), {{"status", "stopped"}, {"error", std::to_string(signal)}});
        });
        ::raise(SIGHUP);
        for (;;) ::pause();  // the work goes on meanwhile
    }
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == static_cast<int>(ExitCode::stopped));
    const auto run = read_json(folder / "run.json");
    CHECK(run["status"] == "finished");
    CHECK(run["evaluation"] == nlohmann::json({{"status", "stopped"}, {"error", "1"}}));
    {
        const train::EndAtSignal ends([](int) { FAIL("nothing was sent"); });
    }
    CHECK(std::signal(SIGHUP, before) == SIG_DFL);
}

TEST_CASE("another recipe does not go on with a run") {
    const auto& whole = reference();
    Training training(whole.recipe, whole.run, {"--resume", "optimizer.clip=1"});
    CHECK(training.wait() == 2);
    CHECK_THAT(training.output(), Contains("made by another recipe") && Contains("optimizer.clip: 3") &&
                                      Contains(" there, 1 now"));
}

TEST_CASE("the exit code is 5 where a run collapses and its recipe asks to end then") {
    const TemporaryFolder folder;
    const auto recipe = folder.write("recipe.toml", linear_map);
    Training training(
        recipe, folder / "run",
        {"networks.student.backbone.fault=constant", "monitor.on_collapse=stop", "monitor.patience=1"});
    CHECK(training.wait() == 5);
    CHECK_THAT(training.output(), Contains("error: step 1: the representation has collapsed: feature spread"));
}

TEST_CASE("on a terminal no redrawn line is wider than it, and what comes last has a line of its own") {
    const std::string redraw = "\r\033[K";
    for (const int columns : {40, 80, 200}) {
        const TemporaryFolder folder;
        const auto written =
            on_terminal(folder.write("recipe.toml", linear_map), folder / "run", columns, "xterm");
        INFO(columns << " columns: " << written);
        CHECK_THAT(written, Contains("step 4/4") && Contains("\r\ntrained 4 steps in "));
        int lines = 0;
        for (auto at = written.find(redraw); at != std::string::npos; at = written.find(redraw, at + 1)) {
            const auto start = at + redraw.size();
            const auto line = written.substr(start, written.find('\r', start) - start);
            if (line.find("step ") == std::string::npos) continue;
            CHECK(static_cast<int>(base::display_width(line)) < columns);
            ++lines;
        }
        CHECK(lines > 0);
    }
}

TEST_CASE("on a terminal the line says step again once a probe and its checkpoints are done") {
    const TemporaryFolder folder;
    const auto written = on_terminal(folder.write("tiny.toml", tiny_demo()), folder / "run", 80, "xterm");
    CHECK_THAT(written.substr(written.rfind("probe after epoch 4:")), Contains("step 24/24"));
    CHECK_THAT(written.substr(written.rfind("\r\033[K")), Contains("step 24/24"));  // it is what stays
}

TEST_CASE("on a terminal that cannot go back lines are broken between words, in the log they are whole") {
    const TemporaryFolder folder;
    const auto written = on_terminal(folder.write("recipe.toml", linear_map), folder / "run", 40, "dumb");
    CHECK_THAT(written, !Contains("\033") && Contains("epoch 2/2  step 4/4  loss ") && Contains("\r\n  "));
    std::istringstream rows(written.substr(written.find("epoch 1/2")));
    for (std::string row; std::getline(rows, row);) CHECK(base::display_width(row) <= 41);  // and the return
    std::istringstream log(folder.read("run/train.log"));
    std::string last_report;
    for (std::string line; std::getline(log, line);)
        if (line.starts_with("epoch ")) last_report = line;
    CHECK_THAT(last_report, StartsWith("epoch 2/2  step 4/4  loss ") && EndsWith("  ETA 0 s"));
}

TEST_CASE("an output that cannot be written is an error, with the reason") {
    const TemporaryFolder folder;
    for (const auto* words : {"--version", "--help", "plugins list --json"}) {
        const auto command = fmt::format("{}/bin/hearth {} > /dev/full 2> {}", HEARTH_TEST_BINARY_DIR, words,
                                         (folder / "err").string());
        CHECK(WEXITSTATUS(std::system(command.c_str())) == 3);
        CHECK_THAT(folder.read("err"), Contains("error: cannot write the output: No space left on device"));
    }
}

TEST_CASE("every exit code that a run can end with is documented") {
    std::ifstream in(HEARTH_TEST_SOURCE_DIR "/docs/exit-codes.md");
    const std::string text(std::istreambuf_iterator<char>(in), {});
    for (const int code : {0, 1, 2, 3, 4, 5, 6, 75}) CHECK_THAT(text, Contains(fmt::format("\n| {} |", code)));
}
