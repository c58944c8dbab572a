// Defines errors and exit codes. An error says what was found, what was expected, where,
// and what to do about it.
#pragma once

#include <stdexcept>
#include <string>

namespace hearth {

/// The exit codes of the `hearth` command, documented in docs/exit-codes.md.
enum class ExitCode {
    ok = 0,
    internal = 1,       ///< a fault of Hearth itself
    recipe = 2,         ///< usage or recipe
    data = 3,           ///< unreadable data, too many bad images
    plugin = 4,         ///< a plugin that cannot be loaded or that threw
    numeric = 5,        ///< not-a-number, or a collapsed representation
    out_of_memory = 6,  ///< host or device memory
    communication = 7,  ///< another process of the run was lost, or did not answer in time
    stopped = 75,       ///< stopped by a signal after a checkpoint; --resume goes on
};

/// Base of every exception that Hearth throws on purpose.
class Error : public std::runtime_error {
  public:
    Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
    ExitCode code() const noexcept { return code_; }

  private:
    ExitCode code_;
};

/// A mistake in a recipe or on the command line.
struct RecipeError : Error {
    explicit RecipeError(const std::string& message) : Error(ExitCode::recipe, message) {}
};
/// Data that cannot be used.
struct DataError : Error {
    explicit DataError(const std::string& message) : Error(ExitCode::data, message) {}
};
/// A plugin that was refused, or that threw.
struct PluginError : Error {
    explicit PluginError(const std::string& message) : Error(ExitCode::plugin, message) {}
};
/// Not-a-number, or a representation that collapsed.
struct NumericError : Error {
    explicit NumericError(const std::string& message) : Error(ExitCode::numeric, message) {}
};
/// Host or device memory ran out.
struct OutOfMemory : Error {
    explicit OutOfMemory(const std::string& message) : Error(ExitCode::out_of_memory, message) {}
};
/// Another process of the run is out of reach.
struct CommunicationLost : Error {
    explicit CommunicationLost(const std::string& message) : Error(ExitCode::communication, message) {}
};

}  // namespace hearth
