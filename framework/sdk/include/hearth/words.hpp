// Splits lists that are written as one text.
#pragma once

#include <sstream>
#include <string>
#include <vector>

namespace hearth {

/// "a, b ,,c" -> a, b, c: blanks around a word and empty words are dropped.
inline std::vector<std::string> words_of(const std::string& list, char separator = ',') {
    std::vector<std::string> out;
    std::istringstream stream(list);
    for (std::string word; std::getline(stream, word, separator);) {
        word.erase(0, word.find_first_not_of(" \t"));
        word.erase(word.find_last_not_of(" \t") + 1);
        if (!word.empty()) out.push_back(word);
    }
    return out;
}

}  // namespace hearth
