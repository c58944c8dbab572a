// Prints tables for a person who looks at them.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "report/text.hpp"

namespace hearth::summary {

/// A table no wider than the terminal behind `to`, stdout or stderr; where that is none only its caption is
/// wrapped, at 80 columns.
std::string shown(const report::Table& table, std::FILE* to = stdout);

/// Tables and remarks on them for a file, as where there is no terminal.
std::string plain(const std::vector<report::Table>& tables, const std::vector<std::string>& remarks = {});

/// Prints prose, wrapped to the terminal behind `to`, else as it is.
void print_line(const std::string& text, std::FILE* to = stdout);

/// Prints it, and an empty line.
void print_table(const report::Table& table, std::FILE* to = stdout);

/// Prints tables, then a line for each remark on them.
void print_results(const std::vector<report::Table>& tables, const std::vector<std::string>& remarks);

}  // namespace hearth::summary
