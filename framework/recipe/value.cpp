#include "recipe/value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <hearth/error.hpp>
#include <utility>

namespace hearth::recipe {
namespace {

bool is_bare(const std::string& text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_' || c == '-';
    });
}

std::string quoted(const std::string& text) {
    const bool plain = std::none_of(text.begin(), text.end(),
                                    [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '\''; });
    if (plain && text.find_first_of("\"\\") != std::string::npos) return '\'' + text + '\'';
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\')
            out += std::string("\\") + c;
        else if (c == '\n')
            out += "\\n";
        else if (c == '\t')
            out += "\\t";
        else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
            out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
        else
            out += c;
    }
    return out + '"';
}

std::string number_text(double value) {
    auto text = fmt::format("{}", value);  // the shortest text that reads back as the same number
    const bool looks_integer = text.find_first_not_of("+-0123456789") == std::string::npos;
    return looks_integer ? text + ".0" : text;
}

struct Writer {
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(std::int64_t value) const { return std::to_string(value); }
    std::string operator()(double value) const { return number_text(value); }
    std::string operator()(const std::string& value) const { return quoted(value); }
    std::string operator()(const Array& entries) const {
        std::string out;
        for (const auto& entry : entries) out += (out.empty() ? "" : ", ") + entry.to_toml();
        return "[" + out + "]";
    }
    std::string operator()(const Table& table) const {
        std::string out;
        for (std::size_t i = 0; i < table.keys().size(); ++i)
            out += (i == 0 ? "" : ", ") + toml_key(table.keys()[i]) + " = " + table.at(i).to_toml();
        return out.empty() ? "{}" : "{ " + out + " }";
    }
};

}  // namespace

std::string Origin::line_text() const {
    if (file.empty()) return "default";
    return line > 0 ? fmt::format("{}:{}", file, line) : file;
}

std::string Origin::text() const {
    return line > 0 ? fmt::format("{}:{}", line_text(), column) : line_text();
}

const Value* Table::find(std::string_view key) const {
    const auto found = std::find(keys_.begin(), keys_.end(), key);
    return found == keys_.end() ? nullptr : &values_[static_cast<std::size_t>(found - keys_.begin())];
}

Value* Table::find(std::string_view key) {
    return const_cast<Value*>(std::as_const(*this).find(key));
}

void Table::set(const std::string& key, Value value) {
    if (Value* present = find(key)) {
        *present = std::move(value);
        return;
    }
    keys_.push_back(key);
    values_.push_back(std::move(value));
}

bool Table::erase(std::string_view key) {
    const auto found = std::find(keys_.begin(), keys_.end(), key);
    if (found == keys_.end()) return false;
    values_.erase(values_.begin() + (found - keys_.begin()));
    keys_.erase(found);
    return true;
}

bool Table::rename(std::string_view key, const std::string& name) {
    const auto found = std::find(keys_.begin(), keys_.end(), key);
    if (found == keys_.end()) return false;
    *found = name;
    return true;
}

const Value& Table::at(std::size_t index) const {
    return values_.at(index);
}

bool operator==(const Table& a, const Table& b) {
    return a.keys().size() == b.keys().size() &&
           std::all_of(a.keys().begin(), a.keys().end(), [&](const auto& key) {
               const Value* other = b.find(key);
               return other != nullptr && *a.find(key) == *other;
           });
}

bool operator==(const Value& a, const Value& b) {
    return a.data == b.data;
}

std::string Value::type_name() const {
    static const char* const names[] = {"boolean", "integer", "number", "text", "list", "table"};
    return names[data.index()];
}

std::string Value::to_toml() const {
    return std::visit(Writer{}, data);
}

std::string toml_key(const std::string& text) {
    return is_bare(text) ? text : quoted(text);
}

void Diagnostics::add(const Origin& where, const std::string& message) {
    mistakes_.push_back({where, message});
    messages_.push_back(mistakes_.back().text());
}

void Diagnostics::throw_if_any(const std::string& title) const {
    if (messages_.empty()) return;
    std::string text = title;
    for (auto message = messages_.begin(); message != messages_.end(); ++message)
        if (std::find(messages_.begin(), message, *message) == message) text += "\n  " + *message;
    throw RecipeError(text);
}

}  // namespace hearth::recipe
