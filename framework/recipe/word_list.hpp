// Names that are written as one text of a recipe: label = 'Edema, "Opacity, other"'.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hearth::recipe {

/// The words between commas, without the blanks around them; empty ones are dropped. A word that holds a comma
/// stands in double quotes, and a quote inside those is doubled.
inline std::vector<std::string> word_list(std::string_view list) {
    std::vector<std::string> words;
    std::string word;
    bool quoted = false, was_quoted = false;
    const auto finish = [&] {
        if (!was_quoted) {
            word.erase(0, word.find_first_not_of(" \t"));
            word.erase(word.find_last_not_of(" \t") + 1);
        }
        if (!word.empty()) words.push_back(word);
        word.clear();
        was_quoted = false;
    };
    for (std::size_t i = 0; i < list.size(); ++i) {
        const char c = list[i];
        const bool opens =
            c == '"' && !quoted && word.find_first_not_of(" \t") == std::string::npos && !was_quoted;
        if (opens) {
            word.clear();
            quoted = was_quoted = true;
        } else if (c == '"' && quoted && i + 1 < list.size() && list[i + 1] == '"') {
            word += list[++i];
        } else if (c == '"' && quoted) {
            quoted = false;
        } else if (c == ',' && !quoted) {
            finish();
        } else if (quoted || !was_quoted) {  // blanks behind a closing quote belong to nothing
            word += c;
        }
    }
    finish();
    return words;
}

/// The reverse: words as one text.
inline std::string listed(const std::vector<std::string>& words) {
    std::string out;
    for (const auto& word : words) {
        if (!out.empty()) out += ", ";
        const bool plain = word.find(',') == std::string::npos && !word.starts_with('"') &&
                           word.find_first_not_of(" \t") == 0 &&
                           word.find_last_not_of(" \t") + 1 == word.size();
        if (plain) {
            out += word;
            continue;
        }
        out += '"';
        for (const char c : word) out += c == '"' ? std::string("\"\"") : std::string(1, c);
        out += '"';
    }
    return out;
}

}  // namespace hearth::recipe
