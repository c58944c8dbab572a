// Loss terms are called LOSS.TERM. People read and write TERM alone wherever no other loss has one of that name.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace hearth::train {

/// What each term is called where a person reads it.
std::vector<std::string> short_names(const std::vector<std::string>& terms);

/// Which of the terms a person means by `name`, in full or short; nothing where none or several are called so.
std::optional<std::size_t> find_term(const std::vector<std::string>& terms, const std::string& name);

}  // namespace hearth::train
