#include "base/json_text.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <hearth/error.hpp>

namespace hearth::base {
namespace {

int kept_stdout = -1;  ///< standard output as it was, while descriptor 1 is standard error

}  // namespace

void keep_stdout_for_json() {
    std::fflush(stdout);
    kept_stdout = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (kept_stdout >= 0) ::dup2(STDERR_FILENO, STDOUT_FILENO);
}

void print_past(const std::string& text) {
    if (kept_stdout < 0) {
        fmt::print("{}\n", text);
        return;
    }
    std::fflush(stdout);
    const auto line = text + "\n";
    for (std::size_t at = 0; at < line.size();) {
        const auto written = ::write(kept_stdout, line.data() + at, line.size() - at);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) throw DataError(fmt::format("cannot write the output: {}", std::strerror(errno)));
        at += static_cast<std::size_t>(written);
    }
}

nlohmann::json read_json_file(const std::filesystem::path& file) {
    std::ifstream in(file);
    auto json = nlohmann::json::parse(in, nullptr, false);
    return json.is_discarded() ? nlohmann::json() : json;
}

}  // namespace hearth::base
