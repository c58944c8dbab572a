// A process that dies in a plugin says where: on standard error, in the log of its run, and in the run's record.
// It dies by a signal such as SIGSEGV, by abort(), or by an exit() or _exit() that nobody but a plugin would call.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace hearth::host {

/// From here on this process leaves last words. Called once, at its start.
void leave_last_words();
/// Takes the signals of faults again, which a plugin may have taken for itself.
void take_faults();
/// The end that now comes is meant: the process is through with its work.
void expect_the_end();

/// What is written when the process dies: a line at the end of `log`, and `record` anew, as `before`, members of
/// a JSON object ("status": "died", "exit_code", "error", "component", "plugin", "plugin_file"), and `after`.
struct DeathRecord {
    std::filesystem::path log, record;
    std::string before, after;
    bool with_step = true;  ///< "step" is among the members
};
/// In place of the one before. The process then has a run that is not finished.
void set_death_record(DeathRecord record);
/// There is nothing under way that could be recorded.
void clear_death_record();
/// Steps of training that are done; -1: nothing is trained.
void set_step(std::int64_t done);

/// Gives this thread a stack for handlers of signals, for the case that its own is full.
void keep_signal_stack();

}  // namespace hearth::host
