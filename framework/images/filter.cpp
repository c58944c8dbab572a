#include "images/filter.hpp"

#include <algorithm>
#include <cctype>
#include <hearth/error.hpp>
#include <hearth/text.hpp>
#include <optional>

#include "images/cell.hpp"

namespace hearth::images {
namespace {

enum class Kind { name, text, number, symbol, end };

struct Token {
    Kind kind = Kind::end;
    std::string text;
    std::size_t at = 0;  ///< offset of its first character
};

[[noreturn]] void fail(const std::string& where, std::size_t at, const std::string& message) {
    throw RecipeError("where: " + message + " (column " + std::to_string(at + 1) + ")\n  " + where + "\n  " +
                      std::string(at, ' ') + "^");
}

bool is_word(unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '.' || c >= 0x80;
}

bool is_keyword(std::string_view word) {
    return word == "and" || word == "or" || word == "not" || word == "in";
}

/// Whether a column's name may stand without backquotes.
bool is_bare(const std::string& column) {
    return std::all_of(column.begin(), column.end(), is_word) && !as_number(column) && !is_keyword(column);
}

std::string as_column(const std::string& column) {
    return is_bare(column) ? column : '`' + column + '`';
}

std::vector<Token> tokenize(const std::string& where) {
    std::vector<Token> tokens;
    std::size_t at = 0;
    while (at < where.size()) {
        const char c = where[at];
        const std::size_t start = at;
        if (std::isspace(static_cast<unsigned char>(c))) {
            ++at;
        } else if (c == '"' || c == '\'' || c == '`') {
            const std::size_t close = where.find(c, at + 1);
            if (close == std::string::npos) fail(where, at, std::string("the quote ") + c + " is never closed");
            tokens.push_back({c == '`' ? Kind::name : Kind::text, where.substr(at + 1, close - at - 1), start});
            at = close + 1;
        } else if (is_word(static_cast<unsigned char>(c)) || c == '-' || c == '+') {
            while (++at < where.size()) {
                const bool exponent = (where[at] == '-' || where[at] == '+') &&
                                      std::tolower(where[at - 1]) == 'e' &&
                                      as_number(where.substr(start, at - 1 - start));
                if (!is_word(static_cast<unsigned char>(where[at])) && !exponent) break;
            }
            const std::string word = where.substr(start, at - start);
            const bool signed_word = c == '-' || c == '+';
            if (signed_word && !as_number(word)) fail(where, start, "found '" + word + "', expected a number");
            tokens.push_back({as_number(word) ? Kind::number : Kind::name, word, start});
        } else {
            const std::string two = where.substr(at, 2);
            const bool pair = two == "==" || two == "!=" || two == "<=" || two == ">=";
            const std::string symbol = pair ? two : std::string(1, c);
            if (two == "&&" || two == "||") {
                fail(where, at, "found '" + two + "', expected '" + (c == '&' ? "and" : "or") + "'");
            }
            if (symbol == "=") fail(where, at, "found '=', expected '=='");
            if (!pair && std::string_view("<>(),").find(c) == std::string_view::npos) {
                fail(where, at, "unexpected character '" + symbol + "'");
            }
            tokens.push_back({Kind::symbol, symbol, start});
            at += symbol.size();
        }
    }
    tokens.push_back({Kind::end, "", where.size()});
    return tokens;
}

/// A column or a constant.
struct Operand {
    std::optional<std::size_t> column;
    std::string text;     ///< of a constant, as plain() reads it
    bool quoted = false;  ///< a constant in quotes
    std::size_t at = 0;   ///< offset in the filter

    const std::string& value(const Row& row) const { return column ? row.cells[*column] : text; }
    /// A bare number, which says that numbers are meant.
    bool is_number() const { return !column && !quoted; }
};

bool equal(const Operand& a, const Operand& b, const Row& row) {
    const std::string &left = a.value(row), &right = b.value(row);
    if (left == right) return true;
    if (a.is_number() || b.is_number()) {
        const auto x = as_number(left), y = as_number(right);
        return x && y && *x == *y;
    }
    return key(left) == key(right);
}

/// A missing value, or text against a bare number, has no order: neither < nor > holds.
bool less(const Operand& a, const Operand& b, const Row& row, bool or_equal) {
    const std::string &left = a.value(row), &right = b.value(row);
    if (left.empty() || right.empty()) return false;
    const auto x = as_number(left), y = as_number(right);
    if (x && y) return or_equal ? *x <= *y : *x < *y;
    if (a.is_number() || b.is_number()) return false;
    return or_equal ? left <= right : left < right;
}

/// Recursive descent: either := both ("or" both)*; both := negated ("and" negated)*; negated := "not" negated |
/// primary.
class Parser {
  public:
    Parser(const std::string& where, const Manifest& manifest)
        : where_(where), manifest_(manifest), tokens_(tokenize(where)) {}

    RowTest parse() {
        RowTest test = either();
        if (now().kind != Kind::end) unexpected("'and', 'or' or the end");
        return test;
    }

  private:
    RowTest either() {
        std::vector<RowTest> tests = {both()};
        while (take_word("or")) tests.push_back(both());
        if (tests.size() == 1) return tests.front();
        return [any = std::move(tests)](const Row& row) {
            return std::any_of(any.begin(), any.end(), [&](const RowTest& test) { return test(row); });
        };
    }
    RowTest both() {
        std::vector<RowTest> tests = {negated()};
        while (take_word("and")) tests.push_back(negated());
        if (tests.size() == 1) return tests.front();
        return [all = std::move(tests)](const Row& row) {
            return std::all_of(all.begin(), all.end(), [&](const RowTest& test) { return test(row); });
        };
    }
    RowTest negated() {
        if (++depth_ > 100) fail(where_, now().at, "nested more than 100 deep");
        RowTest test;
        if (take_word("not")) {
            test = [a = negated()](const Row& row) { return !a(row); };
        } else if (take_symbol("(")) {
            test = either();
            if (!take_symbol(")")) unexpected("')'");
        } else {
            test = comparison();
        }
        --depth_;
        return test;
    }

    RowTest comparison() {
        const Operand left = operand();
        const bool negate = take_word("not");
        if (take_word("in")) {
            const auto list = members();
            if (std::none_of(list.begin(), list.end(),
                             [](const Operand& member) { return member.column.has_value(); }))
                expect_column(left);
            return [left, list, negate](const Row& row) {
                const auto same = [&](const Operand& member) { return equal(left, member, row); };
                return std::any_of(list.begin(), list.end(), same) != negate;
            };
        }
        if (negate) unexpected("'in'");
        const std::string symbol = now().kind == Kind::symbol ? now().text : "";
        const bool known =
            symbol == "==" || symbol == "!=" || symbol.starts_with('<') || symbol.starts_with('>');
        if (!known) unexpected("==, !=, <, <=, >, >=, 'in' or 'not in'");
        ++at_;
        const Operand right = operand();
        if (!right.column) expect_column(left);
        const bool or_equal = symbol.size() == 2;
        if (symbol == "==") return [=](const Row& row) { return equal(left, right, row); };
        if (symbol == "!=") return [=](const Row& row) { return !equal(left, right, row); };
        if (symbol[0] == '<') return [=](const Row& row) { return less(left, right, row, or_equal); };
        return [=](const Row& row) { return less(right, left, row, or_equal); };
    }

    std::vector<Operand> members() {
        if (!take_symbol("(")) unexpected("'(' and a list such as (\"a\", \"b\")");
        std::vector<Operand> list;
        do {
            list.push_back(operand());
        } while (take_symbol(","));
        if (!take_symbol(")")) unexpected("',' or ')'");
        return list;
    }

    /// One side of a comparison has to be a column; two constants are the same for every row.
    void expect_column(const Operand& side) const {
        if (side.column) return;
        fail(where_, side.at,
             "found a comparison of two constants, expected a column on one side" +
                 (manifest_.has(side.text)
                      ? "; '" + side.text + "' is a column where it is written as " + as_column(side.text)
                      : "; columns: " + join(manifest_.columns)));
    }

    /// The column whose name begins with `word`, or any other, that has to stand between backquotes.
    std::string blanks_hint(const std::string& word) const {
        std::string example;
        for (const auto& column : manifest_.columns)
            if (!is_bare(column) && (example.empty() || column.starts_with(word + ' '))) example = column;
        return example.empty() ? "" : "; a name with blanks stands between backquotes: `" + example + "`";
    }

    Operand operand() {
        const Token token = now();
        const bool keyword = token.kind == Kind::name && where_[token.at] != '`' && is_keyword(token.text);
        if (keyword || token.kind == Kind::symbol || token.kind == Kind::end)
            unexpected("a column, a number or \"text\"");
        ++at_;
        if (token.kind != Kind::name)
            return {std::nullopt, plain(token.text), token.kind == Kind::text, token.at};
        if (manifest_.has(token.text)) return {manifest_.column(token.text), "", false, token.at};

        fail(where_, token.at,
             "unknown column '" + token.text + "'" + did_you_mean(token.text, manifest_.columns) +
                 "; columns: " + join(manifest_.columns) +
                 (is_compared() ? "" : "; if it is a text, quote it: \"" + token.text + "\"") +
                 blanks_hint(token.text));
    }

    const Token& now() const { return tokens_[at_]; }
    /// What comes now compares the operand before it, which is then most likely a column.
    bool is_compared() const {
        return (now().kind == Kind::symbol && now().text != ")" && now().text != ",") || now().text == "in" ||
               now().text == "not";
    }
    bool take_word(std::string_view word) {
        if (now().kind != Kind::name || now().text != word || where_[now().at] == '`') return false;
        ++at_;
        return true;
    }
    bool take_symbol(std::string_view symbol) {
        if (now().kind != Kind::symbol || now().text != symbol) return false;
        ++at_;
        return true;
    }
    [[noreturn]] void unexpected(const std::string& expected) const {
        const std::string found = now().kind == Kind::end ? "the end" : "'" + now().text + "'";
        fail(where_, now().at, "found " + found + ", expected " + expected);
    }

    const std::string& where_;
    const Manifest& manifest_;
    std::vector<Token> tokens_;
    std::size_t at_ = 0;
    int depth_ = 0;
};

}  // namespace

RowTest compile_filter(const std::string& where, const Manifest& manifest) {
    if (where.find_first_not_of(" \t\r\n") == std::string::npos) return [](const Row&) { return true; };
    return Parser(where, manifest).parse();
}

Manifest select(const Manifest& manifest, const std::string& where) {
    const RowTest wanted = compile_filter(where, manifest);
    Manifest selected{manifest.file, manifest.columns, {}, manifest.skipped};
    std::copy_if(manifest.rows.begin(), manifest.rows.end(), std::back_inserter(selected.rows), wanted);
    return selected;
}

}  // namespace hearth::images
