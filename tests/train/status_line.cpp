// The line of progress: it never needs more columns than there are, and loses what matters least first.
#include "base/status_line.hpp"

#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <functional>
#include <memory>

#include "base/utf8.hpp"
#include "support/temporary_folder.hpp"
#include "train/progress.hpp"

using namespace hearth;
using base::StatusPart;
using Catch::Matchers::Contains;

namespace {

const std::vector<StatusPart> parts = {
    {"epoch 1/4", 2}, {"step 7/36", 4}, {"loss 0.5", 3}, {"memory 9 MiB", 1}};

/// A report as of training with many terms: more than 200 columns.
train::Report long_report() {
    train::Report report;
    report.step = 30;
    report.total_steps = 36;
    report.epoch = 3;
    report.total_epochs = 4;
    report.images_per_second = 123.4;
    report.stall = 0.03;
    report.values = {{"loss", 0.125}};
    for (const auto* name :
         {"restoration", "contrastive", "distillation", "std", "rank", "entropy", "prototypes"})
        report.values.emplace_back(name, 1.5);
    return report;
}

/// What is written to a file in place of a terminal.
std::string written(const std::function<void(base::StatusLine&)>& work) {
    const test::TemporaryFolder folder;
    const auto file = (folder / "out").string();
    {
        const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen(file.c_str(), "w"), &std::fclose);
        base::StatusLine line(out.get(), ::fileno(out.get()));
        work(line);
    }
    return folder.read("out");
}

/// A variable of the environment for as long as this lives; null: not set.
class Variable {
  public:
    Variable(const char* name, const char* value) : name_(name) {
        if (const char* old = std::getenv(name)) old_ = std::make_unique<std::string>(old);
        set(value);
    }
    ~Variable() { set(old_ ? old_->c_str() : nullptr); }

  private:
    void set(const char* value) const { value == nullptr ? ::unsetenv(name_) : ::setenv(name_, value, 1); }
    const char* name_;
    std::unique_ptr<std::string> old_;
};

}  // namespace

TEST_CASE("parts that do not fit are left out, the least important first") {
    CHECK(base::fitted(parts, 80) == "epoch 1/4  step 7/36  loss 0.5  memory 9 MiB");
    CHECK(base::fitted(parts, 44) == "epoch 1/4  step 7/36  loss 0.5  memory 9 MiB");
    CHECK(base::fitted(parts, 43) == "epoch 1/4  step 7/36  loss 0.5");
    CHECK(base::fitted(parts, 29) == "step 7/36  loss 0.5");
    CHECK(base::fitted(parts, 18) == "step 7/36");
    CHECK(base::fitted(parts, 6) == "step 7");
    CHECK(base::fitted({{"a", 1}, {"", 9}, {"b", 1}, {"c", 1}}, 4) == "a  b");
    CHECK(base::fitted({}, 80).empty());
}

TEST_CASE("columns are counted, not bytes") {
    CHECK(base::display_width("step 3") == 6);
    CHECK(base::display_width("█··") == 3);
    CHECK(base::display_width("Röntgen") == 7);
    CHECK(base::display_width("胸部") == 4);
    CHECK(base::fitted({{"胸部X線", 1}}, 5) == "胸部X");
    CHECK(base::fitted({{"█··", 1}}, 2) == "█·");
}

TEST_CASE("a line that is too long becomes rows, broken between parts, else between words, never inside one") {
    const std::string line = "epoch 1/4  step 7/36  loss 0.5";
    CHECK(base::in_rows(line, 30) == line);
    CHECK(base::in_rows(line, 29) == "epoch 1/4  step 7/36\n  loss 0.5");
    CHECK(base::in_rows(line, 20) == "epoch 1/4  step 7/36\n  loss 0.5");
    CHECK(base::in_rows(line, 19) == "epoch 1/4\n  step 7/36\n  loss 0.5");
    CHECK(base::in_rows("images are kept in memory", 15) == "images are kept\n  in memory");
    CHECK(base::in_rows("images are kept in memory", 14) == "images are\n  kept in\n  memory");
    CHECK(base::in_rows("see /a/long/path/of/a/file for it", 9) == "see\n  /a/long/path/of/a/file\n  for it");
    CHECK(base::in_rows("Röntgen 胸部 X線", 12) == "Röntgen 胸部\n  X線");
    CHECK(base::in_rows("word  ", 4) == "word  ");
    CHECK(base::in_rows("  word", 4) == "  word");
    CHECK(base::in_rows("", 4).empty());
    CHECK(base::in_rows("a b c", 1) == "a\n  b\n  c");
}

TEST_CASE("a bar is as long at the start as at the end") {
    CHECK(base::status_bar(0) == "··········");
    CHECK(base::status_bar(0.5) == "█████·····");
    CHECK(base::status_bar(1.5) == "██████████");
}

TEST_CASE("training's line fits every width, and keeps step and loss") {
    const auto all = train::status_parts(long_report(), 30, 30, 300);
    for (int columns = 40; columns <= 300; ++columns) {
        const auto line = base::fitted(all, columns);
        CHECK(static_cast<int>(base::display_width(line)) <= columns);
        CHECK_THAT(line, Contains("step 30/36") && Contains("loss 0.125") && Contains("ETA 1 min 00 s"));
    }
    CHECK(base::fitted(all, 79) ==
          "████████··  epoch 4/4  step 30/36  loss 0.125  123.4 images/s  ETA 1 min 00 s");
    CHECK_THAT(base::fitted(all, 300), Contains("prototypes 1.5") && Contains("stall 3 %") && Contains("MiB"));
}

TEST_CASE("before the first report the line has the step and the time that is left") {
    train::Report none;
    none.total_steps = 36;
    none.total_epochs = 4;
    CHECK(base::fitted(train::status_parts(none, 2, 2, 4), 50) ==
          "··········  epoch 1/4  step 2/36  ETA 1 min 08 s");
}

TEST_CASE("a line is drawn over the one before, one column short of the width, and erased or kept") {
    const Variable width("COLUMNS", "30");
    CHECK(written([](auto& line) {
              line.draw(parts);
              line.draw({{"done", 1}});
              line.erase();
              line.erase();
          }) == "\r\033[Kstep 7/36  loss 0.5\r\033[Kdone\r\033[K");
    CHECK(written([](auto& line) {
              line.keep();
              line.draw({{"done", 1}});
              line.keep();
          }) == "\r\033[Kdone\n");
}

TEST_CASE("a terminal that became narrower has wrapped the line: all its rows are drawn over") {
    CHECK(written([](auto& line) {
              const Variable width("COLUMNS", "30");
              line.draw({{"0123456789012345678901234", 1}});
              const Variable narrower("COLUMNS", "10");
              line.draw({{"done", 1}});
          }) == "\r\033[K0123456789012345678901234\r\033[K\033[A\033[K\033[A\033[Kdone");
}

TEST_CASE("the width is that of the terminal at the moment, also where the stream is no file") {
    const Variable elsewhere("COLUMNS", "200");
    winsize size{};
    size.ws_row = 24;
    size.ws_col = 30;
    int terminal = -1, screen = -1;
    REQUIRE(::openpty(&screen, &terminal, nullptr, nullptr, &size) == 0);
    std::string text;
    const auto keep = [](void* kept, const char* bytes, std::size_t count) {
        static_cast<std::string*>(kept)->append(bytes, count);
        return static_cast<ssize_t>(count);
    };
    {
        // As stderr is while films are decoded (images/codec_lines.cpp).
        const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(
            ::fopencookie(&text, "w", {nullptr, keep, nullptr, nullptr}), &std::fclose);
        REQUIRE(::fileno(out.get()) == -1);
        base::StatusLine line(out.get(), terminal);
        line.draw(parts);
        size.ws_col = 60;
        REQUIRE(::ioctl(terminal, TIOCSWINSZ, &size) == 0);
        line.draw(parts);
        size.ws_col = 20;
        REQUIRE(::ioctl(terminal, TIOCSWINSZ, &size) == 0);
        line.draw({{"done", 1}});
    }
    CHECK(text ==
          "\r\033[Kstep 7/36  loss 0.5\r\033[Kepoch 1/4  step 7/36  loss 0.5  memory 9 "
          "MiB\r\033[K\033[A\033[K\033[A\033[Kdone");
    ::close(terminal);
    ::close(screen);
}

TEST_CASE("without a terminal the width is COLUMNS, else 80, and nothing is redrawn") {
    int ends[2] = {-1, -1};
    REQUIRE(::pipe(ends) == 0);
    {
        const Variable width("COLUMNS", "132"), terminal("TERM", "xterm");
        CHECK(base::terminal_columns(ends[1]) == 132);
        CHECK_FALSE(base::can_redraw(ends[1]));
    }
    for (const char* wrong : {"", "wide", "-3", "0"}) {
        const Variable width("COLUMNS", wrong);
        CHECK(base::terminal_columns(ends[1]) == 80);
    }
    ::close(ends[0]);
    ::close(ends[1]);
}
