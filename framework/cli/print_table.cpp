#include "cli/print_table.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "report/wrap.hpp"
#include "train/status_line.hpp"

namespace hearth::cli {

std::string shown(const report::Table& table, std::FILE* to) {
    const int descriptor = to == stderr ? STDERR_FILENO : STDOUT_FILENO;
    if (::isatty(descriptor) == 1)
        return report::text_table(table, static_cast<std::size_t>(train::terminal_columns(descriptor)));
    auto whole = table;  // lines of numbers stay whole for whoever reads them next; prose is wrapped
    whole.caption = report::wrapped(table.caption, 80);
    return report::text_table(whole);
}

void print_table(const report::Table& table, std::FILE* to) {
    fmt::print(to, "{}\n", shown(table, to));
}

}  // namespace hearth::cli
