#include "cli/print_table.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "train/status_line.hpp"

namespace hearth::cli {

std::string shown(const report::Table& table, std::FILE* to) {
    const int descriptor = to == stderr ? STDERR_FILENO : STDOUT_FILENO;
    const bool terminal = ::isatty(descriptor) == 1;
    return report::text_table(table,
                              terminal ? static_cast<std::size_t>(train::terminal_columns(descriptor)) : 0);
}

void print_table(const report::Table& table, std::FILE* to) {
    fmt::print(to, "{}\n", shown(table, to));
}

}  // namespace hearth::cli
