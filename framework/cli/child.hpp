// Runs this program again, so that what fails or dies there takes nothing else with it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace hearth::cli {

/// How a child ended.
struct Ended {
    int code = 0;    ///< its exit code, or 128 + signal
    int signal = 0;  ///< that it died of; 0: none
    /// "exit code 3", "signal 11, Segmentation fault".
    std::string text() const;
};

/// hearth ARGUMENTS..., which ends with this process; train::SignalsPassedOn, where there is one, passes signals on to
/// it. What it prints goes to the terminal, or is appended to `log`.
Ended run_hearth(const std::vector<std::string>& arguments, const std::filesystem::path& log);

}  // namespace hearth::cli
