#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <hearth/error.hpp>
#include <hearth/shape.hpp>
#include <sstream>

namespace hearth {
namespace {

std::string operand(const Dim& dim) {
    const auto& text = dim.text();
    const bool sum = text.find('+') != std::string::npos;
    return sum ? "(" + text + ")" : text;
}

bool is_number(const std::string& text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
}

/// Lists are written without punctuation, and no symbol begins with a digit.
bool is_dimension(const std::string& word) {
    constexpr std::size_t most_digits = 18;  // of what fits into int64
    if (is_number(word)) return word.size() <= most_digits;
    const bool expression = word.find_first_of("+*/(") != std::string::npos;
    return word.find_first_of(",;[]{}") == std::string::npos &&
           (expression || std::isdigit(static_cast<unsigned char>(word.front())) == 0);
}

}  // namespace

Dim operator*(const Dim& a, const Dim& b) {
    if (a.known() && b.known()) return Dim(a.value() * b.value());
    return Dim(operand(a) + "*" + operand(b));
}
Dim operator/(const Dim& a, const Dim& b) {
    if (a.known() && b.known()) return Dim(a.value() / b.value());
    const bool product = b.text().find_first_of("*/") != std::string::npos;
    return Dim(operand(a) + "/" + (product ? "(" + b.text() + ")" : operand(b)));
}
Dim operator+(const Dim& a, const Dim& b) {
    if (a.known() && b.known()) return Dim(a.value() + b.value());
    return Dim(a.text() + "+" + b.text());
}

Shape parse_shape(std::string_view text) {
    Shape shape;
    std::istringstream stream{std::string(text)};
    for (std::string word; stream >> word;) {
        if (!is_dimension(word))
            throw PluginError(
                fmt::format("found '{}' in the shape '{}', expected numbers and symbols with blanks between "
                            "them, as in 'B L 256'",
                            word, text));
        if (is_number(word))
            shape.emplace_back(std::int64_t{std::stoll(word)});
        else
            shape.emplace_back(word);
    }
    return shape;
}

std::string to_string(const Shape& shape) {
    std::string out;
    for (const auto& dim : shape) out += (out.empty() ? "" : " ") + dim.text();
    return out.empty() ? "scalar" : out;
}

Dim Symbols::operator[](const std::string& name) const {
    const auto found = dims_.find(name);
    return found == dims_.end() ? Dim(name) : found->second;
}

std::int64_t Symbols::value(const std::string& name) const {
    const auto dim = (*this)[name];
    if (!dim.known())
        throw Error(ExitCode::internal,
                    fmt::format("dimension {} is not known here (found '{}')", name, dim.text()));
    return dim.value();
}

Shape Symbols::resolve(const Shape& shape) const {
    Shape out;
    for (const auto& dim : shape) out.push_back(dim.known() ? dim : (*this)[dim.text()]);
    return out;
}

std::string unify(const Shape& declared, const Shape& produced, Symbols& symbols) {
    if (declared.size() != produced.size())
        return fmt::format("expected {} dimensions ({}), found {} ({})", declared.size(), to_string(declared),
                           produced.size(), to_string(produced));
    for (std::size_t i = 0; i < declared.size(); ++i) {
        const auto& want = declared[i];
        const auto& have = produced[i];
        if (want.known()) {
            if (have.known() && have.value() != want.value())
                return fmt::format("dimension {}: expected {}, found {}", i, want.text(), have.text());
            continue;
        }
        if (!symbols.bound(want.text())) {
            symbols.bind(want.text(), have);
        } else if (const auto known = symbols[want.text()]; !(known == have)) {
            return fmt::format("dimension {}: {} is {}, found {}", i, want.text(), known.text(), have.text());
        }
    }
    return "";
}

}  // namespace hearth
