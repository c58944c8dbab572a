#include "base/json_text.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <hearth/error.hpp>

#include "base/write_all.hpp"

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
    if (!write_all(kept_stdout, text + "\n"))
        throw DataError(fmt::format("cannot write the output: {}", std::strerror(errno)));
}

nlohmann::json read_json_file(const std::filesystem::path& file) {
    std::ifstream in(file);
    auto json = nlohmann::json::parse(in, nullptr, false);
    return json.is_discarded() ? nlohmann::json() : json;
}

}  // namespace hearth::base
