// What runs in a handler here calls async-signal-safe functions alone and allocates nothing (signal-safety(7)).
#include "host/last_words.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <hearth/error.hpp>
#include <string_view>
#include <vector>

#include "base/write_all.hpp"
#include "host/guard.hpp"
#include "host/place.hpp"

namespace hearth::host {
namespace {

constexpr std::array faults = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

const char* words_of(int signal) {
    switch (signal) {
        case SIGSEGV:
            return "segmentation fault";
        case SIGBUS:
            return "bus error: a file that is mapped was cut short, or memory failed";
        case SIGILL:
            return "an instruction that this processor lacks";
        case SIGFPE:
            return "an arithmetic error";
        default:
            return "aborted";
    }
}

/// Text of a fixed length at most; more is cut off.
class Text {
  public:
    Text& add(const char* text) {
        for (; *text != '\0' && size_ + 1 < text_.size(); ++text) text_[size_++] = *text;
        return *this;
    }
    Text& add(std::int64_t number) {
        std::array<char, 24> digits{};
        auto at = digits.size() - 1;
        const bool negative = number < 0;
        do digits[--at] = static_cast<char>('0' + std::abs(number % 10));
        while ((number /= 10) != 0);
        if (negative) digits[--at] = '-';
        return add(&digits[at]);
    }
    /// As the inside of a JSON text.
    Text& add_json(const char* text) {
        for (; *text != '\0' && size_ + 2 < text_.size(); ++text) {
            if (*text == '"' || *text == '\\') text_[size_++] = '\\';
            text_[size_++] = static_cast<unsigned char>(*text) < ' ' ? ' ' : *text;
        }
        return *this;
    }
    const char* c_str() const { return text_.data(); }
    std::string_view view() const { return {text_.data(), size_}; }

  private:
    std::array<char, 4096> text_{};
    std::size_t size_ = 0;
};

/// One is read while the other is written.
struct PreparedRecord {
    std::string log, record, fresh, before, after;
    bool with_step = true;
};
std::array<PreparedRecord, 2> prepared;
std::atomic<const PreparedRecord*> current_record = nullptr;
std::atomic<std::int64_t> steps_done = -1;
std::atomic<bool> end_is_expected = false;
std::atomic<int> speaker = 0;  ///< the thread that has the last words
pid_t own_process = 0;         ///< a child that was forked from it has none

struct Death {
    const char* where;   ///< of the innermost guard, or null
    const Place* place;  ///< of that component, or null
    std::int64_t step = -1;
    int exit_code = 0;
};

void add_place(Text& line, const Death& death) {
    if (death.place != nullptr)
        line.add(" in ")
            .add(death.place->component.c_str())
            .add(death.where + death.place->text.size())
            .add(" (plugin ")
            .add(death.place->plugin.c_str())
            .add(", ")
            .add(death.place->file.c_str())
            .add(")");
    else if (death.where != nullptr)
        line.add(" in ").add(death.where);
    if (death.step >= 0) line.add(" at step ").add(death.step + 1);
}

void write_record(const PreparedRecord& record, const Death& death, const Text& line) {
    const int file = ::open(record.fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0) return;
    Text members;
    members.add("\"status\": \"died\", \"exit_code\": ").add(death.exit_code);
    if (death.step >= 0 && record.with_step) members.add(", \"step\": ").add(death.step);
    if (death.where != nullptr) {
        const char* component = death.place != nullptr ? death.place->component.c_str() : death.where;
        members.add(", \"component\": \"").add_json(component).add("\"");
    }
    if (death.place != nullptr)
        members.add(", \"plugin\": \"")
            .add_json(death.place->plugin.c_str())
            .add("\", \"plugin_file\": \"")
            .add_json(death.place->file.c_str())
            .add("\"");
    members.add(", \"error\": \"").add_json(line.c_str()).add("\"");
    base::write_all(file, record.before);
    base::write_all(file, members.view());
    base::write_all(file, record.after);
    ::fsync(file);
    ::close(file);
    ::rename(record.fresh.c_str(), record.record.c_str());
}

/// "died in student.backbone (plugin scale 1.2.3, FILE) at step 12: HOW".
void speak(int exit_code, const char* how, int signal) {
    Death death{.where = Inside::now(), .place = nullptr, .step = steps_done, .exit_code = exit_code};
    if (death.where != nullptr) death.place = find_place(death.where);
    Text line;
    line.add("died");
    add_place(line, death);
    line.add(": ");
    if (signal != 0) line.add("signal ").add(signal).add(", ");
    line.add(how);
    Text shown;
    shown.add("\nerror: ").add(line.c_str()).add("\n");
    base::write_all(STDERR_FILENO, shown.view());
    const auto* record = current_record.load();
    if (record == nullptr) return;
    write_record(*record, death, line);
    const int log = ::open(record->log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (log < 0) return;
    base::write_all(log, shown.view().substr(1));
    ::close(log);
}

Text uncaught;  ///< what std::terminate() was called for

/// Whether this thread is the first to die here, or dies a second time while it speaks.
enum class Turn { first, again, other };
Turn take_turn() {
    if (::getpid() != own_process) return Turn::again;
    int nobody = 0;
    const int self = ::gettid();
    if (speaker.compare_exchange_strong(nobody, self)) return Turn::first;
    return nobody == self ? Turn::again : Turn::other;
}

void on_fault(int signal) {
    const auto turn = take_turn();
    if (turn == Turn::other)
        while (true) ::pause();  // the first one ends the process
    if (turn == Turn::first)
        speak(128 + signal, signal == SIGABRT && !uncaught.view().empty() ? uncaught.c_str() : words_of(signal),
              signal);
    std::signal(signal, SIG_DFL);
    ::raise(signal);
}

[[noreturn]] void on_terminate() {
    try {
        if (const auto thrown = std::current_exception()) std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
        uncaught.add("an exception left a destructor or a thread: ").add(error.what());
    } catch (...) {
        uncaught.add("an exception left a destructor or a thread");
    }
    std::abort();
}

[[noreturn]] void leave(int code) {
    ::syscall(SYS_exit_group, code);
    while (true) ::pause();  // never reached
}

/// Ends the process with words where it should not end yet; returns where it may.
void refuse_to_end(const char* how) {
    const bool dies = Inside::now() != nullptr || current_record.load() != nullptr;
    if (end_is_expected || !dies || take_turn() != Turn::first) return;
    const int code = static_cast<int>(ExitCode::plugin);
    speak(code, how, 0);
    leave(code);
}

void on_exit() {
    refuse_to_end("exit() was called before the work was done");
}

[[noreturn]] void end_at_once(int code) {
    refuse_to_end("_exit() was called before the work was done");
    leave(code);
}

/// A thread's stack for handlers.
class SignalStack {
  public:
    SignalStack() {
        const stack_t own{.ss_sp = memory_.data(), .ss_flags = 0, .ss_size = memory_.size()};
        ::sigaltstack(&own, nullptr);
    }
    ~SignalStack() {
        const stack_t none{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
        ::sigaltstack(&none, nullptr);
    }
    SignalStack(const SignalStack&) = delete;
    SignalStack& operator=(const SignalStack&) = delete;

  private:
    std::vector<char> memory_ = std::vector<char>(65536);
};

}  // namespace

void keep_signal_stack() {
    if (own_process == 0) return;
    static thread_local const SignalStack stack;
}

void leave_last_words() {
    own_process = ::getpid();
    keep_signal_stack();
    take_faults();
    std::set_terminate(on_terminate);
    std::atexit(on_exit);
    std::at_quick_exit(on_exit);
}

void take_faults() {
    if (own_process == 0) return;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they tell more
    struct sigaction action {};
    action.sa_handler = on_fault;
    action.sa_flags = SA_ONSTACK | SA_NODEFER;
    for (const int signal : faults) ::sigaction(signal, &action, nullptr);
#endif
}

void expect_the_end() {
    end_is_expected = true;
}

void set_death_record(DeathRecord record) {
    auto& next = prepared[current_record.load() == &prepared[0] ? 1 : 0];
    next = {.log = record.log.string(),
            .record = record.record.string(),
            .fresh = record.record.string() + ".tmp",
            .before = std::move(record.before),
            .after = std::move(record.after),
            .with_step = record.with_step};
    current_record = &next;
}

void clear_death_record() {
    current_record = nullptr;
}

void set_step(std::int64_t done) {
    steps_done = done;
}

}  // namespace hearth::host

// In place of the C library's, of which nobody would hear: whoever is loaded into this program calls these.
extern "C" {
__attribute__((visibility("default"))) void _exit(int code) {
    hearth::host::end_at_once(code);
}
__attribute__((visibility("default"))) void _Exit(int code) noexcept {
    hearth::host::end_at_once(code);
}
}
