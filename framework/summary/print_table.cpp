#include "summary/print_table.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "base/status_line.hpp"
#include "base/terminal_text.hpp"
#include "report/wrap.hpp"

namespace hearth::summary {
namespace {

/// 0: no terminal.
std::size_t columns_behind(std::FILE* to) {
    const int descriptor = to == stderr ? STDERR_FILENO : STDOUT_FILENO;
    return ::isatty(descriptor) == 1 ? static_cast<std::size_t>(base::terminal_columns(descriptor)) : 0;
}

std::string unbounded(report::Table table) {
    table.caption =
        report::wrapped(table.caption, 80);  // lines of numbers stay whole for whoever reads them next
    return report::text_table(table);
}

}  // namespace

std::string shown(const report::Table& table, std::FILE* to) {
    const auto columns = columns_behind(to);
    return columns > 0 ? report::text_table(table, columns) : unbounded(table);
}

std::string plain(const std::vector<report::Table>& tables, const std::vector<std::string>& remarks) {
    std::string out;
    for (const auto& table : tables) out += (out.empty() ? "" : "\n") + unbounded(table);
    for (const auto& remark : remarks) out += "\n" + remark;
    return out;
}

void print_line(const std::string& text, std::FILE* to) {
    base::print_text(text, to);
}

void print_table(const report::Table& table, std::FILE* to) {
    fmt::print(to, "{}\n", shown(table, to));
}

void print_results(const std::vector<report::Table>& tables, const std::vector<std::string>& remarks) {
    for (const auto& table : tables) print_table(table);
    for (const auto& remark : remarks) print_line(remark);
}

}  // namespace hearth::summary
